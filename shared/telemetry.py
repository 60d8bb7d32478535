"""Logs: one event name and its fields on a line. No payloads, no secrets."""

import asyncio
import logging
import sys
from collections.abc import Mapping
from typing import Any, Literal

import structlog


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
            structlog.get_logger().log(level, msg, exc_info=exc_info, **(extra or {}))
