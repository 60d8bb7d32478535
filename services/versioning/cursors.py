"""Pages of an answer that was walked for: where a page ended, and the last few walks kept for those who ask on."""

import base64
import binascii
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Sized
from typing import Generic, NamedTuple, TypeVar

from shared.errors import Refused
from shared.texts import shown

Walked = TypeVar("Walked", bound=Sized)

KEPT_S = 60.0
KEPT_WALKS = 8
# In all of them together, a few hundred bytes each.
KEPT_VERSIONS = 200_000


class Position(NamedTuple):
    """The place of a version in an answer: what comes after it compares greater."""

    part: int
    distance: int
    node: str


def cursor_after(question: str, position: Position) -> str:
    """Text for `next`."""
    return base64.urlsafe_b64encode(json.dumps([_fingerprint(question), *position]).encode()).decode()


def position_of(question: str, cursor: str) -> Position:
    """Where the page before ended.

    Raises:
        Refused: the cursor is none, or that of another question.
    """
    try:
        fingerprint, part, distance, node = json.loads(base64.urlsafe_b64decode(cursor))
    except (ValueError, binascii.Error, TypeError, RecursionError):
        raise _refused(cursor, "expected `next` of the page before") from None
    if not (isinstance(part, int) and isinstance(distance, int) and isinstance(node, str)):
        raise _refused(cursor, "expected `next` of the page before")
    if fingerprint != _fingerprint(question):
        raise _refused(cursor, "it belongs to another question; expected the same question with another `after`")
    return Position(part, distance, node)


def _refused(cursor: str, message: str) -> Refused:
    return Refused("invalid-cursor", f"after {shown(cursor)}: {message}")


def _fingerprint(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()[:16]


class Walks(Generic[Walked]):
    """The last few walks by question, for a short time: who asks on may get the one before, who asks anew gets a new one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, Walked]] = OrderedDict()

    def take(self, question: str) -> Walked | None:
        """Nobody else has a walk that was taken; it is kept again when it did its work."""
        self._drop()
        return self._kept.pop(question, (0.0, None))[1]

    def keep(self, question: str, walk: Walked) -> None:
        self._kept.pop(question, None)
        self._kept[question] = self._clock(), walk
        self._drop()

    def _drop(self) -> None:
        old = self._clock() - KEPT_S
        while self._kept and (
            len(self._kept) > KEPT_WALKS
            or next(iter(self._kept.values()))[0] <= old
            or sum(len(walk) for _, walk in self._kept.values()) > KEPT_VERSIONS
        ):
            self._kept.popitem(last=False)
