"""In what a stream or a consumer differs from what this release would make, as an operator reads it."""

from enum import Enum
from typing import Any, NamedTuple

from modelkin.wording import size

_SECONDS = {"max_age", "duplicate_window", "ack_wait"}
_BYTES = {"max_bytes", "max_msg_size"}
_DAY_S, _HOUR_S, _MINUTE_S = 86_400, 3600, 60
_NO_LIMIT = {0, -1, None}


class Difference(NamedTuple):
    """One setting: what it is, and what a new one has."""

    setting: str
    there: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.setting} is {_said(self.setting, self.there)} (a new one has {_said(self.setting, self.new)})"


def differences(there: object, wanted: object, settings: tuple[str, ...]) -> tuple[Difference, ...]:
    """Where `wanted` says something, and the other says something else."""
    found = (Difference(name, getattr(there, name), getattr(wanted, name)) for name in settings)
    return tuple(one for one in found if one.new is not None and not _is_same(one))


def covers(pattern: str, subject: str) -> bool:
    """Whether what is published on `subject`, which may have wildcards itself, is published on `pattern`."""
    ours, theirs = pattern.split("."), subject.split(".")
    for index, part in enumerate(ours):
        if part == ">":
            return len(theirs) > index
        if index >= len(theirs) or theirs[index] == ">" or part not in {"*", theirs[index]}:
            return False
    return len(ours) == len(theirs)


def _is_same(one: Difference) -> bool:
    return bool(one.there == one.new or (one.there in _NO_LIMIT and one.new in _NO_LIMIT))


def _said(setting: str, value: Any) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value in _NO_LIMIT:
        return "no limit"
    if setting in _SECONDS:
        return _duration(float(value))
    return size(value) if setting in _BYTES else str(value)


def _duration(seconds: float) -> str:
    for unit_s, name in ((_DAY_S, "days"), (_HOUR_S, "hours"), (_MINUTE_S, "minutes")):
        if seconds >= 2 * unit_s and seconds % unit_s == 0:
            return f"{seconds / unit_s:g} {name}"
    return f"{seconds:g} s"
