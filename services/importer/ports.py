"""What the importer needs of the outside."""

from collections.abc import Awaitable, Callable, Sequence
from typing import BinaryIO, NamedTuple, Protocol

from shared.messages import ImportRefused, ModelImported, TrainingSucceeded, VersionRefused
from shared.ports import Pingable

Outcome = ModelImported | ImportRefused


class FoundFile(NamedTuple):
    """A file of a package, not read yet."""

    path: str
    """Inside the package, '/' between folders."""
    size_bytes: int
    open: Callable[[], BinaryIO]
    """Raises Unacceptable where the file has become unreadable. Blocks: call it off the event loop."""


class ModelSource(Protocol):
    async def find(self, location: str) -> Sequence[FoundFile]:
        """The files of the package at a location, by path.

        Raises:
            Unacceptable: the location or what is there breaks a rule.
        """
        ...


class Blob(NamedTuple):
    """Bytes in the artifact store."""

    digest: str
    """`sha256:<64 hex>`"""
    size_bytes: int


class ArtifactStore(Protocol):
    async def put(self, content: BinaryIO, progress: Callable[[int], Awaitable[None]]) -> Blob:
        """Keep all bytes that `content` gives, under their digest; bytes that are kept already are not kept twice.

        Reads once, in constant memory. When this returns, the bytes outlive a crash; when
        it raises, nothing is left behind.

        Args:
            content: at its start; not closed here.
            progress: told how many more bytes were copied, every few MB.

        Raises:
            Unacceptable: the store is full, or `content` cannot be read.
            Transient: the store is away.
        """
        ...


class ImportStore(Pingable, Protocol):
    async def outcome_of(self, request: TrainingSucceeded) -> Outcome | None:
        """What was decided on this request: on this very message, or on another that asked for the same import."""
        ...

    async def decide(self, request: TrainingSucceeded, outcome: Outcome) -> Outcome:
        """Record the outcome of a request; where one stands already, that one is returned and holds.

        An import that succeeded stands for every request with the same import id. A
        refusal stands for its own message alone, so that a new request may try again.
        """
        ...

    async def release(self, refused: VersionRefused) -> None:
        """The import got no version: a new request may try again. A repeat is a no-op."""
        ...
