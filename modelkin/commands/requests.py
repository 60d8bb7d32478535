"""Requests as a person types them: NAME@VERSION, NAME=VALUE, a path for a URL."""

import getpass
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from modelkin.commands.options import ImportOptions
from modelkin.errors import ModelkinError
from shared.envelope import Envelope, explain
from shared.messages import Message
from shared.values import Specs

Request = TypeVar("Request", bound=Message)
SOURCE = "modelkin-cli"
LONGEST_SOURCE = 200


def envelope(source: str = "") -> Envelope:
    """Of a message that a person sends now, in the name of whom the machine knows them as."""
    return Envelope.of_request(str(uuid.uuid4()), source or _sender(), datetime.now(UTC))


def _sender() -> str:
    try:
        return f"{SOURCE}/{getpass.getuser()}"[:LONGEST_SOURCE]
    except (KeyError, OSError):
        return SOURCE


def request_of(kind: type[Request], options: ImportOptions, **facts: object) -> Request:
    """The request of a command, from the words of a command line.

    Raises:
        ModelkinError: a word does not have its form.
    """
    return message_of(kind, envelope=envelope(), **{**facts, **_said(options)})


def message_of(kind: type[Request], **facts: object) -> Request:
    """A message with these facts.

    Raises:
        ModelkinError: one of them does not have its form.
    """
    try:
        return kind.model_validate(facts)
    except ValidationError as error:
        raise ModelkinError(explain(error)) from error


def _said(options: ImportOptions) -> dict[str, Any]:
    return {
        "workspace": options.workspace,
        "model": options.model,
        "version": options.version,
        "bump": options.bump,
        "reference": options.reference,
        "labels": options.label or [],
        "description": options.description,
        "documents": [{"name": name, "url": url} for name, url in map(pair, options.document or [])],
        "deployment_types": options.deploy or [],
        "minimum_specs": _specs(options.min_spec) if options.min_spec else None,
        "datasets": [dataset_of(text) for text in options.dataset or []],
        "code": _code(options.code, options.entry_point),
        "parameters": {name: _value(text) for name, text in map(pair, options.parameter or [])},
        "metrics": _numbers("metric", options.metric or []),
        "bases": [_base(text) for text in options.base or []],
    }


def location_url(location: str) -> str:
    """A path becomes a `file://` URL; a URL stays as it is.

    Raises:
        ModelkinError: it is empty, as a variable of a shell is that was not set.
    """
    if not location:
        raise ModelkinError("the location is empty: expected a path or a URL")
    return location if "://" in location else Path(location).absolute().as_uri()


def config_of(given: str) -> Mapping[str, object]:
    """Where a configuration is: what a file of this machine holds, or a URL that the importer reads.

    Raises:
        ModelkinError: the file cannot be read, or is not JSON.
    """
    if "://" in given:
        return {"config_location": given}
    try:
        return {"config": json.loads(Path(given).read_bytes())}
    except OSError as error:
        raise ModelkinError(f"configuration {given!r} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelkinError(f"configuration {given!r} is not JSON: {error}") from error


def dataset_of(text: str) -> dict[str, str | None]:
    """NAME[@VERSION][@sha256:…], apart."""
    name, _, said = text.partition("@")
    version, _, digest = said.rpartition("@") if _is_digest(said.rpartition("@")[2]) else (said, "", "")
    return {"name": name, "version": version or None, "digest": digest or None}


def _is_digest(text: str) -> bool:
    return text.startswith("sha256:")


def _code(text: str | None, entry_point: str | None) -> dict[str, str | None] | None:
    if text is None:
        if entry_point is not None:
            raise ModelkinError(f"entry point {entry_point!r}: expected the --code that it belongs to")
        return None
    repository, at, commit = text.rpartition("@")
    if not at:
        raise ModelkinError(f"code {text!r}: expected REPOSITORY@COMMIT")
    return {"repository": repository, "commit": commit, "entry_point": entry_point}


def _base(text: str) -> dict[str, str]:
    """[WORKSPACE/]MODEL@VERSION[:RELATION] or sha256:<hex>[:RELATION], apart."""
    if _is_digest(text):
        digest, _, relation = text.removeprefix("sha256:").partition(":")
        return {"digest": f"sha256:{digest}", **({"relation": relation} if relation else {})}
    named, _, relation = text.partition(":")
    place, at, version = named.partition("@")
    workspace, _, model = place.rpartition("/")
    if not at:
        raise ModelkinError(f"base {text!r}: expected MODEL@VERSION[:RELATION] or a digest, sha256:…[:RELATION]")
    said = {"workspace": workspace, "relation": relation}
    return {"model": model, "version": version, **{name: word for name, word in said.items() if word}}


def pair(text: str) -> tuple[str, str]:
    """NAME=VALUE, apart."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ModelkinError(f"{text!r}: expected NAME=VALUE")
    return name, value


def _value(text: str) -> object:
    """Numbers, true, false, null and JSON as themselves; the rest is text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _specs(texts: Sequence[str]) -> dict[str, float]:
    specs = _numbers("specification", texts)
    unknown = [name for name in specs if name not in Specs.model_fields]
    if unknown:
        raise ModelkinError(f"specification {unknown[0]!r}: expected one of {', '.join(Specs.model_fields)}")
    return specs


def _numbers(what: str, texts: Sequence[str]) -> dict[str, float]:
    return {name: _number(what, name, text) for name, text in map(pair, texts)}


def _number(what: str, name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ModelkinError(f"{what} {name}={text}: expected a number") from error
