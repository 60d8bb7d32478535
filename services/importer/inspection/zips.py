"""The directory of a zip archive and its members, read as loosely as any loader would: what one of them opens must be seen here.

Flags, checksums and the names in local headers are ignored, for loaders ignore them too.
"""

import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from services.importer.inspection.reading import Budget, Section, Stream, Unreadable
from services.importer.inspection.unpacking import Unpacked

END = struct.Struct("<4s4H2LH")
_END_MAGIC, _END64_MAGIC, _LOCATOR64_MAGIC = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_LOCATOR64 = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s4B4H3L5H2L")
_ENTRY_MAGIC, LOCAL_MAGIC, EMPTY_MAGIC = b"PK\x01\x02", b"PK\x03\x04", _END_MAGIC
_LOCAL_HEADER_BYTES, _LOCAL_NAME_AT = 30, 26
_LONGEST_COMMENT_BYTES = 65535
_DIRECTORY_BYTES = 64 * 1024 * 1024
_STORED, _METHODS = 0, {8: "deflate", 12: "bzip2", 14: "lzma in zip", 93: "zstd"}
_ZIP64 = 0xFFFFFFFF
_ZIP64_EXTRA = 1
_UNIX, _LINK, _KIND, _REGULAR = 3, 0o120000, 0o170000, (0, 0o100000, 0o040000)
# A member that grows so much and becomes so large is made to fill memories; zeros compress by up to 1,032.
_BOMB_RATIO, _BOMB_BYTES = 200, 1024**3


class Member(NamedTuple):
    name: str
    method: int
    packed_bytes: int
    size_bytes: int
    header_at: int
    kind: int
    """The file type bits of Unix; 0 where nothing is said."""

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/") and not self.size_bytes


class Zip:
    """The members of an archive, in the order of its directory."""

    def __init__(self, stream: Stream, budget: Budget) -> None:
        self._stream = stream
        self._budget = budget
        count, size_bytes, offset, end_at = _end_of(stream)
        if size_bytes > _DIRECTORY_BYTES:
            raise Unreadable(f"its directory has {size_bytes} bytes: expected at most {_DIRECTORY_BYTES}")
        self._moved = end_at - size_bytes - offset
        if self._moved < 0 or (self._moved and self._begins_directory(offset)):
            raise Unreadable("its directory may be in two places")
        stream.seek(offset + self._moved)
        self.members = list(_entries(stream.exactly(size_bytes), count, budget))
        self.overlaps = self._overlapping()

    def _begins_directory(self, offset: int) -> bool:
        self._stream.seek(offset)
        return self._stream.read(4) == _ENTRY_MAGIC

    def open(self, member: Member) -> Stream:
        """The bytes of a member."""
        section = Section(self._stream, self._data_at(member), member.packed_bytes)
        if member.method == _STORED:
            return Stream(section)
        method = _METHODS.get(member.method, f"method {member.method}")
        if method not in {"deflate", "bzip2"}:
            raise Unreadable(f"is compressed by {method}, which cannot be read")
        return Stream(Unpacked(Stream(section), method, self._budget))

    def _data_at(self, member: Member) -> int:
        header_at = member.header_at + self._moved
        self._stream.seek(header_at)
        header = self._stream.exactly(_LOCAL_HEADER_BYTES)
        if not header.startswith(LOCAL_MAGIC):
            raise Unreadable("has no local header where the directory says")
        name_bytes, extra_bytes = struct.unpack_from("<2H", header, _LOCAL_NAME_AT)
        return header_at + _LOCAL_HEADER_BYTES + int(name_bytes) + int(extra_bytes)

    def dangers(self) -> Iterator[tuple[str, str]]:
        """Members that are made to do harm when they are unpacked: name and reason."""
        for member in self.members:
            if leaves_folder(member.name):
                yield member.name, "its path leaves the folder it is unpacked to"
            if member.kind not in _REGULAR:
                yield member.name, "it is a link" if member.kind == _LINK else "it is a device or a pipe"
            if member.size_bytes > _BOMB_BYTES and member.size_bytes > _BOMB_RATIO * member.packed_bytes:
                yield member.name, f"it is a zip bomb: {member.packed_bytes} bytes become {member.size_bytes}"
        if self.overlaps:
            yield self.overlaps.name, "it shares its bytes with another member, as zip bombs do"

    def _overlapping(self) -> Member | None:
        ordered = sorted(self.members, key=lambda member: member.header_at)
        for member, following in pairwise(ordered):
            if member.header_at + _LOCAL_HEADER_BYTES + member.packed_bytes > following.header_at:
                return following
        return None

    @property
    def is_keras(self) -> bool:
        return {"config.json", "metadata.json"} <= {member.name for member in self.members}


def leaves_folder(name: str) -> bool:
    """Whether unpacking a member of this name writes outside the folder."""
    path = name.replace("\\", "/")
    return path.startswith("/") or path[1:2] == ":" or ".." in path.split("/")


def is_zip(stream: Stream) -> bool:
    """Whether there is a directory at the end. Leaves the stream at another place."""
    return stream.size_bytes is not None and _end_at(stream) is not None


def _end_at(stream: Stream) -> int | None:
    """Where the end record is: the last one, as loaders take it."""
    size_bytes = stream.size_bytes or 0
    start = max(0, size_bytes - END.size - _LONGEST_COMMENT_BYTES)
    stream.seek(start)
    tail = stream.read(size_bytes - start)
    found = tail.rfind(_END_MAGIC)
    return None if found < 0 or len(tail) - found < END.size else start + found


def _end_of(stream: Stream) -> tuple[int, int, int, int]:
    """Of the directory: number of entries, size, offset as written, and where it ends."""
    end_at = _end_at(stream)
    if end_at is None:
        raise Unreadable("has no directory at its end: expected a zip archive")
    stream.seek(end_at)
    _, _, _, _, count, size_bytes, offset, _ = END.unpack(stream.exactly(END.size))
    if end_at >= _LOCATOR64.size:
        stream.seek(end_at - _LOCATOR64.size)
        magic, _, end64_at, _ = _LOCATOR64.unpack(stream.exactly(_LOCATOR64.size))
        if magic == _LOCATOR64_MAGIC:
            return _end64_of(stream, end64_at, end_at - _LOCATOR64.size)
    return count, size_bytes, offset, end_at


def _end64_of(stream: Stream, end64_at: int, before: int) -> tuple[int, int, int, int]:
    # Written by everybody right before its locator; a prefix moves both.
    stream.seek(max(0, before - _END64.size))
    magic, *_, count, size_bytes, offset = _END64.unpack(stream.exactly(_END64.size))
    if magic != _END64_MAGIC or end64_at > before:
        raise Unreadable("its zip64 directory is not where it is said to be")
    return count, size_bytes, offset, before - _END64.size


def _entries(directory: bytes, count: int, budget: Budget) -> Iterator[Member]:
    place = 0
    for _ in range(count):
        budget.spend_member()
        if len(directory) - place < _ENTRY.size or not directory.startswith(_ENTRY_MAGIC, place):
            raise Unreadable("its directory is broken")
        entry = _ENTRY.unpack_from(directory, place)
        name_bytes, extra_bytes, comment_bytes = entry[12:15]
        name_at = place + _ENTRY.size
        name = directory[name_at : name_at + name_bytes].decode("utf-8", "replace")
        extra = directory[name_at + name_bytes : name_at + name_bytes + extra_bytes]
        yield _member(entry, name, extra)
        place = name_at + name_bytes + extra_bytes + comment_bytes


def _member(entry: tuple[int, ...], name: str, extra: bytes) -> Member:
    made_by, method = entry[2], entry[6]
    packed_bytes, size_bytes, attributes, header_at = entry[10], entry[11], entry[17], entry[18]
    wide = list(_zip64_numbers(extra))
    if size_bytes == _ZIP64 and wide:
        size_bytes = wide.pop(0)
    if packed_bytes == _ZIP64 and wide:
        packed_bytes = wide.pop(0)
    if header_at == _ZIP64 and wide:
        header_at = wide.pop(0)
    kind = attributes >> 16 & _KIND if made_by == _UNIX else 0
    # Loaders cut a name at its first NUL.
    return Member(name.partition("\0")[0], method, packed_bytes, size_bytes, header_at, kind)


def _zip64_numbers(extra: bytes) -> Iterator[int]:
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, place)
        field = extra[place + 4 : place + 4 + length]
        if kind == _ZIP64_EXTRA:
            yield from (int(number) for (number,) in struct.iter_unpack("<Q", field[: len(field) // 8 * 8]))
        place += 4 + length
