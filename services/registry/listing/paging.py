"""Puts a page together: along which index, what passes the filters, where it ends, how many there are. Pure: reads by a port.

Two ways lead to a page. What is sorted as wanted is walked in steps until the page is full. What is not, but is
little, is read whole and sorted here. No reply looks at more than some thousand documents, however many there are:
a page that finds too few among those ends early, and its `next` goes on from there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from services.registry.listing.cursors import Cursor
from services.registry.listing.terms import SPARSER
from services.registry.listing.walking import WIDEST_STEP, Document, Path, Shelf, about, steps

# As many are read whole and sorted here. From the cost of a document, some 0.05 ms on the embedded store.
MOST_GATHERED = 1000
# Beyond what is left out by `offset`, a reply looks at so many.
MOST_LOOKED_AT = 2000
# So far totals are counted where all that lies on a path passes; where each has to be looked at, so many are.
MOST_COUNTED = 1000
LOOKED_AT_TO_COUNT = 500


@dataclass(frozen=True, slots=True)
class Way:
    """An index that leads to everything that passes, and to more where it is not `whole`."""

    path: Path
    whole: bool = False
    """Whether all that lies on it passes."""
    size: int | None = None
    """How much lies on it, where that is known."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which page."""

    key: str
    """The field that sorts."""
    descending: bool
    limit: int
    cursor: Cursor
    passes: Callable[[Document], bool]

    @property
    def first(self) -> bool:
        """Whether nobody has counted yet."""
        return self.cursor.total is None


@dataclass(frozen=True, slots=True)
class Found:
    """A page, and the cursor of the next; None after the last."""

    documents: list[Document]
    next: Cursor | None
    total: int | None
    total_is_exact: bool


async def find(shelf: Shelf, wanted: Wanted, ways: Sequence[Way]) -> Found:
    """The page, along the best of these ways. One of them at least is sorted as wanted."""
    sorted_ways = [way for way in ways if way.path.key == wanted.key]
    for way in sorted_ways:
        if way.whole:
            return await _walk(shelf, wanted, way)
    known = [way for way in ways if way.size is not None and way.size <= MOST_GATHERED]
    if known:
        return gathered(await shelf.read(min(known, key=_size).path), wanted)
    sized = [await _measured(shelf, way) for way in ways] if len(ways) > 1 else list(ways)
    least = min(sized, key=lambda way: (_size(way), way.path.key != wanted.key))
    if least.size is not None and least.size <= MOST_GATHERED:
        return gathered(await shelf.read(least.path), wanted)
    return await _walk(shelf, wanted, min((way for way in sized if way.path.key == wanted.key), key=_size))


def gathered(documents: Sequence[Document], wanted: Wanted) -> Found:
    """A page of documents that are all at hand."""
    passing = [document for document in documents if wanted.passes(document)]
    passing.sort(key=lambda document: str(document[wanted.key]), reverse=wanted.descending)
    cursor = wanted.cursor
    left = [document for document in passing if _is_beyond(document, wanted)][cursor.skip :]
    page = left[: wanted.limit]
    following = replace(cursor, key=page[-1][wanted.key], skip=0) if len(left) > len(page) else None
    return _counted(wanted, Found(page, following, len(passing), total_is_exact=True))


async def _measured(shelf: Shelf, way: Way) -> Way:
    return way if way.size is not None else replace(way, size=await about(shelf, way.path))


def _size(way: Way) -> int:
    return MOST_GATHERED + 1 if way.size is None else way.size


def _is_beyond(document: Document, wanted: Wanted) -> bool:
    key = wanted.cursor.key
    if not key:
        return True
    return bool(document[wanted.key] < key if wanted.descending else document[wanted.key] > key)


@dataclass(slots=True)
class _Progress:
    """How far a walk has come."""

    skip: int
    page: list[Document]
    key: str
    looked_at: int = 0
    passed: int = 0
    more: bool = False

    def add(self, documents: Sequence[Document], wanted: Wanted) -> None:
        for document in documents:
            self.looked_at += 1
            if not self.more:
                self.key = document[wanted.key]
            if not wanted.passes(document):
                continue
            self.passed += 1
            if self.skip:
                self.skip -= 1
            elif len(self.page) < wanted.limit:
                self.page.append(document)
            else:
                self.more = True


async def _walk(shelf: Shelf, wanted: Wanted, way: Way) -> Found:
    cursor = wanted.cursor
    path = way.path.beyond(cursor.key, descending=wanted.descending) if cursor.key else way.path
    progress = _Progress(cursor.skip, [], cursor.key)
    known = way.size if way.whole else None
    enough = LOOKED_AT_TO_COUNT if wanted.first and not way.whole else 0
    ended = True
    async for step in steps(shelf, path, descending=wanted.descending, width=_width(wanted, way)):
        progress.add(step, wanted)
        filled = progress.more and progress.looked_at >= enough
        if filled or progress.looked_at >= cursor.skip + MOST_LOOKED_AT:
            ended = False
            break
    following = None if ended and not progress.more else _following(progress, wanted)
    found = Found(progress.page, following, progress.passed, total_is_exact=ended)
    if wanted.first and way.whole and not ended:
        found = await _with_total(shelf, way.path, found, known)
    return _counted(wanted, found)


def _width(wanted: Wanted, way: Way) -> int:
    """Of what passes whole, as wide as the page; else as wide as a step may be."""
    if not way.whole:
        return WIDEST_STEP
    return min(WIDEST_STEP, 1 + (wanted.cursor.skip + wanted.limit) // SPARSER)


def _following(progress: _Progress, wanted: Wanted) -> Cursor:
    """After the last of a full page; where it is not full, after all that was looked at."""
    key = progress.page[-1][wanted.key] if progress.more else progress.key
    return replace(wanted.cursor, key=key, skip=progress.skip)


async def _with_total(shelf: Shelf, path: Path, found: Found, known: int | None) -> Found:
    """How many lie on a path of which all passes. Where milestones say that there are many, nobody counts."""
    if known is None and await about(shelf, path) <= MOST_COUNTED * 5 // 4:
        known = len(await shelf.read(path, keys_only=True))
    if known is None:
        return replace(found, total=MOST_COUNTED, total_is_exact=False)
    return replace(found, total=known, total_is_exact=True)


def _counted(wanted: Wanted, found: Found) -> Found:
    """With the total, which is counted on the first page and goes from page to page."""
    cursor = wanted.cursor
    if not wanted.first:
        return replace(found, total=cursor.total, total_is_exact=cursor.total_is_exact)
    if found.next is None:
        return found
    following = replace(found.next, total=found.total, total_is_exact=found.total_is_exact)
    return replace(found, next=following)
