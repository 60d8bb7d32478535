"""The pages of a service: /healthz, /readyz, /metrics, and what stands behind them."""

import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from faststream.nats import NatsBroker
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from shared.connection import BROKER_AWAY
from shared.delivery import missing_topology
from shared.errors import Transient
from shared.observing.asking import Ask, Asking, asks_of
from shared.observing.http import Page, Port
from shared.observing.measures import Measure, Measures
from shared.observing.metrics import QUICK_SECONDS, Metrics
from shared.observing.readiness import Check, Readiness
from shared.settings import ServiceSettings
from shared.store import timed_commands
from shared.subjects import Consumer

ASK_TIMEOUT_S: Final = 2.0
_JSON: Final = "application/json"


class Pages:
    """Of one process of a service."""

    def __init__(
        self,
        broker: NatsBroker,
        settings: ServiceSettings,
        consumers: Sequence[Consumer],
        checks: Mapping[str, Check],
        measure: Measure | None,
    ) -> None:
        """Raises ValueError where the port is taken."""
        assert settings.http_port is not None
        self._broker = broker
        self._consumers = consumers
        self.metrics = Metrics(consumers[0].service)
        self.measures = measure(self.metrics) if measure else Measures()
        self.readiness = Readiness({"NATS": self._check_nats, **checks})
        asks = (*asks_of(self.metrics, consumers), *self.measures.asks, Ask(self._note_ready, _unasked))
        self._asking = Asking(asks, self._jetstream)
        self._tell_store_seconds()
        self._port = Port(settings.http_host, settings.http_port)

    async def open(self) -> None:
        await self._port.open({"/healthz": _alive, "/readyz": self._ready, "/metrics": self._measured})

    async def started(self) -> None:
        """The service consumes."""
        self.readiness.started = True
        self._asking.start()
        with contextlib.suppress(*BROKER_AWAY):  # what is not heard is not measured
            for subject, told in self.measures.heard.items():
                await self._broker.connection.subscribe(subject, cb=_calling(told))

    async def close(self) -> None:
        await self._asking.stop()
        await self._port.close()

    async def _ready(self) -> Page:
        missing = await self.readiness.missing()
        body = json.dumps({"ready": not missing, "missing": missing}, ensure_ascii=False)
        return Page(503 if missing else 200, _JSON, f"{body}\n".encode())

    async def _measured(self) -> Page:
        return Page(200, CONTENT_TYPE_LATEST, self.metrics.page())

    async def _note_ready(self, _: JetStreamContext) -> None:
        self.metrics.ready.set(0 if await self.readiness.missing() else 1)

    def _jetstream(self) -> JetStreamContext:
        return self._broker.connection.jetstream(timeout=ASK_TIMEOUT_S)

    async def _check_nats(self) -> None:
        if getattr(self._broker, "stopping", False):
            raise Transient("this process is stopping")
        if not self._broker.connection.is_connected:
            raise Transient("there is no connection to NATS")
        missing = await missing_topology(self._jetstream(), self._consumers)
        if missing:
            raise Transient(missing)

    def _tell_store_seconds(self) -> None:
        seconds = self.metrics.histogram(
            "store_seconds", "How long round trips to MongoDB took", "command", buckets=QUICK_SECONDS
        )
        timed_commands().append(lambda command, took_s: seconds.labels(command).observe(took_s))


def _calling(told: Callable[[Msg], None]) -> Callable[[Msg], Awaitable[None]]:
    async def heard(message: Msg) -> None:
        told(message)

    return heard


async def _alive() -> Page:
    """Answered by the loop that does the work: while that is stuck, there is no answer."""
    return Page(200, _JSON, b'{"alive": true}\n')


def _unasked() -> None:
    """It was not NATS that was asked."""
