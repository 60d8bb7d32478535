"""What is watched of one process of a service, from its start to its end.

The libraries that this takes are imported where a setting asks for them: without, a service starts sooner and is smaller.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from faststream.nats import NatsBroker

from shared.observing.handling import Observed, Watch
from shared.observing.measures import Measure
from shared.observing.readiness import Check
from shared.settings import ServiceSettings
from shared.subjects import Consumer

if TYPE_CHECKING:
    from shared.observing.pages import Pages
    from shared.observing.tracing import Tracing


class Observation:
    """Pages, traces, both, or nothing."""

    def __init__(self, pages: "Pages | None", tracing: "Tracing | None") -> None:
        self._pages = pages
        self._tracing = tracing

    def noting(self, what: str, hook: Check) -> Check:
        """The hook; what it lacks is told as missing until it has it."""
        return hook if self._pages is None else self._pages.readiness.noting(what, hook)

    async def open(self) -> None:
        """Before anything else of the service."""
        if self._pages is not None:
            await self._pages.open()

    async def started(self) -> None:
        """The service consumes."""
        if self._pages is not None:
            await self._pages.started()

    async def close(self) -> None:
        """After everything else of the service."""
        if self._tracing is not None:
            await self._tracing.close()
        if self._pages is not None:
            await self._pages.close()


def observe(
    broker: NatsBroker,
    settings: ServiceSettings,
    consumers: Sequence[Consumer],
    checks: Mapping[str, Check],
    measure: Measure | None,
) -> Observation:
    """Watch a service as its settings say.

    Args:
        broker: its broker, whose messages are watched.
        settings: where to tell what is seen.
        consumers: its own.
        checks: what must hold for it to be ready, beside that NATS has its consumers.
        measure: what it counts beside what all do.

    Raises:
        ValueError: the port is taken.
    """
    pages = _pages(broker, settings, consumers, checks, measure)
    tracing = _tracing(settings, consumers[0].service)
    if pages is not None or tracing is not None:
        durables = frozenset(consumer.durable for consumer in consumers)
        metrics, measures = (pages.metrics, pages.measures) if pages else (None, None)
        broker.insert_middleware(functools.partial(Observed, watch=Watch(durables, metrics, measures, tracing)))
    return Observation(pages, tracing)


def _pages(
    broker: NatsBroker,
    settings: ServiceSettings,
    consumers: Sequence[Consumer],
    checks: Mapping[str, Check],
    measure: Measure | None,
) -> "Pages | None":
    if settings.http_port is None:
        return None
    from shared.observing.pages import Pages  # noqa: PLC0415 - as the module says

    return Pages(broker, settings, consumers, checks, measure)


def _tracing(settings: ServiceSettings, service: str) -> "Tracing | None":
    if settings.otlp_endpoint is None:
        return None
    from shared.observing.tracing import Tracing  # noqa: PLC0415 - as the module says

    return Tracing(service, settings.otlp_endpoint)
