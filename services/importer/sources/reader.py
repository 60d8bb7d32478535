"""An object of a bucket as a file."""

import io
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

import obstore
from obstore import exceptions
from typing_extensions import Buffer

from services.importer.domain import Unacceptable
from services.importer.sources.buckets import Bucket, fault_of
from services.importer.sources.limits import shown_end
from services.importer.sources.windows import place
from shared.values import Reason

# From the measured flattening of the speed.
CHUNK_BYTES = 1024 * 1024
# After a seek: as long as reading goes on from there, each request asks for four times as much.
FIRST_RANGE_BYTES = 256 * 1024
_RANGE_GROWTH = 4


class ObjectVersion(NamedTuple):
    """An object as it was when it was listed. Can be pickled."""

    bucket: Bucket
    key: str
    size_bytes: int
    e_tag: str | None


def open_object(version: ObjectVersion) -> BinaryIO:
    return cast("BinaryIO", ObjectReader(version))


class ObjectReader(io.RawIOBase):
    """Read from its start, one request gives all; after a seek, requests ask for ranges. Nothing is asked before."""

    def __init__(self, version: ObjectVersion) -> None:
        super().__init__()
        self._version = version
        self._position = 0
        self._chunks: Iterator[bytes] | None = None
        self._rest = memoryview(b"")
        self._until = 0
        self._range_bytes: int | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        target = memoryview(buffer).cast("B")
        if not target or self._position >= self._version.size_bytes:
            return 0
        if not self._rest:
            self._rest = self._next(len(target))
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._position += count
        return count

    def _next(self, wanted_bytes: int) -> memoryview:
        try:
            if self._chunks is None or self._position >= self._until:
                self._chunks = self._request(wanted_bytes)
            return memoryview(next(self._chunks))
        except StopIteration:
            raise self._changed() from None
        except (exceptions.BaseError, OSError, ValueError) as error:
            raise fault_of(error, self._name) from None

    def _request(self, wanted_bytes: int) -> Iterator[bytes]:
        options: obstore.GetOptions = {"if_match": self._version.e_tag} if self._version.e_tag else {}
        self._until = self._version.size_bytes
        if self._range_bytes is not None:
            self._range_bytes = max(self._range_bytes, wanted_bytes)
            self._until = min(self._position + self._range_bytes, self._until)
            options["range"] = (self._position, self._until)
            self._range_bytes *= _RANGE_GROWTH
        answer = obstore.get(self._version.bucket.client, self._version.key, options=options)
        if answer.meta["size"] != self._version.size_bytes:
            raise self._changed()
        return answer.stream(min_chunk_size=CHUNK_BYTES)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        position = place(offset, whence, self._position, self._version.size_bytes)
        ahead = position - self._position
        if 0 <= ahead <= len(self._rest):
            self._rest = self._rest[ahead:]
        else:
            self._chunks, self._rest = None, memoryview(b"")
            self._range_bytes = FIRST_RANGE_BYTES
        self._position = position
        return position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        self._chunks, self._rest = None, memoryview(b"")
        super().close()

    @property
    def _name(self) -> str:
        return shown_end(self._version.key)

    def _changed(self) -> Unacceptable:
        return Unacceptable(Reason.FILE_CHANGED, f"{self._name} changed while it was read")
