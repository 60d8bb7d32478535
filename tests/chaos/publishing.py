"""Two publishers that say what the load gives them until the stream has it, and keep a record of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client

from shared.connection import BROKER_AWAY
from shared.subjects import COMMANDS_STREAM, EVENTS_STREAM
from tests.chaos.load import Outgoing
from tests.chaos.sent import Sent

ACK_TIMEOUT_S = 3.0
AGAIN_AFTER_S = 0.3
# A publisher that was not answered so often gives up, as one that dies does: the stream may have the message or not.
MOST_ATTEMPTS = 60
AT_ONCE = 16


@dataclass(slots=True)
class Publishing:
    """Says rounds of messages at a rate until it is stopped."""

    connections: Sequence[Client]
    rounds: Iterator[tuple[Sequence[Outgoing], Sequence[Outgoing]]]
    every_s: float
    waiting: Callable[[], int]
    """How many messages no process has taken yet."""
    most_waiting: int
    """With so many nothing more is said: it would only make the end of a run later."""
    sent: list[Sent] = field(default_factory=list)

    async def run(self, until: asyncio.Event) -> None:
        """Round after round; the last one is said to its end."""
        while not until.is_set():
            if self.waiting() < self.most_waiting:
                said = zip(self.connections, next(self.rounds), strict=True)
                await asyncio.gather(*(self._say(connection, messages) for connection, messages in said))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), self.every_s)

    async def _say(self, connection: Client, messages: Sequence[Outgoing]) -> None:
        """In about this order: so many are under way at once."""
        left = iter(messages)

        async def one_after_another() -> None:
            for message in left:
                self.sent.append(_sent(message, await _accepted(connection, message)))

        await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))


async def _accepted(connection: Client, message: Outgoing) -> int | None:
    """Its place in the stream, once that says so."""
    jetstream = connection.jetstream(timeout=ACK_TIMEOUT_S)
    stream = COMMANDS_STREAM if ".cmd." in message.subject else EVENTS_STREAM
    for _ in range(MOST_ATTEMPTS):
        with contextlib.suppress(*BROKER_AWAY):
            answer = await jetstream.publish(message.subject, message.body, headers=message.headers, stream=stream)
            return answer.seq
        await asyncio.sleep(AGAIN_AFTER_S)
    return None


def _sent(message: Outgoing, sequence: int | None) -> Sent:
    return Sent(
        message_id=message.message_id,
        subject=message.subject,
        body=message.body,
        kind=message.kind,
        workspace=message.workspace,
        model=message.model,
        import_id=message.import_id,
        accepted_at_sequence=sequence,
        valid=message.valid,
    )


@contextlib.asynccontextmanager
async def publishers(url: str) -> AsyncIterator[tuple[Client, Client]]:
    """Two connections that come back whenever NATS does."""
    first, second = [await _patient(url, f"publisher-{name}") for name in ("a", "b")]
    try:
        yield first, second
    finally:
        await first.close()
        await second.close()


async def _patient(url: str, name: str) -> Client:
    return await nats.connect(
        url, name=name, max_reconnect_attempts=-1, reconnect_time_wait=0.2, connect_timeout=5, error_cb=_quiet
    )


async def _quiet(_: Exception) -> None:
    """That NATS is away is what a run is about."""
