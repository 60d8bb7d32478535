"""The artifact store on a real folder: bytes under their digest, and nothing left behind."""

import asyncio
import errno
import io
import os
import resource
import stat
import threading
import time
from pathlib import Path

import pytest

from services.importer import digesting
from services.importer.artifacts.folder import ArtifactFolder
from services.importer.domain import Unacceptable
from services.importer.ports import Blob
from shared.errors import Transient
from shared.values import Reason

# sha256sum of "hello" and of nothing.
HELLO = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
NOTHING = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture
async def store(tmp_path: Path) -> ArtifactFolder:
    folder = ArtifactFolder(tmp_path / "artifacts")
    await folder.prepare()
    return folder


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digesting, "CHUNK_BYTES", 100)
    monkeypatch.setattr(digesting, "SLICE_BYTES", 300)


async def quiet(_: int) -> None:
    """Nobody listens."""


def kept(tmp_path: Path) -> list[str]:
    """The files of the store, inside its folder."""
    root = tmp_path / "artifacts"
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


class Unreadable(io.RawIOBase):
    """Gives some bytes, then an error."""

    def __init__(self, good_bytes: int) -> None:
        self._left = good_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        if not self._left:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        given = min(self._left, len(buffer))
        self._left -= given
        return given


async def test_bytes_are_kept_under_their_sha_256(store: ArtifactFolder, tmp_path: Path):
    blob = await store.put(io.BytesIO(b"hello"), quiet)

    assert blob == Blob(HELLO, 5)
    assert kept(tmp_path) == ["blobs/sha256/2c/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"]
    assert store.path_of(HELLO).read_bytes() == b"hello"


async def test_an_empty_file_is_kept_too(store: ArtifactFolder):
    assert await store.put(io.BytesIO(b""), quiet) == Blob(NOTHING, 0)
    assert store.path_of(NOTHING).read_bytes() == b""


@pytest.mark.usefixtures("small_slices")
async def test_bytes_longer_than_a_slice_are_kept_whole(store: ArtifactFolder):
    content = bytes(range(256)) * 9

    blob = await store.put(io.BytesIO(content), quiet)

    assert blob.size_bytes == 2304
    assert store.path_of(blob.digest).read_bytes() == content


async def test_a_kept_file_cannot_be_written(store: ArtifactFolder):
    await store.put(io.BytesIO(b"hello"), quiet)

    assert stat.S_IMODE(store.path_of(HELLO).stat().st_mode) == 0o444


async def test_equal_bytes_are_kept_once(store: ArtifactFolder, tmp_path: Path):
    first = await store.put(io.BytesIO(b"hello"), quiet)
    written_at = store.path_of(HELLO).stat().st_mtime_ns

    second = await store.put(io.BytesIO(b"hello"), quiet)

    assert first == second
    assert len(kept(tmp_path)) == 1
    assert store.path_of(HELLO).stat().st_mtime_ns == written_at


async def test_equal_bytes_that_come_at_once_are_kept_once(store: ArtifactFolder, tmp_path: Path):
    blobs = await asyncio.gather(*(store.put(io.BytesIO(b"hello"), quiet) for _ in range(16)))

    assert set(blobs) == {Blob(HELLO, 5)}
    assert len(kept(tmp_path)) == 1


@pytest.mark.usefixtures("small_slices")
async def test_progress_is_told_by_the_slice_and_adds_up(store: ArtifactFolder):
    told: list[int] = []

    async def progress(more_bytes: int) -> None:
        told.append(more_bytes)

    await store.put(io.BytesIO(b"x" * 1000), progress)

    assert told == [300, 300, 300, 100]


async def test_content_is_left_open_for_its_owner_to_close(store: ArtifactFolder):
    content = io.BytesIO(b"hello")

    await store.put(content, quiet)

    assert not content.closed


@pytest.mark.usefixtures("small_slices")
@pytest.mark.parametrize("good_bytes", [0, 50, 650])
async def test_content_that_cannot_be_read_refuses_the_import_and_leaves_nothing(
    store: ArtifactFolder, tmp_path: Path, good_bytes: int
):
    with pytest.raises(Unacceptable) as caught:
        await store.put(Unreadable(good_bytes), quiet)

    assert caught.value.refusal[:2] == (
        Reason.LOCATION_UNREADABLE,
        "a file of the package cannot be read: Input/output error",
    )
    assert kept(tmp_path) == []


async def test_a_full_store_refuses_the_import_and_leaves_nothing(store: ArtifactFolder, tmp_path: Path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, hard))
    try:
        with pytest.raises(Unacceptable) as caught:
            await store.put(io.BytesIO(b"x" * 100_000), quiet)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert caught.value.refusal[:2] == (Reason.ARTIFACT_STORE_FULL, "the artifact store is full: File too large")
    assert kept(tmp_path) == []


async def test_a_store_that_has_room_again_takes_what_it_refused(store: ArtifactFolder):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2, hard))
    try:
        with pytest.raises(Unacceptable):
            await store.put(io.BytesIO(b"hello"), quiet)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert await store.put(io.BytesIO(b"hello"), quiet) == Blob(HELLO, 5)


async def test_a_store_that_is_away_is_transient(store: ArtifactFolder, tmp_path: Path):
    (tmp_path / "artifacts").rename(tmp_path / "unmounted")

    with pytest.raises(Transient, match=r"^the artifact store cannot be written: "):
        await store.put(io.BytesIO(b"hello"), quiet)


@pytest.mark.usefixtures("small_slices")
async def test_a_failure_of_whoever_is_told_leaves_nothing(store: ArtifactFolder, tmp_path: Path):
    async def failing(_: int) -> None:
        raise ValueError("nobody listens")

    with pytest.raises(ValueError, match="nobody listens"):
        await store.put(io.BytesIO(b"x" * 1000), failing)

    assert kept(tmp_path) == []


@pytest.mark.usefixtures("small_slices")
async def test_a_copy_that_is_cancelled_between_slices_leaves_nothing(store: ArtifactFolder, tmp_path: Path):
    begun = asyncio.Event()

    async def stuck(_: int) -> None:
        begun.set()
        await asyncio.Event().wait()

    copying = asyncio.create_task(store.put(io.BytesIO(b"x" * 1000), stuck))
    await begun.wait()
    assert len(kept(tmp_path)) == 1
    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying

    assert kept(tmp_path) == []


async def test_a_copy_that_is_cancelled_while_it_reads_leaves_nothing(store: ArtifactFolder, tmp_path: Path):
    reading, go_on, over = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    class Slow(io.RawIOBase):
        def readinto(self, _: memoryview) -> int:
            loop.call_soon_threadsafe(reading.set)
            go_on.wait(10)
            over.set()
            return 0

    copying = asyncio.create_task(store.put(Slow(), quiet))
    await reading.wait()
    copying.cancel()
    loop.call_later(0.05, go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await copying

    assert over.is_set()
    assert kept(tmp_path) == []


async def test_preparing_twice_is_as_good_as_once(store: ArtifactFolder):
    await store.put(io.BytesIO(b"hello"), quiet)
    await store.prepare()

    assert store.path_of(HELLO).read_bytes() == b"hello"


async def test_preparing_removes_what_was_left_a_day_ago_and_nothing_younger(store: ArtifactFolder, tmp_path: Path):
    partial = tmp_path / "artifacts" / "partial"
    (partial / "old").write_bytes(b"x")
    (partial / "young").write_bytes(b"x")
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(partial / "old", (two_days_ago, two_days_ago))

    await store.prepare()

    assert kept(tmp_path) == ["partial/young"]


async def test_a_folder_that_cannot_be_made_is_transient(tmp_path: Path):
    (tmp_path / "artifacts").write_bytes(b"a file is in the way")

    with pytest.raises(Transient, match=r"^the artifact folder cannot be written: "):
        await ArtifactFolder(tmp_path / "artifacts").prepare()


async def test_a_store_that_takes_no_change_at_all_is_away(store: ArtifactFolder, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for change in ("open", "unlink"):
        monkeypatch.setattr(Path, change, refuse)

    with pytest.raises(Transient, match="Read-only file system"):
        await store.put(io.BytesIO(b"hello"), quiet)
