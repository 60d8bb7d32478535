"""What is wrong with a document, told in JSON paths, with what came and what was expected."""

import re
import reprlib
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from shared.texts import SHOWN_LENGTH
from shared.values import Fault

Path = tuple[str | int, ...]
ROOT: Path = ()
NOTHING = "nothing"

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LONGEST_KEY = 64
_LONGEST_PATH = 300
_SECRET = re.compile(r"(://)[^/@\s]+@")
_ABSENT = object()
_short = reprlib.Repr()
_short.maxlevel = 2
_short.maxstring = _short.maxother = _short.maxlong = SHOWN_LENGTH - 2


def json_path(path: Path) -> str:
    """`$.apis[0].request['Content-type']`"""
    return cut("$" + "".join(map(_step, path)), _LONGEST_PATH)


def _step(step: str | int) -> str:
    match step:
        case int():
            return f"[{step}]"
        case str() if _PLAIN_KEY.fullmatch(step):
            return f".{step}"
        case _:
            return f"[{step!r}]" if len(step) <= _LONGEST_KEY else f"[{step[:_LONGEST_KEY]!r}…]"


def shown(value: object) -> str:
    """Short, on one line, and without the password of a URL."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return cut(_short.repr(_SECRET.sub(r"\1…@", value)))
        case _:
            return cut(_short.repr(value))


def cut(text: str, length: int = SHOWN_LENGTH) -> str:
    text = _SECRET.sub(r"\1…@", text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def fault_at(document: object, path: Path, expected: str) -> Fault:
    """What stands at a path of the document is not what was expected."""
    value = _value_at(document, path)
    return Fault(path=json_path(path), got=NOTHING if value is _ABSENT else shown(value), expected=expected)


def _value_at(document: object, path: Path) -> object:
    value: Any = document
    for step in path:
        match value, step:
            case dict(), str() if step in value:
                value = value[step]
            case list(), int() if step < len(value):
                value = value[step]
            case _:
                return _ABSENT
    return value


def faults_of(error: ValidationError, model: type[BaseModel], document: object) -> Iterator[Fault]:
    """One for each field that is not as the model has it; what was expected is the field's own description."""
    errors = error.errors(include_url=False, include_input=False)
    for wrong in errors:
        # Entries that are not right are not counted either.
        if wrong["type"] == "too_short" and any(_is_below(other["loc"], wrong["loc"]) for other in errors):
            continue
        path = _as_spelled(document, wrong["loc"])
        rule = wrong.get("ctx", {}).get("error")
        yield fault_at(document, path, str(rule) if rule else _description(model, wrong["loc"]))


def _is_below(path: Path, above: Path) -> bool:
    return len(path) > len(above) and path[: len(above)] == above


def _as_spelled(document: object, path: Path) -> Path:
    """Keys that are understood in several cases, as the document has them."""
    spelled: list[str | int] = []
    value: Any = document
    for step in path:
        key = step
        if isinstance(value, dict) and step not in value:
            key = next((name for name in value if name.lower() == str(step).lower()), step)
        spelled.append(key)
        value = _value_at(value, (key,))
    return tuple(spelled)


def _description(model: type[BaseModel], path: Path) -> str:
    """Of the innermost field on the path."""
    described = "an object"
    within: type[BaseModel] | None = model
    for step in path:
        if isinstance(step, int):
            described = "an object" if within else described
            continue
        field = (
            next((f for name, f in within.model_fields.items() if step in {name, f.alias}), None) if within else None
        )
        if field:
            described = field.description or described
            within = _model_in(field.annotation)
    return described


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)
