"""A version, downloaded into a folder: what is there already is kept, what was begun goes on, every digest is checked."""

import asyncio
import errno
import fcntl
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modelkin.client import Client
from modelkin.connecting import Denials
from modelkin.errors import ModelkinError
from modelkin.fetching import Fetching, granted, lasting_connection
from modelkin.paging import pages
from modelkin.placing import Place, look, make_folders, places_of
from services.importer.manifest import manifest_of
from shared.messages import DownloadVersion
from shared.queries import FilePage, ListFiles
from shared.values import File, Grant

FILES_AT_ONCE = 8
REHASHED_AT_ONCE_BYTES = 4 * 1024 * 1024
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Downloaded:
    """What a download did."""

    files: int
    size_bytes: int
    read_bytes: int
    """Over the network, in this run."""
    resumed: int
    """Files that an earlier run had begun."""
    skipped: int
    """Files that were there already, with the right bytes."""


class Bar(Protocol):
    """Who is told how a download comes on."""

    def begin(self, total_bytes: int) -> None: ...

    def advance(self, more_bytes: int) -> None:
        """How many more bytes are there, whether read now or found."""
        ...


async def download_version(
    url: str, command: Callable[[], DownloadVersion], folder: Path, bar: Bar, *, force: bool, patience_s: float
) -> Downloaded:
    """Download the version that a command names.

    Args:
        url: where NATS listens.
        command: makes a new one each time it is called: a grant that ends in the middle is asked for again.
        folder: where to; made where it is missing.
        bar: told of progress.
        force: whether files that differ are overwritten.
        patience_s: how long nothing may be read at all.

    Raises:
        DownloadRefused: the version is not given out.
        ModelkinError: anything else; what was begun stays, and the next run goes on from there.
    """
    denials = Denials()
    async with lasting_connection(url, error_cb=denials.hear) as connection:
        client = Client(connection, url, denials)

        async def grant() -> Grant:
            return (await granted(client, command())).grant

        first = await grant()
        files = await files_of(client, first.package_digest)
        bar.begin(sum(file.size_bytes for file in files))
        fetching = Fetching(connection, command().workspace, first, grant, patience_s)
        return await download(files, folder, fetching, bar.advance, force=force)


async def files_of(client: Client, package_digest: str) -> list[File]:
    """Every file of a package, as its manifest lists them.

    Raises:
        ModelkinError: nobody answers, or what is listed is not the package of that digest.
    """
    query = ListFiles(package_digest=package_digest)
    files = [file async for page in pages(client, query, FilePage) for file in page.files]
    listed = f"sha256:{hashlib.sha256(manifest_of(files)).hexdigest()}"
    if listed != package_digest:
        raise ModelkinError(f"the files that were listed make the package {listed}: expected {package_digest}")
    return files


async def download(
    files: Sequence[File], folder: Path, fetching: Fetching, progress: Progress, *, force: bool
) -> Downloaded:
    """Bring files into a folder.

    Raises:
        ModelkinError: a path leaves the folder, a file that differs is in the way, bytes are not those of their digest,
            or nobody answers. What was begun stays, and the next run goes on from there.
    """
    places = places_of(files, folder)
    try:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    except OSError as error:
        raise ModelkinError(f"{folder} cannot be made: {error.strerror}") from error
    left = await asyncio.to_thread(look, places, folder, force=force)
    for place in left.present:
        progress(place.file.size_bytes)
    bringing = _Bringing(folder, fetching, progress)
    await bringing.all(left.missing)
    return Downloaded(
        files=len(files),
        size_bytes=sum(file.size_bytes for file in files),
        read_bytes=bringing.read_bytes,
        resumed=bringing.resumed,
        skipped=len(left.present),
    )


class _Bringing:
    def __init__(self, folder: Path, fetching: Fetching, progress: Progress) -> None:
        self._folder = folder
        self._fetching = fetching
        self._progress = progress
        self.read_bytes = 0
        self.resumed = 0

    async def all(self, places: Sequence[Place]) -> None:
        left = iter(places)

        async def worker() -> None:
            for place in left:
                await self._one(place)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(FILES_AT_ONCE, len(places))):
                    group.create_task(worker())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _one(self, place: Place) -> None:
        try:
            await asyncio.to_thread(make_folders, place, self._folder)
            part = await asyncio.to_thread(_Part, place)
            try:
                await self._fill(part, place)
                await asyncio.to_thread(place.part.replace, place.path)
            finally:
                part.close()
        except OSError as error:
            raise ModelkinError(f"{place.path} cannot be written: {error.strerror}") from error

    async def _fill(self, part: "_Part", place: Place) -> None:
        begun_bytes = await asyncio.to_thread(part.resume)
        self.resumed += begun_bytes > 0
        self._progress(begun_bytes)
        await self._append(part, place)
        if begun_bytes and part.digest != place.file.digest:
            # It may be the beginning of another version's file.
            self._progress(-place.file.size_bytes)
            self.resumed -= 1
            await asyncio.to_thread(part.restart)
            await self._append(part, place)
        if part.digest != place.file.digest:
            await asyncio.to_thread(place.part.unlink)
            raise ModelkinError(
                f"{place.file.path!r}: the bytes that came are {part.digest}: expected {place.file.digest};"
                " none of them is kept"
            )

    async def _append(self, part: "_Part", place: Place) -> None:
        async for content in _closing(self._fetching.parts(place.file, part.size_bytes)):
            await asyncio.to_thread(part.write, content)
            self.read_bytes += len(content)
            self._progress(len(content))


async def _closing(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What was asked for ahead is given up where nobody takes it."""
    try:
        async for part in parts:
            yield part
    finally:
        await parts.aclose()  # type: ignore[attr-defined]  # it is a generator


class _Part:
    """A file that is being written, open for this process alone. Blocks."""

    def __init__(self, place: Place) -> None:
        """Raises ModelkinError where another download works on it, OSError where it cannot be opened."""
        self._place = place
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        # A link at this place is an error: it is ours to write.
        self._file = os.fdopen(os.open(place.part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666), "r+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            if error.errno != errno.EWOULDBLOCK:
                raise
            raise ModelkinError(f"{place.part} is written by another download") from error

    @property
    def digest(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"

    def resume(self) -> int:
        """Read what is there; returns how many bytes it is."""
        if os.fstat(self._file.fileno()).st_size > self._place.file.size_bytes:
            self.restart()
        while content := self._file.read(REHASHED_AT_ONCE_BYTES):
            self._digest.update(content)
            self.size_bytes += len(content)
        return self.size_bytes

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def write(self, content: bytes) -> None:
        self._file.write(content)
        self._file.flush()
        self._digest.update(content)
        self.size_bytes += len(content)

    def close(self) -> None:
        self._file.close()
