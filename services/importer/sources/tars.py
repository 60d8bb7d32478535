"""The members of a tar file that is not compressed, read in place.

Read here and not by the standard library, which takes extended headers of any length into memory.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple, cast

from services.importer.domain import Unacceptable
from services.importer.ports import Opener
from services.importer.sources.limits import Limits, too_many_files
from services.importer.sources.members import Judge, Member, path_of, unsafe
from services.importer.sources.windows import Window, damaged
from shared.texts import shown
from shared.values import Reason

_BLOCK_BYTES = 512
_CHECKSUM = slice(148, 156)
# Long names and PAX headers; both are far below this where they are honest.
_LARGEST_HEADER_BYTES = 64 * 1024
_LONGEST_NUMBER = 18
_FILES = {b"0", b"\0", b"7"}
_FOLDER = b"5"
_KINDS = {b"1": "a link", b"2": "a link", b"3": "a device", b"4": "a device", b"6": "a pipe", b"S": "a sparse file"}


class _Header(NamedTuple):
    name: bytes
    size_bytes: int
    kind: bytes
    data_at: int

    @property
    def next_at(self) -> int:
        return self.data_at + -(-self.size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES


def members_of(file: BinaryIO, archive_bytes: int, limits: Limits) -> Sequence[Member]:
    judge = Judge(limits, archive_bytes)
    # Folders and extended headers have headers too.
    headers_left = 4 * limits.max_files + 1000
    for header in _headers(file, archive_bytes):
        headers_left -= 1
        if headers_left < 0:
            raise too_many_files(limits, "the archive")
        path = path_of(header.name)
        if header.kind == _FOLDER:
            continue
        if header.kind not in _FILES:
            kind = _KINDS.get(header.kind, "of a kind that is not known")
            raise unsafe(f"{shown(path)} is {kind}: expected a regular file")
        if not path or header.name.endswith(b"/"):
            raise unsafe(f"{shown(path)} is a file with the name of a folder")
        judge.add(Member(path, header.size_bytes, functools.partial(_opener, header)))
    return judge.members()


def _headers(file: BinaryIO, archive_bytes: int) -> Iterator[_Header]:
    """Members, under the names and sizes that headers of their own before them may give."""
    at = 0
    name: bytes | None = None
    size_bytes: int | None = None
    while (header := _header_at(file, at, archive_bytes)) is not None:
        at = header.next_at
        match header.kind:
            case b"L":
                name = _data(file, header).rstrip(b"\0")
            case b"x":
                records = _pax(_data(file, header))
                name = records.get(b"path", name)
                size_bytes = _decimal(records[b"size"]) if b"size" in records else size_bytes
            case b"g":
                if {b"path", b"size"} & _pax(_data(file, header)).keys():
                    raise unsafe("it gives one name or size to all its members")
            case b"K":
                pass
            case _:
                member = header._replace(
                    name=header.name if name is None else name,
                    size_bytes=header.size_bytes if size_bytes is None else size_bytes,
                )
                _check_inside(member, archive_bytes)
                at, name, size_bytes = member.next_at, None, None
                yield member


def _header_at(file: BinaryIO, at: int, archive_bytes: int) -> _Header | None:
    """None at the end, which an empty block marks: without it, members may have been cut off."""
    file.seek(at)
    block = file.read(_BLOCK_BYTES)
    if block.count(0) == _BLOCK_BYTES:
        return None
    header = _parsed(block, at + _BLOCK_BYTES)
    _check_inside(header, archive_bytes)
    return header


def _check_inside(header: _Header, archive_bytes: int) -> None:
    if header.data_at + header.size_bytes > archive_bytes:
        raise damaged("it ends too early")


def _data(file: BinaryIO, header: _Header) -> bytes:
    if header.size_bytes > _LARGEST_HEADER_BYTES:
        raise unsafe(f"a header has {header.size_bytes} bytes: expected at most {_LARGEST_HEADER_BYTES}")
    file.seek(header.data_at)
    return file.read(header.size_bytes)


def _parsed(block: bytes, data_at: int) -> _Header:
    if len(block) < _BLOCK_BYTES:
        raise damaged("it ends too early")
    if _number(block[_CHECKSUM]) != sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" "):
        raise Unacceptable(Reason.UNSUPPORTED_ARCHIVE, "the archive is no tar file, or is damaged")
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0] if block[257:263] == b"ustar\0" else b""
    kind = block[156:157]
    if kind == b"\0" and name.endswith(b"/"):
        kind = _FOLDER
    size_bytes = 0 if kind == _FOLDER else _number(block[124:136])
    return _Header(prefix + b"/" + name if prefix else name, size_bytes, kind, data_at)


def _number(field: bytes) -> int:
    """Octal digits, or for what is too large for them, 0x80 and the bytes of the number."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise damaged("a header holds no number where one is due")
    return int(digits or b"0", 8)


def _pax(data: bytes) -> dict[bytes, bytes]:
    """Records `<length> <key>=<value>` with a line end. Only what changes where bytes are, or what they are called, matters."""
    found: dict[bytes, bytes] = {}
    while data:
        digits, _, _ = data[:8].partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        key, equals, value = data[len(digits) + 1 : length].partition(b"=")
        if length > len(data) or not equals or not value.endswith(b"\n"):
            raise damaged("a header cannot be read")
        if key.startswith(b"GNU.sparse"):
            raise unsafe("a member is a sparse file: expected a regular file")
        found[key] = value[:-1]
        data = data[length:]
    return found


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > _LONGEST_NUMBER:
        raise damaged("a header holds no number where one is due")
    return int(digits)


def _opener(header: _Header, archive: Opener) -> Opener:
    return functools.partial(_open, header, archive)


def _open(header: _Header, archive: Opener) -> BinaryIO:
    file = archive()
    try:
        return cast("BinaryIO", Window(file, header.data_at, header.size_bytes))
    except BaseException:
        file.close()
        raise
