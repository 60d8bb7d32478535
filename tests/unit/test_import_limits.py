"""What may be under way at once, and how long a request may be: in memory, without servers."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

import pytest

import services.importer.under_way.places as places_module
from services.importer.domain import Unacceptable
from services.importer.large import InspectorApart, LargeImports, TurnsOutLarge
from services.importer.ports import FoundFile
from services.importer.threads import to_its_end
from services.importer.under_way.places import MOST_GIVEN_OUT, Places
from shared.contents import Contents
from shared.errors import Transient
from shared.messages import ImportRefused, ModelImported
from shared.values import Reason
from tests.fakes import InMemoryModelSource, InMemoryUnderWay, RecordingEvents
from tests.importings import an_importing
from tests.samples import NOON, a_request, noon

RUN_7 = "file:///models/run-7"
ONE_FILE = InMemoryModelSource({RUN_7: {"weights.pt": b"hello"}})


class Stalling(InMemoryModelSource):
    """Gives nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__({RUN_7: {"weights.pt": b"hello"}})
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()
        self.listed = 0

    @contextlib.asynccontextmanager
    async def found(self, location: str, workspace: str) -> AsyncIterator[Sequence[FoundFile]]:
        self.asked.set()
        await self.go_on.wait()
        self.listed += 1
        async with super().found(location, workspace) as files:
            yield files


# The length of a request


async def test_a_request_as_long_as_it_may_be_is_imported():
    assert isinstance(await an_importing(ONE_FILE).bring_in(a_request(), body_bytes=256 * 1024), ModelImported)


async def test_a_request_that_is_longer_is_refused_with_the_setting_and_its_value():
    outcome = await an_importing(ONE_FILE).bring_in(a_request(), body_bytes=256 * 1024 + 1)

    assert isinstance(outcome, ImportRefused)
    assert outcome.reason is Reason.METADATA_TOO_LARGE
    assert outcome.message == "the request has 262145 bytes: expected at most 262144 (MODELKIN_MAX_EVENT_BYTES)"


# Imports of one workspace


async def test_one_more_than_the_limit_is_refused_with_the_limit_the_setting_and_how_many_there_are():
    source = Stalling()
    importing = an_importing(source, places=Places(InMemoryUnderWay(), 1, noon))
    first = asyncio.create_task(importing.bring_in(a_request("request-1")))
    await source.asked.wait()

    refused = await importing.bring_in(a_request("request-2"))
    source.go_on.set()

    assert isinstance(refused, ImportRefused)
    assert refused.reason is Reason.TOO_MANY_IMPORTS
    assert refused.message == (
        "imports of workspace '0' under way: 1; expected at most 1 at once (MODELKIN_MAX_IMPORTS_PER_WORKSPACE);"
        " ask again under a new id when some are done"
    )
    assert isinstance(await first, ModelImported)
    assert isinstance(await importing.bring_in(a_request("request-3")), ModelImported)


@pytest.mark.parametrize("location", [RUN_7, "file:///models/not-there"])
async def test_an_import_that_is_done_or_refused_makes_room(location: str):
    store = InMemoryUnderWay()
    importing = an_importing(ONE_FILE, places=Places(store, 1, noon))

    await importing.bring_in(a_request(location=location))

    assert store.until == {"0": {}}


async def test_an_import_that_fails_by_a_bug_makes_room():
    store = InMemoryUnderWay()

    with pytest.raises(ZeroDivisionError):
        async with Places(store, 1, noon).place("0", "a"):
            raise ZeroDivisionError

    assert store.until == {"0": {}}


async def test_an_import_that_is_tried_again_later_keeps_its_place():
    places = Places(InMemoryUnderWay(), 1, noon)
    with pytest.raises(Transient):
        async with places.place("0", "a"):
            raise Transient("the store is away")

    with pytest.raises(Unacceptable):
        async with places.place("0", "b"):
            pass
    async with places.place("0", "a"):
        pass
    async with places.place("0", "b"):
        pass


async def test_an_import_whose_process_ends_keeps_its_place_until_it_lapses():
    store, time = InMemoryUnderWay(), NOON
    importing = Places(store, 1, lambda: time)

    async def endless() -> None:
        async with importing.place("0", "a"):
            await asyncio.Event().wait()

    dying = asyncio.create_task(endless())
    await asyncio.sleep(0)
    dying.cancel()
    await asyncio.wait([dying])

    with pytest.raises(Unacceptable):
        async with importing.place("0", "b"):
            pass
    time += timedelta(minutes=5, seconds=1)
    async with importing.place("0", "b"):
        assert [*store.until["0"]] == ["b"]


async def test_a_long_import_renews_its_place(monkeypatch: pytest.MonkeyPatch):
    class Telling(InMemoryUnderWay):
        async def enter(
            self, workspace: str, request_id: str, limit: int, now: datetime, until: datetime
        ) -> int | None:
            if now > NOON:
                renewed.set()
            return await super().enter(workspace, request_id, limit, now, until)

    monkeypatch.setattr(places_module, "RENEWED_EVERY_S", 0.001)
    store, time, renewed = Telling(), NOON, asyncio.Event()

    async with Places(store, 1, lambda: time).place("0", "a"):
        time += timedelta(hours=1)
        await asyncio.wait_for(renewed.wait(), 5)

        assert store.until["0"]["a"] == NOON + timedelta(hours=1, minutes=5)


async def test_a_limit_that_the_stream_cannot_reach_is_not_counted():
    store = InMemoryUnderWay()

    async with Places(store, MOST_GIVEN_OUT, noon).place("0", "a"):
        assert store.until == {}


async def test_where_the_count_cannot_be_told_that_an_import_is_done_it_is_done_all_the_same():
    class AwayAtTheEnd(InMemoryUnderWay):
        async def leave(self, *_: str) -> None:
            raise Transient("the store is away")

    importing = an_importing(ONE_FILE, places=Places(AwayAtTheEnd(), 1, noon))

    assert isinstance(await importing.bring_in(a_request()), ModelImported)


# Large imports


async def test_large_imports_beyond_the_limit_wait_in_the_stream_and_small_ones_go_on():
    large_source = Stalling()
    large = LargeImports(from_bytes=5, at_once=1)
    importing = an_importing(large_source, large=large)
    large_source.go_on.set()
    outcome = await importing.bring_in(a_request("request-0"))
    large_source.go_on.clear()
    large_source.asked.clear()
    large._learn("request-1")
    first = asyncio.create_task(importing.bring_in(a_request("request-1")))
    await large_source.asked.wait()

    small = an_importing(InMemoryModelSource({RUN_7: {"weights.pt": b"hell"}}), large=large)
    with pytest.raises(Transient, match=r"^1 large imports are under way .*\(MODELKIN_CONCURRENT_LARGE_IMPORTS\)"):
        await an_importing(ONE_FILE, large=large).bring_in(a_request("request-2"))
    assert isinstance(await small.bring_in(a_request("request-3")), ModelImported)
    large_source.go_on.set()

    assert isinstance(outcome, ModelImported)
    assert isinstance(await first, ModelImported)
    assert isinstance(await an_importing(ONE_FILE, large=large).bring_in(a_request("request-2")), ModelImported)


async def test_an_import_that_is_known_to_be_large_is_not_listed_again_until_there_is_room():
    source = Stalling()
    source.go_on.set()
    large = LargeImports(from_bytes=5, at_once=1)
    large._under_way = 1
    for _ in range(3):
        with pytest.raises(Transient):
            await an_importing(source, large=large).bring_in(a_request())

    assert source.listed == 1


async def test_a_large_import_that_waits_says_nothing_of_being_started():
    events = RecordingEvents()
    large = LargeImports(from_bytes=5, at_once=1)
    large._under_way = 1
    with pytest.raises(Transient):
        await an_importing(ONE_FILE, events=events, large=large).bring_in(a_request())
    assert events.said == []
    large._under_way = 0
    await an_importing(ONE_FILE, events=events, large=large).bring_in(a_request())

    assert [type(event).__name__ for event in events.said] == ["ImportStarted"]


async def test_a_large_import_that_fails_makes_room():
    large = LargeImports(from_bytes=5, at_once=1)

    async def fails() -> None:
        large.check(5)
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await large.run("a", fails)


async def test_large_imports_run_on_threads_of_their_own():
    large = LargeImports(from_bytes=5, at_once=1)
    threads: list[str] = []

    async def work(size_bytes: int) -> None:
        threads.append(await to_its_end(lambda: threading.current_thread().name.rpartition("_")[0]))
        large.check(size_bytes)

    await large.run("small", lambda: work(4))
    await large.run("large", lambda: work(5))
    await large.run("small", lambda: work(4))

    assert threads == ["importer-io", "importer-io", "importer-io-apart", "importer-io"]


async def test_what_a_thread_finds_out_of_the_size_counts_too():
    large = LargeImports(from_bytes=5, at_once=1)

    async def work() -> str:
        await to_its_end(lambda: large.check(5))
        return "done"

    large._under_way = 1
    with pytest.raises(Transient, match="large imports are under way"):
        await large.run("a", work)
    large._under_way = 0

    assert await large.run("a", work) == "done"


async def test_where_nothing_is_imported_no_size_is_too_large():
    LargeImports(from_bytes=5, at_once=1).check(5)


async def test_of_ten_thousand_that_wait_each_is_known_and_more_are_forgotten():
    large = LargeImports(from_bytes=5, at_once=1)
    for number in range(10_001):
        large._learn(f"request-{number}")

    assert len(large._known) == 10_000
    assert "request-0" not in large._known


async def test_large_packages_are_inspected_apart():
    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        async def inspect(self, _: Sequence[FoundFile]) -> Contents:
            seen.append(self.name)
            return Contents()

    seen: list[str] = []
    large = LargeImports(from_bytes=5, at_once=1)
    inspector = InspectorApart(Named("small"), Named("large"))

    async def work(size_bytes: int) -> None:
        large.check(size_bytes)
        await inspector.inspect([])

    await large.run("a", lambda: work(4))
    await large.run("b", lambda: work(5))

    assert seen == ["small", "large"]


def test_who_turns_out_large_is_tried_again_whoever_asks():
    assert issubclass(TurnsOutLarge, Transient)
