"""What a registered version is, what may be done with it, and how it is shown. Pure: no clock, no network, no database."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from shared.messages import (
    ModelImported,
    ModelRegistered,
    RestrictionLifted,
    VersionAssigned,
    VersionDeleted,
    VersionEdited,
    VersionReleased,
)
from shared.naming import VersionNumber
from shared.queries import Deletion, Deployed, Lift, Release, Status, VersionDetails, VersionSummary
from shared.values import FromJob, Notes, Restriction
from shared.version_facts import VersionFacts
from shared.weights import weights_of


def bytes_of(imported: ModelImported) -> frozenset[str]:
    """The digests of its package and of its weights."""
    return frozenset({imported.package.digest, *(file.digest for file in weights_of(imported.package))})


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version of which everything is known: its bytes, its number, and what was changed about it since."""

    imported: ModelImported
    assigned: VersionAssigned
    released: VersionReleased | None = None
    edited: VersionEdited | None = None
    """The newest of several."""
    lifted: RestrictionLifted | None = None
    deleted: VersionDeleted | None = None
    found_later: tuple[str, ...] = ()
    """Nodes of restricted versions that it was found to descend from after its number was assigned."""

    @property
    def workspace(self) -> str:
        return self.imported.workspace

    @property
    def model(self) -> str:
        return self.imported.model

    @property
    def number(self) -> VersionNumber:
        return VersionNumber.parse(self.assigned.version)

    @property
    def guarded_bytes(self) -> frozenset[str]:
        """Digests that must not be those of automatic learning for it to be downloaded.

        Of what descends from such a version, every file of weights: taken over is not
        made anew. Of any other version the package as a whole, for a base that
        automatic learning began with was there without it.
        """
        return bytes_of(self.imported) if self.restricted_by else frozenset({self.imported.package.digest})

    @property
    def registered_at(self) -> datetime:
        """When its number was assigned: the same whenever it is asked for, and in every rebuild."""
        return self.assigned.envelope.time

    @property
    def notes(self) -> Notes:
        """As they were edited last, else as they were imported."""
        if self.edited is not None:
            return self.edited.after
        return Notes(
            labels=self.imported.labels, description=self.imported.description, documents=self.imported.documents
        )

    @property
    def restricted_by(self) -> tuple[str, ...]:
        """The nodes of restricted versions that it descends from, whether that was lifted or not."""
        return tuple(sorted({*self.assigned.restricted_by, *self.found_later}))

    @property
    def restrictions(self) -> tuple[Restriction, ...]:
        """Those that stand."""
        return tuple(self._standing_restrictions())

    def _standing_restrictions(self) -> Iterator[Restriction]:
        for one in self.imported.restrictions:
            if not (one is Restriction.QUARANTINE and self.released):
                yield one
        if self.restricted_by and not self.lifted and Restriction.DERIVED not in self.imported.restrictions:
            yield Restriction.DERIVED

    @property
    def quarantined(self) -> bool:
        return Restriction.QUARANTINE in self.restrictions

    @property
    def status(self) -> Status:
        if self.deleted:
            return "deleted"
        return "quarantined" if self.quarantined else "published"

    @property
    def downloadable(self) -> bool:
        return not self.restrictions and not self.deleted

    @property
    def deployable(self) -> bool:
        return not self.quarantined and not self.deleted

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
        imported, notes = self.imported, self.notes
        return VersionSummary(
            model=self.model,
            version=self.assigned.version,
            registered_at=self.registered_at,
            package_digest=imported.package.digest,
            size_bytes=imported.package.size_bytes,
            metrics=imported.metrics,
            job=f"{imported.source.job.id}@{imported.source.job.version}"
            if isinstance(imported.source, FromJob)
            else None,
            method=imported.source.method,
            engine=imported.engine,
            labels=notes.labels,
            description=notes.description,
            restrictions=self.restrictions,
            status=self.status,
        )

    def details(self, aliases: tuple[str, ...] = (), services: tuple[Deployed, ...] = ()) -> VersionDetails:
        imported, notes = self.imported, self.notes
        facts = {name: getattr(imported, name) for name in VersionFacts.model_fields}
        said = {name: getattr(notes, name) for name in Notes.model_fields}
        return VersionDetails(
            **{**facts, **said, "restrictions": self.restrictions},
            workspace=self.workspace,
            model=self.model,
            version=self.assigned.version,
            status=self.status,
            downloadable=self.downloadable,
            deployable=self.deployable,
            release=_release(self.released),
            restricted_by=self.restricted_by,
            lift=_lift(self.lifted),
            deletion=_deletion(self.deleted),
            aliases=aliases,
            services=services,
            import_id=imported.import_id,
            requested_by=imported.requested_by,
            imported_at=imported.envelope.time,
            registered_at=self.registered_at,
        )


def _release(event: VersionReleased | None) -> Release | None:
    return Release(released_by=event.by, why=event.why, released_at=event.envelope.time) if event else None


def _lift(event: RestrictionLifted | None) -> Lift | None:
    return Lift(lifted_by=event.by, why=event.why, lifted_at=event.envelope.time) if event else None


def _deletion(event: VersionDeleted | None) -> Deletion | None:
    return Deletion(deleted_by=event.by, why=event.why, deleted_at=event.envelope.time) if event else None
