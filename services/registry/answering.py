"""The course of a command: look up, decide, keep; and again where another change came first."""

from collections.abc import Callable, Sequence

from services.registry.ports import ChangeStore
from services.registry.rules import deletion
from services.registry.rules.deciding import asked_by, decide
from services.registry.rules.known import Asked, Known, Moment, Refused, check_names, refusal
from shared.messages import (
    CommandRefused,
    DeleteVersion,
    DeletionReported,
    DeploymentRequested,
    Message,
    ModelCommand,
    VersionDeleted,
)
from shared.naming import VersionNumber, is_name, is_number
from shared.values import NotDeleted, Reason

Moments = Callable[[], Moment]


async def answers(command: ModelCommand, changes: ChangeStore, moment: Moments) -> Sequence[Message]:
    """What a command is answered with, in order: decided now, or when it was delivered before."""
    if isinstance(command, DeleteVersion):
        return await _deletion(command, changes, moment)
    while True:
        known = await _known(command, changes)
        # After the look at what is known: what another process made of this very command in between is no reason to refuse it.
        standing = await changes.standing(command.envelope.id)
        if standing:
            return standing
        decided = decide(command, known, moment())
        if isinstance(decided, CommandRefused):
            return [await changes.record_answer(decided)]
        founds = isinstance(decided, DeploymentRequested) and known.owner is None
        if await changes.append(decided, founds=founds):
            return [decided]


async def _known(command: ModelCommand, changes: ChangeStore) -> Known:
    if not (is_name(command.workspace) and is_name(command.model)):
        return Known()
    return await changes.known(command.workspace, command.model, asked_by(command))


async def _deletion(command: DeleteVersion, changes: ChangeStore, moment: Moments) -> Sequence[Message]:
    """Delete one version after the other; a redelivery goes on where the last one came to."""
    standing = await changes.standing(command.envelope.id)
    if standing and isinstance(standing[-1], CommandRefused | DeletionReported):
        return standing
    try:
        failed = await _delete_all(command, changes, moment)
    except Refused as refused:
        await changes.record_answer(refusal(command, refused, moment().now))
        return await changes.standing(command.envelope.id)
    done = _deleted_in(await changes.standing(command.envelope.id))
    known = await changes.known(command.workspace, command.model, Asked())
    left = known.had - known.head.deletions
    await changes.record_answer(deletion.report(command, done, failed, left, moment().after(known.head)))
    return await changes.standing(command.envelope.id)


async def _delete_all(command: DeleteVersion, changes: ChangeStore, moment: Moments) -> tuple[NotDeleted, ...]:
    """Those that stay.

    Raises:
        Refused: nothing is deleted.
    """
    check_names(command)
    deletion.check_names_something(command)
    if not command.cascade:
        await _delete_one(command, command.version or "", changes, moment)
        return ()
    done = _deleted_in(await changes.standing(command.envelope.id))
    asked = Asked((command.version,)) if command.version is not None and is_number(command.version) else Asked()
    deletion.check_cascade(command, await changes.known(command.workspace, command.model, asked))
    room = deletion.MOST_AT_A_TIME - len(done)
    targets = await changes.lowest_live(command.workspace, command.model, room) if room else ()
    deletion.check_some_left(command, (*done, *targets))
    failed = []
    for version in targets:
        try:
            await _delete_one(command, version, changes, moment)
        except Refused as refused:
            failed.append(NotDeleted(version=version, reason=refused.reason, message=str(refused)))
    return tuple(failed)


async def _delete_one(command: DeleteVersion, version: str, changes: ChangeStore, moment: Moments) -> None:
    """Take its aliases away, then delete it; a version that this command has deleted is done."""
    asked = Asked((version,) if is_number(version) else (), whole=True)
    while True:
        known = await changes.known(command.workspace, command.model, asked)
        try:
            deleted = deletion.delete(command, version, known, moment())
        except Refused as refused:
            if refused.reason is Reason.VERSION_DELETED and _did(command, known.versions[version].deleted):
                return
            raise
        unaliased = deletion.unalias(command, version, known, moment())
        if await changes.append(unaliased or deleted) and unaliased is None:
            return


def _did(command: DeleteVersion, deleted: VersionDeleted | None) -> bool:
    return deleted is not None and deleted.envelope.cause_id == command.envelope.id


def _deleted_in(events: Sequence[Message]) -> tuple[str, ...]:
    versions = {event.version for event in events if isinstance(event, VersionDeleted)}
    return tuple(sorted(versions, key=VersionNumber.parse))
