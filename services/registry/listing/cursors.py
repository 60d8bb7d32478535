"""Where a page ends: an opaque text that the next question brings back. Pure.

A dot and base64 of a JSON array: no name and no version number begins with a dot.
"""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass

from shared.errors import Malformed
from shared.queries import Filters
from shared.texts import shown

_MARK = "."
# What may differ between the question for one page and that for the next.
_PAGING = {"after", "offset", "limit"}


@dataclass(frozen=True, slots=True)
class Cursor:
    key: str
    """The sort key of the last one that was looked at; what comes after it is next. Empty: nothing was yet."""
    skip: int = 0
    """So many are still to be left out."""
    total: int | None = None
    total_is_exact: bool = True

    def written(self, query: Filters) -> str:
        content = [self.key, self.skip, self.total, self.total_is_exact, _question(query)]
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        return _MARK + base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def is_opaque(text: str) -> bool:
    return text.startswith(_MARK)


def read_cursor(text: str, query: Filters) -> Cursor:
    """Read what `written` wrote.

    Raises:
        Malformed: it is no cursor of ours, or one of another question.
    """
    match _content(text):
        case [str(key), int(skip), int() | None as total, bool(exact), str(question)] if skip >= 0:
            if question != _question(query):
                raise Malformed(
                    f"after {shown(text)}: it belongs to a question with other filters or another order:"
                    " expected `next` of a page of this one"
                )
            return Cursor(key, skip, total, exact)
        case _:
            raise not_ours(text, "`next` of the page before")


def not_ours(text: str, expected: str) -> Malformed:
    return Malformed(f"after {shown(text)}: expected {expected}")


def _content(text: str) -> object:
    try:
        raw = text.removeprefix(_MARK).encode()
        return json.loads(base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        return None


def _question(query: Filters) -> str:
    filters = query.model_dump_json(exclude=_PAGING)
    return hashlib.blake2b(f"{type(query).__name__}{filters}".encode(), digest_size=6).hexdigest()
