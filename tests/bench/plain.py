"""What the importer is compared with: the system's own tools, and the plain client of object stores.

None of them makes a digest. What they bring to a folder is on disk when they return.
"""

import asyncio
import hashlib
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.store import S3Store

from tests.bench.models import CHUNK_BYTES

if TYPE_CHECKING:
    from obstore import ObjectMeta

AT_ONCE = 16
# Larger objects are passed on piece by piece.
LARGE_BYTES = CHUNK_BYTES
Item = TypeVar("Item")


async def folder_to_folder(source: Path, target: Path) -> None:
    await asyncio.to_thread(_copy_and_sync, source, target)


def _copy_and_sync(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-r", source, target], check=True)
    os.sync()


async def bucket_to_folder(source: S3Store, target: Path) -> None:
    async def get(found: "ObjectMeta") -> None:
        path = target / found["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        answer = await obstore.get_async(source, found["path"])
        with path.open("wb", buffering=0) as file:
            async for chunk in answer.stream(min_chunk_size=CHUNK_BYTES):
                await asyncio.to_thread(file.write, chunk)

    await _each(await _listed(source), get)
    await asyncio.to_thread(os.sync)


async def folder_to_bucket(source: Path, target: S3Store) -> None:
    async def put(path: Path) -> None:
        await obstore.put_async(target, path.relative_to(source).as_posix(), path)

    await _each(_files_in(source), put)


async def bucket_to_bucket(source: S3Store, target: S3Store) -> None:
    async def pass_on(found: "ObjectMeta") -> None:
        answer = await obstore.get_async(source, found["path"])
        content = answer.stream() if found["size"] > LARGE_BYTES else await answer.bytes_async()
        await obstore.put_async(target, found["path"], content)

    await _each(await _listed(source), pass_on)


def digest_all(folder: Path) -> None:
    """The digest of each file, one after the other."""
    for path in _files_in(folder):
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")


def _files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def _listed(bucket: S3Store) -> "list[ObjectMeta]":
    return [found async for page in obstore.list(bucket) for found in page]


async def _each(items: Iterable[Item], work: Callable[[Item], Awaitable[None]]) -> None:
    left = iter(items)

    async def lane() -> None:
        for item in left:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(lane())
