"""Conditions such as `f1>=0.9`, `params.optimizer=adam` or `version>=1.2.0`: how they are read, and what meets them. Pure.

A condition is <field><operator><value>. What has no such metric or parameter meets none, not even one with `!=`; nor does
a text meet a comparison with a number.
"""

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from services.registry.listing.facts import Facts, Scalar
from services.registry.listing.terms import folded
from shared.errors import Refused
from shared.naming import NUMBER_RULE, VersionNumber, is_number
from shared.texts import shown

LONGEST = 300
MOST = 20
STATUSES = ("published", "quarantined", "deleted")
FIELDS = "metrics.NAME (or NAME alone), params.NAME, label, engine, status, version, created or description"
_SHAPE = re.compile(r"\s*(?P<field>[^=!<>~]*?)\s*(?P<operator>!=|<=|>=|=|<|>|~)(?P<value>.*)", re.DOTALL)
_NUMERIC = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,400}", re.ASCII)

Comparison = Callable[[object, object], bool]
_ORDER: Mapping[str, Callable[..., bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EQUALITY: Mapping[str, Callable[..., bool]] = {"=": operator.eq, "!=": operator.ne}


@dataclass(frozen=True, slots=True)
class Condition:
    """Compares every value that a version has under the field; `!=` wants all of them to differ, the others one that fits."""

    text: str
    field: str
    """metrics.f1, params.lr, label, …"""
    operator: str
    value: Scalar | VersionNumber | datetime

    def met_by(self, facts: Facts) -> bool:
        values = [one for one in _values(self.field, facts) if _comparable(one, self.value)]
        if self.operator == "!=":
            named = self.field.startswith(("metrics.", "params."))
            return (bool(values) or not named) and all(one != self.value for one in values)
        return any(self._holds(one) for one in values)

    def _holds(self, value: Scalar | VersionNumber | datetime) -> bool:
        if self.operator == "~":
            return folded(str(self.value)) in folded(str(value))
        return {**_ORDER, **_EQUALITY}[self.operator](value, self.value)


def read_conditions(texts: Sequence[str]) -> tuple[Condition, ...]:
    """Read conditions on any field.

    Raises:
        Refused: `invalid-condition`; says which one, what is wrong with it and what was expected.
    """
    if len(texts) > MOST:
        raise Refused("invalid-condition", f"there are {len(texts)} conditions: expected at most {MOST}")
    return tuple(_read(text) for text in texts)


def read_metric_conditions(texts: Sequence[str]) -> tuple[Condition, ...]:
    """As `read_conditions`, for conditions on metrics alone."""
    conditions = read_conditions(texts)
    for condition in conditions:
        if not condition.field.startswith("metrics."):
            raise _wrong(condition.text, "it is not about a metric", "a condition such as f1>=0.9")
    return conditions


def _read(text: str) -> Condition:
    if len(text) > LONGEST:
        raise _wrong(text, f"it has {len(text)} characters", f"at most {LONGEST}")
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise _wrong(text, "it has no operator", "one of = != < <= > >= ~ between a field and a value")
    field, sign, value = shape["field"], shape["operator"], shape["value"].strip()
    if not field:
        raise _wrong(text, "it names no field", FIELDS)
    if not value:
        raise _wrong(text, "it has no value", "a value after the operator")
    if value[0] in "=<>~":
        raise _wrong(text, f"the operator {sign}{value[0]} is not known", "one of = != < <= > >= ~")
    full, wanted = _value(text, field, sign, value)
    return Condition(text, full, sign, wanted)


def _value(text: str, field: str, sign: str, value: str) -> tuple[str, Scalar | VersionNumber | datetime]:
    """The field in full, and the value as what the field holds."""
    match field:
        case "label" | "engine" | "description":
            _check_operator(text, field, sign, "= != ~")
            return field, _unquoted(value)
        case "status":
            _check_operator(text, field, sign, "= !=")
            if value not in STATUSES:
                raise _wrong(text, f"there is no status {shown(value)}", " or ".join(STATUSES))
            return field, value
        case "version":
            _check_operator(text, field, sign, "= != < <= > >=")
            if not is_number(value):
                raise _wrong(text, f"{shown(value)} is no version number", NUMBER_RULE)
            return field, VersionNumber.parse(value)
        case "created":
            _check_operator(text, field, sign, "< <= > >=")
            return field, _time(text, value)
        case _ if field.startswith("params."):
            return _named(text, field, "params."), _parameter(text, sign, value)
    full = field if field.startswith("metrics.") else f"metrics.{field}"
    return _named(text, full, "metrics."), _metric(text, field, sign, value)


def _named(text: str, field: str, prefix: str) -> str:
    if field == prefix:
        raise _wrong(text, "it names nothing after the dot", FIELDS)
    return field


def _metric(text: str, field: str, sign: str, value: str) -> Scalar:
    number = _number(value)
    if number is None:
        wrong = f"{shown(field)} is taken for a metric, and {shown(value)} is no finite number"
        raise _wrong(text, wrong, f"a number, or another field: {FIELDS}")
    _check_operator(text, field, sign, "= != < <= > >=")
    return number


def _parameter(text: str, sign: str, value: str) -> Scalar:
    number = _number(value)
    if sign in _ORDER:
        if number is None:
            raise _wrong(text, f"{shown(value)} is no finite number", f"a number after {sign}")
        return number
    if sign == "~":
        return _unquoted(value)
    if value in {"true", "false"}:
        return value == "true"
    return _unquoted(value) if number is None else number


def _number(text: str) -> int | float | None:
    if _INTEGER.fullmatch(text):
        return int(text)
    number = float(text) if _NUMERIC.fullmatch(text) else math.inf
    return number if math.isfinite(number) else None


def _time(text: str, value: str) -> datetime:
    """A day begins at midnight; where no offset is said, it is UTC."""
    try:
        time = datetime.fromisoformat(value)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        expected = "a day or a time such as 2026-11-01 or 2026-11-01T12:00:00Z"
        raise _wrong(text, f"{shown(value)} is no time", expected) from None


def _unquoted(value: str) -> str:
    """Quotes let a text be one that looks like a number."""
    shortest = 2
    if len(value) >= shortest and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value


def _check_operator(text: str, field: str, sign: str, allowed: str) -> None:
    if sign not in allowed.split():
        raise _wrong(text, f"{shown(field)} cannot be compared by {sign}", f"one of {allowed}")


def _values(field: str, facts: Facts) -> Iterator[Scalar | VersionNumber | datetime]:
    summary = facts.summary
    group, _, name = field.partition(".")
    match group:
        case "metrics" if name in summary.metrics:
            yield summary.metrics[name]
        case "params" if name in facts.parameters:
            yield facts.parameters[name]
        case "label":
            yield from summary.labels
        case "engine" if summary.engine is not None:
            yield summary.engine
        case "status":
            yield summary.status
        case "version":
            yield VersionNumber.parse(summary.version)
        case "created":
            yield summary.registered_at
        case "description":
            yield summary.description
        case _:
            pass


def _comparable(one: object, other: object) -> bool:
    """Numbers with numbers, texts with texts, true with false; True is no 1 here."""
    if isinstance(one, bool) or isinstance(other, bool):
        return isinstance(one, bool) and isinstance(other, bool)
    if isinstance(one, int | float):
        return isinstance(other, int | float)
    return type(one) is type(other)


def _wrong(text: str, what: str, expected: str) -> Refused:
    return Refused("invalid-condition", f"condition {shown(text)}: {what}: expected {expected}")
