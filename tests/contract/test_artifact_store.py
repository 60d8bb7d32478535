"""The ArtifactStore: bytes under their digest, each once. In memory and in a folder."""

import asyncio
import errno
import io
import os
from pathlib import Path
from typing import cast

import pytest

from services.importer.artifacts import ArtifactFolder
from services.importer.domain import Unacceptable
from services.importer.ports import ArtifactStore, Blob
from shared.values import Reason
from tests.fakes import InMemoryArtifactStore

# sha256sum of "hello", of nothing, and of 3,000,000 zero bytes.
HELLO = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
NOTHING = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ZEROS = "sha256:35bce4eae54ec8e6cc2868baa8d157914d6ae2858811b4cc0c078c94460fa26f"


@pytest.fixture(params=["fake", "folder"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if request.param == "fake":
        return InMemoryArtifactStore()
    folder = ArtifactFolder(tmp_path / "artifacts")
    await folder.prepare()
    return folder


def kept(store: ArtifactStore, tmp_path: Path) -> int:
    """How many blobs there are."""
    if isinstance(store, InMemoryArtifactStore):
        return len(store.blobs)
    return sum(path.is_file() for path in (tmp_path / "artifacts").rglob("*"))


def bytes_of(store: ArtifactStore, digest: str) -> bytes:
    if isinstance(store, InMemoryArtifactStore):
        return store.blobs[digest]
    return cast("ArtifactFolder", store).path_of(digest).read_bytes()


async def quiet(_: int) -> None:
    """Nobody listens."""


@pytest.mark.parametrize(
    ("content", "blob"),
    [(b"hello", Blob(HELLO, 5)), (b"", Blob(NOTHING, 0)), (bytes(3_000_000), Blob(ZEROS, 3_000_000))],
    ids=["some", "none", "many"],
)
async def test_bytes_are_kept_under_their_digest(store: ArtifactStore, content: bytes, blob: Blob):
    assert await store.put(io.BytesIO(content), quiet) == blob
    assert bytes_of(store, blob.digest) == content


async def test_equal_bytes_are_kept_once(store: ArtifactStore, tmp_path: Path):
    blobs = await asyncio.gather(*(store.put(io.BytesIO(b"hello"), quiet) for _ in range(4)))

    assert set(blobs) == {Blob(HELLO, 5)}
    assert kept(store, tmp_path) == 1


async def test_progress_adds_up_to_all_bytes(store: ArtifactStore):
    told: list[int] = []

    async def progress(more_bytes: int) -> None:
        told.append(more_bytes)

    await store.put(io.BytesIO(bytes(3_000_000)), progress)

    assert sum(told) == 3_000_000


async def test_content_is_left_open(store: ArtifactStore):
    content = io.BytesIO(b"hello")

    await store.put(content, quiet)

    assert not content.closed


async def test_content_that_cannot_be_read_is_refused_and_leaves_nothing(store: ArtifactStore, tmp_path: Path):
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _: memoryview) -> int:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(Unacceptable) as caught:
        await store.put(Broken(), quiet)

    assert caught.value.fault.reason is Reason.LOCATION_UNREADABLE
    assert kept(store, tmp_path) == 0
