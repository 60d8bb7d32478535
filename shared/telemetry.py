"""Logs: one event name and its fields on a line. No payloads, no secrets."""

import logging
import sys
from typing import Literal

import structlog


def configure_logs(service: str, log_format: Literal["console", "json"]) -> None:
    """Write logs of this process to standard error, each line with the service's name."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    plain_traceback: list[structlog.typing.Processor] = (
        [structlog.processors.dict_tracebacks] if log_format == "json" else []
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
