"""Whether what an API says of its data is a JSON schema. Nothing is fetched, and no pattern of a schema is compiled."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from jsonschema import Draft4Validator, Draft6Validator, Draft7Validator, Draft201909Validator, Draft202012Validator
from jsonschema.exceptions import ValidationError

from services.importer.package.faults import Path, fault_at
from shared.values import Fault

# The checker tells each about eight times. Nobody reads more, and finding them takes time.
MOST_ERRORS = 1_000
_DRAFTS: Mapping[str, Any] = {
    draft.META_SCHEMA["$schema"].rstrip("#"): draft
    for draft in (Draft4Validator, Draft6Validator, Draft7Validator, Draft201909Validator, Draft202012Validator)
}
# Checking a schema compares some arrays value by value: these two keep the worst of it to seconds.
MOST_ENTRIES = 1_000
MOST_VALUES = 10_000
_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
# That their names differ is checked pair by pair unless all are text, so text is made sure of first.
_LISTS_OF_NAMES = frozenset({"required", "type"})
# They hold data, which may look like a schema.
_DATA = frozenset({"const", "default", "enum", "examples"})
_WORDS = {
    "anyOf": "a type of JSON schema: array, boolean, integer, null, number, object, string, or file",
    "uniqueItems": "values that differ",
    "minItems": "at least one value",
    "minimum": "a number that is not negative",
    "exclusiveMinimum": "a number above 0",
    "enum": "a word that JSON schema knows here",
    "pattern": "the form that JSON schema prescribes here",
}


def too_large_to_check(schemas: Sequence[object]) -> str | None:
    """What would have been expected, where the schemas of a configuration are larger than can be checked."""
    waiting = list(schemas)
    count = 0
    while waiting:
        value = waiting.pop()
        count += 1
        if isinstance(value, dict | list):
            if len(value) > MOST_ENTRIES:
                return f"schemas with at most {MOST_ENTRIES} entries in one place"
            waiting.extend(value.values() if isinstance(value, dict) else value)
    return f"schemas of at most {MOST_VALUES} values" if count > MOST_VALUES else None


def schema_faults(document: Mapping[str, Any], path: Path, schema: object) -> Iterator[Fault]:
    """What is wrong with the schema at this path of the document, each place once.

    Besides JSON schema it may say `"type": "file"`, for a file in a form.
    """
    if not isinstance(schema, dict):
        yield fault_at(document, path, "a JSON schema, which is an object")
        return
    told: set[Path] = set()
    for place, expected in (*_before_checking(schema), *_checked(schema)):
        if place not in told:
            told.add(place)
            yield fault_at(document, (*path, *place), expected)


def _checked(schema: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    draft = _draft_of(schema)
    try:
        errors = draft(draft.META_SCHEMA, format_checker=None).iter_errors(_checkable(schema))
        for error in islice(errors, MOST_ERRORS):
            yield tuple(error.absolute_path), _expected(error)
    except RecursionError:
        yield (), "a JSON schema of fewer levels"


def _draft_of(schema: dict[str, Any]) -> Any:
    """The draft that it names; else the newest, or where `items` is still an array, the last that had it so."""
    named = schema.get("$schema")
    if isinstance(named, str) and named.rstrip("#") in _DRAFTS:
        return _DRAFTS[named.rstrip("#")]
    older = any(isinstance(inner.get("items"), list) for _, inner in _objects_in(schema))
    return Draft7Validator if older else Draft202012Validator


def _before_checking(schema: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    for path, inner in _objects_in(schema):
        for key, value in inner.items():
            if key in _REFERENCES and isinstance(value, str) and not value.startswith("#"):
                yield (*path, key), "a place in the same schema, #/..."
            if key in _LISTS_OF_NAMES and isinstance(value, list) and not _is_text(value):
                yield (*path, key), "an array of text"


def _objects_in(value: Any) -> Iterator[tuple[Path, dict[str, Any]]]:
    waiting: list[tuple[Path, Any]] = [((), value)]
    while waiting:
        path, inner = waiting.pop()
        match inner:
            case dict():
                yield path, inner
                waiting.extend(((*path, key), entry) for key, entry in inner.items() if key not in _DATA)
            case list():
                waiting.extend(((*path, index), entry) for index, entry in enumerate(inner))


def _is_text(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _checkable(value: Any) -> Any:
    """A copy in which "file", a type that only APIs have, is one that JSON schema knows, and lists of names are text."""
    match value:
        case dict():
            return {key: _checkable_entry(key, inner) for key, inner in value.items()}
        case list():
            return [_checkable(inner) for inner in value]
        case _:
            return value


def _checkable_entry(key: str, value: Any) -> Any:
    if key == "type" and value == "file":
        return "string"
    if key in _LISTS_OF_NAMES and isinstance(value, list) and not _is_text(value):
        return ["string"]
    return _checkable(value)


def _expected(error: ValidationError) -> str:
    if error.validator == "type":
        wanted: Any = error.validator_value
        return " or ".join([wanted] if isinstance(wanted, str) else wanted) + ", as JSON schema has it"
    return _WORDS.get(str(error.validator), "what JSON schema has here")
