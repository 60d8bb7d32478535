"""The members of a zip file, found in its directory and read in place.

Read here and not by the standard library, whose memory the archive decides on, and which
reads the whole directory again for each member that is opened.
"""

import functools
import stat
import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple, cast

from services.importer.domain import Unacceptable
from services.importer.ports import Opener
from services.importer.sources.limits import Limits, too_many_files
from services.importer.sources.members import Judge, Member, path_of, unsafe
from services.importer.sources.windows import Inflating, Window, damaged
from shared.texts import shown
from shared.values import Reason

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT = 0xFFFF
_NOT_HERE_16, _NOT_HERE_32 = 0xFFFF, 0xFFFFFFFF
_EXTRA_64 = 1
_STORED, _DEFLATED = 0, 8
_LONGEST_NAME = 4096
# Unix and macOS, which keep a file's mode.
_UNIXES = {3, 19}
# Encrypted; encrypted strongly; with an encrypted directory.
_ENCRYPTED = 0x1 | 0x40 | 0x2000


class _Directory(NamedTuple):
    start: int
    size_bytes: int
    entry_count: int


class _Entry(NamedTuple):
    """What the directory says of a member."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int
    mode: int
    header_at: int

    @property
    def end_at_least(self) -> int:
        return self.header_at + _LOCAL.size + len(self.name) + self.packed_bytes


def members_of(file: BinaryIO, archive_bytes: int, limits: Limits) -> Sequence[Member]:
    directory = _directory_of(file, archive_bytes)
    # Folders are entries too.
    if directory.entry_count > 2 * limits.max_files + 1000:
        raise too_many_files(limits, "the archive")
    judge = Judge(limits, archive_bytes)
    entries = list(_entries(file, directory))
    _check_apart(entries, directory.start)
    for entry in entries:
        if _is_file(entry):
            judge.add(Member(path_of(entry.name), entry.size_bytes, functools.partial(_opener, entry)))
    return judge.members()


def _directory_of(file: BinaryIO, archive_bytes: int) -> _Directory:
    start = max(archive_bytes - _LONGEST_COMMENT - _END.size, 0)
    tail = _read(file, start, archive_bytes - start)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        raise Unacceptable(Reason.UNSUPPORTED_ARCHIVE, "the archive is no zip file, or is cut off")
    _, disk, first_disk, _, count, size_bytes, begin, comment_bytes = _END.unpack_from(tail, at)
    end_at = start + at
    if end_at + _END.size + comment_bytes != archive_bytes:
        raise damaged("bytes follow its end")
    if _NOT_HERE_16 in {count, disk} or _NOT_HERE_32 in {size_bytes, begin}:
        end_at, disk, first_disk, count, size_bytes, begin = _end_64(file, end_at)
    if disk or first_disk or begin + size_bytes != end_at:
        raise damaged("its directory is not where it says")
    return _Directory(begin, size_bytes, count)


def _end_64(file: BinaryIO, end_at: int) -> tuple[int, int, int, int, int, int]:
    locator = _read(file, max(end_at - _LOCATOR_64.size, 0), _LOCATOR_64.size)
    signature, _, at, _ = _LOCATOR_64.unpack(locator)
    record = _read(file, at, _END_64.size) if signature == b"PK\6\7" and at < end_at else b""
    if not record.startswith(b"PK\6\6"):
        raise damaged("its directory is not where it says")
    _, _, _, _, disk, first_disk, _, count, size_bytes, begin = _END_64.unpack(record)
    return at, disk, first_disk, count, size_bytes, begin


def _entries(file: BinaryIO, directory: _Directory) -> Iterator[_Entry]:
    file.seek(directory.start)
    left = directory.size_bytes
    for _ in range(directory.entry_count):
        fixed = file.read(_ENTRY.size) if left >= _ENTRY.size else b""
        if len(fixed) < _ENTRY.size or not fixed.startswith(b"PK\1\2"):
            raise damaged("its directory ends too early")
        _, made, _, flags, method, _, _, crc, packed, size, *lengths, _, _, outside, header_at = _ENTRY.unpack(fixed)
        if lengths[0] > _LONGEST_NAME:
            raise unsafe(f"a name has {lengths[0]} bytes")
        rest = file.read(sum(lengths))
        if len(rest) < sum(lengths):
            raise damaged("its directory ends too early")
        left -= _ENTRY.size + len(rest)
        name, extra = rest[: lengths[0]], rest[lengths[0] : lengths[0] + lengths[1]]
        size, packed, header_at = _sizes_64(extra, size, packed, header_at)
        # Others than Unix keep other things in these bits.
        mode = outside >> 16 if made >> 8 in _UNIXES else 0
        yield _Entry(name, flags, method, crc, packed, size, mode, header_at)
    if left:
        raise damaged("its directory holds more than it says")


def _sizes_64(extra: bytes, *sizes: int) -> tuple[int, ...]:
    """Those that take more than 32 bits stand in an extra field, in this order."""
    field = _extra_64(extra) if _NOT_HERE_32 in sizes else b""
    found: list[int] = []
    for size in sizes:
        if size != _NOT_HERE_32:
            found.append(size)
            continue
        if len(field) < 8:  # noqa: PLR2004 - bytes of a 64-bit number
            raise damaged("a member has no size")
        found.append(int.from_bytes(field[:8], "little"))
        field = field[8:]
    return tuple(found)


def _extra_64(extra: bytes) -> bytes:
    while len(extra) >= 4:  # noqa: PLR2004 - bytes of a field's header
        kind, length = struct.unpack_from("<2H", extra)
        if kind == _EXTRA_64:
            return extra[4 : 4 + length]
        extra = extra[4 + length :]
    return b""


def _check_apart(entries: Sequence[_Entry], directory_at: int) -> None:
    """Members that share bytes are how a small archive becomes an endless one."""
    ordered = sorted(entries, key=lambda entry: entry.header_at)
    starts = [*(entry.header_at for entry in ordered), directory_at]
    for entry, next_at in zip(ordered, starts[1:], strict=True):
        if entry.end_at_least > next_at:
            raise unsafe("members overlap")


def _is_file(entry: _Entry) -> bool:
    """Whether it is a file, not a folder. Refuses what is neither."""
    name = shown(entry.name.decode(errors="replace"))
    if entry.flags & _ENCRYPTED:
        raise unsafe(f"{name} is encrypted")
    kind = stat.S_IFMT(entry.mode)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise unsafe(f"{name} is a link or a device: expected a regular file")
    if entry.name.endswith(b"/") or kind == stat.S_IFDIR:
        path_of(entry.name)
        return False
    if entry.method not in {_STORED, _DEFLATED}:
        message = f"{name} is packed by method {entry.method}: expected stored or deflated"
        raise Unacceptable(Reason.UNSUPPORTED_ARCHIVE, message)
    if entry.method == _STORED and entry.packed_bytes != entry.size_bytes:
        raise damaged("a member has two sizes")
    return True


def _opener(entry: _Entry, archive: Opener) -> Opener:
    return functools.partial(_open, entry, archive)


def _open(entry: _Entry, archive: Opener) -> BinaryIO:
    file = archive()
    try:
        data_at = _data_at(file, entry)
        if entry.method == _STORED:
            return cast("BinaryIO", Window(file, data_at, entry.size_bytes, entry.crc))
        packed = cast("BinaryIO", Window(file, data_at, entry.packed_bytes))
        return cast("BinaryIO", Inflating(packed, entry.size_bytes, entry.crc))
    except BaseException:
        file.close()
        raise


def _data_at(file: BinaryIO, entry: _Entry) -> int:
    """After the member's own header, which must name the same member."""
    header = _read(file, entry.header_at, _LOCAL.size + len(entry.name))
    signature, _, flags, *_, name_bytes, extra_bytes = _LOCAL.unpack_from(header)
    if signature != b"PK\3\4" or flags & _ENCRYPTED or header[_LOCAL.size :] != entry.name:
        raise unsafe("its directory and a member contradict each other")
    if name_bytes != len(entry.name):
        raise unsafe("its directory and a member contradict each other")
    return entry.header_at + _LOCAL.size + int(name_bytes) + int(extra_bytes)


def _read(file: BinaryIO, start: int, count: int) -> bytes:
    file.seek(start)
    data = b""
    while len(data) < count:
        more = file.read(count - len(data))
        if not more:
            raise damaged("it ends too early")
        data += more
    return data
