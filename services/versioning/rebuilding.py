"""Versioning made anew from events: decisions are taken over as they were said, and nothing is decided again.

All is read once, in order. A decision waits until its import was read, until the versions that it descends from are
there, and until the ordinal before its own is. What was decided and is not said yet is taken from the generation in
use; an import without a decision is left to be delivered.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby, takewhile
from typing import Final, NamedTuple

import structlog

from services.versioning.domain import Decision, ModelKey
from services.versioning.edges import node_of, parents_of
from services.versioning.ports import (
    Decided,
    Late,
    LineageStore,
    RecallPage,
    RecallStore,
    Taken,
    VersionStore,
    can_exist,
)
from services.versioning.recalling import SAID_BY, VERSIONS_A_PAGE
from services.versioning.recognising import settling
from shared.errors import NotYet
from shared.event_log import EventLog, Kept
from shared.messages import (
    CommandRefused,
    DatasetRecalled,
    DeploymentReport,
    DeploymentRequested,
    LineageExtended,
    Message,
    ModelImported,
    RecallTraced,
    RecallVersion,
    RolloutRequested,
    VersionAffected,
    VersionAssigned,
    VersionDeleted,
    VersionRefused,
    VersionRestricted,
)
from shared.parts import parts
from shared.rebuilding import Count
from shared.store import Database
from shared.subjects import REPORTS, REQUESTS

say = structlog.get_logger()

Hook = Callable[[], Awaitable[None]]
# Imports are kept in memory until their decision is read, which most often follows at once. Of more than so many only
# their places are kept, and they are read a second time.
IMPORTS_AT_HAND = 1000
# Decisions are said side by side, those of each process at most so many at once (app.py): so far they are out of order.
OUT_OF_ORDER = 200
MOST_IN_WINDOW = 5000
RECALLS: Final = {RecallVersion.address, DatasetRecalled.address}


class VersioningStores(NamedTuple):
    """Those of one generation."""

    versions: VersionStore
    lineage: LineageStore
    recalls: RecallStore


class VersioningReplay:
    """The Replay of versioning, into stores that nobody else writes to."""

    kinds: Final[Sequence[type[Message]]] = (
        ModelImported,
        VersionAssigned,
        VersionRefused,
        LineageExtended,
        VersionRestricted,
        VersionDeleted,
        *REQUESTS,
        *REPORTS,
        VersionAffected,
        RecallTraced,
        CommandRefused,
    )

    def __init__(
        self,
        stores: VersioningStores,
        prepare: Sequence[Hook],
        decided_in: Callable[[Database], VersionStore],
    ) -> None:
        """`decided_in` opens another generation."""
        self._versions, self._lineage, self._recalls = stores
        self._prepare = prepare
        self._decided_in = decided_in
        self._read = 0
        self._imports = _Imports()
        self._window: list[Message] = []
        """What was read and not taken in, imports aside."""
        self._held_back: list[Taken] = []
        self._early: list[Message] = []
        """What came before its version."""
        self._told: dict[str, list[VersionAffected]] = {}
        """By cause, of recalls that are not answered."""

    async def prepare(self) -> None:
        for prepare in self._prepare:
            await prepare()

    async def take_in(self, log: EventLog, until: int, count: Count) -> None:
        async for batch in log.read(self.kinds, self._read, until):
            self._hear(batch)
            if len(self._window) > 2 * OUT_OF_ORDER:
                await self._take_window(log, whole=False)
            await count(len(batch))
        self._read = max(self._read, until)
        await self._take_early()

    async def finish(self, log: EventLog, until: int, count: Count, old: Database | None) -> None:
        await self.take_in(log, until, count)
        await self._take_window(log, whole=True)
        if old is not None:
            await self._take_unsaid(self._decided_in(old), log)
        # What these were made on was never said, and is lost with the database that knew it.
        await self._adopt(sorted(self._held_back, key=_ordinal))
        self._held_back = []
        await self._take_early()
        for event in self._early:
            say.warning("event left out: its version is not known", event_id=event.envelope.id, subject=event.subject)
        for cause_id, told in self._told.items():
            await self._write_recall(cause_id, told)

    # In order

    def _hear(self, batch: Sequence[Kept]) -> None:
        for sequence, event in batch:
            if isinstance(event, ModelImported):
                self._imports.add(sequence, event)
            else:
                self._window.append(event)

    async def _take_window(self, events: EventLog, *, whole: bool) -> None:
        """Decisions in the order in which they were made, then what was said up to the first that is left for later."""
        recent = [] if whole else [_time(one) for one in self._window[-OUT_OF_ORDER:] if isinstance(one, Decision)]
        if len(self._window) > MOST_IN_WINDOW:
            recent = []  # a clock was set back: no order is to be had from times
        before = min(recent) if recent else None
        decisions = [
            one for one in self._window if isinstance(one, Decision) and (before is None or _time(one) < before)
        ]
        taken = {id(one) for one in decisions}
        await self._take_decisions(sorted(decisions, key=_time), events)
        rest = [one for one in self._window if id(one) not in taken]
        now = list(takewhile(lambda one: not isinstance(one, Decision), rest))
        self._window = rest[len(now) :]
        for is_late, some in groupby(now, key=lambda one: isinstance(one, Late)):
            await (self._take_late if is_late else self._take_others)(list(some))

    async def _take_decisions(self, decisions: Sequence[Decision], events: EventLog) -> None:
        for decision in decisions:
            imported = await self._imports.pop(decision.envelope.answered_id, events)
            if imported is not None:  # else it is said again, and was taken before
                self._held_back.append(Taken(imported, decision))
        await self._adopt_ready()

    async def _take_late(self, late: Sequence[Message]) -> None:
        found = [event for event in late if isinstance(event, Late)]
        there = await self._there(found)
        self._early += [event for event in found if node_of(event) not in there]
        for page in parts([event for event in found if node_of(event) in there]):
            await self._lineage.record(page)

    async def _take_others(self, events: Sequence[Message]) -> None:
        for event in events:
            try:
                await self._take_one(event)
            except NotYet:
                self._early.append(event)

    async def _take_one(self, event: Message) -> None:
        match event:
            case VersionDeleted():
                if not await self._there([event]):
                    raise NotYet(node_of(event))
                await self._lineage.delete(event)
            case DeploymentRequested() | RolloutRequested():
                await self._lineage.request(event)
            case DeploymentReport() if can_exist(event):
                await self._lineage.report(event)
            case VersionAffected():
                self._told.setdefault(event.envelope.answered_id, []).append(event)
            case RecallTraced():
                await self._close_recall(event)
            case CommandRefused(command=command) if event.envelope.source == SAID_BY and command in RECALLS:
                await self._close_recall(event)

    async def _close_recall(self, answer: RecallTraced | CommandRefused) -> None:
        self._told.pop(answer.envelope.answered_id, None)
        await self._recalls.close(answer)

    async def _there(self, events: Iterable[Late | VersionDeleted]) -> set[str]:
        return {one.node for one in await self._lineage.relatives({node_of(event) for event in events})}

    async def _take_early(self) -> None:
        early, self._early = self._early, []
        for event in early:
            if isinstance(event, Late) and not await self._there([event]):
                self._early.append(event)
            elif isinstance(event, Late):
                await self._lineage.record([event])
            else:
                await self._take_others([event])

    # Decisions

    async def _adopt_ready(self) -> None:
        if self._held_back:
            ordinals = await self._versions.ordinals({_model_of(one) for one in self._held_back})
            parents = {node for one in self._held_back for node in _parents(one)}
            known = {one.node for one in await self._lineage.relatives(parents)} if parents else set()
            ready = list(_ready(self._held_back, ordinals, known))
            adopted = {one.imported.envelope.id for one in ready}
            self._held_back = [one for one in self._held_back if one.imported.envelope.id not in adopted]
            await self._adopt(ready)

    async def _adopt(self, taken: Sequence[Taken]) -> None:
        for page in parts(taken):
            decided = await self._versions.adopt(page)
            for one in decided:
                await self._settle(one)

    async def _settle(self, decided: Decided) -> None:
        """Let the bytes be known by whom they were known by."""
        if decided.kin is not None and decided.met:
            async for _ in settling(decided.kin, decided.met, self._versions, self._lineage):
                pass  # what there was to say of it was said

    async def _take_unsaid(self, old: VersionStore, events: EventLog) -> None:
        """Decisions that stand and were not said: whoever made them has to say them, word for word."""
        for ids in parts(self._imports.ids):
            unsaid = await old.decisions(ids)
            for import_id in unsaid.keys() - (await self._versions.decisions(ids)).keys():
                imported = await self._imports.pop(import_id, events)
                if imported is not None:
                    self._held_back.append(Taken(imported, unsaid[import_id]))
        await self._adopt_ready()

    # Recalls

    async def _write_recall(self, cause_id: str, told: Sequence[VersionAffected]) -> None:
        """Whom an unfinished recall has told: whoever goes on with it tells the others."""
        each = list({node_of(event): event for event in told}.items())
        for number, page in enumerate(parts(each, VERSIONS_A_PAGE)):
            services = {service for _, event in page for service in event.services}
            nodes = tuple(node for node, _ in page)
            await self._recalls.write(cause_id, RecallPage(number, nodes, tuple(sorted(services)), ()))


class _Imports:
    """Imports whose decision was not read yet: all by their places, the newest of them at hand."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._at_hand: OrderedDict[str, ModelImported] = OrderedDict()

    @property
    def ids(self) -> Sequence[str]:
        return list(self._places)

    def add(self, sequence: int, imported: ModelImported) -> None:
        self._places[imported.envelope.id] = sequence
        self._at_hand[imported.envelope.id] = imported
        if len(self._at_hand) > IMPORTS_AT_HAND:
            self._at_hand.popitem(last=False)

    async def pop(self, import_id: str, events: EventLog) -> ModelImported | None:
        place = self._places.pop(import_id, None)
        imported = self._at_hand.pop(import_id, None)
        if place is not None and imported is None:
            read = await events.event(place)
            assert isinstance(read, ModelImported)
            return read
        return imported


def _ready(held_back: Iterable[Taken], ordinals: dict[ModelKey, int], known: set[str]) -> Iterator[Taken]:
    """Those that can go in now, one after the other. `ordinals` and `known` grow with them."""
    waiting = list(held_back)
    while waiting:
        later = []
        for one in waiting:
            if isinstance(one.decision, VersionAssigned):
                if ordinals[_model_of(one)] + 1 != one.decision.ordinal or not _parents(one) <= known:
                    later.append(one)
                    continue
                ordinals[_model_of(one)] += 1
                known.add(node_of(one.decision))
            yield one
        if len(later) == len(waiting):
            return
        waiting = later


def _time(event: Message) -> datetime:
    return event.envelope.time


def _model_of(taken: Taken) -> ModelKey:
    return taken.imported.workspace, taken.imported.model


def _parents(taken: Taken) -> set[str]:
    return parents_of(taken.decision) if isinstance(taken.decision, VersionAssigned) else set()


def _ordinal(taken: Taken) -> int:
    return taken.decision.ordinal if isinstance(taken.decision, VersionAssigned) else 0
