"""The registry made anew from events: halves, then changes in their order, then answers, then reports.

What the registry decides is said before it is acknowledged, so all that it knows is in EVENTS; what it has decided and
not said yet is decided anew when its command is delivered again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from services.registry.ports import Answer, ChangeStore, ModelStore
from shared.errors import NotYet
from shared.event_log import EventLog
from shared.messages import (
    Change,
    DeploymentReport,
    LineageExtended,
    Message,
    ModelImported,
    ModelMessage,
    VersionAssigned,
    VersionRefused,
    VersionRestricted,
)
from shared.rebuilding import Count
from shared.store import Database
from shared.subjects import ANSWERS, CHANGES, REGISTRY_ON_REPORTS, REPORTS

HALVES: Final = (ModelImported, VersionAssigned, VersionRefused)
HAPPENED: Final = (*CHANGES, VersionRestricted, LineageExtended)
Hook = Callable[[], Awaitable[None]]


class RegistryReplay:
    """The Replay of the registry, into stores that nobody else writes to."""

    kinds: Final[Sequence[type[Message]]] = (*HALVES, *HAPPENED, *ANSWERS, *REPORTS)

    def __init__(self, models: ModelStore, changes: ChangeStore, prepare: Sequence[Hook]) -> None:
        self._models = models
        self._changes = changes
        self._prepare = prepare
        self._read: dict[Sequence[type[Message]], int] = {}
        """How far each of the parts was read."""
        self._judged = 0
        """Up to here, each report that was refused has its refusal in what is read next."""
        self._early: list[ModelMessage] = []
        """What came before its version was whole."""

    async def prepare(self) -> None:
        for prepare in self._prepare:
            await prepare()

    async def take_in(self, log: EventLog, until: int, count: Count) -> None:
        await self._take_in(log, until, min(until, self._judged), count)
        self._judged = await log.acknowledged(REGISTRY_ON_REPORTS)

    async def finish(self, log: EventLog, until: int, count: Count, old: Database | None) -> None:  # noqa: ARG002 - all of it is in the events
        await self._take_in(log, until, until, count)

    async def _take_in(self, log: EventLog, until: int, judged: int, count: Count) -> None:
        await self._each(log, HALVES, until, count, self._halves)
        early, self._early = self._early, []
        await self._happened(early)
        await self._each(log, HAPPENED, until, count, self._happened)
        await self._each(log, ANSWERS, until, count, self._answers)
        await self._each(log, REPORTS, judged, count, self._reports)

    async def _each(
        self,
        log: EventLog,
        kinds: Sequence[type[Message]],
        until: int,
        count: Count,
        take: Callable[[Sequence[Message]], Awaitable[None]],
    ) -> None:
        async for batch in log.read(kinds, self._read.get(kinds, 0), until):
            await take([event for _, event in batch])
            await count(len(batch))
        self._read[kinds] = max(until, self._read.get(kinds, 0))

    async def _halves(self, events: Iterable[Message]) -> None:
        await asyncio.gather(*map(self._half, events))

    async def _half(self, event: Message) -> None:
        match event:
            case ModelImported():
                await self._models.record_import(event)
            case VersionAssigned():
                await self._models.record_version(event)
            case VersionRefused():
                await self._models.record_refusal(event)

    async def _happened(self, events: Iterable[Message]) -> None:
        """Of one model in order, of several side by side."""
        by_model: dict[tuple[str, str], list[ModelMessage]] = {}
        for event in events:
            assert isinstance(event, ModelMessage)
            by_model.setdefault((event.workspace, event.model), []).append(event)
        await asyncio.gather(*map(self._happened_to_one, by_model.values()))

    async def _happened_to_one(self, events: Iterable[ModelMessage]) -> None:
        for event in events:
            try:
                await self._happening(event)
            except NotYet:
                self._early.append(event)  # its consumer has not taken it in either

    async def _happening(self, event: ModelMessage) -> None:
        match event:
            case Change():
                await self._changes.record_change(event)
            case VersionRestricted():
                await self._changes.record_restriction(event)
            case LineageExtended():
                await self._changes.record_extension(event)

    async def _answers(self, events: Iterable[Message]) -> None:
        said = [one for one in events if isinstance(one, Answer) and one.envelope.source == type(one).said_by]
        await asyncio.gather(*map(self._changes.record_answer, said))

    async def _reports(self, events: Iterable[Message]) -> None:
        await asyncio.gather(*(self._report(one) for one in events if isinstance(one, DeploymentReport)))

    async def _report(self, report: DeploymentReport) -> None:
        if not await self._changes.standing(report.envelope.id):
            await self._changes.record_report(report)
