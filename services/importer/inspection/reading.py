"""Reading parts of a file under limits, from anything that gives bytes."""

import io
import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# A few requests where the file is far away, little memory where many are open.
BUFFER_BYTES = 128 * 1024
_DISCARD_BYTES = 256 * 1024
# The longest line that any format needs whole: a name, a number.
LINE_BYTES = 4096


class Unreadable(Exception):
    """The bytes are not what their format says. The message tells what was expected."""


class _Filling(io.RawIOBase):
    """Asks again until a buffer is full: what is far away, or is being unpacked, may give less at a time."""

    def __init__(self, source: BinaryIO | io.RawIOBase) -> None:
        super().__init__()
        self._source = source
        self._seekable = source.seekable()

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()

    def seekable(self) -> bool:
        return self._seekable

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()

    def readinto(self, buffer: "WriteableBuffer") -> int:
        whole = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(whole):
            found: int | None = self._source.readinto(whole[filled:])  # type: ignore[union-attr]  # raw files have it
            if not found:
                break
            filled += found
        return filled


class TooMuch(Unreadable):
    """A limit was reached, which a loader may not have."""


class Stream(io.BufferedReader):
    """Bytes that are read forward; jumps ahead cost nothing where what is below can seek."""

    def __init__(self, source: BinaryIO | io.RawIOBase, buffer_bytes: int = BUFFER_BYTES) -> None:
        raw = _Filling(source)
        super().__init__(raw, buffer_bytes)
        self.size_bytes: int | None = None
        if raw.seekable():
            self.size_bytes = raw.seek(0, io.SEEK_END)
            raw.seek(0)

    def exactly(self, count: int) -> bytes:
        """So many bytes; the caller has bounded the number."""
        found = self.read(count)
        if len(found) < count:
            raise Unreadable(f"ends {count - len(found)} bytes too early")
        return found

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        return layout.unpack(self.exactly(layout.size))

    def skip(self, count: int) -> None:
        """Go ahead, but not past the end."""
        if self.size_bytes is not None:
            if count > self.size_bytes - self.tell():
                raise Unreadable("ends within a value")
            self.seek(count, io.SEEK_CUR)
            return
        while count:
            passed = len(self.read(min(count, _DISCARD_BYTES)))
            if not passed:
                raise Unreadable("ends within a value")
            count -= passed

    def line(self) -> bytes:
        """Up to the end of the line, without its last byte, as pickles are read, even where that is no line feed.

        Of a longer line than LINE_BYTES, only the beginning.
        """
        kept = part = self.readline(LINE_BYTES)
        if not kept:
            raise Unreadable("ends within a line")
        while part and not part.endswith(b"\n"):
            part = self.readline(_DISCARD_BYTES)
        return kept[:-1]

    def beginning(self, count: int) -> bytes:
        """The next bytes, without going ahead; fewer at the end. At most BUFFER_BYTES, and only at the start."""
        return self.peek(count)[:count]

    def again(self) -> "Stream":
        """Back at the start; only where it can seek."""
        self.seek(0)
        return self


class Section(io.RawIOBase):
    """Part of another file, as a file. Shares its position: one section is read at a time."""

    def __init__(self, whole: io.BufferedReader, start: int, size_bytes: int) -> None:
        super().__init__()
        self._whole = whole
        self._start = start
        self._size_bytes = size_bytes
        self._here = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._here

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._here, io.SEEK_END: self._size_bytes}[whence]
        self._here = max(0, base + offset)
        return self._here

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")
        wanted = min(len(target), max(0, self._size_bytes - self._here))
        self._whole.seek(self._start + self._here)
        found = self._whole.read(wanted)
        target[: len(found)] = found
        self._here += len(found)
        return len(found)


class Budget:
    """What one package may cost: bytes that come out of archives, and members of archives."""

    def __init__(self, unpacked_bytes: int, members: int) -> None:
        self._unpacked_bytes = unpacked_bytes
        self._members = members

    def spend_bytes(self, count: int) -> None:
        self._unpacked_bytes -= count
        if self._unpacked_bytes < 0:
            raise TooMuch("unpacks to more bytes than may be read")

    def spend_member(self) -> None:
        self._members -= 1
        if self._members < 0:
            raise TooMuch("holds more members than may be read")


def product(numbers: tuple[int, ...]) -> int:
    """How many elements a shape has; refuses what no memory holds."""
    count = 1
    for number in numbers:
        count *= number
        if number < 0 or count > 2**62:
            raise Unreadable("a shape is negative or larger than any memory")
    return count


def shortened(text: str, most: int = 80) -> str:
    """For a message or a detail: bounded, control characters visible."""
    shown = text if len(text) <= most else f"{text[:most]}…"
    return shown if shown.isprintable() else repr(shown)[1:-1]


def words(text: str) -> list[str]:
    """A list that is easier to read as a text."""
    return text.split()
