"""Consumers that stand still for a while: nobody of a service decides anything, until that is over or a time is up."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.connection import BROKER_AWAY, settle
from shared.errors import Transient
from shared.subjects import ACK_WAIT_S, Consumer

# A pause ends by itself after so long: whoever made it and died holds nobody up for longer.
PAUSE_S = 20.0
# Of which so much must be left where it matters that nobody begins anything meanwhile.
ENOUGH_S = 8.0
# What is being handled says so every third of the ack wait (shared/delivery.py): what is not acknowledged, and was silent
# for so long, waits to be delivered again, or its process is gone.
SILENT_S = ACK_WAIT_S / 3 + 5
LOOK_EVERY_S = 0.05
TIMEOUT_S = 5.0


class Paused:
    """Consumers of a service that deliver nothing now."""

    def __init__(self, connection: Client, consumers: Sequence[Consumer]) -> None:
        self._connection = connection
        self._jetstream = connection.jetstream(timeout=TIMEOUT_S)
        self._consumers = consumers
        self._durables = {consumer.durable for consumer in consumers}
        self._heard = time.monotonic()

    async def quiet(self) -> None:
        """Wait until nothing that was delivered before is being handled any more."""
        while any([(await self._info(consumer))["num_ack_pending"] for consumer in self._consumers]):
            if time.monotonic() - self._heard > SILENT_S:
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def check(self) -> None:
        """Raises Transient where a consumer may soon deliver again."""
        for consumer in self._consumers:
            info = await self._info(consumer)
            if not info.get("paused") or info.get("pause_remaining", 0) < ENOUGH_S * 1e9:
                raise Transient(f"{consumer.durable} is not paused for long enough")

    async def _pause(self) -> None:
        for consumer in self._consumers:
            info = await self._info(consumer)
            # By the clock of the server, which decides when it is over.
            until = datetime.fromisoformat(info["ts"]) + timedelta(seconds=PAUSE_S)
            await self._jetstream.pause_consumer(consumer.stream, consumer.durable, until.isoformat())

    async def _resume(self) -> None:
        for consumer in self._consumers:
            await self._jetstream.resume_consumer(consumer.stream, consumer.durable)

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_S / 4)
            with contextlib.suppress(*BROKER_AWAY, Transient):
                await self._pause()

    async def _hear(self, message: Msg) -> None:
        if self._durables.intersection(message.subject.split(".")):
            self._heard = time.monotonic()

    async def _info(self, consumer: Consumer) -> dict[str, Any]:
        """As the server says it: nats-py leaves out the server's time."""
        subject = f"$JS.API.CONSUMER.INFO.{consumer.stream}.{consumer.durable}"
        answer = dict(json.loads((await self._connection.request(subject, b"", timeout=TIMEOUT_S)).data))
        if "error" in answer:
            raise Transient(f"NATS does not say how {consumer.durable} is: {answer['error']}")
        return answer

    @classmethod
    @contextlib.asynccontextmanager
    async def during(cls, connection: Client, consumers: Sequence[Consumer]) -> AsyncIterator["Paused"]:
        """Pause them for the time of a block, however long it takes.

        Raises:
            Transient: NATS is away; what it was told is undone when the pause is over.
        """
        paused = cls(connection, consumers)
        try:
            acknowledgements = await connection.subscribe("$JS.ACK.>", cb=paused._hear)
            await settle(connection)
            await paused._pause()
            keeping = asyncio.create_task(paused._keep_up())
            try:
                yield paused
            finally:
                keeping.cancel()
                await paused._resume()
                await acknowledgements.unsubscribe()
        except BROKER_AWAY as error:
            raise Transient(f"NATS is away while consumers are paused: {error!r}") from error
