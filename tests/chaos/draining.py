"""Looks at what the services have not handled yet, and waits until there is nothing."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from nats.aio.client import Client

from shared.connection import BROKER_AWAY
from shared.subjects import CONSUMERS

LOOK_EVERY_S = 1.0
TELL_EVERY = 10
# A message is for a moment neither pending nor being handled: the answer to it is on its way.
LOOKS_IN_A_ROW = 3


@dataclass(slots=True)
class Backlog:
    """How many messages wait for each consumer, or are in hand."""

    connection: Client
    by_consumer: dict[str, int] = field(default_factory=dict)
    undelivered: int = 0
    """How many of them no process has taken yet."""

    @property
    def total(self) -> int:
        return sum(self.by_consumer.values())

    async def look(self) -> None:
        """Raises one of BROKER_AWAY where NATS does not answer."""
        jetstream = self.connection.jetstream(timeout=5)
        undelivered = 0
        for consumer in CONSUMERS:
            there = await jetstream.consumer_info(consumer.stream, consumer.durable)
            self.by_consumer[consumer.durable] = (there.num_pending or 0) + (there.num_ack_pending or 0)
            undelivered += there.num_pending or 0
        self.undelivered = undelivered

    async def heard(self, within_s: float) -> None:
        """Wait until somebody asks for the messages of every consumer.

        Raises:
            TimeoutError: nobody does for one of them.
        """
        jetstream = self.connection.jetstream(timeout=5)
        async with asyncio.timeout(within_s):
            for consumer in CONSUMERS:
                while not (await jetstream.consumer_info(consumer.stream, consumer.durable)).num_waiting:  # noqa: ASYNC110 - NATS tells nobody
                    await asyncio.sleep(0.1)

    async def drained(self, within_s: float, say: Callable[[str], None]) -> bool:
        """Whether nothing was left within that time; `by_consumer` says what was."""
        deadline = time.monotonic() + within_s
        empty = looks = 0
        while time.monotonic() < deadline:
            with contextlib.suppress(*BROKER_AWAY):
                await self.look()
                empty = 0 if self.total else empty + 1
                if empty == LOOKS_IN_A_ROW:
                    return True
                if looks % TELL_EVERY == 0 and self.total:
                    say(f"  waiting {self.left()}")
                looks += 1
            await asyncio.sleep(LOOK_EVERY_S)
        return False

    def left(self) -> str:
        return ", ".join(f"{name}: {count}" for name, count in self.by_consumer.items() if count)


@contextlib.asynccontextmanager
async def watched(backlog: Backlog) -> AsyncIterator[None]:
    """Look now and then for the time of a block."""

    async def look_again() -> None:
        while True:
            with contextlib.suppress(*BROKER_AWAY):
                await backlog.look()
            await asyncio.sleep(LOOK_EVERY_S)

    looking = asyncio.create_task(look_again())
    try:
        yield
    finally:
        looking.cancel()
