"""Rules of the registry: what a registered version is, and how it is shown. Pure: no clock, no network, no database."""

from dataclasses import dataclass
from datetime import datetime

from shared.messages import ModelImported, ModelRegistered, VersionAssigned
from shared.queries import VersionDetails, VersionSummary
from shared.values import Provenance


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version of which everything is known: its bytes and its number."""

    imported: ModelImported
    assigned: VersionAssigned

    @property
    def registered_at(self) -> datetime:
        """When its number was assigned: the same whenever it is asked for, and in every rebuild."""
        return self.assigned.envelope.time

    def announcement(self) -> ModelRegistered:
        """The event that says so: the same however often it is made."""
        return self.assigned.answer(
            ModelRegistered,
            self.registered_at,
            import_id=self.imported.import_id,
            version=self.assigned.version,
            package_digest=self.imported.package.digest,
            size_bytes=self.imported.package.size_bytes,
        )

    def summary(self) -> VersionSummary:
        job = self.imported.source.job
        return VersionSummary(
            version=self.assigned.version,
            registered_at=self.registered_at,
            package_digest=self.imported.package.digest,
            size_bytes=self.imported.package.size_bytes,
            metrics=self.imported.metrics,
            job=f"{job.id}@{job.version}",
        )

    def details(self) -> VersionDetails:
        imported = self.imported
        return VersionDetails(
            **{name: getattr(imported, name) for name in Provenance.model_fields},
            workspace=imported.workspace,
            model=imported.model,
            version=self.assigned.version,
            import_id=imported.import_id,
            requested_by=imported.requested_by,
            imported_at=imported.envelope.time,
            registered_at=self.registered_at,
            source=imported.source,
            package=imported.package,
        )
