"""What an event says, in a few words for a person: one function for each kind of event."""

from functools import singledispatch

from modelkin.wording import counted, files, moment, size
from shared.messages import (
    AliasMoved,
    ArtifactCorrupted,
    AutoLearningDeployed,
    Change,
    CommandRefused,
    DatasetRecalled,
    DeadLetterAdded,
    DeadLetterDropped,
    DeadLetterEvent,
    DeadLetterRedriven,
    DeletionReported,
    DeploymentReport,
    DeploymentRequested,
    DownloadGranted,
    GarbageCollected,
    ImportRefused,
    ImportStarted,
    LineageExtended,
    Message,
    ModelImported,
    ModelRegistered,
    PackageVerified,
    ProjectionRebuilt,
    RecallTraced,
    RestrictionLifted,
    RolloutRequested,
    TrainingSucceeded,
    VersionAffected,
    VersionAssigned,
    VersionDeleted,
    VersionEdited,
    VersionRefused,
    VersionReleased,
    VersionRestricted,
)
from shared.values import Document, Notes


@singledispatch
def essence(_: Message) -> str:
    """The event without its time, its kind and what it is about; nothing where that says it all."""
    return ""


def cause(event: Message) -> str:
    """Who made a change or was refused one, and why."""
    match event:
        case Change(by=by, why=why):
            pass
        case CommandRefused(by=by) if by:
            why = ""
        case DeadLetterRedriven(why=why) | DeadLetterDropped(why=why):
            by = event.envelope.source
        case _:
            return ""
    return f"by {by}: {why}" if why else f"by {by}"


@essence.register
def _(event: AutoLearningDeployed) -> str:
    return f"run {event.run} at {event.location}"


@essence.register
def _(event: TrainingSucceeded) -> str:
    return f"job {event.job.id}@{event.job.version} at {event.location}"


@essence.register
def _(event: ImportStarted) -> str:
    return f"{event.method}, {files(event.file_count)}, {size(event.size_bytes)}"


@essence.register
def _(event: ModelImported) -> str:
    package = event.package
    return f"{files(package.file_count)}, {size(package.size_bytes)}, {package.digest[:19]}"


@essence.register
def _(event: ImportRefused | VersionRefused | CommandRefused) -> str:
    return f"{event.reason}: {event.message}"


@essence.register
def _(event: VersionAssigned) -> str:
    return f"{event.version}, {counted(len(event.edges), 'edge')} of lineage"


@essence.register
def _(event: ModelRegistered) -> str:
    return event.version


@essence.register
def _(event: LineageExtended) -> str:
    return f"{event.version} {', '.join(f'{edge.kind} {edge.target}' for edge in event.edges)}"


@essence.register
def _(event: VersionRestricted) -> str:
    return f"{event.version} descends from {', '.join(event.restricted_by)}"


@essence.register
def _(event: VersionReleased) -> str:
    return f"{event.version} is out of quarantine"


@essence.register
def _(event: RestrictionLifted) -> str:
    return f"{event.version} may be downloaded"


@essence.register
def _(event: AliasMoved) -> str:
    if event.new is None:
        return f"{event.alias} is gone; it pointed to {event.old}"
    return f"{event.alias} points to {event.new}" + (f"; it pointed to {event.old}" if event.old else "")


@essence.register
def _(event: VersionEdited) -> str:
    return f"{event.version} is edited: {_edited(event.before, event.after)}"


@essence.register
def _(event: VersionDeleted) -> str:
    return f"{event.version} is deleted"


@essence.register
def _(event: DeletionReported) -> str:
    kept = "".join(f"; {one.version} stays ({one.reason}): {one.message}" for one in event.failed)
    return f"{len(event.deleted)} deleted, {counted(event.left, 'version')} left{kept}"


@essence.register
def _(event: DeploymentRequested) -> str:
    return f"{event.version} is asked for in the {event.mode} service {event.service}"


@essence.register
def _(event: RolloutRequested) -> str:
    shares = ", ".join(f"{target.version} {target.weight} %" for target in event.targets)
    return f"{shares} are asked for in the service {event.service}"


@essence.register
def _(event: DeploymentReport) -> str:
    said = f": {event.message}" if event.message else ""
    return f"{event.version} in the service {event.service}{said}"


@essence.register
def _(event: DownloadGranted) -> str:
    return f"{event.version} may be downloaded until {moment(event.grant.expires_at)}"


@essence.register
def _(event: DatasetRecalled) -> str:
    return f"{'@'.join(part for part in (event.dataset, event.version) if part)}: {event.why}"


@essence.register
def _(event: VersionAffected) -> str:
    serves = f", serves as {', '.join(event.services)}" if event.services else ""
    return f"{event.version} is {counted(event.distance, 'step')} from {event.recalled}{serves}"


@essence.register
def _(event: RecallTraced) -> str:
    told = f"{counted(event.versions, 'version')} and {counted(event.services, 'service')}"
    return f"recalled: {told} hang on {event.recalled}, and were told"


@essence.register
def _(event: ArtifactCorrupted) -> str:
    return f"{event.version} {event.path}: expected {event.digest[:19]}, found {event.found[:80]}"


@essence.register
def _(event: PackageVerified) -> str:
    state = f"{event.corrupted} damaged" if event.corrupted else "all as they were"
    return f"{event.version}: {files(event.file_count)}, {size(event.size_bytes)}, {state}"


@essence.register
def _(event: ProjectionRebuilt) -> str:
    return f"made anew from {counted(event.events, 'event')} in {event.seconds:.1f} s"


@essence.register
def _(event: DeadLetterAdded) -> str:
    tried = counted(event.attempts, "attempt")
    return f"letter {event.letter} of {event.durable}, {event.reason} after {tried}: {event.message[:200]}"


@essence.register
def _(event: DeadLetterEvent) -> str:
    return f"letter {event.letter} of {event.durable}"


@essence.register
def _(event: GarbageCollected) -> str:
    removed = "would be removed" if event.dry_run else "removed"
    kept = f"{files(event.kept_files)}, {size(event.kept_bytes)} kept"
    return f"{files(event.removed_files)}, {size(event.removed_bytes)} {removed}; {kept}"


def _edited(before: Notes, after: Notes) -> str:
    shown = ((name, getattr(before, name), getattr(after, name)) for name in Notes.model_fields)
    return "; ".join(f"{name}: {_words(old)} → {_words(new)}" for name, old, new in shown if old != new)


def _words(said: str | tuple[str | Document, ...]) -> str:
    if isinstance(said, str):
        return said or "none"
    return ", ".join(one.name if isinstance(one, Document) else one for one in said) or "none"
