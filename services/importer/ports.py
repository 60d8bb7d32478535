"""What the importer needs of the outside."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import BinaryIO, NamedTuple, Protocol

from shared.contents import Contents
from shared.errors import Refused
from shared.messages import ImportRefused, ImportRequest, Message, ModelImported, VersionDeleted, VersionRefused
from shared.ports import Pingable
from shared.queries import GrantDetails
from shared.values import FromImage, Image

Outcome = ModelImported | ImportRefused
Keep = Callable[[Sequence[str]], Awaitable[None]]
"""Makes sure that the bytes of these digests stay while an import relies on them. Raises Transient where they do not."""
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

    async def size_of(self, digest: str) -> int | None:
        """How many bytes are there under a digest; None where there is nothing."""
        ...

    async def read(self, digest: str, offset: int, size_bytes: int) -> bytes:
        """So many of the bytes under a digest, from `offset` on. Off the event loop.

        Raises:
            Damaged: there are fewer, or nothing is there.
            Transient: the store is away.
        """
        ...

    def listed(self) -> AsyncIterator[Blob]:
        """Everything that is kept, by digest, in constant memory. What is put or removed meanwhile may be missing or there."""
        ...

    async def remove(self, digests: Sequence[str]) -> None:
        """Remove the bytes of these digests; what is not there is no error."""
        ...

    async def half_copied(self) -> Sequence[str]:
        """Names of what is being copied now, or was left by a process that died."""
        ...

    async def remove_half_copied(self, names: Sequence[str]) -> None:
        """Remove those of them that are still there: nobody works on them."""
        ...


class Damaged(Refused):
    """Stored bytes are not there, or not what they were."""

    def __init__(self, message: str, found: str) -> None:
        """`found`: what is there instead, in few words."""
        super().__init__("artifact-corrupted", message)
        self.found = found


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


class Grants(Protocol):
    async def get(self, grant: str) -> GrantDetails:
        """A grant that may be used now, or could a few seconds ago.

        Raises:
            Refused: it may not; says why.
            Transient: nobody can be asked.
        """
        ...


class Answers(Protocol):
    """How commands were answered."""

    async def answer_of(self, command: Message) -> Message | None:
        """The answer that stands, None where there is none yet."""
        ...

    async def keep_answer(self, answer: Message) -> Message:
        """Keep the answer to the command that caused it, for some weeks; where one stands, that one is returned and holds."""
        ...


class ResolvedImage(NamedTuple):
    image: Image
    manifest: bytes
    """As the registry gave it; its SHA-256 is the digest of the image."""
    configuration: bytes
    """The image's own configuration document, likewise."""


class Kept(StrEnum):
    """Where the bytes of a package are."""

    WHOLE = "whole"
    IN_PLACE = "in-place"
    UNKNOWN = "unknown"
    """No import whose version stands has such a package."""


class ImportStore(Pingable, Protocol):
    async def outcome_of(self, request: ImportRequest) -> Outcome | None:
        """What was decided on this request: on this very message, or on another that asked for the same import.

        From then on it holds for this message too, also when the import may be made anew.
        """
        ...

    async def decide(self, request: ImportRequest, outcome: Outcome) -> Outcome:
        """Record the outcome of a request; where one stands already, that one is returned and holds.

        An import that succeeded stands for every request with the same import id. A
        refusal stands for its own message alone, so that a new request may try again.
        """
        ...

    async def release(self, refused: VersionRefused) -> None:
        """The import got no version: a new request may try again, and its bytes are needed no longer. A repeat is a no-op."""
        ...

    async def delete(self, deleted: VersionDeleted) -> None:
        """The version of the import was deleted: as with `release`.

        A repeat is a no-op, also where the import was made anew after the first time.
        """
        ...

    async def kept(self, package_digest: str) -> Kept:
        """What imports whose version stands say of a package."""
        ...

    def packages(self) -> AsyncIterator[Sequence[str]]:
        """The digests of packages that are needed, page by page: of every import that succeeded and was neither refused
        a version nor deleted. What is decided meanwhile may be missing; a digest may come again.
        """
        ...

    async def decided(self, request_ids: Sequence[str]) -> set[str]:
        """Those of the requests that have an outcome."""
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
