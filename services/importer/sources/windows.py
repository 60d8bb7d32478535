"""Files that are part of another file: as they are, or deflated."""

import io
import zlib
from typing import BinaryIO

from typing_extensions import Buffer

from services.importer.domain import Unacceptable
from shared.values import Reason

# What is not inflated yet is copied at each read: short is quick.
PIECE_BYTES = 64 * 1024


def damaged(what: str) -> Unacceptable:
    return Unacceptable(Reason.UNSUPPORTED_ARCHIVE, f"the archive is damaged: {what}")


class Checksum:
    """CRC-32 of a file that is read from its start to its end; one that is read in another order is not checked."""

    def __init__(self, expected: int | None, size_bytes: int) -> None:
        self._expected = expected
        self._size_bytes = size_bytes
        self._value = 0
        self._position = 0

    def add(self, position: int, data: Buffer) -> None:
        if self._expected is None or position != self._position:
            return
        self._value = zlib.crc32(data, self._value)
        self._position += memoryview(data).nbytes
        if self._position == self._size_bytes and self._value != self._expected:
            raise damaged("the checksum of a member is another")


class Window(io.RawIOBase):
    """Some bytes of a file, as a file. Closes what it reads from."""

    def __init__(self, file: BinaryIO, start: int, size_bytes: int, crc: int | None = None) -> None:
        super().__init__()
        self._file = file
        self._start = start
        self._size_bytes = size_bytes
        self._position = 0
        self._checksum = Checksum(crc, size_bytes)
        file.seek(start)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        target = memoryview(buffer).cast("B")[: max(self._size_bytes - self._position, 0)]
        if not target:
            return 0
        count = self._file.readinto(target)  # type: ignore[attr-defined]  # an Opener's files have it
        if not count:
            raise damaged("it ends too early")
        self._checksum.add(self._position, target[:count])
        self._position += count
        return int(count)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = place(offset, whence, self._position, self._size_bytes)
        self._file.seek(self._start + self._position)
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        self._file.close()
        super().close()


class Inflating(io.RawIOBase):
    """A deflated file, inflated as it is read. Seeking forward reads; seeking backward starts again."""

    def __init__(self, packed: BinaryIO, size_bytes: int, crc: int) -> None:
        super().__init__()
        self._packed = packed
        self._size_bytes = size_bytes
        self._crc = crc
        self._wanted = 0
        self._begin()

    def _begin(self) -> None:
        self._packed.seek(0)
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._checksum = Checksum(self._crc, self._size_bytes)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        if self._wanted < self._position:
            self._begin()
        while self._position < min(self._wanted, self._size_bytes):
            self._more(min(PIECE_BYTES, self._wanted - self._position))
        target = memoryview(buffer).cast("B")
        if not target or self._position >= self._size_bytes:
            return 0
        data = self._more(min(len(target), self._size_bytes - self._position))
        target[: len(data)] = data
        self._wanted = self._position
        return len(data)

    def _more(self, most_bytes: int) -> bytes:
        """Some of the next bytes, at least one."""
        data = b""
        while not data:
            piece = self._inflater.unconsumed_tail or self._packed.read(PIECE_BYTES)
            data = self._inflate(piece, most_bytes)
            if not data and (not piece or self._inflater.eof):
                raise damaged("a member ends too early")
        self._checksum.add(self._position, data)
        self._position += len(data)
        if self._position == self._size_bytes and self._inflate(self._inflater.unconsumed_tail, 1):
            raise Unacceptable(Reason.UNSAFE_ARCHIVE, "a member of the archive holds more bytes than it says")
        return data

    def _inflate(self, piece: bytes, most_bytes: int) -> bytes:
        try:
            return self._inflater.decompress(piece, most_bytes)
        except zlib.error:
            raise damaged("a member cannot be inflated") from None

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._wanted = place(offset, whence, self._wanted, self._size_bytes)
        return self._wanted

    def tell(self) -> int:
        return self._wanted

    def close(self) -> None:
        self._packed.close()
        super().close()


def place(offset: int, whence: int, position: int, size_bytes: int) -> int:
    """Where a seek leads to."""
    start = {io.SEEK_SET: 0, io.SEEK_CUR: position, io.SEEK_END: size_bytes}[whence]
    if start + offset < 0:
        raise ValueError(f"negative position {start + offset}")
    return start + offset
