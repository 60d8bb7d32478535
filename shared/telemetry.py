"""Logs: one event name and its fields on a line, and of which message it is. No payloads, no secrets."""

import asyncio
import logging
import sys
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final, Literal

import structlog
from nats.aio.msg import Msg

from shared.envelope import Envelope
from shared.errors import Malformed

handled: ContextVar[Msg | None] = ContextVar("handled", default=None)
"""The message that is being handled. What a line says of it is read when there is a line, which is seldom."""

# What the last token of a subject names, by its entity; else a model.
_NAMED: Final = {"autolearning": "project", "dataset": "dataset"}
_WORKSPACE_AT: Final = 5
# A library may say the same of each try.
REMIND_EVERY_S: Final = 60.0


def facts_of(message: Msg) -> dict[str, str]:
    """What tells a message that a stream gave out from others: ids, workspace and model, its consumer."""
    place = message.metadata
    facts = {"consumer": place.consumer}
    tokens = message.subject.split(".")
    if len(tokens) > _WORKSPACE_AT + 1:
        facts |= {"workspace": tokens[_WORKSPACE_AT], _NAMED.get(tokens[3], "model"): tokens[_WORKSPACE_AT + 1]}
    fallback_id = f"{place.stream}-{place.sequence.stream}"
    try:
        envelope = Envelope.from_headers(message.headers or {}, fallback_id=fallback_id, fallback_time=place.timestamp)
    except Malformed:
        return {"message_id": fallback_id, **facts}
    return {"request_id": envelope.correlation_id, "message_id": envelope.id, **facts}


def add_message(_: Any, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Add to a line of which message it is; what the line says itself stays."""
    message = handled.get()
    return line if message is None else {**facts_of(message), **line}


def configure_logs(service: str, log_format: Literal["console", "json"]) -> None:
    """Write logs of this process to standard error, each line with the service's name."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,  # the pretty one prints local variables: payloads
        )
    )
    plain_traceback: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info] if log_format == "json" else []
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            add_message,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *plain_traceback,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)


class WarningsOnly:
    """Where FastStream writes its log: what it says of its inner life stays unsaid, its warnings do not."""

    @staticmethod
    def log(level: int, msg: Any, /, *, exc_info: Any = None, extra: Mapping[str, Any] | None = None) -> None:
        if isinstance(exc_info, asyncio.CancelledError):
            structlog.get_logger().warning("given up at the stop: it is delivered again")
        elif level >= logging.WARNING:
            known = {name: value for name, value in (extra or {}).items() if value}
            # One that was never raised, such as that a connection broke, is in the message already.
            raised = exc_info if getattr(exc_info, "__traceback__", exc_info) else None
            structlog.get_logger().log(level, msg, exc_info=raised, **known)


class Forwarding(logging.Handler):
    """Where a library writes its log: it becomes lines of ours, without tracebacks, and a repeat is said now and then."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._said_at: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now - self._said_at.get(record.name, -REMIND_EVERY_S) >= REMIND_EVERY_S:
            self._said_at[record.name] = now
            structlog.get_logger().log(record.levelno, record.getMessage()[:500], logger=record.name)


def forward(logger_name: str, level: int) -> None:
    """What a library's logger says from this level on becomes lines of ours; a repeat of the call is a no-op."""
    logger = logging.getLogger(logger_name)
    logger.propagate = False
    if not any(isinstance(handler, Forwarding) for handler in logger.handlers):
        logger.addHandler(Forwarding(level))
