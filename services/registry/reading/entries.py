"""How an event is told in the history of a model: who, what and why, without what is large or secret. Pure."""

import base64
import binascii
import re
from typing import Any

from services.registry.ports import Told
from services.registry.rules.placement import LONGEST_MESSAGE
from shared.errors import Malformed
from shared.messages import AliasMoved, Message, VersionAssigned
from shared.queries import HistoryEntry

_EVENTS = "modelkin.evt.v1."
# What an entry says elsewhere, and what of a registration is large: it is found in the version itself.
_SAID = {"workspace", "model", "version", "by", "why", "ordinal"}
_LARGE = {"parameters", "metrics", "edges"}
_MOST_LISTED = 20
_KEY = re.compile(r"\d{18}/.{1,200}", re.DOTALL)


def entry(told: Told) -> HistoryEntry:
    event = told.event
    return HistoryEntry(
        at=event.envelope.time,
        event=event.address.removeprefix(_EVENTS),
        event_id=event.envelope.id,
        cause_id=event.envelope.cause_id,
        version=_version(event),
        by=told.by,
        why=getattr(event, "why", ""),
        facts=_facts(event),
    )


def _version(event: Message) -> str | None:
    if isinstance(event, AliasMoved):
        return event.new or event.old
    return getattr(event, "version", None)


def _facts(event: Message) -> dict[str, Any]:
    left_out = _SAID | (_LARGE if isinstance(event, VersionAssigned) else set())
    body = event.model_dump(mode="json", exclude=left_out)
    return {name: _told(value) for name, value in body.items()}


def _told(value: Any) -> Any:
    """Who knows the id of a grant may read the bytes: it is not told again."""
    match value:
        case {"package_digest": _, "expires_at": _}:
            return {name: told for name, told in value.items() if name != "id"}
        case dict():
            return {name: _told(inner) for name, inner in value.items()}
        case list():
            return [_told(inner) for inner in value[:_MOST_LISTED]]
        case str():
            return value[:LONGEST_MESSAGE]
        case _:
            return value


def cursor(key: str) -> str:
    """What a page gives to go on after an event."""
    return base64.urlsafe_b64encode(key.encode()).decode()


def key_of(given: str | None) -> str:
    """The key that a cursor stands for.

    Raises:
        Malformed: no page gave it.
    """
    if given is None:
        return ""
    try:
        key = base64.b64decode(given.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        key = ""
    if not _KEY.fullmatch(key):
        raise Malformed(f"after {given[:80]!r}: expected `next` of the page of history before")
    return key
