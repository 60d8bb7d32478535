"""Collecting garbage: bytes that no version needs go, and none that an import relies on.

    list ─▶ strike what is needed ─▶ doom the rest ─▶ begin a round ─▶ wait for the imports that began before
         ─▶ strike what is needed now ─▶ condemn ─▶ remove ─▶ forget

What was doomed is written down before the round begins, so an import that begins in the round finds it there and takes
out what it relies on; one that began before is waited for, and judged by its outcome (see watch.py). Blobs are condemned
by a compare-and-set: either an import took one out, or it goes, never both. Where the collector dies, `under_way` stays
set and what is condemned stays written down: no import relies on it before the next collector has removed it.

In memory there are at most PASS_BLOBS digests: of more, the manifests are read in several passes.
"""

import asyncio
import contextlib
import math
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import structlog

from services.importer.domain import expected
from services.importer.garbage.marking import strike_needed
from services.importer.garbage.ports import GarbageStore
from services.importer.garbage.watch import BEAT_EVERY_S, DEAD_AFTER_S, TRUSTED_FOR_S
from services.importer.ports import ArtifactStore, Blob, Damaged, ImportStore
from shared.errors import Transient
from shared.messages import CollectGarbage, CommandRefused, GarbageCollected, ModelImported
from shared.naming import NAME_RULE, is_name
from shared.parts import parts
from shared.values import Reason

log = structlog.get_logger()

PASS_BLOBS = 100_000
REMOVED_AT_ONCE = 100
LOOK_EVERY_S = 0.5


class _Tally(NamedTuple):
    files: int = 0
    size_bytes: int = 0

    def plus(self, sizes: Sequence[int]) -> "_Tally":
        return _Tally(self.files + len(sizes), self.size_bytes + sum(sizes))


@dataclass(frozen=True, slots=True)
class Collecting:
    """Collects. What it has come to is in the store, for the next one if it dies."""

    store: ImportStore
    garbage: GarbageStore
    artifacts: ArtifactStore
    told: Callable[[], Awaitable[Sequence[ModelImported]]]
    """The first and the last import that the stream of events keeps."""
    now: Callable[[], datetime]
    clock: Callable[[], float] = time.monotonic

    async def answered(self, command: CollectGarbage) -> GarbageCollected | CommandRefused:
        """Carry the command out; where a manifest is damaged, nobody can say what is needed, and nothing more goes.

        Raises:
            Transient: a store is away, or another process collects.
        """
        if not is_name(command.workspace):
            return self._refused(command, Reason.INVALID_WORKSPACE, expected("workspace", command.workspace, NAME_RULE))
        forgotten = await self._forgotten()
        if forgotten is not None:
            message = f"{forgotten}, which the stream tells of, is not known here: expected the database that knows every import"
            return self._refused(command, Reason.IMPORTS_FORGOTTEN, message)
        try:
            return await self.collected(command)
        except Damaged as damaged:
            message = f"{damaged}: expected to read of every package what it needs; 'modelkin verify' says whose it is"
            return self._refused(command, Reason.PACKAGE_NOT_FOUND, message)

    async def _forgotten(self) -> str | None:
        """An import that was told and is not known: a database that was lost, or is an old copy, would let its bytes go."""
        told = await self.told()
        known = await self.store.decided([one.envelope.cause_id or "" for one in told])
        return next((f"{one.model} of {one.import_id}" for one in told if one.envelope.cause_id not in known), None)

    def _refused(self, command: CollectGarbage, reason: Reason, message: str) -> CommandRefused:
        facts = {"command": command.address, "by": command.envelope.source, "reason": reason, "message": message}
        workspace, said_by = command.workspace[:100], GarbageCollected.said_by
        return command.answer(CommandRefused, self.now(), said_by=said_by, workspace=workspace, **facts)

    async def collected(self, command: CollectGarbage) -> GarbageCollected:
        """Remove what no version needs, or say what that would be: then the bytes of imports under way are counted too.

        Raises:
            Damaged: a manifest cannot be read; nothing more was removed.
            Transient: a store is away, or another process collects.
        """
        if command.dry_run:
            kept, unneeded = await self._judged(doom=False)
            return self._answer(command, unneeded, kept)
        async with self._alone() as collector:
            removed = await self._finish_interrupted(collector)
            kept, doomed = await self._judged(doom=True)
            half_copied = await self.artifacts.half_copied()
            swept = _Tally()
            if doomed.files or half_copied:
                await self._wait_for_imports(await self.garbage.begin_round(collector.name), collector)
                swept = await self._sweep(collector)
                await self.artifacts.remove_half_copied(half_copied)
        spared = _Tally(doomed.files - swept.files, doomed.size_bytes - swept.size_bytes)
        kept = _Tally(kept.files + spared.files, kept.size_bytes + spared.size_bytes)
        return self._answer(command, _Tally(removed.files + swept.files, removed.size_bytes + swept.size_bytes), kept)

    def _answer(self, command: CollectGarbage, removed: _Tally, kept: _Tally) -> GarbageCollected:
        return GarbageCollected(
            envelope=command.envelope.of_answer(GarbageCollected.address, GarbageCollected.said_by, self.now()),
            workspace=command.workspace,
            dry_run=command.dry_run,
            removed_files=removed.files,
            removed_bytes=removed.size_bytes,
            kept_files=kept.files,
            kept_bytes=kept.size_bytes,
        )

    async def _judged(self, *, doom: bool) -> tuple[_Tally, _Tally]:
        """What is needed, and what is not; the latter is doomed where that is wanted."""
        needed, unneeded = _Tally(), _Tally()
        async for blobs in _passes(self.artifacts.listed()):
            candidates = dict(blobs)
            await strike_needed(candidates, self.store, self.artifacts)
            needed = needed.plus([size for digest, size in blobs if digest not in candidates])
            unneeded = unneeded.plus([*candidates.values()])
            for some in parts([Blob(*one) for one in candidates.items()], REMOVED_AT_ONCE):
                if doom:
                    await self.garbage.doom(some)
        return needed, unneeded

    async def _wait_for_imports(self, round_: int, collector: "_Collector") -> None:
        """Until every process has said that its imports began in this round or later, or is taken for dead."""
        heard: dict[str, tuple[int, float]] = {}
        while True:
            collector.check()
            late = {
                process: watcher.beats
                for process, watcher in (await self.garbage.watchers()).items()
                if watcher.oldest_round < round_
            }
            if not late:
                return
            for process, beats in late.items():
                if heard.get(process, (None, 0.0))[0] != beats:
                    heard[process] = beats, self.clock()
                elif self.clock() - heard[process][1] > DEAD_AFTER_S:
                    log.warning("struck off: no sign of life", process=process)
                    await self.garbage.strike_off(process, beats)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _sweep(self, collector: "_Collector") -> _Tally:
        """Remove what is doomed and not needed; take the rest out of what is doomed."""
        removed, last = _Tally(), ""
        while page := await self.garbage.doomed(last, PASS_BLOBS):
            candidates = dict(page)
            await strike_needed(candidates, self.store, self.artifacts)
            for some in parts([*candidates], REMOVED_AT_ONCE):
                collector.check()
                going = await self.garbage.condemn(some)
                await self._remove(sorted(going), collector)
                removed = removed.plus([candidates[digest] for digest in going])
            await self.garbage.spare([digest for digest, _ in page if digest not in candidates])
            last = page[-1].digest
        return removed

    async def _finish_interrupted(self, collector: "_Collector") -> _Tally:
        """What a collector that died had condemned goes now; what it had only doomed is judged anew."""
        removed = _Tally()
        while page := await self.garbage.doomed("", REMOVED_AT_ONCE, going=True):
            await self._remove([blob.digest for blob in page], collector)
            removed = removed.plus([blob.size_bytes for blob in page])
        while page := await self.garbage.doomed("", REMOVED_AT_ONCE):
            collector.check()
            await self.garbage.spare([blob.digest for blob in page])
        return removed

    async def _remove(self, digests: Sequence[str], collector: "_Collector") -> None:
        collector.check()
        await self.artifacts.remove(digests)
        await self.garbage.gone(digests)

    @contextlib.asynccontextmanager
    async def _alone(self) -> "AsyncIterator[_Collector]":
        """Be the one who collects, for the time of a block. Raises Transient where another is."""
        collector = _Collector(uuid.uuid4().hex, self.garbage, self.clock)
        await self._take_over(collector.name)
        collector.beaten()
        beating = asyncio.create_task(collector.beat_now_and_then())
        finished = False
        try:
            yield collector
            finished = True
        finally:
            beating.cancel()
            await asyncio.wait([beating])
            await self.garbage.end(collector.name, finished=finished)

    async def _take_over(self, name: str) -> None:
        """Wait for a collector that does not beat until it must be dead."""
        began_at, seen = self.clock(), await self.garbage.holder()
        while seen[0] is not None and self.clock() - began_at <= DEAD_AFTER_S:
            await asyncio.sleep(LOOK_EVERY_S)
            if await self.garbage.holder() != seen:
                raise Transient("another process collects garbage")
        if not await self.garbage.take(name, seen):
            raise Transient("another process collects garbage")


class _Collector:
    """A collector that says that it lives. One that could not say it may have been replaced, and must not remove."""

    def __init__(self, name: str, garbage: GarbageStore, clock: Callable[[], float]) -> None:
        self.name = name
        self._garbage = garbage
        self._clock = clock
        self._told_at = 0.0

    def beaten(self) -> None:
        self._told_at = self._clock()

    def check(self) -> None:
        """Raises Transient where another may collect."""
        if self._clock() - self._told_at > TRUSTED_FOR_S:
            raise Transient("the collector could not say that it lives: another may have taken its place")

    async def beat_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(BEAT_EVERY_S)
            began_at = self._clock()
            try:
                if not await self._garbage.beat(self.name):
                    began_at = -math.inf
            except Transient as error:
                log.warning("collector's sign of life not told", error=str(error))
                continue
            self._told_at = began_at


async def _passes(blobs: AsyncIterator[Blob]) -> AsyncIterator[list[Blob]]:
    """As many at a time as memory is meant to hold."""
    taken: list[Blob] = []
    async for blob in blobs:
        taken.append(blob)
        if len(taken) == PASS_BLOBS:
            yield taken
            taken = []
    if taken:
        yield taken
