"""What is asked for now and then: how much waits for each consumer, what was set aside, whether this process is ready.

Every process of a service asks: for one of them to ask alone, they would have to agree which, and it costs NATS less than
one import. So what NATS says comes from each process, and is alike: take the greatest, never the sum.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog
from nats.js import JetStreamContext

from shared.connection import BROKER_AWAY
from shared.errors import Transient
from shared.subjects import DEAD_LETTERS, DEAD_LETTERS_STREAM, Consumer

if TYPE_CHECKING:  # who asks for no metrics loads no library for them
    from shared.observing.metrics import Metrics

log = structlog.get_logger()

EVERY_S: Final = 15.0


class Ask(NamedTuple):
    """Brings gauges up to date."""

    look: Callable[[JetStreamContext], Awaitable[None]]
    forget: Callable[[], None]
    """Called where nobody answered: what is not known has no value."""


class Asking:
    """Asks now and then."""

    def __init__(self, asks: Sequence[Ask], jetstream: Callable[[], JetStreamContext]) -> None:
        self._asks = asks
        self._jetstream = jetstream
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._ask_now_and_then())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _ask_now_and_then(self) -> None:
        while True:
            for ask in self._asks:
                await self._ask(ask)
            await asyncio.sleep(EVERY_S)

    async def _ask(self, ask: Ask) -> None:
        try:
            await ask.look(self._jetstream())
        except (Transient, *BROKER_AWAY):
            ask.forget()  # /readyz says who is away
        except Exception as error:  # noqa: BLE001 - what cannot be measured must not end what can
            log.warning("not measured", error=repr(error))
            ask.forget()


def asks_of(metrics: "Metrics", consumers: Sequence[Consumer]) -> tuple[Ask, ...]:
    """What NATS knows of a service with these consumers."""
    return _lag(metrics, consumers), _dead_letters(metrics, consumers)


def _lag(metrics: "Metrics", consumers: Sequence[Consumer]) -> Ask:
    pending = metrics.gauge("consumer_pending", "Messages that wait for a consumer", "consumer")
    in_hand = metrics.gauge(
        "consumer_unacknowledged", "Messages that a consumer was given and has not acknowledged", "consumer"
    )

    async def look(jetstream: JetStreamContext) -> None:
        for consumer in consumers:
            info = await jetstream.consumer_info(consumer.stream, consumer.durable)
            pending.labels(consumer.durable).set(info.num_pending or 0)
            in_hand.labels(consumer.durable).set(info.num_ack_pending or 0)

    def forget() -> None:
        pending.clear()
        in_hand.clear()

    return Ask(look, forget)


def _dead_letters(metrics: "Metrics", consumers: Sequence[Consumer]) -> Ask:
    letters = metrics.gauge("dead_letters", "Messages that were set aside and are still there", "consumer")

    async def look(jetstream: JetStreamContext) -> None:
        info = await jetstream.stream_info(DEAD_LETTERS_STREAM, subjects_filter=f"{DEAD_LETTERS}.*")
        counts = info.state.subjects or {}
        for consumer in consumers:
            letters.labels(consumer.durable).set(counts.get(f"{DEAD_LETTERS}.{consumer.durable}", 0))

    return Ask(look, letters.clear)
