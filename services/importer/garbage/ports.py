"""What collecting garbage needs to remember, shared by every process of the importer."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from services.importer.ports import Blob


class Round(NamedTuple):
    """Where collecting stands."""

    number: int
    """Goes up each time that blobs have been doomed."""
    under_way: bool
    """Whether blobs may be doomed: an import that begins now must take what it relies on out of them."""


class Watcher(NamedTuple):
    """What a process says of the imports that are under way in it."""

    beats: int
    """Goes up as long as the process lives."""
    oldest_round: int
    """The round in which the oldest of them began; where none is under way, the one it knows of."""


class GarbageStore(Protocol):
    """Each method raises Transient where the store is away."""

    async def round(self) -> Round:
        """Where collecting stands now."""
        ...

    async def report(self, process: str, oldest_round: int) -> bool:
        """A sign of life. False: the process was not known; had it been, it was struck off as dead."""
        ...

    async def leave(self, process: str) -> None:
        """Nothing is under way in this process any more."""
        ...

    async def watchers(self) -> Mapping[str, Watcher]:
        """Every process by its id."""
        ...

    async def strike_off(self, process: str, beats: int) -> None:
        """Forget a process that gave no sign of life since it had said `beats`."""
        ...

    async def holder(self) -> tuple[str | None, int]:
        """Who collects now, and its signs of life."""
        ...

    async def take(self, collector: str, seen: tuple[str | None, int]) -> bool:
        """Become the one who collects, in the place of what was seen there. False: another was faster."""
        ...

    async def beat(self, collector: str) -> bool:
        """A sign of life of the collector. False: another took its place."""
        ...

    async def begin_round(self, collector: str) -> int:
        """Let a new round begin; returns its number. Raises Transient where another collects."""
        ...

    async def end(self, collector: str, *, finished: bool) -> None:
        """Collect no longer. `finished`: nothing is doomed any more."""
        ...

    async def doom(self, blobs: Sequence[Blob]) -> None:
        """Write down what may be removed; what is there already stays as it is."""
        ...

    async def doomed(self, after: str, limit: int, *, going: bool = False) -> Sequence[Blob]:
        """A page of what is doomed (or going) by digest."""
        ...

    async def spare(self, digests: Sequence[str]) -> set[str]:
        """Take blobs out of what is doomed; returns those that are going already: they cannot be kept."""
        ...

    async def condemn(self, digests: Sequence[str]) -> set[str]:
        """Of these, what is still doomed is going from now on; returns all that are going."""
        ...

    async def gone(self, digests: Sequence[str]) -> None:
        """Their bytes are removed: forget that they were doomed."""
        ...
