"""What every service counts and times. No model, no workspace and no id is a label: their number has no bound."""

from collections.abc import Sequence
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.registry import Collector

from shared.messages import EVENTS, Message

# From the quickest handler (1 ms) to the largest packages (an hour), about three times apart.
SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3600.0)
QUICK_SECONDS = SECONDS[:9]


class Metrics:
    """Those of one process of a service; it adds its own."""

    def __init__(self, service: str) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        info = self.gauge(
            "build_info", "1; which service and version this is stands in the labels", "service", "version"
        )
        info.labels(service, version("modelkin")).set(1)
        self.ready = self.gauge("ready", "1 where this process is ready, as /readyz says, else 0")
        self.message_seconds = self.histogram(
            "message_seconds",
            "How long deliveries were handled, by what became of them: done, given_back (delivered again later),"
            " set_aside (a dead letter), given_up (at the stop)",
            "consumer",
            "outcome",
        )
        self.query_seconds = self.histogram(
            "query_seconds", "How long queries were answered", "query", buckets=QUICK_SECONDS
        )
        self._events = self.counter("events_total", "Events that were published and are new to the stream", "event")
        for kind in EVENTS:  # Prometheus sees no rise in a number that was not there before
            if kind.said_by == f"modelkin/{service}":
                self._events.labels(_name(kind))

    def published(self, event: Message) -> None:
        self._events.labels(_name(type(event))).inc()

    def page(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self._registry)

    def add(self, collector: Collector) -> None:
        self._registry.register(collector)

    def counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"modelkin_{name}", what, labels, registry=self._registry)

    def gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"modelkin_{name}", what, labels, registry=self._registry)

    def histogram(self, name: str, what: str, *labels: str, buckets: Sequence[float] = SECONDS) -> Histogram:
        return Histogram(f"modelkin_{name}", what, labels, buckets=buckets, registry=self._registry)


def _name(kind: type[Message]) -> str:
    """`version.assigned`"""
    return kind.address.removeprefix("modelkin.evt.v1.")
