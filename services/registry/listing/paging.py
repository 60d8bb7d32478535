"""Puts a page together: along which index, what passes the filters, where it ends, how many there are. Pure: reads by a port.

Two ways lead to a page. What is sorted as wanted is walked in steps until the page is full. What is not, but is
little, is read whole and sorted here. No reply looks at more than some thousand documents, however many there are:
a page that finds too few among those ends early, and its `next` goes on from there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from services.registry.listing.cursors import Cursor
from services.registry.listing.terms import SPARSER
from services.registry.listing.walking import Document, Path, Remembering, Shelf, about, merged, surely_more

# As many are read whole and sorted here. From the cost of a document, some 0.1 ms on the embedded store.
MOST_GATHERED = 1000
# Beyond what is left out by `offset`, a reply looks at so many: at as many as are gathered, so that none is dearer.
MOST_LOOKED_AT = 1000
# So far totals are counted where all that lies on a way passes; where each has to be looked at, so many are.
MOST_COUNTED = 300


@dataclass(frozen=True, slots=True)
class Way:
    """An index that leads to everything that passes, and to more where it is not `whole`."""

    paths: tuple[Path, ...]
    """One; or several in the order of one key, with different things on each."""
    whole: bool = False
    """Whether all that lies on it passes."""
    size: int | None = None
    """How much lies on it, where that is known."""

    @property
    def key(self) -> str:
        return self.paths[0].key

    async def all(self, shelf: Shelf) -> list[Document]:
        return [document for path in self.paths for document in await shelf.read(path)]

    def beyond(self, key: str, *, descending: bool) -> "Way":
        return replace(self, paths=tuple(path.beyond(key, descending=descending) for path in self.paths))


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
    shelf = Remembering(shelf)
    for way in ways:
        if way.whole and way.key == wanted.key:
            return await _walk(shelf, wanted, way)
    known = [way for way in ways if way.size is not None and way.size <= MOST_GATHERED]
    if known:
        return gathered(await min(known, key=_size).all(shelf), wanted)
    sized = [await _measured(shelf, way) for way in ways] if len(ways) > 1 else list(ways)
    least = min(sized, key=lambda way: (_size(way), way.key != wanted.key))
    if least.size is not None and least.size <= MOST_GATHERED:
        return gathered(await least.all(shelf), wanted)
    return await _walk(shelf, wanted, min((way for way in sized if way.key == wanted.key), key=_size))


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
    if way.size is not None:
        return way
    return replace(way, size=sum([await about(shelf, path) for path in way.paths]))


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

    wanted: Wanted
    whole: bool
    skip: int
    key: str
    """Of the last one that was looked at."""
    page: list[Document] = field(default_factory=list)
    looked_at: int = 0
    passed: int = 0
    more: bool = False

    @property
    def most(self) -> int:
        """How many may be looked at."""
        return self.wanted.cursor.skip + MOST_LOOKED_AT

    def add(self, documents: Sequence[Document]) -> None:
        for document in documents:
            self.looked_at += 1
            self.key = document[self.wanted.key]
            if self.whole or self.wanted.passes(document):
                self._pass(document)

    def _pass(self, document: Document) -> None:
        self.passed += 1
        if self.skip:
            self.skip -= 1
        elif len(self.page) < self.wanted.limit:
            self.page.append(document)
        else:
            self.more = True

    def width(self) -> int:
        """How wide the next step should be for what is missing, if as many pass as until now."""
        missing = self.skip + self.wanted.limit - len(self.page) + 1
        expected = missing * (self.looked_at + 1) // (self.passed + 1)
        return 1 + min(expected, self.most - self.looked_at) // SPARSER


async def _walk(shelf: Shelf, wanted: Wanted, way: Way) -> Found:
    cursor, descending = wanted.cursor, wanted.descending
    left = way.beyond(cursor.key, descending=descending) if cursor.key else way
    progress = _Progress(wanted, way.whole, cursor.skip, cursor.key)
    enough = MOST_COUNTED if wanted.first and not way.whole else 0
    ended = True
    async for step in merged(shelf, left.paths, descending=descending, width=progress.width):
        progress.add(step)
        if (progress.more and progress.looked_at >= enough) or progress.looked_at >= progress.most:
            ended = False
            break
    following = None if ended and not progress.more else _following(progress)
    found = Found(progress.page, following, progress.passed, total_is_exact=ended and not cursor.key)
    if wanted.first and way.whole and not found.total_is_exact:
        found = await _with_total(shelf, wanted, way, found, progress)
    return _counted(wanted, found)


def _following(progress: _Progress) -> Cursor:
    """After the last of a full page; where it is not full, after all that was looked at."""
    wanted = progress.wanted
    key = progress.page[-1][wanted.key] if progress.more else progress.key
    return replace(wanted.cursor, key=key, skip=progress.skip)


async def _with_total(shelf: Shelf, wanted: Wanted, way: Way, found: Found, progress: _Progress) -> Found:
    """How many lie on a way on which all passes. Where milestones say that there are many, nobody counts."""
    if way.size is not None:
        return replace(found, total=way.size, total_is_exact=True)
    descending = wanted.descending
    if any([await surely_more(shelf, path, MOST_COUNTED, descending=descending) for path in way.paths]):
        return replace(found, total=MOST_COUNTED, total_is_exact=False)
    rest, counted = way, 0
    if not wanted.cursor.key:
        rest, counted = way.beyond(progress.key, descending=descending), progress.passed
    steps_s = merged(
        shelf,
        rest.paths,
        descending=descending,
        width=lambda: 1 + (MOST_COUNTED - counted) // SPARSER,
        keys_only=True,
    )
    async for step in steps_s:
        counted += len(step)
        if counted > MOST_COUNTED:
            return replace(found, total=MOST_COUNTED, total_is_exact=False)
    return replace(found, total=counted, total_is_exact=True)


def _counted(wanted: Wanted, found: Found) -> Found:
    """With the total, which is counted on the first page and goes from page to page."""
    cursor = wanted.cursor
    if not wanted.first:
        return replace(found, total=cursor.total, total_is_exact=cursor.total_is_exact)
    if found.next is None:
        return found
    following = replace(found.next, total=found.total, total_is_exact=found.total_is_exact)
    return replace(found, next=following)
