"""The artifact store as a folder: every file once, named by its digest.

<root>
├── blobs/sha256/ab/abcd…   the bytes whose SHA-256 is abcd…, read-only
└── partial/                what is being copied
"""

import asyncio
import errno
import functools
import hashlib
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from services.importer.domain import Unacceptable
from services.importer.ports import Blob, Opener
from services.importer.sources.threads import to_its_end
from shared.errors import Transient
from shared.values import Reason

# From the measured flattening of copy speed; also the memory that a copy needs.
CHUNK_BYTES = 1024 * 1024
# A copy returns to the event loop this often, to report progress and to hear that it must stop.
SLICE_BYTES = 64 * CHUNK_BYTES
# A copy under way touches its file all the time, so one this old was left by a process that died.
ABANDONED_AFTER_S = 24 * 3600.0
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class ArtifactFolder:
    """Content-addressed files. Any number of processes may share the folder."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs" / "sha256"
        self._partial = root / "partial"

    async def prepare(self) -> None:
        """Make the folders, and remove what processes that died left half copied.

        Raises:
            Transient: the folder cannot be written.
        """
        try:
            await asyncio.to_thread(self._prepare)
        except OSError as error:
            raise Transient(f"the artifact folder cannot be written: {error}") from error

    def _prepare(self) -> None:
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._partial.mkdir(parents=True, exist_ok=True)
        for left in self._partial.iterdir():
            if time.time() - left.stat().st_mtime > ABANDONED_AFTER_S:
                left.unlink(missing_ok=True)

    def path_of(self, digest: str) -> Path:
        """Where the bytes of a digest are, or would be."""
        name = digest.removeprefix("sha256:")
        return self._blobs / name[:2] / name

    async def put(self, content: BinaryIO, progress: Callable[[int], Awaitable[None]]) -> Blob:
        partial = self._partial / uuid.uuid4().hex
        try:
            return await self._copy(content, partial, progress)
        except OSError as error:
            raise _fault(error) from error
        finally:
            partial.unlink(missing_ok=True)

    async def holds(self, digests: Sequence[str]) -> set[str]:
        return await to_its_end(lambda: {digest for digest in digests if self.path_of(digest).exists()})

    def opener(self, digest: str, size_bytes: int) -> Opener:  # noqa: ARG002 - other stores need to know it
        return functools.partial(_open, self.path_of(digest))

    async def _copy(self, content: BinaryIO, partial: Path, progress: Callable[[int], Awaitable[None]]) -> Blob:
        copy = _Copy(content, partial)
        try:
            while not copy.finished:
                await progress(await to_its_end(copy.advance))
            return await asyncio.to_thread(self._keep, copy)
        finally:
            copy.close()

    def _keep(self, copy: "_Copy") -> Blob:
        digest = f"sha256:{copy.digest.hexdigest()}"
        final = self.path_of(digest)
        if not final.exists():
            copy.sync()
            self._make_folder(final.parent)
            copy.partial.chmod(0o444)
            copy.partial.rename(final)  # atomic; two that put the same bytes at once put the same file
            _sync_folder(final.parent)
        return Blob(digest, copy.size_bytes)

    def _make_folder(self, folder: Path) -> None:
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            _sync_folder(self._blobs)


class _Copy:
    """One pass over a file: read, digest, write."""

    def __init__(self, content: BinaryIO, partial: Path) -> None:
        self.partial = partial
        self.digest = hashlib.sha256()
        self.size_bytes = 0
        self.finished = False
        self._content = content
        self._target = partial.open("xb", buffering=0)

    def advance(self) -> int:
        """Copy up to a slice; returns how many bytes it was."""
        buffer = memoryview(bytearray(CHUNK_BYTES))
        before = self.size_bytes
        while not self.finished and self.size_bytes - before < SLICE_BYTES:
            chunk = buffer[: self._read(buffer)]
            self.digest.update(chunk)
            written = 0
            while written < len(chunk):
                written += self._target.write(chunk[written:]) or 0
            self.size_bytes += len(chunk)
            self.finished = not chunk
        return self.size_bytes - before

    def _read(self, buffer: memoryview) -> int:
        try:
            return self._content.readinto(buffer) or 0  # type: ignore[attr-defined]  # raw files have it
        except OSError as error:
            raise Unacceptable(
                Reason.LOCATION_UNREADABLE, f"a file of the package cannot be read: {error.strerror}"
            ) from error

    def sync(self) -> None:
        os.fsync(self._target.fileno())

    def close(self) -> None:
        self._target.close()


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise Transient(f"the artifact store cannot be read: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fault(error: OSError) -> Exception:
    if error.errno in _FULL:
        return Unacceptable(Reason.ARTIFACT_STORE_FULL, f"the artifact store is full: {error.strerror}")
    return Transient(f"the artifact store cannot be written: {error}")
