"""Rules of the registry: what a registered version is, and how it is shown. Pure: no clock, no network, no database."""

from dataclasses import dataclass
from datetime import datetime

from shared.messages import (
    CommandRefused,
    ModelImported,
    ModelRegistered,
    ReleaseVersion,
    VersionAssigned,
    VersionReleased,
)
from shared.queries import Release, VersionDetails, VersionSummary
from shared.values import FromJob, Reason, Restriction
from shared.version_facts import VersionFacts

LONGEST_WHY = 1000
# Of a command that is refused, so much is said again.
SAID_AGAIN = 100
SHOWN_LENGTH = 80


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version of which everything is known: its bytes and its number."""

    imported: ModelImported
    assigned: VersionAssigned
    released: VersionReleased | None = None

    @property
    def registered_at(self) -> datetime:
        """When its number was assigned: the same whenever it is asked for, and in every rebuild."""
        return self.assigned.envelope.time

    @property
    def restrictions(self) -> tuple[Restriction, ...]:
        """Those that stand: quarantine ends with the release."""
        lifted = {Restriction.QUARANTINE} if self.released else set()
        return tuple(one for one in self.imported.restrictions if one not in lifted)

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
        source = self.imported.source
        return VersionSummary(
            version=self.assigned.version,
            registered_at=self.registered_at,
            package_digest=self.imported.package.digest,
            size_bytes=self.imported.package.size_bytes,
            metrics=self.imported.metrics,
            job=f"{source.job.id}@{source.job.version}" if isinstance(source, FromJob) else None,
            method=source.method,
            engine=self.imported.engine,
            labels=self.imported.labels,
            restrictions=self.restrictions,
        )

    def details(self) -> VersionDetails:
        imported, restrictions = self.imported, self.restrictions
        facts = {name: getattr(imported, name) for name in VersionFacts.model_fields}
        quarantined = Restriction.QUARANTINE in restrictions
        return VersionDetails(
            **{**facts, "restrictions": restrictions},
            workspace=imported.workspace,
            model=imported.model,
            version=self.assigned.version,
            status="quarantined" if quarantined else "published",
            downloadable=not restrictions,
            deployable=not quarantined,
            release=self._release(),
            import_id=imported.import_id,
            requested_by=imported.requested_by,
            imported_at=imported.envelope.time,
            registered_at=self.registered_at,
        )

    def _release(self) -> Release | None:
        if self.released is None:
            return None
        released = self.released
        return Release(released_by=released.released_by, why=released.why, released_at=released.envelope.time)


def release(
    command: ReleaseVersion, version: RegisteredVersion | None, time: datetime
) -> VersionReleased | CommandRefused:
    """Take a version out of quarantine, or say why not. A repeat of the command that did it does it again."""
    if version is None:
        message = f"{_shown(command.model)} has no version {_shown(command.version)}: expected one that is registered"
        return _refused(command, time, Reason.VERSION_NOT_FOUND, message)
    if version.released is not None and version.released.envelope.cause_id == command.envelope.id:
        return version.released
    if Restriction.QUARANTINE not in version.restrictions:
        message = f"{command.model} {command.version} is not in quarantine: there is nothing to release it from"
        return _refused(command, time, Reason.NOT_QUARANTINED, message)
    return command.answer(
        VersionReleased,
        time,
        version=command.version,
        released_by=command.envelope.source,
        why=command.why[:LONGEST_WHY],
    )


def _refused(command: ReleaseVersion, time: datetime, reason: Reason, message: str) -> CommandRefused:
    return command.answer(
        CommandRefused,
        time,
        workspace=command.workspace[:SAID_AGAIN],
        model=command.model[:SAID_AGAIN],
        command=command.address,
        reason=reason,
        message=message,
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}…")
