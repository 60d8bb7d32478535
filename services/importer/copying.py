"""The bytes of a package, into the artifact store or only through a digest: side by side, and none twice."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import BinaryIO, TypeVar

from services.importer.digesting import Pass
from services.importer.ports import ArtifactStore, Blob, FoundFile, ImportStore
from services.importer.threads import to_its_end
from shared.parts import parts
from shared.values import File

Item = TypeVar("Item")
Progress = Callable[[int], Awaitable[None]]
Bring = Callable[[BinaryIO, Progress], Awaitable[Blob]]

# What was read is looked up and kept only for packages of some size: smaller ones are read again sooner than looked up.
REMEMBERED_FROM_BYTES = 8 * 1024 * 1024
REMEMBERED_FROM_FILES = 64
# A process that dies loses at most so much of what it has read.
REMEMBER_EVERY_BYTES = 64 * 1024 * 1024
REMEMBER_EVERY_FILES = 200


class Copying:
    """Copies files of a package, up to a number of them at once."""

    def __init__(self, artifacts: ArtifactStore, store: ImportStore, at_once: int) -> None:
        self._artifacts = artifacts
        self._store = store
        self._at_once = at_once

    async def copied(self, files: Sequence[FoundFile], progress: Progress) -> list[File]:
        """Put files into the artifact store; those that were read before in the same state, and are kept, are not read.

        Raises:
            Unacceptable: a file cannot be read, or the store is full.
            Transient: a store is away.
        """
        known = await self._known(files)
        held = {blob.digest for blob in known.values()}
        held = await self._artifacts.holds(sorted(held)) if held else held
        kept = {state: blob for state, blob in known.items() if blob.digest in held}
        return await self._brought(files, kept, self._artifacts.put, progress)

    async def digested(self, files: Sequence[FoundFile], progress: Progress) -> list[File]:
        """Read files for their digests alone. Raises as `copied` does."""
        return await self._brought(files, await self._known(files), digest, progress)

    async def _brought(
        self, files: Sequence[FoundFile], known: Mapping[str, Blob], bring: Bring, progress: Progress
    ) -> list[File]:
        journal = _Journal(self._store, remembers=_is_large(files))
        brought: dict[str, Blob] = {}

        async def one(file: FoundFile) -> None:
            blob = None if file.state is None else known.get(file.state)
            if blob is None:
                blob = await _read(file, bring, progress)
                await journal.add(file.state, blob)
            else:
                await progress(blob.size_bytes)
            brought[file.path] = blob

        await each(files, one, self._at_once)
        await journal.flush()
        return [File(path=file.path, **brought[file.path]._asdict()) for file in files]

    async def _known(self, files: Sequence[FoundFile]) -> dict[str, Blob]:
        if not _is_large(files):
            return {}
        states = [file.state for file in files if file.state is not None]
        known: dict[str, Blob] = {}
        for some in parts(states):
            known |= await self._store.blobs_of(some)
        return known


class _Journal:
    """What was read in which state, written down now and then."""

    def __init__(self, store: ImportStore, *, remembers: bool) -> None:
        self._store = store
        self._remembers = remembers
        self._waiting: dict[str, Blob] = {}

    async def add(self, state: str | None, blob: Blob) -> None:
        if state is None or not self._remembers:
            return
        self._waiting[state] = blob
        size_bytes = sum(one.size_bytes for one in self._waiting.values())
        if len(self._waiting) >= REMEMBER_EVERY_FILES or size_bytes >= REMEMBER_EVERY_BYTES:
            await self.flush()

    async def flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        if waiting:
            await self._store.remember(waiting)


async def each(items: Sequence[Item], work: Callable[[Item], Awaitable[None]], at_once: int) -> None:
    """Work on every item, so many at once; the first that fails stops the rest."""
    left = iter(items)

    async def worker() -> None:
        for item in left:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(at_once, len(items))):
                group.create_task(worker())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def digest(content: BinaryIO, progress: Progress) -> Blob:
    """The digest of all bytes that `content` gives, in constant memory.

    Raises:
        Unacceptable: they cannot be read.
    """
    reading = Pass(content)
    while not reading.finished:
        await progress(await to_its_end(reading.advance))
    return reading.blob


async def _read(file: FoundFile, bring: Bring, progress: Progress) -> Blob:
    with contextlib.ExitStack() as opened:  # before the thread opens it: this may be cancelled meanwhile
        content = await to_its_end(lambda: opened.enter_context(contextlib.closing(file.open())))
        return await bring(content, progress)


def _is_large(files: Sequence[FoundFile]) -> bool:
    return len(files) >= REMEMBERED_FROM_FILES or sum(file.size_bytes for file in files) >= REMEMBERED_FROM_BYTES
