"""Recalls: everyone who hangs on a dataset or a version is told, once.

A page of events is written down before it is said, and marked afterwards. Whoever goes on after
a crash says again what was not marked, word for word, and no more than that.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from services.versioning.affected import Root, dataset_root, levels_of
from services.versioning.edges import place_of, version_node
from services.versioning.ports import LineageStore, RecallAnswer, RecallPage, RecallStore
from services.versioning.walks import Step
from shared.messages import CommandRefused, DatasetRecalled, Message, RecallTraced, RecallVersion, VersionAffected
from shared.naming import NAME_RULE, NUMBER_RULE, is_name, is_number
from shared.parts import IDS_AT_ONCE, parts
from shared.ports import Events
from shared.texts import shown
from shared.values import Reason

Recall = RecallVersion | DatasetRecalled

SAID_BY = "modelkin/versioning"
VERSIONS_A_PAGE = IDS_AT_ONCE
# It is said again in each event.
WHY_LENGTH = 1000


async def publish_all(events: Sequence[Message], bus: Events) -> None:
    """Side by side; returns when all are kept."""
    said = await asyncio.gather(*(bus.publish(event) for event in events), return_exceptions=True)
    for fault in said:
        if isinstance(fault, BaseException):
            raise fault


async def recall(cause: Recall, lineage: LineageStore, recalls: RecallStore, bus: Events, time: datetime) -> None:
    """Tell everyone, then say that everyone was told; or refuse."""
    answer = await recalls.answer(cause.envelope.id) or await _answer(cause, lineage, recalls, bus, time)
    await bus.publish(await recalls.close(answer))


async def _answer(
    cause: Recall, lineage: LineageStore, recalls: RecallStore, bus: Events, time: datetime
) -> RecallAnswer:
    fault = _fault(cause)
    if fault is not None:
        return _refused(cause, *fault, time)
    root = _root(cause)
    told = await _resumed(cause, recalls, bus)
    async for steps in _untold(root, told.nodes, lineage):
        page = await _page(cause, root, told.pages, steps, lineage, time)
        await recalls.write(cause.envelope.id, page)
        await _say(cause, page, recalls, bus)
        told.add(page)
    if not told.nodes:
        return _refused(cause, *_not_found(cause), time)
    return cause.answer(RecallTraced, time, recalled=root.node, versions=len(told.nodes), services=len(told.services))


class _Told:
    """What a recall has come to."""

    def __init__(self) -> None:
        self.pages = 0
        self.nodes: set[str] = set()
        self.services: set[str] = set()

    def add(self, page: RecallPage) -> None:
        self.pages = page.number + 1
        self.nodes.update(page.nodes)
        self.services.update(page.services)


async def _resumed(cause: Recall, recalls: RecallStore, bus: Events) -> _Told:
    """What was said before; what was written down and perhaps not said is said now."""
    told = _Told()
    async for page in recalls.pages(cause.envelope.id):
        if page.events:
            await _say(cause, page, recalls, bus)
        told.add(page)
    return told


async def _untold(root: Root, told: set[str], lineage: LineageStore) -> AsyncIterator[Sequence[Step]]:
    async for level in levels_of(root, lineage):
        for page in parts([step for step in level if step.node not in told], VERSIONS_A_PAGE):
            yield page


async def _page(
    cause: Recall, root: Root, number: int, steps: Sequence[Step], lineage: LineageStore, time: datetime
) -> RecallPage:
    recorded = await lineage.versions(step.node for step in steps)
    events = tuple(
        cause.answer(
            VersionAffected,
            time,
            part=step.node,
            **place_of(step.node)._asdict(),
            recalled=root.node,
            distance=step.distance,
            services=recorded[step.node].services,
            by=cause.envelope.source,
            why=cause.why[:WHY_LENGTH],
        )
        for step in steps
    )
    services = {service for event in events for service in event.services}
    return RecallPage(number, tuple(step.node for step in steps), tuple(sorted(services)), events)


async def _say(cause: Recall, page: RecallPage, recalls: RecallStore, bus: Events) -> None:
    await publish_all(page.events, bus)
    await recalls.said(cause.envelope.id, page.number)


def _root(cause: Recall) -> Root:
    match cause:
        case RecallVersion():
            return Root(version_node(cause.workspace, cause.model, cause.version))
        case DatasetRecalled():
            return dataset_root(cause.workspace, cause.dataset, cause.version)


def _fault(cause: Recall) -> tuple[Reason, str] | None:
    if not is_name(cause.workspace):
        return Reason.INVALID_WORKSPACE, f"workspace {shown(cause.workspace)}: expected {NAME_RULE}"
    if isinstance(cause, RecallVersion) and not is_name(cause.model):
        return Reason.INVALID_NAME, f"model name {shown(cause.model)}: expected {NAME_RULE}"
    if isinstance(cause, RecallVersion) and not is_number(cause.version):
        return Reason.INVALID_VERSION, f"version {shown(cause.version)}: expected {NUMBER_RULE}"
    return None


def _not_found(cause: Recall) -> tuple[Reason, str]:
    match cause:
        case RecallVersion():
            message = (
                f"{cause.model} has no version {cause.version} in workspace {cause.workspace}: expected one that it has"
            )
            return Reason.VERSION_NOT_FOUND, message
        case DatasetRecalled():
            version = f" of version or digest {shown(cause.version)}" if cause.version is not None else ""
            message = (
                f"no version was trained on dataset {shown(cause.dataset)}{version} in workspace {cause.workspace}"
            )
            return Reason.DATASET_NOT_FOUND, f"{message}: expected one that some version names"


def _refused(cause: Recall, reason: Reason, message: str, time: datetime) -> CommandRefused:
    return CommandRefused(
        envelope=cause.envelope.of_answer(CommandRefused.address, SAID_BY, time),
        workspace=cause.workspace,
        model=cause.model_name,
        command=cause.address,
        by=cause.envelope.source,
        reason=reason,
        message=message,
    )
