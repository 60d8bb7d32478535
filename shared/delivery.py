"""The one module that knows how messages are delivered: streams, publish once, retry, dead letter."""

import asyncio
import contextlib
import functools
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, NoReturn, TypeVar

import nats.errors
import nats.js.errors
import structlog
from faststream import AckPolicy, BaseMiddleware, ContextRepo
from faststream.exceptions import HandlerException, NackMessage, RejectMessage
from faststream.nats import JStream, NatsBroker, NatsMessage, NatsRouter
from faststream.nats.subscriber.usecases import PullStreamSubscriber
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg

from shared.connection import BROKER_AWAY
from shared.dead_letters import DeadLetter, in_short
from shared.envelope import MESSAGE_ID_HEADER
from shared.errors import Deadly, Malformed, Transient
from shared.messages import Message, VersionAssigned, kind_of
from shared.reading import read_message, read_stored
from shared.subjects import (
    ACK_WAIT_S,
    COMMANDS_STREAM,
    DEAD_LETTERS,
    DEAD_LETTERS_STREAM,
    EVENTS_STREAM,
    Consumer,
    all_of,
)
from shared.telemetry import handled
from shared.watching import saying

log = structlog.get_logger()

Kept = TypeVar("Kept", bound=Message)

MAX_ATTEMPTS: Final = 5
# How long NATS may take to keep an event or to tell of a stream; longer than the election of a leader takes.
STREAM_TIMEOUT_S: Final = 10.0
# An idle lane asks again this often; a message that arrives meanwhile is delivered at once. What was asked of a NATS
# server that restarts is forgotten there, so this is also how long a lane may be deaf after that.
FETCH_TIMEOUT_S: Final = 5.0
PAUSE_AFTER_FAULT_S: Final = 1.0
# Far more than consumers hand out at once; what is forgotten is tried a few times more.
MOST_REMEMBERED: Final = 10_000

_NOT_NOW = (nats.errors.ConnectionClosedError, nats.js.errors.ServiceUnavailableError)
_streams = {name: JStream(name, declare=False) for name in (EVENTS_STREAM, COMMANDS_STREAM)}


class StreamedEvents:
    """Events on NATS JetStream."""

    def __init__(self, broker: NatsBroker) -> None:
        self._broker = broker

    async def publish(self, event: Message) -> None:
        try:
            with saying(event) as said:
                kept = await self._broker.publish(
                    event.body().encode(),
                    event.subject,
                    headers={**event.headers(), **said.headers},
                    stream=EVENTS_STREAM,
                    timeout=STREAM_TIMEOUT_S,
                )
                said.kept(new=not kept.duplicate)
        except nats.errors.MaxPayloadError:
            raise  # it would not fit the next time either
        except BROKER_AWAY as error:
            raise Transient(f"NATS did not confirm {event.subject}: {error!r}") from error

    async def first_and_last(self, kind: type[Kept]) -> list[Kept]:
        """The oldest and the newest event of a kind that the stream keeps; none where there are none.

        Raises:
            Transient: NATS is away.
        """
        subject = all_of(kind)
        first = await self._kept(lambda stream: stream.get_msg(EVENTS_STREAM, seq=1, subject=subject, next=True))
        last = await self._kept(lambda stream: stream.get_last_msg(EVENTS_STREAM, subject))
        return [read_stored(kind, EVENTS_STREAM, one) for one in (first, last)] if first and last else []

    async def last_assigned(self, workspace: str, model: str) -> int:
        """The ordinal that the newest VersionAssigned of a model says, 0 where there is none.

        Raises:
            Transient: NATS is away.
        """
        subject = f"{VersionAssigned.address}.{workspace}.{model}"
        last = await self._kept(lambda stream: stream.get_last_msg(EVENTS_STREAM, subject))
        with contextlib.suppress(Malformed):
            return read_stored(VersionAssigned, EVENTS_STREAM, last).ordinal if last is not None else 0
        return 0

    async def _kept(self, ask: Callable[[JetStreamContext], Awaitable[RawStreamMsg]]) -> RawStreamMsg | None:
        """What the stream of events keeps there, None where it keeps nothing."""
        try:
            return await ask(self._broker.connection.jetstream(timeout=STREAM_TIMEOUT_S))
        except nats.js.errors.NotFoundError:
            return None
        except BROKER_AWAY as error:
            raise Transient(f"NATS did not say what {EVENTS_STREAM} keeps: {error!r}") from error

    async def announce(self, event: Message) -> None:
        with contextlib.suppress(*BROKER_AWAY):
            await self._broker.publish(event.body().encode(), event.subject, headers=event.headers())


def retry_delay_s(attempt: int) -> float:
    """Seconds to wait after failed attempt number `attempt`: 1, 2, 4 ... at most 60."""
    return min(60.0, 2.0 ** min(attempt - 1, 6))


class Failures:
    """How often this process failed on a message for no known reason.

    NATS counts deliveries: among them are those that ended for want of a store, which is
    not the message's fault.
    """

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, int], int] = OrderedDict()

    def one_more(self, message: Msg) -> int:
        key = self._key(message)
        self._counts[key] = self._counts.pop(key, 0) + 1
        if len(self._counts) > MOST_REMEMBERED:
            self._counts.popitem(last=False)
        return self._counts[key]

    def forget(self, message: Msg) -> None:
        if self._counts:
            self._counts.pop(self._key(message), None)

    @staticmethod
    def _key(message: Msg) -> tuple[str, int]:
        return message.metadata.consumer, message.metadata.sequence.stream


class Delivery(BaseMiddleware[Any, Any]):
    """Give a failed message back after a pause, or set it aside. Never drop it, never spin."""

    def __init__(self, msg: Any, /, *, context: ContextRepo, failures: Failures) -> None:
        super().__init__(msg, context=context)
        self._failures = failures
        handled.set(msg)  # each is handled in a task of its own, so nothing is to be undone

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
        with KeptAlive(self.msg):
            return await call_next(msg)

    async def after_processed(
        self,
        exc_type: type[BaseException] | None = None,  # noqa: ARG002 - the hook is called with three
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,  # noqa: ARG002
    ) -> bool | None:
        if not isinstance(exc_val, Exception) or isinstance(exc_val, HandlerException):
            self._failures.forget(self.msg)
            return False
        attempt = self.msg.metadata.num_delivered
        if isinstance(exc_val, Transient):
            self._give_back(exc_val, retry_delay_s(attempt))
        if not isinstance(exc_val, Malformed | Deadly):
            failed = self._failures.one_more(self.msg)
            if failed < MAX_ATTEMPTS:
                self._give_back(exc_val, retry_delay_s(failed))
        try:
            await self._set_aside(exc_val, attempt)
        except (Transient, *BROKER_AWAY) as failure:
            log.warning("dead letter not stored", error=repr(failure))
            raise NackMessage(delay=retry_delay_s(attempt)) from failure
        self._failures.forget(self.msg)
        raise RejectMessage from exc_val

    def _give_back(self, error: Exception, delay_s: float) -> NoReturn:
        place = self.msg.metadata
        unforeseen = None if isinstance(error, Transient) else error
        log.warning(
            "retrying", subject=self.msg.subject, attempt=place.num_delivered, error=str(error), exc_info=unforeseen
        )
        raise NackMessage(delay=delay_s) from error

    async def _set_aside(self, error: Exception, attempt: int) -> None:
        """Keep the letter, then say so. Where that fails, both are done again: the same letter, the same event."""
        place = self.msg.metadata
        headers = self.msg.headers or {}
        letter = DeadLetter(
            durable=place.consumer,
            reason="malformed" if isinstance(error, Malformed) else "failed",
            message=in_short(error),
            attempts=attempt,
            subject=self.msg.subject,
            message_id=headers.get(MESSAGE_ID_HEADER, ""),
            stream=place.stream,
            sequence=place.sequence.stream,
        )
        log.error(
            "dead letter", exc_info=None if isinstance(error, Malformed | Deadly) else error, **letter.model_dump()
        )
        broker: NatsBroker = self.context.get("broker")
        number = await _keep(broker, letter, self.msg)
        if not letter.is_of_a_letter:
            added = letter.added(number, letter.cause(headers, place.timestamp), datetime.now(UTC))
            await StreamedEvents(broker).publish(added)


async def _keep(broker: NatsBroker, letter: DeadLetter, message: Msg) -> int:
    """Keep the message as it was beside the reason; returns its place among the letters.

    Where it no longer fits with the reason added, the letter names the place where the original stays.
    """
    jetstream = broker.connection.jetstream(timeout=STREAM_TIMEOUT_S)
    subject = f"{DEAD_LETTERS}.{letter.durable}"
    if letter.attempts > 1:
        # It may have been kept before, longer ago than the stream remembers ids.
        with contextlib.suppress(nats.js.errors.NotFoundError):
            last = await jetstream.get_last_msg(DEAD_LETTERS_STREAM, subject)
            if last.seq and (last.headers or {}).get(MESSAGE_ID_HEADER) == letter.id:
                return last.seq
    headers, body = {**letter.kept(message.headers or {}), **letter.headers()}, message.data
    if len(body) + _size_bytes(headers) > broker.connection.max_payload:
        headers, body = letter.headers(), b""
    return (await jetstream.publish(subject, body, headers=headers, stream=DEAD_LETTERS_STREAM)).seq


def _size_bytes(headers: Mapping[str, str]) -> int:
    """Of headers on the wire, with what NATS adds."""
    return 512 + sum(len(name.encode()) + len(value.encode()) + 4 for name, value in headers.items())


class KeptAlive:
    """Says of a message that it is at work on, again and again. A timer and no task: most are done before it is due."""

    def __init__(self, message: Msg) -> None:
        self._message = message
        self._saying: asyncio.Future[None] | None = None

    def __enter__(self) -> None:
        self._wait()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(ACK_WAIT_S / 3, self._due)

    def _due(self) -> None:
        self._saying = asyncio.ensure_future(self._say())
        self._wait()

    async def _say(self) -> None:
        with contextlib.suppress(*BROKER_AWAY):
            await self._message.in_progress()


def event_router() -> NatsRouter:
    """Where the handlers of events are added, with `consume`."""
    return NatsRouter(middlewares=[functools.partial(Delivery, failures=Failures())])


def consume(router: NatsRouter, consumer: Consumer, handler: Callable[..., Any], *, lanes: int) -> None:
    """Give every message of a consumer to a handler; acknowledge when it returns.

    Args:
        router: from `event_router`.
        consumer: which messages.
        handler: takes the event first.
        lanes: how many loops fetch side by side, one message each: so many are handled at once, and a slow one holds up
            its own lane and no other.
    """
    subscriber = router.subscriber(
        consumer.filter_subjects[0],  # the durable has them all
        stream=_streams[consumer.stream],
        durable=consumer.durable,
        pull_sub=True,
        ack_policy=AckPolicy.NACK_ON_ERROR,
        decoder=_decoder(consumer.kinds),
        no_reply=True,
    )
    subscriber(handler)
    # FastStream's own makes one loop.
    subscriber._create_subscription = functools.partial(_open_lanes, subscriber, consumer, lanes)  # type: ignore[method-assign]  # noqa: SLF001


async def _open_lanes(subscriber: PullStreamSubscriber, consumer: Consumer, lanes: int) -> None:
    inboxes = [await subscriber.jetstream.pull_subscribe_bind(consumer.durable, consumer.stream) for _ in range(lanes)]
    all_of_them: Any = _Inboxes(inboxes)
    subscriber.subscription = all_of_them  # is unsubscribed when the subscriber stops
    for inbox in inboxes:
        subscriber.add_task(_lane, (subscriber, inbox))


async def _lane(subscriber: PullStreamSubscriber, inbox: JetStreamContext.PullSubscription) -> None:
    """Fetch a message, handle it, fetch the next.

    One at a time: where another process asks too, a fetch of many waits for all of them with some in hand. Each in a task of
    its own, for what is set in a context while it is handled is of this message.
    """
    while subscriber.running:
        try:
            (message,) = await inbox.fetch(1, FETCH_TIMEOUT_S)
        except TimeoutError:
            continue
        except _NOT_NOW:
            await asyncio.sleep(PAUSE_AFTER_FAULT_S)
            continue
        except Exception:
            await asyncio.sleep(PAUSE_AFTER_FAULT_S)
            raise  # FastStream says it once, and begins the lane anew at once
        await asyncio.create_task(subscriber.consume(message))


class _Inboxes(list[JetStreamContext.PullSubscription]):
    """One for each lane: in a common one, a lane would take for its own that the fetch of another has run out."""

    async def unsubscribe(self) -> None:
        for inbox in self:
            await inbox.unsubscribe()


def _decoder(kinds: tuple[type[Message], ...]) -> Callable[[NatsMessage], Awaitable[Message]]:
    async def decode(message: NatsMessage) -> Message:
        kind = kinds[0] if len(kinds) == 1 else kind_of(message.raw_message.subject)
        return read_message(kind, message.raw_message)

    return decode


async def missing_topology(jetstream: JetStreamContext, consumers: Iterable[Consumer]) -> str | None:
    """What a service needs and NATS does not have yet, None when all is there."""
    for consumer in consumers:
        try:
            await jetstream.consumer_info(consumer.stream, consumer.durable)
        except nats.js.errors.NotFoundError:
            return f"consumer {consumer.durable} of stream {consumer.stream} (python -m deploy.topology makes it)"
    return None
