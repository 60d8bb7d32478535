"""The ArtifactStore: bytes under their digest, each once. In memory, in a folder and in a bucket."""

import asyncio
import errno
import io
import os
import pickle
from pathlib import Path

import obstore
import pytest

from services.importer.artifacts.folder import ArtifactFolder
from services.importer.artifacts.objects import ObjectArtifacts
from services.importer.artifacts.opening import open_artifacts
from services.importer.domain import Unacceptable
from services.importer.ports import ArtifactStore, Blob, Damaged
from shared.values import Reason
from tests.fakes import InMemoryArtifactStore
from tests.s3 import S3Server, environment_of

# sha256sum of "hello", of nothing, and of 3,000,000 zero bytes.
HELLO = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
NOTHING = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ZEROS = "sha256:35bce4eae54ec8e6cc2868baa8d157914d6ae2858811b4cc0c078c94460fa26f"


@pytest.fixture(params=["fake", "folder", "bucket"])
def unready(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    """Made outside of any event loop: the server of the run is started in one of its own."""
    match request.param:
        case "fake":
            return InMemoryArtifactStore()
        case "folder":
            return open_artifacts(str(tmp_path / "artifacts"), tmp_path / "spool", {})
        case _:
            server: S3Server = request.getfixturevalue("s3_server")
            place = f"s3://{server.bucket()}/kept"
            return open_artifacts(place, tmp_path / "spool", environment_of(server))


@pytest.fixture
async def store(unready: ArtifactStore) -> ArtifactStore:
    await unready.prepare()
    return unready


def kept(store: ArtifactStore) -> list[str]:
    """Digests of all blobs, and the names of files that are none."""
    match store:
        case InMemoryArtifactStore():
            return list(store.blobs)
        case ArtifactFolder():
            files = [path for path in store.path_of("sha256:x").parents[3].rglob("*") if path.is_file()]
            return [f"sha256:{path.name}" for path in files]
        case ObjectArtifacts():
            listed = obstore.list(store.bucket.client).collect()
            return [f"sha256:{found['path'].rpartition('/')[2]}" for found in listed]
        case _:
            raise AssertionError(store)


def bytes_of(store: ArtifactStore, blob: Blob) -> bytes:
    with store.opener(*blob)() as content:
        return content.read()


async def quiet(_: int) -> None:
    """Nobody listens."""


@pytest.mark.parametrize(
    ("content", "blob"),
    [(b"hello", Blob(HELLO, 5)), (b"", Blob(NOTHING, 0)), (bytes(3_000_000), Blob(ZEROS, 3_000_000))],
    ids=["some", "none", "many"],
)
async def test_bytes_are_kept_under_their_digest(store: ArtifactStore, content: bytes, blob: Blob):
    assert await store.put(io.BytesIO(content), quiet) == blob
    assert bytes_of(store, blob) == content


async def test_equal_bytes_are_kept_once(store: ArtifactStore):
    blobs = await asyncio.gather(*(store.put(io.BytesIO(b"hello"), quiet) for _ in range(4)))

    assert set(blobs) == {Blob(HELLO, 5)}
    assert kept(store) == [HELLO]


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


async def test_content_that_cannot_be_read_is_refused_and_leaves_nothing(store: ArtifactStore):
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _: memoryview) -> int:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(Unacceptable) as caught:
        await store.put(Broken(), quiet)

    assert caught.value.refusal.reason is Reason.LOCATION_UNREADABLE
    assert kept(store) == []


async def test_of_some_digests_those_are_named_that_are_kept(store: ArtifactStore):
    await store.put(io.BytesIO(b"hello"), quiet)

    assert await store.holds([HELLO, NOTHING]) == {HELLO}
    assert await store.holds([]) == set()


async def test_kept_bytes_can_be_read_from_anywhere(store: ArtifactStore):
    await store.put(io.BytesIO(b"hello"), quiet)

    with store.opener(HELLO, 5)() as content:
        assert content.read(2) == b"he"
        assert content.seek(-2, io.SEEK_END) == 3
        assert content.read() == b"lo"
        assert content.seek(1) == 1
        assert content.read(3) == b"ell"


async def test_how_to_read_kept_bytes_can_be_sent_to_another_process(store: ArtifactStore):
    await store.put(io.BytesIO(b"hello"), quiet)

    with pickle.loads(pickle.dumps(store.opener(HELLO, 5)))() as content:
        assert content.read() == b"hello"


async def test_a_failure_of_whoever_is_told_is_not_hidden(store: ArtifactStore):
    async def failing(_: int) -> None:
        raise ValueError("nobody listens")

    with pytest.raises(ValueError, match="nobody listens"):
        await store.put(io.BytesIO(bytes(3_000_000)), failing)


def damage(store: ArtifactStore, digest: str, content: bytes) -> None:
    """Put other bytes under a digest, behind the store's back."""
    match store:
        case InMemoryArtifactStore():
            store.blobs[digest] = content
        case ArtifactFolder():
            store.path_of(digest).chmod(0o644)
            store.path_of(digest).write_bytes(content)
        case ObjectArtifacts():
            obstore.put(store.bucket.client, store.key_of(digest), content)


async def test_some_of_the_kept_bytes_can_be_read(store: ArtifactStore):
    await store.put(io.BytesIO(b"hello"), quiet)

    assert await store.read(HELLO, 0, 5) == b"hello"
    assert await store.read(HELLO, 1, 3) == b"ell"
    assert await store.read(HELLO, 4, 1) == b"o"


async def test_many_read_at_once(store: ArtifactStore):
    content = bytes(range(256)) * 1000
    blob = await store.put(io.BytesIO(content), quiet)

    parts = await asyncio.gather(*(store.read(blob.digest, offset, 1000) for offset in range(0, 256_000, 1000)))

    assert b"".join(parts) == content


@pytest.mark.parametrize(("offset", "size_bytes"), [(0, 6), (3, 3), (5, 1), (100, 1)])
async def test_more_bytes_than_there_are_cannot_be_read(store: ArtifactStore, offset: int, size_bytes: int):
    await store.put(io.BytesIO(b"hello"), quiet)

    with pytest.raises(Damaged):
        await store.read(HELLO, offset, size_bytes)


async def test_bytes_that_are_not_there_cannot_be_read(store: ArtifactStore):
    with pytest.raises(Damaged) as caught:
        await store.read(HELLO, 0, 5)

    assert caught.value.code == "artifact-corrupted"


async def test_the_size_is_that_of_what_is_there(store: ArtifactStore):
    await store.put(io.BytesIO(b"hello"), quiet)

    assert await store.size_of(HELLO) == 5
    assert await store.size_of(NOTHING) is None
    damage(store, HELLO, b"he")
    assert await store.size_of(HELLO) == 2


async def test_everything_that_is_kept_is_listed_by_digest(store: ArtifactStore):
    contents = [b"hello", b"", *(f"file {number}".encode() for number in range(40))]
    put = [await store.put(io.BytesIO(content), quiet) for content in contents]

    assert [blob async for blob in store.listed()] == sorted(put)


async def test_nothing_is_listed_at_first(store: ArtifactStore):
    assert [blob async for blob in store.listed()] == []


async def test_what_is_removed_is_gone_and_can_be_put_again(store: ArtifactStore):
    await store.put(io.BytesIO(b"hello"), quiet)
    await store.put(io.BytesIO(b"other"), quiet)

    await store.remove([HELLO, NOTHING])
    await store.remove([HELLO])

    assert await store.holds([HELLO]) == set()
    assert len(kept(store)) == 1
    await store.put(io.BytesIO(b"hello"), quiet)
    assert await store.read(HELLO, 0, 5) == b"hello"


async def test_nothing_is_half_copied_where_nobody_copies(store: ArtifactStore):
    await store.put(io.BytesIO(b"hello"), quiet)

    assert list(await store.half_copied()) == []
    await store.remove_half_copied(["gone"])
    assert await store.holds([HELLO]) == {HELLO}
