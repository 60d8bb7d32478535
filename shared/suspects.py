"""Messages that may kill the process that works on them: which ones those are, and how one is known from its neighbours.

A message that was delivered often is marked before the work and unmarked when that ends, however it ends. A mark that is
found means that a process died at it, or beside it. From then on nothing else is handled in the process meanwhile; where
that process dies again and again, and few others do, it was the message.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Final

import structlog
from faststream import BaseMiddleware
from faststream.exceptions import RejectMessage
from nats.aio.msg import Msg

from shared.delivery import KeptAlive
from shared.errors import Deadly, Transient
from shared.generations import SUSPECTS
from shared.messages import CollectGarbage, RebuildRegistry, RebuildVersioning
from shared.store import Collection, Database, Document, insert_once, translated

log = structlog.get_logger()

# Before that a message costs nothing more: nearly all are delivered once, and one kill or a deploy is no reason.
MARKED_FROM_DELIVERY: Final = 3
# In a row.
DEATHS_ALONE: Final = 5
# Where processes end for other reasons all the time, that one did with this message in hand says nothing: of those that
# ended since it was first marked, at least a third had a suspect alone in hand.
OTHER_DEATHS: Final = 2
TRY_AGAIN_S: Final = 1.0
PROCESSES: Final = "processes"
# They work for long, in memory that does not grow, and wait themselves for what is handled meanwhile: alone, they would
# hold up everything, and be what is in hand whenever a process is killed from outside.
NEVER_ALONE: Final = tuple(f"{kind.address}." for kind in (RebuildRegistry, RebuildVersioning, CollectGarbage))


@dataclass(frozen=True, slots=True)
class Ends:
    """How many processes of a service began, and of how many it is known that they ended with one message alone in hand."""

    started: int = 0
    explained: int = 0

    def mostly_explained_since(self, before: "Ends") -> bool:
        explained = self.explained - before.explained
        return self.started - before.started - explained <= OTHER_DEATHS * explained


@dataclass(frozen=True, slots=True)
class Mark:
    """Of a message that was begun and did not end."""

    times: int
    since: Ends

    @property
    def times_alone(self) -> int:
        """All but the first."""
        return self.times - 1


class Marks:
    """Which messages were begun and did not end, and how often.

    suspects    not part of a generation
        _id "processes"                       started, explained: as in Ends
        _id <durable>:<stream>:<sequence>     a message
            times                             it was begun since it last ended
            started, explained                as they were when it was first marked
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def _kept(self) -> Collection:
        return self._database[SUSPECTS]

    async def of(self, key: str) -> Mark | None:
        with translated():
            document = await self._kept.find_one({"_id": key})
        return Mark(int(document["times"]), _ends(document)) if document else None

    async def ends(self) -> Ends:
        with translated():
            return _ends(await self._kept.find_one({"_id": PROCESSES}) or {})

    async def one_more(self, key: str) -> None:
        with translated():
            added = await self._kept.update_one({"_id": key}, {"$inc": {"times": 1}})
        if not added.matched_count:
            await insert_once(self._kept, {"_id": key, "times": 1, **asdict(await self.ends())})

    async def process_started(self) -> None:
        await insert_once(self._kept, {"_id": PROCESSES, **asdict(Ends())})
        with translated():
            await self._kept.update_one({"_id": PROCESSES}, {"$inc": {"started": 1}})

    async def process_explained(self) -> None:
        with translated():
            await self._kept.update_one({"_id": PROCESSES}, {"$inc": {"explained": 1}})

    async def remove(self, key: str) -> None:
        """A no-op where there is none."""
        with translated():
            await self._kept.delete_one({"_id": key})


def _ends(document: Document) -> Ends:
    return Ends(int(document.get("started", 0)), int(document.get("explained", 0)))


class Floor:
    """Where messages are handled side by side, and now and then one alone."""

    def __init__(self) -> None:
        self._door = asyncio.Lock()
        self._at_work = 0
        self._left = asyncio.Event()

    async def enter(self) -> None:
        while self._door.locked():
            async with self._door:
                pass
        self._at_work += 1

    def leave(self) -> None:
        self._at_work -= 1
        self._left.set()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Whoever is at work ends first; whoever comes meanwhile waits."""
        async with self._door:
            while self._at_work:
                self._left.clear()
                await self._left.wait()
            yield


class Suspects:
    """Lets messages be handled: side by side, marked, alone, or not at all."""

    def __init__(self, database: Database) -> None:
        self._marks = Marks(database)
        self._floor = Floor()

    async def process_started(self) -> None:
        """Before anything is handled."""
        await self._marks.process_started()

    async def handle(self, message: Msg, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do the work on a message.

        Raises:
            Deadly: it was begun too often and did not end.
            Transient: the store is away.
        """
        if message.metadata.num_delivered < MARKED_FROM_DELIVERY:
            return await self._side_by_side(work)
        with KeptAlive(message):
            key = key_of(message)
            mark = await self._marks.of(key)
            if mark is None:
                return await self._side_by_side(lambda: self._marked(key, work))
            await self._judge(message, mark)
            log.warning("handled alone: the process that worked on it ended before", times=mark.times)
            async with self._floor.alone():
                return await self._marked(key, work)

    async def _judge(self, message: Msg, mark: Mark) -> None:
        if mark.times_alone:
            await self._marks.process_explained()
        if mark.times_alone >= DEATHS_ALONE and (await self._marks.ends()).mostly_explained_since(mark.since):
            raise Deadly(message.metadata.num_delivered, mark.times, mark.times_alone)

    async def forget(self, message: Msg) -> None:
        """It was set aside."""
        with contextlib.suppress(Transient):  # then a mark stays that nobody asks for
            await self._marks.remove(key_of(message))

    async def _side_by_side(self, work: Callable[[], Awaitable[Any]]) -> Any:
        await self._floor.enter()
        try:
            return await work()
        finally:
            self._floor.leave()

    async def _marked(self, key: str, work: Callable[[], Awaitable[Any]]) -> Any:
        await self._marks.one_more(key)
        try:
            result = await work()
        except asyncio.CancelledError:  # the process is told to stop, which is nobody's fault
            with contextlib.suppress(Transient):
                await self._marks.remove(key)
            raise
        except Exception:
            await self._unmark(key)
            raise
        await self._unmark(key)
        return result

    async def _unmark(self, key: str) -> None:
        """Before anybody else is given the message. A store that is away, and was there before, must not look like a death."""
        while True:
            try:
                return await self._marks.remove(key)
            except Transient:
                await asyncio.sleep(TRY_AGAIN_S)


class Suspecting(BaseMiddleware[Any, Any]):
    """Outside of all that works on a message, but for who watches."""

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
        delivered = (self.msg.reply or "").startswith("$JS.ACK.")
        if not delivered or self.msg.subject.startswith(NEVER_ALONE):
            return await call_next(msg)
        suspects: Suspects = self.context.get("suspects")
        return await suspects.handle(self.msg, lambda: call_next(msg))

    async def after_processed(
        self,
        exc_type: type[BaseException] | None = None,  # noqa: ARG002 - the hook is called with three
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,  # noqa: ARG002
    ) -> bool | None:
        if isinstance(exc_val, RejectMessage) and isinstance(exc_val.__cause__, Deadly):
            await self.context.get("suspects").forget(self.msg)
        return False


def key_of(message: Msg) -> str:
    place = message.metadata
    return f"{place.consumer}:{place.stream}:{place.sequence.stream}"
