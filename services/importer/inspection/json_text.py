"""JSON of strangers: what can be said again in an event, and nothing else."""

import json
import math

from pydantic import JsonValue

from services.importer.inspection.reading import Stream, Unreadable

_DEEPEST = 32
# What BSON and most readers of JSON hold.
_LARGEST = 2**63 - 1


def json_of(content: bytes) -> JsonValue:
    """Any JSON.

    Raises:
        Unreadable: it is none, or holds halves of characters, which cannot be encoded again.
    """
    try:
        parsed: JsonValue = json.loads(content)
        if b"\\u" in content:
            json.dumps(parsed, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Unreadable("is no JSON") from error
    return parsed


def json_object(stream: Stream, most_bytes: int) -> dict[str, JsonValue]:
    """The object that a whole file is."""
    content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise Unreadable(f"has more than {most_bytes} bytes: expected a configuration")
    parsed = json_of(content)
    if not isinstance(parsed, dict):
        raise Unreadable("is no JSON object")
    return parsed


def sayable(value: JsonValue, depth: int = 0) -> JsonValue:
    """The same value, without the numbers that an event cannot carry.

    Raises:
        Unreadable: it is deeper than any configuration.
    """
    if depth > _DEEPEST:
        raise Unreadable(f"is more than {_DEEPEST} deep")
    match value:
        case dict():
            return {key: sayable(inner, depth + 1) for key, inner in value.items()}
        case list():
            return [sayable(inner, depth + 1) for inner in value]
        case int() if abs(value) > _LARGEST:
            return None
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
