"""The artifact store as a folder: every file once, named by its digest.

<root>
├── blobs/sha256/ab/abcd…   the bytes whose SHA-256 is abcd…, read-only
└── partial/                what is being copied
"""

import contextlib
import errno
import functools
import os
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from services.importer.artifacts.digests import is_hex_digest, missing, too_short, unreadable
from services.importer.digesting import Pass
from services.importer.domain import Unacceptable
from services.importer.ports import Blob, Opener
from services.importer.threads import Stop, to_its_end
from shared.errors import Transient
from shared.values import Reason

# A copy under way touches its file all the time, so one this old was left by a process that died.
ABANDONED_AFTER_S = 24 * 3600.0
# What no repeat mends.
_DAMAGED = {errno.EIO, errno.EISDIR}
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
            await to_its_end(self._prepare)
        except OSError as error:
            why = f"{self._partial.parent}: {error.strerror}"
            expected = f"expected a folder that uid {os.getuid()} may write (MODELKIN_ARTIFACTS)"
            raise Transient(f"the artifact folder cannot be written: {why}: {expected}") from error

    def _prepare(self) -> None:
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._partial.mkdir(parents=True, exist_ok=True)
        # A folder that is there may be another user's, or on a disk that is read only.
        with tempfile.TemporaryFile(dir=self._partial):
            pass
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
            with contextlib.suppress(OSError):  # what went wrong before is what is told
                partial.unlink(missing_ok=True)

    async def holds(self, digests: Sequence[str]) -> set[str]:
        return await to_its_end(lambda: {digest for digest in digests if self.path_of(digest).exists()})

    def opener(self, digest: str, size_bytes: int) -> Opener:  # noqa: ARG002 - other stores need to know it
        return functools.partial(_open, self.path_of(digest))

    async def size_of(self, digest: str) -> int | None:
        return await to_its_end(functools.partial(_size_of, self.path_of(digest)))

    async def read(self, digest: str, offset: int, size_bytes: int) -> bytes:
        return await to_its_end(functools.partial(_read, self.path_of(digest), offset, size_bytes))

    async def listed(self) -> AsyncIterator[Blob]:
        try:
            for folder in sorted(await to_its_end(functools.partial(os.listdir, self._blobs))):
                for blob in await to_its_end(functools.partial(_blobs_in, self._blobs / folder)):
                    yield blob
        except OSError as error:
            raise _unreadable(error) from error

    async def remove(self, digests: Sequence[str]) -> None:
        await _removed([self.path_of(digest) for digest in digests])

    async def half_copied(self) -> Sequence[str]:
        try:
            return await to_its_end(functools.partial(os.listdir, self._partial))
        except OSError as error:
            raise _unreadable(error) from error

    async def remove_half_copied(self, names: Sequence[str]) -> None:
        await _removed([self._partial / name for name in names])

    async def _copy(self, content: BinaryIO, partial: Path, progress: Callable[[int], Awaitable[None]]) -> Blob:
        copy = _Copy(content, partial)
        try:
            blob, stop = None, Stop()
            while blob is None:
                more_bytes, blob = await to_its_end(functools.partial(self._advance, copy, stop), stop)
                await progress(more_bytes)
            return blob
        finally:
            copy.close()

    def _advance(self, copy: "_Copy", stop: Stop) -> tuple[int, Blob | None]:
        """The next slice; with the last one the file is kept: a small file takes a thread once."""
        more_bytes = copy.reading.advance()
        stop.check()
        return more_bytes, self._keep(copy) if copy.reading.finished else None

    def _keep(self, copy: "_Copy") -> Blob:
        blob = copy.reading.blob
        final = self.path_of(blob.digest)
        if not final.exists():
            copy.sync()
            self._make_folder(final.parent)
            copy.partial.chmod(0o444)
            copy.partial.rename(final)  # atomic; two that put the same bytes at once put the same file
            _sync_folder(final.parent)
        return blob

    def _make_folder(self, folder: Path) -> None:
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            _sync_folder(self._blobs)


class _Copy:
    """A file that is being written."""

    def __init__(self, content: BinaryIO, partial: Path) -> None:
        self.partial = partial
        self.reading = Pass(content, self._write)
        self._target = partial.open("xb", buffering=0)

    def _write(self, chunk: memoryview) -> None:
        while chunk:
            chunk = chunk[self._target.write(chunk) or 0 :]

    def sync(self) -> None:
        os.fsync(self._target.fileno())

    def close(self) -> None:
        self._target.close()


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise _unreadable(error) from error


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(error) from error


def _read(path: Path, offset: int, size_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read(size_bytes)
    except FileNotFoundError:
        raise missing(path.name) from None
    except OSError as error:
        if error.errno in _DAMAGED:
            raise unreadable(path.name, error.strerror) from error
        raise _unreadable(error) from error
    if len(content) < size_bytes:
        raise too_short(path.name, offset + len(content), offset + size_bytes)
    return content


def _blobs_in(folder: Path) -> list[Blob]:
    """By digest. A folder has one 256th of all, so its names fit into memory."""
    blobs = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if is_hex_digest(entry.name) and entry.is_file(follow_symlinks=False):
                    blobs.append(Blob(f"sha256:{entry.name}", entry.stat(follow_symlinks=False).st_size))
    return sorted(blobs)


async def _removed(paths: Sequence[Path]) -> None:
    def remove() -> None:
        for path in paths:
            path.unlink(missing_ok=True)

    try:
        await to_its_end(remove)
    except OSError as error:
        raise _fault(error) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unreadable(error: OSError) -> Transient:
    return Transient(f"the artifact store cannot be read: {error.strerror}")


def _fault(error: OSError) -> Exception:
    if error.errno in _FULL:
        return Unacceptable(Reason.ARTIFACT_STORE_FULL, f"the artifact store is full: {error.strerror}")
    return Transient(f"the artifact store cannot be written: {error}")
