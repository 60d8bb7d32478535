"""Traces by OTLP over HTTP: one import is followed through all services by the header `traceparent` (W3C Trace Context)."""

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterator
from importlib.metadata import version
from typing import Final

from nats.aio.msg import Msg
from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.messages import Message
from shared.telemetry import facts_of, forward

SEND_TIMEOUT_S: Final = 5.0
# Longer, and a service whose collector is away would outlive its time to stop.
LAST_SEND_TIMEOUT_S: Final = 2.0
_CARRIED = ("traceparent", "tracestate")
_propagator = TraceContextTextMapPropagator()


class Tracing:
    """The traces of one process."""

    def __init__(self, service: str, endpoint: str) -> None:
        resource = Resource.create(
            {
                "service.name": f"modelkin-{service}",
                "service.version": version("modelkin"),
                "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
            }
        )
        forward("opentelemetry", logging.ERROR)  # a warning is a try that will be repeated
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=SEND_TIMEOUT_S)
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("modelkin")

    def handling(self, message: Msg) -> "HandlingSpan":
        """A message that a stream gave out, as a part of the trace that it came with."""
        facts = facts_of(message)
        span = self._tracer.start_span(
            f"process {_kind(message.subject)}",
            _context_of(message),
            SpanKind.CONSUMER,
            {
                "messaging.system": "nats",
                "messaging.operation.type": "process",
                "messaging.destination.name": message.subject,
                "messaging.consumer.group.name": message.metadata.consumer,
                "messaging.message.body.size": len(message.data),
                "modelkin.attempt": message.metadata.num_delivered or 1,
                **{f"modelkin.{name}": value for name, value in facts.items()},
            },
        )
        return HandlingSpan(span)

    def publishing(self, event: Message) -> "PublishingSpan":
        span = self._tracer.start_span(
            f"publish {event.address}",
            kind=SpanKind.PRODUCER,
            attributes={
                "messaging.system": "nats",
                "messaging.operation.type": "send",
                "messaging.destination.name": event.subject,
                "messaging.message.id": event.envelope.id,
            },
        )
        return PublishingSpan(span)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        with self._tracer.start_as_current_span(name, record_exception=False):
            yield

    async def close(self) -> None:
        """Send what is left, if the collector takes it soon."""
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def send() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # nobody waits any more
                loop.call_soon_threadsafe(sent.set)

        # No thread of the loop's own: the loop would wait for it at its end, however long the collector takes.
        threading.Thread(target=send, daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_SEND_TIMEOUT_S):
                await sent.wait()


class HandlingSpan:
    """Is the current one while the message is handled."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._token = context.attach(set_span_in_context(span))

    def end(self, outcome: str, error: BaseException | None) -> None:
        context.detach(self._token)
        self._span.set_attribute("modelkin.outcome", outcome)
        if error is not None:
            # What a middleware raises says what becomes of the message; its cause says why.
            self._span.set_status(Status(StatusCode.ERROR, type(error.__cause__ or error).__name__))
        self._span.end()


class PublishingSpan:
    def __init__(self, span: Span) -> None:
        self._span = span
        self.headers: dict[str, str] = {}
        """What tells who handles the event to which trace it belongs."""
        _propagator.inject(self.headers, set_span_in_context(span))

    def end(self, error: BaseException | None) -> None:
        if error is not None:
            self._span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        self._span.end()


def _kind(subject: str) -> str:
    """Without the tokens that name workspace, model and actor: a span's name has few values."""
    return ".".join(subject.split(".")[:5])


def _context_of(message: Msg) -> Context:
    """Where nobody traced the message before, or what says so cannot be read, a trace begins here."""
    given = {name.lower(): value for name, value in (message.headers or {}).items()}
    return _propagator.extract({name: given[name] for name in _CARRIED if name in given}, Context())
