"""What the importer needs of the outside."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import BinaryIO, NamedTuple, Protocol

from shared.contents import Contents
from shared.messages import ImportRefused, ImportRequest, ModelImported, VersionRefused
from shared.ports import Pingable
from shared.values import FromImage, Image

Outcome = ModelImported | ImportRefused
Opener = Callable[[], BinaryIO]
"""Opens bytes for reading from their start; what it gives has `readinto` and can seek.

Raises Unacceptable where they have become unreadable. Blocks: call it off the event
loop. Can be pickled, for another process to call.
"""


class FoundFile(NamedTuple):
    """A file of a package, not read yet."""

    path: str
    """Inside the package, '/' between folders."""
    size_bytes: int
    open: Opener
    state: str | None = None
    """Another text whenever the bytes at this place are others (an ETag, an inode with its times); None: nobody knows."""


class ModelSource(Protocol):
    def found(self, location: str, workspace: str) -> AbstractAsyncContextManager[Sequence[FoundFile]]:
        """The files at a location, by path; they can be opened inside the block.

        A folder gives the files below it, an archive its members, any other file itself, under its own name.

        Raises:
            Unacceptable: the location or what is there breaks a rule.
            Transient: what holds the files is away.
        """
        ...

    async def folders(self, location: str, workspace: str) -> Sequence[str]:
        """The names of the folders right below a location, by name. Raises as `found` does."""
        ...


class Blob(NamedTuple):
    """Bytes in the artifact store."""

    digest: str
    """`sha256:<64 hex>`"""
    size_bytes: int


class ArtifactStore(Protocol):
    async def prepare(self) -> None:
        """Make ready what is needed to keep bytes; a no-op where it is. Raises Transient where the store is away."""
        ...

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

    async def holds(self, digests: Sequence[str]) -> set[str]:
        """Those of the digests whose bytes are kept."""
        ...

    def opener(self, digest: str, size_bytes: int) -> Opener:
        """How to read the bytes of a digest that is kept."""
        ...


class Inspector(Protocol):
    async def inspect(self, files: Sequence[FoundFile]) -> Contents:
        """Read what the files of a package say of themselves, and look for code that loading them would run.

        Never raises for what a file holds: what cannot be read or judged in the limits of
        time and memory is said to be so.
        """
        ...


class Images(Protocol):
    async def resolve(self, source: FromImage, workspace: str) -> "ResolvedImage":
        """Find an image in its registry and pin it by digest.

        Raises:
            Unacceptable: the reference is wrong, the image is not there, may not be read, or has no such platform.
            Transient: the registry is away.
        """
        ...

    async def probe(self, image: Image, health: Mapping[str, object], workspace: str) -> None:
        """Start the image, call its health URL within the delays it declares, and remove it again.

        Raises:
            Unacceptable: there is no engine, or the image does not answer as it should.
        """
        ...


class ResolvedImage(NamedTuple):
    image: Image
    manifest: bytes
    """As the registry gave it; its SHA-256 is the digest of the image."""
    configuration: bytes
    """The image's own configuration document, likewise."""


class ImportStore(Pingable, Protocol):
    async def outcome_of(self, request: ImportRequest) -> Outcome | None:
        """What was decided on this request: on this very message, or on another that asked for the same import."""
        ...

    async def decide(self, request: ImportRequest, outcome: Outcome) -> Outcome:
        """Record the outcome of a request; where one stands already, that one is returned and holds.

        An import that succeeded stands for every request with the same import id. A
        refusal stands for its own message alone, so that a new request may try again.
        """
        ...

    async def release(self, refused: VersionRefused) -> None:
        """The import got no version: a new request may try again. A repeat is a no-op."""
        ...

    async def imported(self, import_ids: Sequence[str]) -> set[str]:
        """Those of the imports that have succeeded."""
        ...

    async def blobs_of(self, states: Sequence[str]) -> Mapping[str, Blob]:
        """What is known of places in these states (FoundFile.state): the bytes that were read there."""
        ...

    async def remember(self, blobs: Mapping[str, Blob]) -> None:
        """Keep, for some weeks, which bytes were read in a state, so that they need not be read again."""
        ...
