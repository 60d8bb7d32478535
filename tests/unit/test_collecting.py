"""Collecting garbage: what no version needs goes; what an import relies on stays, wherever the two meet."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Sequence

import pytest

from services.importer.garbage import collecting
from services.importer.garbage.collecting import Collecting
from services.importer.garbage.watch import Shift, Watch
from services.importer.manifest import manifest_of, package_of
from services.importer.ports import Blob
from shared.errors import Transient
from shared.messages import CollectGarbage, CommandRefused, GarbageCollected, ModelImported, VersionDeleted
from shared.values import File
from tests.fakes import InMemoryArtifactStore, InMemoryGarbageStore, InMemoryImportStore
from tests.samples import a_refusal, a_request, at, noon, said

Step = Callable[[], Awaitable[None]]


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "LOOK_EVERY_S", 0.001)
    monkeypatch.setattr(collecting, "BEAT_EVERY_S", 0.001)


class Stopped(Exception):
    """The collector died here."""


class SteppedGarbageStore(InMemoryGarbageStore):
    """Does something between two steps of whoever uses it."""

    def __init__(self) -> None:
        super().__init__()
        self.after_doom: Step | None = None
        self.after_round: Step | None = None
        self.before_condemn: Step | None = None
        self.after_condemn: Step | None = None
        self.before_gone: Step | None = None
        self.spared: list[str] = []

    async def doom(self, blobs: Sequence[Blob]) -> None:
        await super().doom(blobs)
        await self._step("after_doom")

    async def begin_round(self, collector: str) -> int:
        number = await super().begin_round(collector)
        await self._step("after_round")
        return number

    async def condemn(self, digests: Sequence[str]) -> set[str]:
        await self._step("before_condemn")
        going = await super().condemn(digests)
        await self._step("after_condemn")
        return going

    async def gone(self, digests: Sequence[str]) -> None:
        await self._step("before_gone")
        await super().gone(digests)

    async def spare(self, digests: Sequence[str]) -> set[str]:
        self.spared.extend(digests)
        return await super().spare(digests)

    async def _step(self, name: str) -> None:
        step = getattr(self, name)
        setattr(self, name, None)
        if step is not None:
            await step()


class World:
    """One process that imports, and a collector."""

    def __init__(self) -> None:
        self.artifacts = InMemoryArtifactStore()
        self.store = InMemoryImportStore()
        self.garbage = SteppedGarbageStore()
        self.seconds = 1000.0
        self.watch = Watch(self.garbage, self.artifacts, self._clock)
        self.commands = 0
        self.in_stream: list[ModelImported] = []

    def _clock(self) -> float:
        return self.seconds

    async def told(self) -> list[ModelImported]:
        """What the stream keeps."""
        return self.in_stream

    async def collect(self, *, dry_run: bool = False) -> GarbageCollected:
        """The watch tells as it would every two seconds."""
        self.commands += 1
        command = CollectGarbage(envelope=said(f"gc-{self.commands}"), dry_run=dry_run)
        work = Collecting(self.store, self.garbage, self.artifacts, self.told, noon, self._clock)
        collected = asyncio.ensure_future(work.collected(command))
        while not collected.done():
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)
            await self.watch.tell()
        return collected.result()

    async def put(self, *contents: str) -> list[File]:
        return [File(path=one, **(await self._put(one.encode()))._asdict()) for one in contents]

    async def _put(self, content: bytes) -> Blob:
        async def quiet(_: int) -> None:
            pass

        return await self.artifacts.put(io.BytesIO(content), quiet)

    async def bring_in(self, name: str, *contents: str, keep: Shift | None = None) -> ModelImported:
        """Everything of an import but its decision."""
        files = await self.put(*contents)
        manifest = await self._put(manifest_of(files))
        if keep is not None:
            await keep.keep([manifest.digest, *(file.digest for file in files)])
        request = a_request(name, model=name)
        facts = {"requested_by": "trainer", "source": request.origin, "package": package_of(files, manifest.digest)}
        return request.answer(ModelImported, at(1), import_id=request.import_id, **facts)

    async def decide(self, imported: ModelImported) -> None:
        await self.store.decide(a_request(imported.model, model=imported.model), imported)
        self.in_stream = [*self.in_stream[:1], imported]

    async def imports(self, name: str, *contents: str) -> ModelImported:
        async with self.watch.shift() as shift:
            imported = await self.bring_in(name, *contents, keep=shift)
            shift.check()
            await self.decide(imported)
        return imported

    async def delete(self, imported: ModelImported) -> None:
        about = {"workspace": "0", "model": imported.model, "ordinal": 1, "by": "operator", "version": "0.0.1"}
        facts = {"import_id": imported.import_id, "package_digest": imported.package.digest, "deletions": 1}
        await self.store.delete(VersionDeleted(envelope=said(f"delete-{imported.model}"), **about, **facts))

    @property
    def contents(self) -> set[str]:
        """What is kept, but for manifests."""
        return {content.decode() for content in self.artifacts.blobs.values() if not content.startswith(b'{"files"')}


@pytest.fixture
async def world() -> World:
    world = World()
    await world.watch.tell()
    return world


def counts(collected: GarbageCollected) -> tuple[int, int, int, int]:
    return collected.removed_files, collected.removed_bytes, collected.kept_files, collected.kept_bytes


async def test_what_a_standing_version_needs_stays_and_the_rest_goes(world: World):
    kept, gone = await world.imports("kept", "shared", "own"), await world.imports("gone", "shared", "other")
    kept_bytes = len(world.artifacts.blobs[kept.package.digest]) + len("shared") + len("own")
    gone_bytes = len(world.artifacts.blobs[gone.package.digest]) + len("other")
    await world.delete(gone)

    collected = await world.collect()

    assert world.contents == {"shared", "own"}
    assert kept.package.digest in world.artifacts.blobs
    assert gone.package.digest not in world.artifacts.blobs
    assert counts(collected) == (2, gone_bytes, 3, kept_bytes)


async def test_what_was_refused_a_version_goes(world: World):
    await world.store.release(a_refusal(await world.imports("refused", "weights")))

    await world.collect()

    assert world.artifacts.blobs == {}


async def test_what_waits_for_its_version_stays(world: World):
    await world.imports("waiting", "weights")

    assert counts(await world.collect())[:2] == (0, 0)
    assert world.contents == {"weights"}


async def test_bytes_that_no_import_ever_finished_with_go(world: World):
    await world.put("left by a process that died")

    await world.collect()

    assert world.artifacts.blobs == {}


async def test_a_dry_run_says_what_would_go_and_removes_nothing(world: World):
    await world.delete(await world.imports("gone", "weights"))
    before = dict(world.artifacts.blobs)

    tried = await world.collect(dry_run=True)

    assert tried.dry_run
    assert world.artifacts.blobs == before
    assert counts(await world.collect()) == counts(tried)


async def test_nothing_is_left_to_collect_the_second_time(world: World):
    await world.delete(await world.imports("gone", "weights"))
    await world.collect()

    assert counts(await world.collect()) == (0, 0, 0, 0)


async def test_more_than_memory_is_meant_to_hold_is_judged_in_passes(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(collecting, "PASS_BLOBS", 7)
    monkeypatch.setattr(collecting, "REMOVED_AT_ONCE", 3)
    await world.imports("kept", *(f"kept {number}" for number in range(20)))
    await world.delete(await world.imports("gone", *(f"gone {number}" for number in range(20))))

    collected = await world.collect()

    assert world.contents == {f"kept {number}" for number in range(20)}
    assert (collected.removed_files, collected.kept_files) == (21, 21)


async def test_half_copies_that_nobody_works_on_go(world: World):
    world.artifacts.half = {"left"}

    async def begin_another() -> None:
        world.artifacts.half.add("being copied")

    world.garbage.after_round = begin_another
    await world.collect()

    assert world.artifacts.half == {"being copied"}


async def test_where_a_manifest_is_gone_nothing_is_removed(world: World):
    kept = await world.imports("kept", "weights")
    await world.put("garbage")
    del world.artifacts.blobs[kept.package.digest]
    work = Collecting(world.store, world.garbage, world.artifacts, world.told, noon)

    answer = await work.answered(CollectGarbage(envelope=said("gc")))

    assert isinstance(answer, CommandRefused)
    assert answer.reason == "package-not-found"
    assert kept.package.digest in answer.message
    assert world.contents == {"weights", "garbage"}


async def test_where_a_manifest_is_damaged_nothing_is_removed(world: World):
    kept = await world.imports("kept", "weights")
    world.artifacts.blobs[kept.package.digest] = b'{"files":[],"schema":"modelkin.manifest.v1"}'
    work = Collecting(world.store, world.garbage, world.artifacts, world.told, noon)

    answer = await work.answered(CollectGarbage(envelope=said("gc")))

    assert isinstance(answer, CommandRefused)
    assert world.contents == {"weights"}


async def test_a_store_that_does_not_know_what_the_stream_tells_of_lets_nothing_go(world: World):
    world.in_stream = [await world.bring_in("forgotten", "its weights")]
    work = Collecting(world.store, world.garbage, world.artifacts, world.told, noon)

    answers = [await work.answered(CollectGarbage(envelope=said("gc"), dry_run=dry_run)) for dry_run in (True, False)]

    assert [one.reason for one in answers if isinstance(one, CommandRefused)] == ["imports-forgotten"] * 2
    assert world.contents == {"its weights"}


async def test_a_workspace_that_breaks_the_rule_is_refused(world: World):
    work = Collecting(world.store, world.garbage, world.artifacts, world.told, noon)

    answer = await work.answered(CollectGarbage(envelope=said("gc"), workspace="a b"))

    assert isinstance(answer, CommandRefused)
    assert answer.reason == "invalid-workspace"


# Where an import and a collector meet. "Found to be there": bytes that a deleted version left.


@pytest.fixture
async def left(world: World) -> World:
    """`weights` is kept, and no version needs it."""
    await world.delete(await world.imports("deleted", "weights"))
    return world


async def test_an_import_that_began_before_is_waited_for_and_keeps_what_it_found(left: World):
    async with left.watch.shift() as shift:
        imported = await left.bring_in("late", "weights", "new", keep=shift)
        collected = asyncio.ensure_future(left.collect())
        await asyncio.sleep(0.05)
        assert not collected.done()
        shift.check()
        await left.decide(imported)

    await collected
    assert left.contents == {"weights", "new"}


async def test_an_import_that_began_before_and_came_to_nothing_keeps_nothing(left: World):
    async with left.watch.shift() as shift:
        await left.bring_in("late", "weights", "new", keep=shift)
        collected = asyncio.ensure_future(left.collect())
        await asyncio.sleep(0.05)

    await collected
    assert left.artifacts.blobs == {}


@pytest.mark.parametrize("moment", ["after_doom", "after_round"])
async def test_an_import_that_began_before_its_process_knew_of_the_round_is_waited_for(left: World, moment: str):
    begun: list[asyncio.Task[ModelImported]] = []

    async def an_import() -> ModelImported:
        async with left.watch.shift() as shift:
            imported = await left.bring_in("late", "weights", keep=shift)
            await asyncio.sleep(0.05)
            shift.check()
            await left.decide(imported)
        return imported

    async def begin() -> None:
        begun.append(asyncio.create_task(an_import()))
        await asyncio.sleep(0)

    setattr(left.garbage, moment, begin)
    await left.collect()
    await begun[0]

    assert left.contents == {"weights"}


async def test_an_import_of_the_round_that_takes_out_what_it_found_keeps_it(left: World):
    async def an_import() -> None:
        await left.watch.tell()
        await left.imports("late", "weights")

    left.garbage.before_condemn = an_import
    collected = await left.collect()

    assert left.contents == {"weights"}
    assert await left.garbage.doomed("", 10) == []
    assert collected.removed_files == 0


async def test_an_import_that_found_what_is_being_removed_is_tried_again_and_copies_it(left: World):
    async def an_import() -> None:
        await left.watch.tell()
        with pytest.raises(Transient, match="being removed"):
            await left.imports("late", "weights")

    left.garbage.after_condemn = an_import
    await left.collect()
    assert left.contents == set()
    await left.imports("late", "weights")

    assert left.contents == {"weights"}


async def test_an_import_that_looked_just_before_bytes_went_is_tried_again(left: World):
    relied_on: list[tuple[Shift, ModelImported]] = []

    async def find_them_there() -> None:
        await left.watch.tell()
        async with left.watch.shift() as shift:
            relied_on.append((shift, await left.bring_in("late", "weights")))

    left.garbage.before_condemn = find_them_there
    await left.collect()
    [(shift, imported)] = relied_on

    with pytest.raises(Transient, match="removed meanwhile"):
        await shift.keep([imported.package.digest])


async def test_an_import_of_the_round_with_bytes_of_its_own_is_not_held_up(left: World):
    async def an_import() -> None:
        await left.watch.tell()
        await left.imports("late", "new")

    left.garbage.after_condemn = an_import
    await left.collect()

    assert left.contents == {"new"}


async def test_an_import_asks_nothing_for_it_where_nobody_collects(world: World):
    await world.imports("kept", "weights")
    await world.collect()
    world.garbage.spared.clear()
    await world.watch.tell()
    await world.imports("another", "weights")

    assert world.garbage.spared == []


# Who dies.


async def test_a_process_that_is_silent_too_long_is_not_waited_for_and_gives_its_imports_up(left: World):
    silent = Watch(left.garbage, left.artifacts, left._clock)
    await silent.tell()

    async with silent.shift() as shift:
        await left.bring_in("late", "weights", keep=shift)
        collected = asyncio.ensure_future(left.collect())
        while not collected.done():
            await asyncio.sleep(0.002)
            left.seconds += 1
        await collected
        with pytest.raises(Transient, match="taken for dead"):
            shift.check()
        await silent.tell()
        with pytest.raises(Transient, match="taken for dead"):
            shift.check()

    assert left.contents == set()
    assert len(await left.garbage.watchers()) == 2


async def test_what_a_collector_that_died_had_condemned_is_relied_on_by_nobody_and_goes_later(left: World):
    async def die() -> None:
        raise Stopped

    left.garbage.after_condemn = die
    with pytest.raises(Stopped):
        await left.collect()
    await left.watch.tell()
    with pytest.raises(Transient, match="being removed"):
        await left.imports("late", "weights")
    await left.collect()
    await left.imports("late", "weights")

    assert left.contents == {"weights"}


async def test_bytes_put_anew_after_a_collector_died_are_not_relied_on_before_they_are_safe(left: World):
    async def die() -> None:
        raise Stopped

    left.garbage.before_gone = die
    with pytest.raises(Stopped):
        await left.collect()
    assert left.contents == set()
    await left.watch.tell()
    with pytest.raises(Transient, match="being removed"):
        await left.imports("late", "weights")
    await left.collect()
    await left.imports("late", "weights")
    await left.collect()

    assert left.contents == {"weights"}


async def test_what_a_collector_that_died_had_only_doomed_is_judged_anew(left: World):
    async def die() -> None:
        raise Stopped

    left.garbage.after_doom = die
    with pytest.raises(Stopped):
        await left.collect()
    await left.imports("late", "weights")
    await left.collect()

    assert left.contents == {"weights"}


async def test_two_do_not_collect_at_once(left: World):
    async def another() -> None:
        with pytest.raises(Transient, match="another process"):
            await _beaten(left)

    left.garbage.after_doom = another
    await left.collect()

    assert left.contents == set()


async def _beaten(world: World) -> None:
    """Another collector, while the first is seen to live."""
    work = Collecting(world.store, world.garbage, world.artifacts, world.told, noon)
    trying = asyncio.ensure_future(work.collected(CollectGarbage(envelope=said("gc-other"))))
    await asyncio.sleep(0.01)
    name = (await world.garbage.holder())[0]
    assert name is not None
    await world.garbage.beat(name)
    await trying


async def test_a_collector_that_could_not_say_that_it_lives_removes_nothing(left: World):
    async def silence() -> None:
        left.seconds += 31

    left.garbage.after_condemn = silence
    with pytest.raises(Transient, match="another may have taken its place"):
        await left.collect()

    assert left.contents == {"weights"}
