"""What compressed files hold: gzip, zlib, bzip2 and xz as streams that count what comes out of them."""

import bz2
import io
import lzma
import zlib
from typing import TYPE_CHECKING, Protocol

from services.importer.inspection.reading import Budget, Stream, Unreadable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_READ_BYTES = 64 * 1024
# The largest dictionary of `xz -9` is 64 MiB.
_XZ_MEMORY_BYTES = 128 * 1024 * 1024
_AUTOMATIC = zlib.MAX_WBITS | 32  # gzip or zlib, as the header says
_MAGICS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x5d\0\0": "xz"}
# Compressed in ways that the standard library cannot read; joblib can.
UNSUPPORTED = {b"\x04\x22\x4d\x18": "lz4", b"ZF0x": "an old joblib archive", b"\x28\xb5\x2f\xfd": "zstd"}


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Zlib:
    """zlib with the manners of bz2 and lzma: keeps what it was given and could not use yet."""

    def __init__(self, window_bits: int) -> None:
        self._inner = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def compression_of(beginning: bytes) -> str | None:
    """How a file is compressed, by its first bytes."""
    for magic, name in _MAGICS.items():
        if beginning.startswith(magic):
            return name
    zlib_header = len(beginning) > 1 and beginning[0] == 0x78 and int.from_bytes(beginning[:2]) % 31 == 0  # noqa: PLR2004  # RFC 1950
    return "zlib" if zlib_header else None


def _decompressor(compression: str) -> _Decompressor:
    match compression:
        case "bzip2":
            return bz2.BZ2Decompressor()
        case "xz":
            return lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)
        case "deflate":
            return _Zlib(-zlib.MAX_WBITS)
        case _:
            return _Zlib(_AUTOMATIC)


class Unpacked(io.RawIOBase):
    """What comes out of a compressed stream. Read forward only."""

    def __init__(self, packed: Stream, compression: str, budget: Budget) -> None:
        super().__init__()
        self._packed = packed
        self._compression = compression
        self._budget = budget
        self._inner = _decompressor(compression)
        self._left = b""
        self._position = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")
        try:
            found = self._some(len(target))
        except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
            raise Unreadable(f"is not valid {self._compression} data") from error
        self._budget.spend_bytes(len(found))
        self._position += len(found)
        target[: len(found)] = found
        return len(found)

    def _some(self, most: int) -> bytes:
        while not self._inner.eof or self._begins_again():
            hungry = self._inner.needs_input
            data = self._left or (self._packed.read(_READ_BYTES) if hungry else b"")
            self._left = b""
            found = self._inner.decompress(data, most)
            if found:
                return found
            if hungry and not data and not self._inner.eof:
                raise EOFError
        return b""

    def _begins_again(self) -> bool:
        """Whether another compressed stream follows, as `cat a.gz b.gz` makes; anything else ends it."""
        self._left = self._inner.unused_data or self._left or self._packed.read(_READ_BYTES)
        again = self._compression != "deflate" and compression_of(self._left) == self._compression
        if again:
            self._inner = _decompressor(self._compression)
        return again
