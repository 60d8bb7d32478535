"""The artifact store as a bucket: every file once, named by its digest.

<prefix>/blobs/sha256/ab/abcd…   the bytes whose SHA-256 is abcd…

What a process that was killed had half uploaded stays invisible in the bucket; a lifecycle rule
for incomplete multipart uploads removes it.
"""

import asyncio
import functools
import hashlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, BinaryIO

import obstore
from obstore import exceptions

from services.importer.artifacts.digests import is_hex_digest, missing, too_short
from services.importer.digesting import CHUNK_BYTES, Pass
from services.importer.domain import Unacceptable
from services.importer.ports import Blob, Opener
from services.importer.sources.buckets import Bucket
from services.importer.sources.reader import ObjectVersion, open_object
from services.importer.threads import Stop, to_its_end
from shared.errors import Transient
from shared.values import Reason

# Smaller files go up in one request, out of memory.
LARGEST_IN_MEMORY_BYTES = 8 * 1024 * 1024
CONCURRENT_PARTS = 4
# Stores take 10,000 parts of one object.
MOST_PARTS = 9_000
CONCURRENT_REQUESTS = 16


class ObjectArtifacts:
    """Content-addressed objects. Any number of processes may share the bucket."""

    def __init__(self, bucket: Bucket, prefix: str, spool: Path) -> None:
        """`spool` is a folder with room for the largest files that are put at once: a digest is known at a file's end."""
        self.bucket = bucket
        self._start = f"{prefix}/blobs/sha256" if prefix else "blobs/sha256"
        self._spool = spool

    async def prepare(self) -> None:
        """Raises Transient where the bucket cannot be reached, or the spool cannot be written."""
        try:
            self._spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise Transient(f"the importer's spool cannot be written: {error.strerror}") from None
        await self.holds([f"sha256:{hashlib.sha256().hexdigest()}"])

    def key_of(self, digest: str) -> str:
        """Where the bytes of a digest are, or would be."""
        name = digest.removeprefix("sha256:")
        return f"{self._start}/{name[:2]}/{name}"

    async def put(self, content: BinaryIO, progress: Callable[[int], Awaitable[None]]) -> Blob:
        stop = Stop()
        with tempfile.SpooledTemporaryFile(LARGEST_IN_MEMORY_BYTES, dir=str(self._spool)) as spooled:
            reading = Pass(content, _writer(spooled))
            while not reading.finished:
                await progress(await to_its_end(functools.partial(self._advance, reading, spooled, stop), stop))
            return reading.blob

    def _advance(self, reading: Pass, spooled: IO[bytes], stop: Stop) -> int:
        """A slice; with the last one, the object."""
        count = reading.advance()
        if reading.finished:
            self._keep(reading.blob, spooled, stop)
        return count

    def _keep(self, blob: Blob, spooled: IO[bytes], stop: Stop) -> None:
        key = self.key_of(blob.digest)
        try:
            if not self._has(key):
                self._upload(key, blob.size_bytes, spooled, stop)
        except (exceptions.BaseError, OSError) as error:
            raise _fault(error) from None

    def _upload(self, key: str, size_bytes: int, spooled: IO[bytes], stop: Stop) -> None:
        spooled.seek(0)
        if size_bytes <= LARGEST_IN_MEMORY_BYTES:
            obstore.put(self.bucket.client, key, spooled.read(), use_multipart=False)
            return
        part_bytes = max(LARGEST_IN_MEMORY_BYTES, -(-size_bytes // MOST_PARTS))
        chunks = _chunks(spooled, stop)
        obstore.put(self.bucket.client, key, chunks, chunk_size=part_bytes, max_concurrency=CONCURRENT_PARTS)

    def _has(self, key: str) -> bool:
        try:
            obstore.head(self.bucket.client, key)
        except FileNotFoundError:
            return False
        return True

    async def holds(self, digests: Sequence[str]) -> set[str]:
        room = asyncio.Semaphore(CONCURRENT_REQUESTS)

        async def has(digest: str) -> bool:
            async with room:
                try:
                    await obstore.head_async(self.bucket.client, self.key_of(digest))
                except FileNotFoundError:
                    return False
                except (exceptions.BaseError, OSError) as error:
                    raise _fault(error) from None
                return True

        held = await asyncio.gather(*(has(digest) for digest in digests))
        return {digest for digest, is_held in zip(digests, held, strict=True) if is_held}

    async def size_of(self, digest: str) -> int | None:
        try:
            return (await obstore.head_async(self.bucket.client, self.key_of(digest)))["size"]
        except FileNotFoundError:
            return None
        except (exceptions.BaseError, OSError) as error:
            raise _fault(error) from None

    async def read(self, digest: str, offset: int, size_bytes: int) -> bytes:
        end = offset + size_bytes
        try:
            found = await obstore.get_range_async(self.bucket.client, self.key_of(digest), start=offset, end=end)
        except (exceptions.BaseError, OSError, ValueError) as error:
            raise await self._cannot_read(digest, end, error) from None
        if len(found) < size_bytes:
            raise too_short(digest.removeprefix("sha256:"), offset + len(found), end)
        return found.to_bytes()

    async def _cannot_read(self, digest: str, end: int, error: Exception) -> Exception:
        """Stores say in different ways that an object is too short."""
        there_bytes = await self.size_of(digest)
        if there_bytes is None:
            return missing(digest.removeprefix("sha256:"))
        return too_short(digest.removeprefix("sha256:"), there_bytes, end) if there_bytes < end else _fault(error)

    async def listed(self) -> AsyncIterator[Blob]:
        try:
            async for page in obstore.list(self.bucket.client, self._start, chunk_size=1000):
                for found in sorted(page, key=lambda one: one["path"]):
                    name = found["path"].rpartition("/")[2]
                    if is_hex_digest(name):
                        yield Blob(f"sha256:{name}", found["size"])
        except (exceptions.BaseError, OSError) as error:
            raise _fault(error) from None

    async def remove(self, digests: Sequence[str]) -> None:
        room = asyncio.Semaphore(CONCURRENT_REQUESTS)

        async def remove_one(digest: str) -> None:
            async with room:
                try:
                    await obstore.delete_async(self.bucket.client, self.key_of(digest))
                except FileNotFoundError:
                    return
                except (exceptions.BaseError, OSError) as error:
                    raise _fault(error) from None

        await asyncio.gather(*(remove_one(digest) for digest in digests))

    async def half_copied(self) -> Sequence[str]:
        return ()  # what was half uploaded is invisible here

    async def remove_half_copied(self, names: Sequence[str]) -> None:
        """There is none."""

    def opener(self, digest: str, size_bytes: int) -> Opener:
        return functools.partial(open_object, ObjectVersion(self.bucket, self.key_of(digest), size_bytes, None))


def _writer(spooled: IO[bytes]) -> Callable[[memoryview], None]:
    def write(chunk: memoryview) -> None:
        try:
            spooled.write(chunk)
        except OSError as error:
            message = f"the importer's spool takes no more: {error.strerror}"
            raise Unacceptable(Reason.ARTIFACT_STORE_FULL, message) from error

    return write


def _chunks(file: IO[bytes], stop: Stop) -> Iterator[bytes]:
    """An exception on the way aborts the upload, and what was uploaded is removed."""
    while chunk := file.read(CHUNK_BYTES):
        stop.check()
        yield chunk


def _fault(error: Exception) -> Transient:
    """The store is the operator's: whatever is wrong there is no fault of the request."""
    match error:
        case exceptions.PermissionDeniedError() | exceptions.UnauthenticatedError():
            return Transient("the artifact store does not take the importer's credentials")
        case FileNotFoundError():
            return Transient("the bucket of the artifact store does not exist")
        case _:
            return Transient("the artifact store is away")
