"""A registry that lost its database waits with commands until it has heard again what was said before."""

from collections.abc import Sequence

from faststream.nats import NatsBroker

from services.registry.ports import ChangeStore
from shared.connection import BROKER_AWAY
from shared.errors import Transient
from shared.subjects import Consumer


class StreamReplay:
    """The Replay: a consumer that once had nothing left to read has read all that was there before the store.

    That all had is written down in the store, and so is lost with it.
    """

    def __init__(self, broker: NatsBroker, changes: ChangeStore, consumers: Sequence[Consumer]) -> None:
        """`consumers` are all that the store is made of."""
        self._broker = broker
        self._changes = changes
        self._all = {consumer.durable for consumer in consumers}
        self._read: set[str] = set()
        self._complete = False

    async def check(self, consumers: Sequence[Consumer]) -> None:
        if self._complete:
            return
        self._complete = await self._changes.is_complete()
        for consumer in consumers:
            if not self._complete and consumer.durable not in self._read:
                await self._check(consumer)
        if not self._complete and self._read >= self._all:
            await self._changes.complete()
            self._complete = True

    async def _check(self, consumer: Consumer) -> None:
        try:
            info = await self._broker.connection.jetstream().consumer_info(consumer.stream, consumer.durable)
        except BROKER_AWAY as error:
            raise Transient(f"NATS does not say how far {consumer.durable} has come: {error!r}") from error
        if info.num_pending or info.num_ack_pending:
            raise Transient(f"{consumer.durable} has not read yet what was said before")
        self._read.add(consumer.durable)
