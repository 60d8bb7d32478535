"""Which generation this process reads and writes: looked at before each message, made anew where there is none."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from faststream import BaseMiddleware

from shared.connection import Nats
from shared.errors import Transient
from shared.event_log import EventLog, EventsMissing
from shared.generations import Generations, Standing
from shared.messages import RebuildRegistry, RebuildVersioning
from shared.queries import Examine
from shared.rebuilding import SEEN_AFTER_S, Projection, Rebuilder

log = structlog.get_logger()

# Queries that began on an old generation are long answered by then, and a process that stood still has gone on.
DROPPED_AFTER_S = 60.0
TRY_AGAIN_S = 1.0
TELL_EVERY_S = 5.0
_REBUILDS = tuple(f"{kind.address}." for kind in (RebuildRegistry, RebuildVersioning))


class Serving:
    """The generation in use, as this process knows it."""

    def __init__(
        self,
        projection: Projection,
        generations: Generations,
        nats: Nats,
        install: Callable[[Mapping[str, Any]], None],
    ) -> None:
        """`install` lets handlers take these parts from now on."""
        self._projection = projection
        self._generations = generations
        self._rebuilder = Rebuilder(projection, generations, nats)
        self._nats = nats
        self._install = install
        self._number: int | None = None
        self._looked_at = 0.0
        self._fenced = False
        self._looking = asyncio.Lock()
        self._recovering: asyncio.Task[None] | None = None
        self._dropping: asyncio.Task[None] | None = None

    @property
    def rebuilder(self) -> Rebuilder:
        return self._rebuilder

    async def open(self) -> None:
        """Open the generation in use; where there is none, or one of an older layout, make it first.

        Raises:
            Transient: a part is away, another process is making it, or EVENTS lacks something: to be tried again.
        """
        standing = await self._generations.standing()
        if standing is None or standing.generation is None or (standing.layout or 0) < self._projection.layout:
            await self._make(standing)
        await self._look()

    async def close(self) -> None:
        for task in (self._recovering, self._dropping):
            if task is not None:
                task.cancel()

    async def look(self, *, handling: bool) -> None:
        """Be on the generation that is in use, as of a moment ago.

        Args:
            handling: a message is about to be handled that may change something.

        Raises:
            Transient: it is not known which one that is, or it has to be made anew.
        """
        if self._is_old():
            async with self._looking:
                if self._is_old():
                    await self._look()
        if handling and self._fenced:
            await self._generations.take_fence_away()
            self._fenced = False

    def _is_old(self) -> bool:
        return self._number is None or time.monotonic() - self._looked_at >= SEEN_AFTER_S

    async def _look(self) -> None:
        now = time.monotonic()
        standing = await self._generations.standing()
        if standing is None or standing.generation is None:
            self._number = None
            self._recover()
            raise Transient(f"the database of {self._projection.service} is gone, and is being made anew")
        if standing.layout != self._projection.layout:
            self._number = None
            raise Transient(
                f"the database of {self._projection.service} has layout {standing.layout}:"
                f" this release reads {self._projection.layout}"
            )
        if standing.generation != self._number:
            await self._use(standing.generation)
        self._looked_at, self._fenced = now, standing.fenced

    async def _use(self, number: int) -> None:
        opened = self._projection.open(self._generations.of(number))
        for prepare in opened.prepare:
            await prepare()
        self._install(opened.parts)
        self._number = number
        if self._dropping is not None:
            self._dropping.cancel()
        self._dropping = asyncio.create_task(self._drop_before(number))

    async def _drop_before(self, number: int) -> None:
        await asyncio.sleep(DROPPED_AFTER_S)
        left = True
        while left:  # where two processes drop a collection at once, some servers keep it
            with contextlib.suppress(Transient):
                left = await self._generations.drop_before(number)
            await asyncio.sleep(TRY_AGAIN_S)

    async def _make(self, standing: Standing | None) -> None:
        try:
            if standing is None and await self._is_new():
                return
            told = 0.0

            async def tell(done: int, total: int) -> None:
                nonlocal told
                if time.monotonic() - told >= TELL_EVERY_S:
                    told = time.monotonic()
                    log.info("making the database anew from the events", done=done, total=total)

            await self._rebuilder.rebuild(tell)
            log.info("the database was made anew from the events")
        except EventsMissing as missing:
            raise Transient(f"the database cannot be made anew: {missing}") from missing

    async def _is_new(self) -> bool:
        async with EventLog.connected(self._nats) as events:
            return await events.last() == 0 and await self._generations.found(self._projection.layout)

    def _recover(self) -> None:
        if self._recovering is None or self._recovering.done():
            self._recovering = asyncio.create_task(self._open_again())

    async def _open_again(self) -> None:
        while True:
            try:
                await self.open()
            except Transient as error:
                log.warning("the database is gone", error=str(error))
                await asyncio.sleep(TRY_AGAIN_S)
            else:
                return


class Looking(BaseMiddleware[Any, Any]):
    """Look before each message which generation is in use."""

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
        if self.msg.subject.startswith(f"{Examine.address}."):
            return await call_next(msg)  # what is asked is why a service does not work: it is answered also then
        serving: Serving = self.context.get("serving")
        delivered = (self.msg.reply or "").startswith("$JS.ACK.")
        await serving.look(handling=delivered and not self.msg.subject.startswith(_REBUILDS))
        return await call_next(msg)
