"""Rules of deletion: a version that a service needs stays, and so does what it came from. Pure."""

from datetime import datetime

from services.registry.rules.known import Known, Moment, Refused, change, check_model, live, registered
from shared.messages import AliasMoved, DeleteVersion, DeletionReported, VersionDeleted
from shared.texts import shown
from shared.values import NotDeleted, Reason

MOST_AT_A_TIME = 20
_MOST_NAMED = 10


def check_cascade(command: DeleteVersion, known: Known) -> None:
    """That every version of the model may be asked for."""
    check_model(command, known)
    if command.version is not None:
        registered(command, command.version, known)


def check_names_something(command: DeleteVersion) -> None:
    if command.version is None and not command.cascade:
        message = "neither a version nor cascade: expected a version, or cascade for every version of the model"
        raise Refused(Reason.INVALID_VERSION, message)


def check_some_left(command: DeleteVersion, versions: tuple[str, ...]) -> None:
    if not versions:
        raise Refused(Reason.VERSION_DELETED, f"every version of {command.model} was deleted already")


def unalias(command: DeleteVersion, version: str, known: Known, moment: Moment) -> AliasMoved | None:
    """The next alias of a version to take away before the version goes, None where none is left."""
    alias = min((alias for alias, target in known.aliases.items() if target == version), default=None)
    if alias is None:
        return None
    # It may be given back before the version is gone, so its name alone does not tell it apart.
    part = f"{alias}/{known.head.ordinal + 1}"
    why = f"{version} was deleted"
    return change(command, AliasMoved, known, moment, part=part, alias=alias, old=version, new=None, why=why)


def delete(command: DeleteVersion, version: str, known: Known, moment: Moment) -> VersionDeleted:
    """Delete a version; its aliases are gone by then."""
    found = live(command, version, known)
    services = sorted({one.service for one in known.placements if one.version == version and one.serves})
    if services:
        named = ", ".join(map(shown, services[:_MOST_NAMED]))
        more = f" and {len(services) - _MOST_NAMED} more" if len(services) > _MOST_NAMED else ""
        message = f"{command.model} {version} is deployed as {named}{more}: expected it to be stopped there first"
        raise Refused(Reason.VERSION_DEPLOYED, message)
    return change(
        command,
        VersionDeleted,
        known,
        moment,
        part=version,
        version=version,
        import_id=found.imported.import_id,
        package_digest=found.imported.package.digest,
        deletions=known.head.deletions + 1,
    )


def report(
    command: DeleteVersion, deleted: tuple[str, ...], failed: tuple[NotDeleted, ...], left: int, time: datetime
) -> DeletionReported:
    return command.answer(DeletionReported, time, deleted=deleted, failed=failed, left=left)
