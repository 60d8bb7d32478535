"""Requests as a person types them: NAME@VERSION, NAME=VALUE, a path for a URL."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from modelkin.errors import ModelkinError
from shared.envelope import Envelope, explain
from shared.messages import TrainingSucceeded

SOURCE = "modelkin-cli"


def training_request(  # noqa: PLR0913 - one for each option of the command
    *,
    request_id: str,
    time: datetime,
    location: str,
    about: dict[str, Any],
    datasets: Sequence[str],
    code: str | None,
    parameters: Sequence[str],
    metrics: Sequence[str],
    bases: Sequence[str],
) -> TrainingSucceeded:
    """The event of a training system, from the words of a command line.

    Raises:
        ModelkinError: a word does not have its form.
    """
    fields = {
        **about,
        "envelope": Envelope.of_request(request_id, SOURCE, time),
        "location": location_url(location),
        "datasets": [_dataset(text) for text in datasets],
        "code": _code(code) if code is not None else None,
        "parameters": {name: _value(text) for name, text in map(_pair, parameters)},
        "metrics": {name: _number(name, text) for name, text in map(_pair, metrics)},
        "bases": [_base(text) for text in bases],
    }
    try:
        return TrainingSucceeded.model_validate(fields)
    except ValidationError as error:
        raise ModelkinError(explain(error)) from error


def location_url(location: str) -> str:
    """A path becomes a `file://` URL; a URL stays as it is."""
    return location if "://" in location else Path(location).absolute().as_uri()


def _dataset(text: str) -> dict[str, str | None]:
    name, _, version = text.partition("@")
    return {"name": name, "version": version or None}


def _code(text: str) -> dict[str, str]:
    repository, at, commit = text.rpartition("@")
    if not at:
        raise ModelkinError(f"code {text!r}: expected REPOSITORY@COMMIT")
    return {"repository": repository, "commit": commit}


def _base(text: str) -> dict[str, str]:
    named, _, relation = text.partition(":")
    model, at, version = named.partition("@")
    if not at:
        raise ModelkinError(f"base {text!r}: expected MODEL@VERSION[:RELATION]")
    return {"model": model, "version": version, **({"relation": relation} if relation else {})}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ModelkinError(f"{text!r}: expected NAME=VALUE")
    return name, value


def _value(text: str) -> object:
    """Numbers, true, false, null and JSON as themselves; the rest is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ModelkinError(f"metric {name}={text}: expected a number") from error
