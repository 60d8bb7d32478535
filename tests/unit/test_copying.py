"""Copying a package: side by side, nothing twice, nothing that was read before and is still there."""

import asyncio
import hashlib
import io
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import BinaryIO, cast

import pytest

from services.importer import copying, digesting
from services.importer.copying import Copying, digest, each
from services.importer.domain import Unacceptable
from services.importer.ports import Blob, FoundFile, Opener
from shared.errors import Transient
from shared.values import File, Reason
from tests.fakes import InMemoryImportStore

# sha256sum says so.
HELLO = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
NOTHING = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


class Disk:
    """Files that remember how often they were opened, and whether they were closed."""

    def __init__(self, files: Mapping[str, bytes], *, states: bool = True) -> None:
        self.files = files
        self.states = states
        self.opened: list[str] = []
        self.given: list[io.BytesIO] = []

    def found(self, *, size_bytes: int | None = None) -> list[FoundFile]:
        """All files. `size_bytes` is what each is said to have: what is looked up depends on that, not on what is read."""
        return [
            FoundFile(
                path,
                len(content) if size_bytes is None else size_bytes,
                self._opener(path),
                f"{path}@{hash_of(content)}" if self.states else None,
            )
            for path, content in self.files.items()
        ]

    def _opener(self, path: str) -> Opener:
        def open_again() -> BinaryIO:
            self.opened.append(path)
            self.given.append(io.BytesIO(self.files[path]))
            return self.given[-1]

        return open_again


class Artifacts:
    """The part of an artifact store that copying needs."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.asked: list[Sequence[str]] = []
        self.fails: Exception | None = None

    async def prepare(self) -> None:
        """Nothing to make ready."""

    async def put(self, content: BinaryIO, progress: Callable[[int], Awaitable[None]]) -> Blob:
        held = content.read()
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        await progress(len(held))
        self.blobs[hash_of(held)] = held
        return Blob(hash_of(held), len(held))

    async def holds(self, digests: Sequence[str]) -> set[str]:
        self.asked.append(digests)
        return self.blobs.keys() & {*digests}

    def opener(self, digest: str, size_bytes: int) -> Opener:  # noqa: ARG002 - what is kept knows its size
        return lambda: io.BytesIO(self.blobs[digest])


class Store(InMemoryImportStore):
    """Remembers what it was asked, too."""

    def __init__(self) -> None:
        super().__init__()
        self.looked_up: list[int] = []
        self.remembered: list[int] = []

    async def blobs_of(self, states: Sequence[str]) -> dict[str, Blob]:
        self.looked_up.append(len(states))
        return await super().blobs_of(states)

    async def remember(self, blobs: Mapping[str, Blob]) -> None:
        self.remembered.append(len(blobs))
        await super().remember(blobs)


class Progress:
    def __init__(self) -> None:
        self.steps: list[int] = []

    async def __call__(self, more_bytes: int) -> None:
        self.steps.append(more_bytes)


def hash_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def artifacts() -> Artifacts:
    return Artifacts()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def progress() -> Progress:
    return Progress()


# Of a size that is worth looking up, though little is behind it.
LARGE = 8 * 1024 * 1024


class TestEach:
    async def test_every_item_is_worked_on_once_and_begun_in_order(self):
        begun: list[int] = []

        async def work(item: int) -> None:
            begun.append(item)
            await asyncio.sleep(0)

        await each(range(10), work, at_once=3)

        assert begun == [*range(10)]

    async def test_nothing_to_do_is_done_at_once(self):
        async def work(item: int) -> None:
            raise AssertionError(item)

        await each([], work, at_once=3)

    @pytest.mark.parametrize(("items", "at_once", "most"), [(10, 3, 3), (10, 1, 1), (2, 8, 2)])
    async def test_at_most_so_many_are_under_way(self, items: int, at_once: int, most: int):
        under_way: set[int] = set()
        seen: list[int] = []

        async def work(item: int) -> None:
            under_way.add(item)
            await asyncio.sleep(0)
            seen.append(len(under_way))
            under_way.remove(item)

        await each(range(items), work, at_once)

        assert max(seen) == most

    async def test_a_slow_item_holds_up_no_other(self):
        slow = asyncio.Event()
        done: list[int] = []

        async def work(item: int) -> None:
            if item == 0:
                await slow.wait()
            done.append(item)
            if item == 9:
                slow.set()

        await asyncio.wait_for(each(range(10), work, at_once=2), timeout=5)

        assert done == [*range(1, 10), 0]

    async def test_the_first_that_fails_stops_the_rest_and_is_raised_as_it_is(self):
        begun: list[int] = []
        stopped: list[int] = []
        failure = Transient("away")

        async def work(item: int) -> None:
            begun.append(item)
            if item == 1:
                raise failure
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                stopped.append(item)
                raise

        with pytest.raises(Transient) as caught:
            await asyncio.wait_for(each(range(10), work, at_once=3), timeout=5)

        assert caught.value is failure
        assert begun == [0, 1, 2]
        assert sorted(stopped) == [0, 2]

    async def test_of_several_that_fail_at_once_one_is_raised(self):
        async def work(item: int) -> None:
            raise Unacceptable(Reason.LOCATION_UNREADABLE, str(item))

        with pytest.raises(Unacceptable, match=r"^[012]$"):
            await each(range(3), work, at_once=3)

    async def test_whoever_stops_waiting_stops_the_work(self):
        begun = asyncio.Event()
        stopped: list[int] = []

        async def work(item: int) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                stopped.append(item)

        working = asyncio.create_task(each(range(3), work, at_once=2))
        await begun.wait()
        working.cancel()

        with pytest.raises(asyncio.CancelledError):
            await working
        assert sorted(stopped) == [0, 1]


async def test_files_are_put_away_and_listed_in_the_order_in_which_they_were_found(
    artifacts: Artifacts, store: Store, progress: Progress
):
    disk = Disk({"model/b": b"hello", "model/a": b"", "c": b"hello"})

    files = await Copying(artifacts, store, 2).copied(disk.found(), progress)

    assert files == [
        File(path="model/b", digest=HELLO, size_bytes=5),
        File(path="model/a", digest=NOTHING, size_bytes=0),
        File(path="c", digest=HELLO, size_bytes=5),
    ]
    assert artifacts.blobs == {HELLO: b"hello", NOTHING: b""}
    assert sum(progress.steps) == 10
    assert all(content.closed for content in disk.given)


async def test_files_that_stay_in_place_are_read_for_their_digests_alone(
    artifacts: Artifacts, store: Store, progress: Progress
):
    disk = Disk({"model/b": b"hello", "model/a": b""})

    files = await Copying(artifacts, store, 2).digested(disk.found(), progress)

    assert files == [
        File(path="model/b", digest=HELLO, size_bytes=5),
        File(path="model/a", digest=NOTHING, size_bytes=0),
    ]
    assert artifacts.blobs == {}
    assert artifacts.asked == []
    assert sum(progress.steps) == 5
    assert all(content.closed for content in disk.given)


async def test_a_small_package_is_neither_looked_up_nor_remembered(
    artifacts: Artifacts, store: Store, progress: Progress
):
    disk = Disk({f"f{number}": b"hello" for number in range(63)})

    await Copying(artifacts, store, 4).copied(disk.found(), progress)
    await Copying(artifacts, store, 4).digested(disk.found(), progress)

    assert (store.looked_up, store.remembered, artifacts.asked) == ([], [], [])
    assert len(disk.opened) == 126


async def test_a_package_of_64_files_or_8_mib_is_remembered(artifacts: Artifacts, store: Store, progress: Progress):
    many = Disk({f"f{number}": str(number).encode() for number in range(64)})
    large = Disk({"one": b"one", "two": b"two"})
    copies = Copying(artifacts, store, 4)

    await copies.copied(many.found(), progress)
    await copies.copied(large.found(size_bytes=LARGE // 2), progress)

    assert (store.looked_up, store.remembered) == ([64, 2], [64, 2])


async def test_what_was_read_before_and_is_kept_is_not_read_again(
    artifacts: Artifacts, store: Store, progress: Progress
):
    disk = Disk({"a": b"hello", "b": b"hi"})
    first = await Copying(artifacts, store, 2).copied(disk.found(size_bytes=LARGE), Progress())
    disk.opened.clear()

    again = await Copying(artifacts, store, 2).copied(disk.found(size_bytes=LARGE), progress)

    assert again == first
    assert disk.opened == []
    assert sorted(progress.steps) == [2, 5]
    assert artifacts.asked == [sorted([HELLO, hash_of(b"hi")])]
    assert store.remembered == [2]


async def test_what_was_read_before_but_is_kept_no_more_is_read_again(
    artifacts: Artifacts, store: Store, progress: Progress
):
    disk = Disk({"a": b"hello", "b": b"hi"})
    await Copying(artifacts, store, 2).copied(disk.found(size_bytes=LARGE), Progress())
    disk.opened.clear()
    del artifacts.blobs[HELLO]

    again = await Copying(artifacts, store, 2).copied(disk.found(size_bytes=LARGE), progress)

    assert disk.opened == ["a"]
    assert [file.digest for file in again] == [HELLO, hash_of(b"hi")]
    assert artifacts.blobs[HELLO] == b"hello"
    assert sum(progress.steps) == 7


async def test_what_changed_since_it_was_read_is_read_again(artifacts: Artifacts, store: Store, progress: Progress):
    await Copying(artifacts, store, 2).copied(Disk({"a": b"old", "b": b"same"}).found(size_bytes=LARGE), Progress())
    disk = Disk({"a": b"hello", "b": b"same"})

    files = await Copying(artifacts, store, 2).copied(disk.found(size_bytes=LARGE), progress)

    assert disk.opened == ["a"]
    assert [file.digest for file in files] == [HELLO, hash_of(b"same")]


async def test_what_was_digested_in_place_is_not_read_again_though_nothing_is_kept(
    artifacts: Artifacts, store: Store, progress: Progress
):
    disk = Disk({"a": b"hello", "b": b"hi"})
    first = await Copying(artifacts, store, 2).digested(disk.found(size_bytes=LARGE), Progress())
    disk.opened.clear()

    again = await Copying(artifacts, store, 2).digested(disk.found(size_bytes=LARGE), progress)

    assert again == first
    assert disk.opened == []
    assert sorted(progress.steps) == [2, 5]


async def test_what_was_only_digested_is_read_to_be_copied(artifacts: Artifacts, store: Store, progress: Progress):
    disk = Disk({"a": b"hello"})
    await Copying(artifacts, store, 2).digested(disk.found(size_bytes=LARGE), Progress())
    disk.opened.clear()

    await Copying(artifacts, store, 2).copied(disk.found(size_bytes=LARGE), progress)

    assert disk.opened == ["a"]
    assert artifacts.blobs == {HELLO: b"hello"}


@pytest.mark.parametrize("repeats", [1, 2])
async def test_what_has_no_state_is_always_read(artifacts: Artifacts, store: Store, progress: Progress, repeats: int):
    disk = Disk({"a": b"hello", "b": b"hi"}, states=False)

    for _ in range(repeats):
        await Copying(artifacts, store, 2).copied(disk.found(size_bytes=LARGE), progress)

    assert len(disk.opened) == 2 * repeats
    assert store.remembered == []


async def test_what_has_no_state_is_not_taken_for_what_has_an_empty_one(
    artifacts: Artifacts, store: Store, progress: Progress
):
    other = hash_of(b"other")
    artifacts.blobs[other] = b"other"
    await store.remember({"": Blob(other, 5)})
    disk = Disk({"a": b"hello"})
    stateless = disk.found(size_bytes=LARGE)[0]._replace(state=None)
    empty = FoundFile("b", LARGE, stateless.open, "")

    files = await Copying(artifacts, store, 2).copied([stateless, empty], progress)

    assert [file.digest for file in files] == [HELLO, other]


async def test_many_files_are_looked_up_a_hundred_at_a_time_and_remembered_200_at_a_time(
    artifacts: Artifacts, store: Store, progress: Progress
):
    disk = Disk({f"f{number}": str(number).encode() for number in range(2001)})

    await Copying(artifacts, store, 8).copied(disk.found(), progress)

    assert store.looked_up == [100] * 20 + [1]
    assert store.remembered == [200] * 10 + [1]


async def test_large_files_are_remembered_as_soon_as_64_mib_were_read(
    artifacts: Artifacts, store: Store, progress: Progress, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(copying, "REMEMBER_EVERY_BYTES", 10)
    disk = Disk({name: name.encode() * 5 for name in "abcde"})

    await Copying(artifacts, store, 1).copied(disk.found(size_bytes=LARGE), progress)

    assert store.remembered == [2, 2, 1]
    assert copying.REMEMBER_EVERY_FILES == 200


async def test_what_was_read_before_a_failure_is_remembered_in_part(
    artifacts: Artifacts, store: Store, progress: Progress, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(copying, "REMEMBER_EVERY_FILES", 2)
    disk = Disk({"a": b"a", "b": b"b", "c": b"c"})
    found = disk.found(size_bytes=LARGE)
    found[2] = found[2]._replace(open=_unreadable)

    with pytest.raises(Unacceptable):
        await Copying(artifacts, store, 1).copied(found, Progress())
    await Copying(artifacts, store, 1).copied(disk.found(size_bytes=LARGE), progress)

    assert disk.opened == ["a", "b", "c"]
    assert sum(progress.steps) == 3


def _unreadable() -> BinaryIO:
    raise Unacceptable(Reason.LOCATION_UNREADABLE, "'c' cannot be read")


@pytest.mark.parametrize("failure", [Transient("away"), Unacceptable(Reason.ARTIFACT_STORE_FULL, "full")])
async def test_what_the_artifact_store_raises_is_raised_as_it_is_and_files_are_closed(
    artifacts: Artifacts, store: Store, progress: Progress, failure: Exception
):
    artifacts.fails = failure
    disk = Disk({name: name.encode() for name in "abcdefgh"})

    with pytest.raises(type(failure)) as caught:
        await Copying(artifacts, store, 3).copied(disk.found(), progress)

    assert caught.value is failure
    assert len(disk.opened) <= 3
    assert all(content.closed for content in disk.given)


async def test_a_file_that_is_opened_while_another_fails_is_closed_too(
    artifacts: Artifacts, store: Store, progress: Progress
):
    disk = Disk({"a": b"a", "b": b"b"})
    failing, slow = disk.found()
    slow_begun, failed = threading.Event(), threading.Event()

    def fails() -> BinaryIO:
        slow_begun.wait()
        asyncio.run_coroutine_threadsafe(_set_later(failed), loop)
        raise Unacceptable(Reason.LOCATION_UNREADABLE, "'a' cannot be read")

    def opens_slowly() -> BinaryIO:
        slow_begun.set()
        failed.wait()
        return slow.open()

    loop = asyncio.get_running_loop()
    with pytest.raises(Unacceptable):
        await Copying(artifacts, store, 2).copied(
            [failing._replace(open=fails), slow._replace(open=opens_slowly)], progress
        )

    assert disk.opened == ["b"]
    assert disk.given[0].closed


async def _set_later(event: threading.Event) -> None:
    """After the loop has cancelled what it was going to cancel."""
    await asyncio.sleep(0.05)
    event.set()


class Broken(io.RawIOBase):
    """A file on a disk that fails after the first bytes."""

    def __init__(self) -> None:
        self._reads = 0

    def readable(self) -> bool:
        return True

    def readinto(self, _: object) -> int:
        self._reads += 1
        if self._reads > 1:
            raise OSError(5, "Input/output error")
        return 3


class TestDigest:
    async def test_it_is_the_sha_256_of_all_bytes_and_their_number(self, progress: Progress):
        assert await digest(io.BytesIO(b"hello"), progress) == Blob(HELLO, 5)
        assert progress.steps == [5]

    async def test_no_bytes_have_a_digest_too(self, progress: Progress):
        assert await digest(io.BytesIO(b""), progress) == Blob(NOTHING, 0)
        assert sum(progress.steps) == 0

    async def test_progress_is_told_with_every_slice(self, progress: Progress, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(digesting, "CHUNK_BYTES", 4)
        monkeypatch.setattr(digesting, "SLICE_BYTES", 8)
        content = b"0123456789" * 2

        assert await digest(io.BytesIO(content), progress) == Blob(hash_of(content), 20)
        assert progress.steps == [8, 8, 4]

    async def test_bytes_that_cannot_be_read_are_unacceptable(self, progress: Progress):
        with pytest.raises(Unacceptable) as caught:
            await digest(cast("BinaryIO", Broken()), progress)

        assert caught.value.refusal.reason is Reason.LOCATION_UNREADABLE
        assert str(caught.value) == "a file of the package cannot be read: Input/output error"
