"""Handlers of the registry: each event adds its half of a version, commands change what there is, deployers report."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from faststream import Context

from services.registry.answering import answers
from services.registry.domain import RegisteredVersion
from services.registry.ports import ChangeStore, ModelStore
from services.registry.rules.known import Moment
from services.registry.rules.reports import check_report, not_requested
from shared.errors import NotFound
from shared.messages import (
    Change,
    CommandRefused,
    DeletionReported,
    DeploymentReport,
    LineageExtended,
    Message,
    ModelCommand,
    ModelImported,
    VersionAssigned,
    VersionRefused,
    VersionRestricted,
)
from shared.ports import Events
from shared.queries import GetImport, ImportStatus
from shared.turns import Turns

Store = Annotated[ModelStore, Context("store")]
Changes = Annotated[ChangeStore, Context("changes")]
InTurn = Annotated[Turns, Context("turns")]
Bus = Annotated[Events, Context("events")]
Moments = Annotated[Callable[[], Moment], Context("moment")]
Now = Annotated[Callable[[], datetime], Context("now")]


async def on_model_imported(imported: ModelImported, store: Store, events: Bus) -> None:
    await _announce(await store.record_import(imported), events)


async def on_version_assigned(assigned: VersionAssigned, store: Store, events: Bus) -> None:
    await _announce(await store.record_version(assigned), events)


async def _announce(version: RegisteredVersion | None, events: Events) -> None:
    """Say that a version is whole; its first half alone says nothing.

    Both halves may find it whole: they say the same event, under the same id.
    """
    if version is not None:
        await events.publish(version.announcement())


async def on_version_refused(refused: VersionRefused, store: Store) -> None:
    await store.record_refusal(refused)


async def on_command(command: ModelCommand, changes: Changes, turns: InTurn, events: Bus, moment: Moments) -> None:
    """Answer a command; delivered again, it is answered with the very same events."""
    async with turns.of(command.workspace, command.model):
        for answer in await answers(command, changes, moment):
            await _say(answer, changes, events)


async def _say(answer: Message, changes: ChangeStore, events: Events) -> None:
    """Say a change after those before it: another process that made one of them may be slow, or dead."""
    if not isinstance(answer, Change):
        return await events.publish(answer)
    for change in (*await changes.unsaid_before(answer), answer):
        await events.publish(change)
    return await changes.mark_said(answer)


async def on_change(event: Message, changes: Changes) -> None:
    """Keep a change that was said. Most often it is kept already; a registry that lost its database has it from here.

    Raises:
        Transient: the version is not whole yet, or what came before is not there.
    """
    match event:
        case Change():
            await changes.record_change(event)
        case VersionRestricted():
            await changes.record_restriction(event)
        case LineageExtended():
            await changes.record_extension(event)


async def on_answer(answer: CommandRefused | DeletionReported, changes: Changes) -> None:
    """Keep how a command ended, as `on_change` keeps changes: it is not decided again when it is delivered again."""
    if answer.envelope.source == type(answer).said_by:
        await changes.record_answer(answer)


async def on_report(report: DeploymentReport, changes: Changes, events: Bus, now: Now) -> None:
    """Keep what a deployer says. What it says of a service that nobody asked for is refused."""
    standing = await changes.standing(report.envelope.id)
    if standing:
        return await events.publish(standing[0])
    refused = check_report(report, now())
    if refused is None and not await changes.record_report(report):
        refused = not_requested(report, await changes.service(report.workspace, report.service), now())
    if refused is not None:
        await events.publish(await changes.record_answer(refused))
    return None


async def on_get_import(query: GetImport, store: Store) -> ImportStatus:
    status = await store.import_status(query.import_id)
    if status is None or query.workspace not in {None, status.workspace}:
        raise NotFound("import-not-found", f"no import {query.import_id} has reached the registry")
    return status
