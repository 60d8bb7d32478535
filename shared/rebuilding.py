"""A service's database made anew from EVENTS beside the one in use, and the switch from one to the other.

    begin ─▶ read EVENTS into the next generation ─▶ pause the consumers, wait until nothing is handled, fence
          ─▶ read what was said meanwhile ─▶ switch, if the fence stands ─▶ wait until all have seen it, resume

Whoever handles a message looks first which generation is in use, at most `SEEN_AFTER_S` ago, and takes the fence away
where there is one. So nobody decides anything on the old generation that is not read into the new one, even where
a pause ended too early.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Protocol
from uuid import uuid4

from faststream import Context

from shared.connection import Nats
from shared.errors import Transient
from shared.event_log import EventLog, EventsMissing
from shared.generations import BEAT_EVERY_S, Busy, Generations
from shared.messages import CommandRefused, Message, ProjectionRebuilt, RebuildProgressed, RebuildProjection
from shared.pausing import Paused
from shared.ports import Events
from shared.store import Database
from shared.subjects import Consumer
from shared.values import Reason

# A process looks so often which generation is in use.
SEEN_AFTER_S = 1.0
# Less than this is read while the consumers are paused; before that, what comes meanwhile is read again and again.
FEW_EVENTS = 500
MOST_ROUNDS = 10
TELL_EVERY_S = 0.25
BUSY_LOOK_EVERY_S = 2.0

Count = Callable[[int], Awaitable[None]]
Tell = Callable[[int, int], Awaitable[None]]
"""Is told how many events were read, and of how many."""


class Replay(Protocol):
    """Makes one generation from events."""

    @property
    def kinds(self) -> Sequence[type[Message]]:
        """What it is made of."""
        ...

    async def prepare(self) -> None:
        """Make its indexes."""
        ...

    async def take_in(self, log: EventLog, until: int, count: Count) -> None:
        """Take in what was said up to a place in the stream, and was not taken in yet; `count` is told how many were read."""
        ...

    async def finish(self, log: EventLog, until: int, count: Count, old: Database | None) -> None:
        """The same while nobody decides anything, for the last time.

        Args:
            log: what was said.
            until: the end of it.
            count: as before.
            old: the generation in use; in it are decisions that are not said yet.
        """
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """The parts of a service that read and write one generation."""

    parts: Mapping[str, Any]
    """What handlers take by name."""
    prepare: Sequence[Callable[[], Awaitable[None]]]
    """Each makes indexes; a no-op where they are."""


@dataclass(frozen=True, slots=True)
class Projection:
    """What a service keeps, all of which EVENTS says."""

    service: str
    layout: int
    """Another number is made anew when the service starts: to be raised with every change of documents or indexes."""
    consumers: Sequence[Consumer]
    """All that write to it."""
    open: Callable[[Database], Opened]
    replay: Callable[[Database], Replay]


class Rebuilder:
    """Makes the next generation, and lets it be the one in use."""

    def __init__(self, projection: Projection, generations: Generations, nats: Nats) -> None:
        self._projection = projection
        self._generations = generations
        self._nats = nats

    async def answer_to(self, command_id: str) -> ProjectionRebuilt | None:
        standing = await self._generations.standing()
        return standing.answer_to(command_id) if standing else None

    async def rebuild(
        self, tell: Tell, answer: Callable[[int, float], ProjectionRebuilt] | None = None
    ) -> ProjectionRebuilt | None:
        """Killed on the way, it has changed nothing.

        Args:
            tell: is told how far it has come.
            answer: says so many events and seconds; kept with the switch, and returned.

        Raises:
            EventsMissing: EVENTS does not have everything.
            Transient: a part is away, another process is at it, or messages were handled that should have waited.
        """
        async with EventLog.connected(self._nats) as log:
            await log.last()
            by = uuid4().hex
            number = await self._generations.begin(by)
            beating = asyncio.create_task(self._beat(by))
            try:
                replay = self._projection.replay(self._generations.of(number))
                return await _Making(self._projection, self._generations, log, replay, by, tell).make(answer)
            finally:
                beating.cancel()
                with contextlib.suppress(Transient):
                    await self._generations.abandon(by)

    async def _beat(self, by: str) -> None:
        while True:
            await asyncio.sleep(BEAT_EVERY_S)
            with contextlib.suppress(Transient):  # who was superseded cannot switch
                await self._generations.beat(by)


class _Making:
    """One generation on its way."""

    def __init__(
        self, projection: Projection, generations: Generations, log: EventLog, replay: Replay, by: str, tell: Tell
    ) -> None:
        self._projection = projection
        self._generations = generations
        self._log = log
        self._replay = replay
        self._by = by
        self._tell = tell
        self._began = time.monotonic()
        self._done = self._total = 0
        self._told = -TELL_EVERY_S

    async def make(self, answer: Callable[[int, float], ProjectionRebuilt] | None) -> ProjectionRebuilt | None:
        await self._replay.prepare()
        self._total = await self._log.count(self._replay.kinds)
        await self._catch_up()
        standing = await self._generations.standing()
        if standing is None or standing.generation is None:
            return await self._switch(None, await self._generations.fence(self._by), answer)
        async with Paused.during(self._log.connection, self._projection.consumers) as paused:
            await paused.quiet()
            fence = await self._generations.fence(self._by)
            await paused.check()
            await paused.quiet()  # what was delivered before the fence, if the pause had been over for a moment
            said = await self._switch(self._generations.of(standing.generation), fence, answer)
            await asyncio.sleep(2 * SEEN_AFTER_S)
        return said

    async def _catch_up(self) -> None:
        read = 0
        for _ in range(MOST_ROUNDS):
            end = await self._log.last()
            await self._replay.take_in(self._log, end, self._count)
            if end - read < FEW_EVENTS:
                return
            read = end

    async def _switch(
        self, old: Database | None, fence: str, answer: Callable[[int, float], ProjectionRebuilt] | None
    ) -> ProjectionRebuilt | None:
        await self._replay.finish(self._log, await self._log.last(), self._count, old)
        await self._tell(self._done, max(self._done, self._total))
        said = answer(self._done, round(time.monotonic() - self._began, 3)) if answer else None
        if not await self._generations.switch(self._by, fence, self._projection.layout, said):
            raise Transient("messages were handled while the new database was about to be taken into use")
        return said

    async def _count(self, events: int) -> None:
        self._done += events
        if time.monotonic() - self._told >= TELL_EVERY_S:
            self._told = time.monotonic()
            await self._tell(self._done, max(self._done, self._total))


async def _rebuilt(
    rebuilder: Rebuilder, command_id: str, tell: Tell, answer: Callable[[int, float], ProjectionRebuilt]
) -> ProjectionRebuilt | None:
    """What became of a command, after those of others: a process that died at it is known for dead after a while."""
    while True:
        try:
            return await rebuilder.answer_to(command_id) or await rebuilder.rebuild(tell, answer)
        except Busy:
            await asyncio.sleep(BUSY_LOOK_EVERY_S)


def rebuild_handler(service: str) -> Callable[..., Awaitable[None]]:
    """The handler of the command to make one service's database anew."""
    said_by = f"modelkin/{service}"

    async def on_rebuild(
        command: RebuildProjection,
        rebuilder: Annotated[Rebuilder, Context("rebuilder")],
        events: Annotated[Events, Context("events")],
        now: Annotated[Callable[[], datetime], Context("now")],
    ) -> None:
        """Answer it; delivered again, the answer that stands is said again, or all is begun anew."""

        async def tell(done: int, total: int) -> None:
            facts: dict[str, Any] = {"service": service, "events_done": done, "events_total": total}
            await events.announce(command.answer(RebuildProgressed, now(), part=str(done), said_by=said_by, **facts))

        def answer(read: int, seconds: float) -> ProjectionRebuilt:
            facts: dict[str, Any] = {"service": service, "events": read, "seconds": seconds}
            return command.answer(ProjectionRebuilt, now(), said_by=said_by, **facts)

        try:
            rebuilt = await _rebuilt(rebuilder, command.envelope.id, tell, answer)
        except EventsMissing as missing:
            facts: dict[str, Any] = {
                "command": command.address,
                "by": command.envelope.source,
                "reason": Reason.EVENTS_MISSING,
                "message": str(missing),
            }
            await events.publish(command.answer(CommandRefused, now(), said_by=said_by, **facts))
            return
        if rebuilt is not None:
            await events.publish(rebuilt)

    return on_rebuild
