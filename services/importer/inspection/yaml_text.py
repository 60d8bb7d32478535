"""YAML of strangers: bounded, without aliases, and every value a text, so that 1.10 stays 1.10."""

from typing import cast

import yaml
from pydantic import JsonValue

from services.importer.inspection.reading import Unreadable

try:
    from yaml import CBaseLoader as _Loader
except ImportError:  # built without libyaml
    from yaml import BaseLoader as _Loader  # type: ignore[assignment]

_MOST_EVENTS, _DEEPEST = 20_000, 24


def yaml_object(text: bytes) -> dict[str, JsonValue]:
    """The mapping that a document is.

    Raises:
        Unreadable: it is none, or a limit is broken.
    """
    try:
        _check(text)
        document = yaml.load(text, Loader=_Loader)  # noqa: S506  # builds texts, lists and dicts, nothing else
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Unreadable("is no YAML") from error
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise Unreadable("is no YAML mapping with texts as keys")
    return cast("dict[str, JsonValue]", document)


def _check(text: bytes) -> None:
    """Look at the events before anything is built: ten aliases of ten aliases fill any memory."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if isinstance(event, yaml.AliasEvent):
            raise Unreadable("has an alias: expected YAML without any")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if count > _MOST_EVENTS or depth > _DEEPEST:
            raise Unreadable(f"has more than {_MOST_EVENTS} parts, or is more than {_DEEPEST} deep")
