"""Walks along an index in bounded steps, and tells about how much there is, from milestones (terms.py). Pure: reads by a port."""

import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from services.registry.listing.terms import LEVELS, SPARSER, at_level

Document = dict[str, Any]
# Sorts after every key.
END = "\U0010ffff"
# A step reads as many documents as lie between so many milestones of level 1.
WIDEST_STEP = 16


@dataclass(frozen=True, slots=True)
class Span:
    """Keys between two others, both left out unless said."""

    low: str = ""
    high: str = END
    with_low: bool = False
    with_high: bool = False


@dataclass(frozen=True, slots=True)
class Path:
    """An index, by the field that equals a term and the key that sorts; and the part of it to walk along."""

    field: str
    term: str
    key: str
    span: Span = Span()

    def beyond(self, key: str, *, descending: bool) -> "Path":
        """What is left of it after a key."""
        if descending:
            return replace(self, span=replace(self.span, high=min(key, self.span.high), with_high=False))
        return replace(self, span=replace(self.span, low=max(key, self.span.low), with_low=False))


class Shelf(Protocol):
    """A collection that is read along an index."""

    async def read(self, path: Path, *, keys_only: bool = False) -> list[Document]:
        """Every document on the path, in any order; with `keys_only` no more of each than its sort key."""
        ...


class Remembering:
    """A shelf for one question, which reads nothing twice: to weigh a path, to walk along it and to count it go by the same milestones."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._read: dict[tuple[Path, bool], list[Document]] = {}

    async def read(self, path: Path, *, keys_only: bool = False) -> list[Document]:
        if (path, keys_only) not in self._read:
            self._read[path, keys_only] = await self._shelf.read(path, keys_only=keys_only)
        return self._read[path, keys_only]


async def steps(
    shelf: Shelf,
    path: Path,
    *,
    descending: bool,
    width: Callable[[], int] = lambda: WIDEST_STEP,
    keys_only: bool = False,
) -> AsyncIterator[list[Document]]:
    """The documents on a path in order, a bounded number at a time: about 32 for each of `width`, which is asked each time."""
    passed = 0
    async for milestone in _milestones(shelf, path, 1, descending=descending):
        passed += 1
        if passed < min(width(), WIDEST_STEP):
            continue
        step, path = _cut(path, milestone, descending=descending)
        yield await _in_order(shelf, step, descending=descending, keys_only=keys_only)
        passed = 0
    yield await _in_order(shelf, path, descending=descending, keys_only=keys_only)


async def merged(
    shelf: Shelf,
    paths: Sequence[Path],
    *,
    descending: bool,
    width: Callable[[], int] = lambda: WIDEST_STEP,
    keys_only: bool = False,
) -> AsyncIterator[list[Document]]:
    """As `steps`, along several paths at once, on which different documents lie in the order of the same key."""
    share = partial(_share, width, len(paths))
    streams = [
        _Stream(path.key, steps(shelf, path, descending=descending, width=share, keys_only=keys_only)) for path in paths
    ]
    while True:
        for stream in streams:
            await stream.fill()
        ends = [stream.end for stream in streams if stream.ahead]
        if not ends:
            return
        # Beyond the nearest end something may follow that nobody has read yet.
        known = max(ends) if descending else min(ends)
        step = [document for stream in streams for document in stream.taken(known, descending=descending)]
        yield sorted(step, key=lambda document: str(document[paths[0].key]), reverse=descending)


def _share(width: Callable[[], int], among: int) -> int:
    return -(-width() // among)


@dataclass(slots=True)
class _Stream:
    """One of several walks."""

    key: str
    steps: AsyncIterator[list[Document]]
    ahead: list[Document] = field(default_factory=list)
    """Read, in order, and not yet taken."""

    @property
    def end(self) -> str:
        return str(self.ahead[-1][self.key])

    async def fill(self) -> None:
        while not self.ahead:
            step = await anext(self.steps, None)
            if step is None:
                return
            self.ahead = step

    def taken(self, known: str, *, descending: bool) -> list[Document]:
        taken = [one for one in self.ahead if (one[self.key] >= known if descending else one[self.key] <= known)]
        self.ahead = self.ahead[len(taken) :]
        return taken


async def about(shelf: Shelf, path: Path) -> int:
    """How many documents are on a path, from milestones: right within a quarter for a thousand, better for more."""
    for level in range(LEVELS, 0, -1):
        found = len(await shelf.read(replace(path, term=at_level(level, path.term)), keys_only=True))
        # One alone says nothing of how many there are.
        if found > 1 or level == 1:
            return int(found * SPARSER**level)
    raise AssertionError("there is a level 1")


async def surely_more(shelf: Shelf, path: Path, count: int, *, descending: bool) -> bool:
    """Whether there are that many documents on a path, as far as milestones can tell.

    Ids are milestones as by chance: of fewer documents, so many are once in ten thousand times.
    """
    for level in range(LEVELS, 0, -1):
        expected = count / SPARSER**level
        left = math.ceil(expected + 4 * math.sqrt(expected)) + 2
        async for _ in _milestones(shelf, path, level, descending=descending):
            left -= 1
            if left == 0:
                return True
    return False


async def _milestones(shelf: Shelf, path: Path, level: int, *, descending: bool) -> AsyncIterator[str]:
    """The keys of a level in order, read between those of the level above."""
    on_level = replace(path, term=at_level(level, path.term))
    if level < LEVELS:
        async for milestone in _milestones(shelf, path, level + 1, descending=descending):
            step, on_level = _cut(on_level, milestone, descending=descending)
            for document in await _in_order(shelf, step, descending=descending, keys_only=True):
                yield document[path.key]
    for document in await _in_order(shelf, on_level, descending=descending, keys_only=True):
        yield document[path.key]


def _cut(path: Path, milestone: str, *, descending: bool) -> tuple[Path, Path]:
    """The path up to a milestone, which is part of it, and what is left after that."""
    here = replace(path.span, low=milestone, with_low=True) if descending else None
    upto = here or replace(path.span, high=milestone, with_high=True)
    return replace(path, span=upto), path.beyond(milestone, descending=descending)


async def _in_order(shelf: Shelf, path: Path, *, descending: bool, keys_only: bool) -> list[Document]:
    found = await shelf.read(path, keys_only=keys_only)
    return sorted(found, key=lambda document: str(document[path.key]), reverse=descending)
