"""How events stand in documents: as text, and with a key that sorts by time."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from shared.envelope import Envelope
from shared.messages import EVENTS, Message

Kind = TypeVar("Kind", bound=Message)
Fields = dict[str, Any]

_KINDS: dict[str, type[Message]] = {kind.address: kind for kind in EVENTS}
_START = datetime(1, 1, 1)  # noqa: DTZ001 - offsets are taken off apart: at both ends there is no UTC for every time
_MICROSECOND = timedelta(microseconds=1)
_END = (datetime.max - _START) // _MICROSECOND  # noqa: DTZ901 - as above
_DIGITS = 18


def written(event: Message) -> Fields:
    """As text: parameters may have names and numbers that BSON has not."""
    return {"body": event.body(), "envelope": event.envelope.model_dump_json()}


def read(kind: type[Kind], fields: Fields) -> Kind:
    return kind.read(fields["body"], Envelope.model_validate_json(fields["envelope"]))


def read_any(fields: Fields) -> Message:
    """Read an event that was written down with its address."""
    return read(_KINDS[fields["address"]], fields)


def when(event: Message) -> str:
    """Sorts events by time, and those of one time by id. A date of MongoDB has milliseconds only."""
    return f"{until(event.envelope.time)}/{event.envelope.id}"


def until(time: datetime, *, included: bool = False) -> str:
    """Comes before the key of every event of that time, or after them; and after those of all before it."""
    since_start = time.replace(tzinfo=None) - _START - (time.utcoffset() or timedelta())
    return f"{max(0, min(_END, since_start // _MICROSECOND)) + included:0{_DIGITS}}"


def time_of(key: str) -> datetime:
    return (_START + int(key[:_DIGITS]) * _MICROSECOND).replace(tzinfo=UTC)
