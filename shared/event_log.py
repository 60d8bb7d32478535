"""EVENTS, read from its beginning: what a projection is made anew from."""

import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import NamedTuple, Self
from uuid import uuid4

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamInfo

from shared.connection import BROKER_AWAY, Nats, connected
from shared.errors import Malformed, Transient
from shared.messages import Message, kind_of
from shared.reading import read_message, read_stored
from shared.subjects import EVENTS_STREAM, Consumer, all_of

log = structlog.get_logger()

# A megabyte each at most: all of them fit into what nats-py keeps of a subscription.
BATCH = 100
TIMEOUT_S = 10.0
FORGOTTEN_AFTER_S = 60.0
# In the metadata of EVENTS. A snapshot that is made while events arrive may count more of them than it has; a stream that is
# restored from it goes on behind the last that it counts.
EMPTY_PLACES = "modelkin-empty-places"
# In the metadata of a stream, until everything is restored: of which backup it comes.
RESTORING = "modelkin-restoring"


class EventsMissing(Exception):
    """EVENTS no longer has all that was ever said: what is made from the rest would be wrong."""


class Kept(NamedTuple):
    """An event and its place in the stream."""

    sequence: int
    event: Message


async def last_of(jetstream: JetStreamContext) -> int:
    """The place of the newest event in EVENTS, 0 where there never was one.

    Raises:
        EventsMissing: there were events that are not there any more.
        one of BROKER_AWAY: NATS is.
    """
    return last_in(await jetstream.stream_info(EVENTS_STREAM))


def last_in(info: StreamInfo) -> int:
    """As `last_of`, of what NATS said of EVENTS. Raises EventsMissing as that does."""
    state, metadata = info.state, info.config.metadata or {}
    if RESTORING in metadata:
        raise EventsMissing(f"{EVENTS_STREAM} is being restored; if that was cut off: modelkin restore, once more")
    lacking = state.last_seq - state.messages - int(metadata.get(EMPTY_PLACES, 0))
    if lacking > 0:
        lacks = f"begins at event {state.first_seq}" if state.first_seq > 1 else f"lacks {lacking} events"
        raise EventsMissing(
            f"{EVENTS_STREAM} {lacks}: expected every event from the first; what is missing is in a backup, if anywhere"
        )
    return state.last_seq


class EventLog:
    """The stream, over a connection of its own."""

    def __init__(self, connection: Client) -> None:
        self.connection = connection
        self._jetstream = connection.jetstream(timeout=TIMEOUT_S)

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, nats: Nats) -> AsyncIterator[Self]:
        """Connect for the time of a block.

        Raises:
            Transient: NATS is away, here and in every call.
        """
        with _translated():
            async with connected(nats, "modelkin-event-log") as connection:
                yield cls(connection)

    async def last(self) -> int:
        """The place of the newest event, 0 where there never was one.

        Raises:
            EventsMissing: there were events that are not there any more.
        """
        with _translated():
            return await last_of(self._jetstream)

    async def acknowledged(self, consumer: Consumer) -> int:
        """The place up to which a consumer is done with everything."""
        with _translated():
            floor = (await self._jetstream.consumer_info(consumer.stream, consumer.durable)).ack_floor
        return floor.stream_seq if floor else 0

    async def event(self, sequence: int) -> Message:
        with _translated():
            message = await self._jetstream.get_msg(EVENTS_STREAM, sequence)
        return read_stored(kind_of(message.subject or ""), EVENTS_STREAM, message)

    async def count(self, kinds: Iterable[type[Message]]) -> int:
        with _translated():
            info = await self._jetstream.add_consumer(EVENTS_STREAM, config=_config(kinds, 0))
            await self._jetstream.delete_consumer(EVENTS_STREAM, info.name)
        return info.num_pending or 0

    async def read(self, kinds: Iterable[type[Message]], after: int, until: int) -> AsyncIterator[list[Kept]]:
        """The events of these kinds behind one place and up to another, in order, some at a time.

        What cannot be read is left out: its consumers have set it aside.

        Raises:
            Transient: NATS is away, or some did not arrive.
        """
        if after >= until:
            return
        config = _config(kinds, after)
        with _translated():
            subscription = await self._jetstream.pull_subscribe("", stream=EVENTS_STREAM, config=config)
            left = (await subscription.consumer_info()).num_pending or 0
        number = 0
        while left:
            with _translated():
                batch = await subscription.fetch(min(left, BATCH), timeout=TIMEOUT_S)
            for message in batch:
                number += 1
                if message.metadata.sequence.consumer != number:
                    raise Transient(f"some of {EVENTS_STREAM} did not arrive")
            last = batch[-1].metadata
            left = last.num_pending if last.sequence.stream < until else 0
            yield [kept for message in batch if (kept := _read(message)) is not None and kept.sequence <= until]
        with _translated():
            await subscription.unsubscribe()
            await self._jetstream.delete_consumer(EVENTS_STREAM, config.name or "")


def _config(kinds: Iterable[type[Message]], after: int) -> ConsumerConfig:
    return ConsumerConfig(
        name=f"modelkin-log-{uuid4().hex}",
        filter_subjects=[all_of(kind) for kind in kinds],
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=after + 1,
        ack_policy=AckPolicy.NONE,
        inactive_threshold=FORGOTTEN_AFTER_S,
        mem_storage=True,
        num_replicas=1,
    )


def _read(message: Msg) -> Kept | None:
    sequence = message.metadata.sequence.stream
    try:
        return Kept(sequence, read_message(kind_of(message.subject), message))
    except Malformed as error:
        log.warning("event left out", sequence=sequence, subject=message.subject, error=str(error))
        return None


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except BROKER_AWAY as error:
        raise Transient(f"NATS does not give what {EVENTS_STREAM} keeps: {error!r}") from error
