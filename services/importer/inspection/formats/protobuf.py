"""A walker over protocol buffers that needs no schema and jumps over what is not asked for."""

from collections.abc import Iterator
from typing import NamedTuple

from services.importer.inspection.reading import Stream, Unreadable

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
# The graph of a large model has about 200,000 nodes of ten fields each.
_MOST_FIELDS = 20_000_000
_LONGEST_TEXT = 4096


class Field(NamedTuple):
    number: int
    wire: int
    value: int
    """Of a number, itself; of bytes, their length."""
    at: int
    """Where the bytes begin."""


class Message:
    """A stretch of a stream that holds fields."""

    def __init__(self, stream: Stream, start: int, size_bytes: int, left: list[int] | None = None) -> None:
        self._stream = stream
        self._start = start
        self._end = start + size_bytes
        self._left = left if left is not None else [_MOST_FIELDS]

    def __iter__(self) -> Iterator[Field]:
        """Each field in turn; between two of them, the stream may be used."""
        here = self._start
        while here < self._end:
            self._left[0] -= 1
            if self._left[0] < 0:
                raise Unreadable("has more fields than can be followed")
            self._stream.seek(here)
            field = self._field()
            here = field.at + (field.value if field.wire == BYTES else 0)
            if here > self._end:
                raise Unreadable("has a field that is longer than what it is in")
            yield field

    def _field(self) -> Field:
        key = self._varint()
        number, wire = key >> 3, key & 7
        match wire:
            case 0 | 2:
                value = self._varint()
            case 1:
                value = int.from_bytes(self._stream.exactly(8), "little")
            case 3 | 4:  # a group, which no message here has: what is in it is taken for what is around it
                value = 0
            case 5:
                value = int.from_bytes(self._stream.exactly(4), "little")
            case _:
                raise Unreadable("is no protocol buffer")
        if not number:
            raise Unreadable("is no protocol buffer")
        return Field(number, wire, value, self._stream.tell())

    def _varint(self) -> int:
        value = 0
        for place in range(_LONGEST_VARINT):
            byte = self._stream.exactly(1)[0]
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:  # noqa: PLR2004  # the last byte has no high bit
                return value & 0xFFFF_FFFF_FFFF_FFFF
        raise Unreadable("is no protocol buffer")

    def message(self, field: Field) -> "Message":
        if field.wire != BYTES:
            raise Unreadable("has a number where a message is expected")
        return Message(self._stream, field.at, field.value, self._left)

    def text(self, field: Field) -> str:
        """At most the first 4,096 bytes."""
        if field.wire != BYTES:
            raise Unreadable("has a number where a text is expected")
        self._stream.seek(field.at)
        return self._stream.exactly(min(field.value, _LONGEST_TEXT)).decode("utf-8", "replace")

    def numbers(self, field: Field, most: int = 64) -> Iterator[int]:
        """Of a repeated number: itself, or all that are packed together; signed."""
        if field.wire != BYTES:
            yield signed(field.value)
            return
        self._stream.seek(field.at)
        for _ in range(most):
            if self._stream.tell() >= field.at + field.value:
                return
            yield signed(self._varint())
        raise Unreadable(f"has a list of more than {most} numbers")


def signed(value: int) -> int:
    """As an int64."""
    return value - (1 << 64) if value >> 63 else value
