"""Archives as packages: zip, tar and tar.gz. Members are read out of the archive; none becomes a file of this machine."""

import contextlib
import functools
import io
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from services.importer.ports import FoundFile, Opener
from services.importer.sources import tars, zips
from services.importer.sources.limits import Limits, in_order, too_large
from services.importer.sources.members import check_ratio, unsafe
from services.importer.sources.spool import Spool
from services.importer.sources.windows import damaged
from services.importer.threads import Stop, to_its_end

_GZIPPED = (".tar.gz", ".tgz")
SUFFIXES = (".zip", ".tar", *_GZIPPED)
PIECE_BYTES = 1024 * 1024
CUT_BYTES = 64 * 1024
# Tools that cut a file into streams make them of tens of kB.
SHORT_STREAM_BYTES = 512
MOST_SHORT_STREAMS = 10_000
# Of each file in a tar: headers, a long name, and what fills its last block.
_TAR_OVERHEAD_BYTES = 4 * 1024
_GZIP = zlib.MAX_WBITS | 16


def is_archive(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def is_gzipped(name: str) -> bool:
    return name.lower().endswith(_GZIPPED)


@contextlib.asynccontextmanager
async def unpacked(
    archive: FoundFile, limits: Limits, spool: Spool, *, in_place: bool
) -> AsyncIterator[Sequence[FoundFile]]:
    """The members of an archive as the files of a package.

    The archive is read once and kept in the spool, unless it can be read `in_place`: in any order, at no cost.
    """
    stop = Stop()
    with contextlib.ExitStack() as stack:
        if not in_place or is_gzipped(archive.path):
            archive = await to_its_end(functools.partial(_kept, archive, limits, spool, stack, stop), stop)
        yield await to_its_end(functools.partial(_members, archive, limits))


def _kept(archive: FoundFile, limits: Limits, spool: Spool, stack: contextlib.ExitStack, stop: Stop) -> FoundFile:
    if archive.size_bytes > limits.max_package_bytes:
        raise too_large(limits, archive.size_bytes)
    limits.tell_size(archive.size_bytes)
    chunks = chunks_of(archive.open, stop, limits)
    if is_gzipped(archive.path):
        chunks = gunzipped(chunks, limits)
    path = stack.enter_context(spool.holding(chunks))
    return archive._replace(size_bytes=path.stat().st_size, open=functools.partial(open_kept, path))


def _members(archive: FoundFile, limits: Limits) -> Sequence[FoundFile]:
    read = zips.members_of if archive.path.lower().endswith(".zip") else tars.members_of
    with io.BufferedReader(cast("io.RawIOBase", archive.open())) as file:
        members = read(file, archive.size_bytes, limits)
    state = archive.state
    return in_order(
        (
            FoundFile(
                one.path, one.size_bytes, one.open_in(archive.open), None if state is None else f"{state}!{one.path}"
            )
            for one in members
        ),
        limits,
    )


def open_kept(path: Path) -> BinaryIO:
    return path.open("rb", buffering=0)


def chunks_of(opener: Opener, stop: Stop, limits: Limits) -> Iterator[bytes]:
    """All bytes of a file, no more than a package may have."""
    size_bytes = 0
    with opener() as file:
        while chunk := file.read(PIECE_BYTES):
            stop.check()
            size_bytes += len(chunk)
            if size_bytes > limits.max_package_bytes:
                raise too_large(limits)
            limits.tell_size(size_bytes)
            yield chunk


def gunzipped(chunks: Iterator[bytes], limits: Limits) -> Iterator[bytes]:
    """Inflate in constant memory, and only as far as a tar file within the limits goes."""
    most_bytes = limits.max_package_bytes + limits.max_files * _TAR_OVERHEAD_BYTES + PIECE_BYTES
    packed_bytes = size_bytes = 0
    gunzip = _Gunzip()
    for chunk in _cut(chunks):
        packed_bytes += len(chunk)
        gunzip.check_streams(packed_bytes)
        for piece in gunzip.inflate(chunk):
            size_bytes += len(piece)
            check_ratio(size_bytes, packed_bytes)
            if size_bytes > most_bytes:
                raise too_large(limits)
            limits.tell_size(size_bytes)
            yield piece
    gunzip.finish()


def _cut(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """What is not inflated yet is copied at each step: short is quick."""
    for chunk in chunks:
        for start in range(0, len(chunk), CUT_BYTES):
            yield chunk[start : start + CUT_BYTES]


class _Gunzip:
    """Any number of gzip streams, one after the other, as one."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(_GZIP)
        self._streams = 1

    def check_streams(self, packed_bytes: int) -> None:
        """Starting one takes longer than inflating it, where millions hold nothing."""
        if self._streams > MOST_SHORT_STREAMS and packed_bytes < self._streams * SHORT_STREAM_BYTES:
            raise unsafe("it is made of too many gzip streams")

    def inflate(self, chunk: bytes) -> Iterator[bytes]:
        while True:
            if self._inflater.eof:
                chunk = chunk.lstrip(b"\0")
                if not chunk:
                    return
                self._inflater = zlib.decompressobj(_GZIP)
                self._streams += 1
            try:
                piece = self._inflater.decompress(chunk, PIECE_BYTES)
            except zlib.error:
                raise damaged("it cannot be inflated") from None
            chunk = self._inflater.unconsumed_tail or self._inflater.unused_data
            if piece:
                yield piece
            elif not chunk:
                return

    def finish(self) -> None:
        if not self._inflater.eof:
            raise damaged("it ends too early")
