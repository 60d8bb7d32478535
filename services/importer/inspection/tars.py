"""The members of a tar archive, read forward and without unpacking anything."""

from collections.abc import Iterator
from typing import NamedTuple

from services.importer.inspection.reading import Budget, Stream, Unreadable

BLOCK_BYTES = 512
_CHECKSUM = slice(148, 156)
# A name that is given in a block of its own; Linux allows 4,096.
_NAME_BYTES = 64 * 1024
_REGULAR, _FOLDER, _LONG_NAME, _LONG_LINK, _EXTENDED, _GLOBAL = b"\x000", b"5", b"L", b"K", b"x", b"g"
_KINDS = {b"1": "a hard link", b"2": "a link", b"3": "a device", b"4": "a device", b"6": "a pipe"}


class TarMember(NamedTuple):
    name: str
    size_bytes: int
    oddity: str | None
    """What it is instead of a file or a folder."""


def is_tar(beginning: bytes) -> bool:
    """Whether bytes begin with the header of a member: its checksum fits. Old archives have no other sign."""
    if len(beginning) < BLOCK_BYTES or not beginning[0]:
        return False
    blanked = beginning[: _CHECKSUM.start] + b" " * 8 + beginning[_CHECKSUM.stop : BLOCK_BYTES]
    try:
        return int(beginning[_CHECKSUM].strip(b" \0"), 8) == sum(blanked)
    except ValueError:
        return False


def tar_members(stream: Stream, budget: Budget) -> Iterator[TarMember]:
    """Each member; its bytes are next in the stream while it is looked at."""
    long_name: str | None = None
    while (header := stream.read(BLOCK_BYTES)).strip(b"\0"):
        budget.spend_member()
        if len(header) < BLOCK_BYTES:
            raise Unreadable("ends within a header")
        kind, size_bytes = header[156:157], _number(header[124:136])
        after = stream.tell() + -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES
        if kind in {_LONG_NAME, _EXTENDED, _GLOBAL}:
            long_name = _long_name(stream, kind, size_bytes) or long_name
        elif kind != _LONG_LINK:
            yield TarMember(long_name or _name(header), size_bytes, _oddity(kind))
            long_name = None
        stream.skip(after - stream.tell())


def _oddity(kind: bytes) -> str | None:
    if kind in _REGULAR or kind in {_FOLDER, b"7"}:
        return None
    return _KINDS.get(kind, "of a kind that cannot be judged")


def _name(header: bytes) -> str:
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    name = header[:100].partition(b"\0")[0]
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "replace")


def _number(field: bytes) -> int:
    if field[0] & 0x80:
        return int.from_bytes(field[1:])
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError as error:
        raise Unreadable("has a size that is no number") from error


def _long_name(stream: Stream, kind: bytes, size_bytes: int) -> str | None:
    if size_bytes > _NAME_BYTES:
        raise Unreadable(f"has a name of {size_bytes} bytes: expected at most {_NAME_BYTES}")
    block = stream.exactly(size_bytes)
    if kind == _LONG_NAME:
        return block.partition(b"\0")[0].decode("utf-8", "replace")
    return _extended_name(block, kind)


def _extended_name(block: bytes, kind: bytes) -> str | None:
    """Of records such as `19 path=models/a.pt`; other sizes and places than are read here cannot be followed."""
    path = None
    while length := block.partition(b" ")[0]:
        if not length.isdigit() or len(length) > 6:  # noqa: PLR2004  # digits of the longest block
            raise Unreadable("has an extended header that is none")
        record, block = block[: int(length)], block[max(1, int(length)) :]
        key, _, value = record[len(length) + 1 :].removesuffix(b"\n").partition(b"=")
        if key in {b"size", b"hdrcharset"} or key.startswith(b"GNU.sparse") or (key == b"path" and kind == _GLOBAL):
            raise Unreadable(
                f"has {key[:20].decode('utf-8', 'replace')!r} in an extended header, which cannot be followed"
            )
        path = value.decode("utf-8", "replace") if key == b"path" else path
    return path
