"""The importer's memory, made anew from EVENTS where its database is new: after a restored backup, or a lost database.

What no event says is not there again: which request was answered with another's outcome, what was read of a place.
The first is found by the import they share, the second is read again.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Protocol

import structlog

from services.importer.ports import Answers, ImportStore, Outcome
from shared.connection import Nats
from shared.errors import Transient
from shared.event_log import EventLog, EventsMissing
from shared.messages import (
    CollectGarbage,
    CommandRefused,
    GarbageCollected,
    ImportRefused,
    Message,
    ModelImported,
    PackageVerified,
    VerifyPackage,
    VersionDeleted,
    VersionRefused,
)

log = structlog.get_logger()

TOLD_EVERY = 1000

OUTCOMES = (ModelImported, ImportRefused)
ENDS = (VersionRefused, VersionDeleted)
ANSWERS = (PackageVerified, GarbageCollected, CommandRefused)
COMMANDS = (VerifyPackage.address, CollectGarbage.address)


class Memory(ImportStore, Protocol):
    """An ImportStore that knows whether it knows everything."""

    async def is_whole(self) -> bool:
        """Whether nothing said before is missing: of a database that is new, it is not known before `be_whole`."""
        ...

    async def be_whole(self) -> None:
        """From now on, every outcome is there."""
        ...

    async def learn(self, outcomes: Sequence[Outcome]) -> None:
        """Keep outcomes that were said; those that are there stay as they are."""
        ...


class Relearning:
    """What was said, in the order in which it was said. Any number of processes may do it at once, or anew."""

    def __init__(self, memory: Memory, answers: Answers, nats: Nats) -> None:
        self._memory = memory
        self._answers = answers
        self._nats = nats

    async def relearn(self) -> None:
        """A no-op where the memory is whole.

        Raises:
            Transient: NATS or the store is away, or EVENTS lacks something.
        """
        if await self._memory.is_whole():
            return
        try:
            async with EventLog.connected(self._nats) as events:
                count = await self._take_in(events, await events.last())
        except EventsMissing as missing:
            raise Transient(f"the importer's database cannot be made anew: {missing}") from missing
        await self._memory.be_whole()
        if count:
            log.info("the database was made anew from the events", events=count)

    async def _take_in(self, events: EventLog, until: int) -> int:
        count = told = 0
        async for some in events.read((*OUTCOMES, *ENDS, *ANSWERS), 0, until):
            count += len(some)
            if count - told >= TOLD_EVERY:
                log.info("making the database anew from the events", done=count)
                told = count
            for is_outcome, together in groupby((kept.event for kept in some), lambda one: isinstance(one, OUTCOMES)):
                if is_outcome:
                    await self._memory.learn([one for one in together if isinstance(one, OUTCOMES)])
                else:
                    for event in together:
                        await self._apply(event)
        return count

    async def _apply(self, event: Message) -> None:
        match event:
            case VersionRefused():
                await self._memory.release(event)
            case VersionDeleted():
                await self._memory.delete(event)
            case CommandRefused(command=command) if command not in COMMANDS:
                return
            case _:
                await self._answers.keep_answer(event)
