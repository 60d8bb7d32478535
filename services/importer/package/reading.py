"""JSON that people write, read strictly and within limits: what is checked of it later cannot take for ever."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import NoReturn

from pydantic import JsonValue

from services.importer.package.faults import ROOT, Path, cut, fault_at, shown
from shared.values import Fault

LARGEST_BYTES = 1024 * 1024
DEEPEST = 64
MOST_VALUES = 100_000
# Any whole number of so many bits fits into a double.
LONGEST_NUMBER_BITS = 1023


class Unreadable(Exception):
    """No JSON object, or one beyond the limits."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault.path} is {fault.got}: expected {fault.expected}")
        self.fault = fault


def read_object(content: bytes | Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The JSON object that `content` says, or is.

    Raises:
        Unreadable: says where, what came and what was expected.
    """
    document = _parsed(content) if isinstance(content, bytes) else dict(content)
    if not isinstance(document, dict):
        raise Unreadable(Fault(path="$", got=shown(document), expected="a JSON object"))
    fault = next(_broken_limits(document), None)
    if fault:
        raise Unreadable(fault)
    return document


def _parsed(content: bytes) -> JsonValue:
    if len(content) > LARGEST_BYTES:
        _refuse(f"{len(content)} bytes", f"at most {LARGEST_BYTES} bytes")
    try:
        # Editors of Windows put a byte order mark before UTF-8.
        text = content.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)  # type: ignore[no-any-return]  # json.loads says Any
    except UnicodeDecodeError as error:
        _refuse(f"byte 0x{content[error.start]:02x} at offset {error.start}", "UTF-8 text")
    except json.JSONDecodeError as error:
        near = shown(error.doc[error.pos : error.pos + 20])
        _refuse(
            f"{near} in line {error.lineno}, column {error.colno}", f"JSON ({error.msg[:1].lower()}{error.msg[1:]})"
        )
    except RecursionError:
        _refuse("nested deeper", f"at most {DEEPEST} levels")
    except ValueError:
        # Python refuses to read whole numbers of thousands of digits.
        _refuse("a number of thousands of digits", "numbers that a double holds")


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    read: dict[str, JsonValue] = {}
    for key, value in pairs:
        if key in read:
            _refuse(f"the key {shown(key)} twice in one object", "each key once")
        read[key] = value
    return read


def _refuse_constant(name: str) -> NoReturn:
    _refuse(name, "JSON, which has no such number")


def _refuse(got: str, expected: str) -> NoReturn:
    raise Unreadable(Fault(path="$", got=cut(got), expected=expected))


def _broken_limits(document: JsonValue) -> Iterator[Fault]:
    """Without recursion: what is checked may be as deep as it likes."""
    waiting: list[tuple[Path, JsonValue]] = [(ROOT, document)]
    count = 0
    while waiting:
        path, value = waiting.pop()
        count += 1
        if count > MOST_VALUES:
            yield Fault(path="$", got=f"more than {MOST_VALUES} values", expected=f"at most {MOST_VALUES}")
            return
        expected = _limit_broken_by(value, len(path))
        if expected:
            yield fault_at(document, path, expected)
            return
        waiting.extend(((*path, key), inner) for key, inner in _entries(value))


def _entries(value: JsonValue) -> Iterator[tuple[str | int, JsonValue]]:
    match value:
        case dict():
            yield from value.items()
        case list():
            yield from enumerate(value)


def _limit_broken_by(value: JsonValue, depth: int) -> str | None:
    match value:
        case dict() | list() if depth >= DEEPEST:
            return f"at most {DEEPEST} levels"
        case dict() | str() if not all(map(_can_be_written, value)):
            return "whole Unicode characters"
        case float() if not math.isfinite(value):
            return "a finite number"
        case int() if value.bit_length() > LONGEST_NUMBER_BITS:
            return "a number that a double holds"
    return None


def _can_be_written(text: str) -> bool:
    """Half of a surrogate pair can be written in JSON as an escape, and nowhere else."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
