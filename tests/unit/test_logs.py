"""Lines that FastStream writes, as an operator reads them."""

import logging

import pytest
import structlog

from shared.telemetry import WarningsOnly


@pytest.fixture
def lines() -> structlog.testing.LogCapture:
    captured = structlog.testing.LogCapture()
    structlog.configure(processors=[captured])
    yield captured
    structlog.reset_defaults()


def test_a_connection_that_broke_is_one_line_without_empty_fields(lines: structlog.testing.LogCapture):
    WarningsOnly.log(logging.WARNING, "broken", exc_info=OSError("gone"), extra={"stream": "", "queue": "q"})

    assert lines.entries == [{"event": "broken", "log_level": "warning", "exc_info": None, "queue": "q"}]


def test_what_was_raised_keeps_its_traceback(lines: structlog.testing.LogCapture):
    with pytest.raises(ZeroDivisionError) as raised:
        1 / 0  # noqa: B018 - raises
    WarningsOnly.log(logging.ERROR, "failed", exc_info=raised.value)

    assert lines.entries == [{"event": "failed", "log_level": "error", "exc_info": raised.value}]
