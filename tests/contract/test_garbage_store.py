"""The GarbageStore: who collects, which imports are under way, and what is doomed. In memory and in MongoDB."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from motor.motor_asyncio import AsyncIOMotorDatabase

from services.importer.garbage.ports import GarbageStore, Round, Watcher
from services.importer.garbage.store import MongoGarbageStore
from services.importer.ports import Answers, Blob
from shared.errors import Transient
from shared.messages import CollectGarbage, GarbageCollected
from shared.store import Document
from tests.fakes import InMemoryGarbageStore
from tests.samples import at, digest, said

A, B, C = (Blob(digest(letter), size) for letter, size in (("a", 1), ("b", 2), ("c", 3)))


class Store(GarbageStore, Answers):
    """Both ports, which one class keeps."""


Open = Callable[[], Awaitable[Store]]


@pytest.fixture(params=["fake", "mongo"])
def open_store(request: pytest.FixtureRequest) -> Open:
    """Opens the store, again and again: each is a process of its own on the same data."""
    if request.param == "fake":
        fake = InMemoryGarbageStore()

        async def open_fake() -> Store:
            return cast("Store", fake)

        return open_fake
    database = cast("AsyncIOMotorDatabase[Document]", request.getfixturevalue("database"))

    async def open_mongo() -> Store:
        store = MongoGarbageStore(database)
        await store.prepare()
        return cast("Store", store)

    return open_mongo


@pytest.fixture
async def store(open_store: Open) -> Store:
    return await open_store()


async def collector(store: Store, name: str = "one") -> str:
    assert await store.take(name, await store.holder())
    return name


async def test_at_first_nobody_collects(store: Store):
    assert await store.round() == Round(0, under_way=False)
    assert (await store.holder())[0] is None
    assert await store.watchers() == {}
    assert list(await store.doomed("", 10)) == []


async def test_one_of_many_becomes_the_collector(open_store: Open):
    stores = [await open_store() for _ in range(8)]
    seen = await stores[0].holder()

    taken = await asyncio.gather(*(one.take(f"collector-{number}", seen) for number, one in enumerate(stores)))

    assert sorted(taken) == [False] * 7 + [True]
    assert (await stores[0].holder())[0] == f"collector-{taken.index(True)}"


async def test_a_sign_of_life_of_the_collector_is_seen_and_keeps_its_place(store: Store):
    await collector(store)
    seen = await store.holder()

    assert await store.beat("one")

    assert await store.holder() != seen
    assert not await store.take("two", seen)
    assert (await store.holder())[0] == "one"


async def test_a_collector_that_was_replaced_can_do_nothing(store: Store):
    await collector(store, "one")
    await collector(store, "two")

    assert not await store.beat("one")
    with pytest.raises(Transient):
        await store.begin_round("one")
    await store.end("one", finished=True)
    assert (await store.holder())[0] == "two"


async def test_rounds_are_numbered_on_and_under_way_until_one_is_finished(store: Store):
    await collector(store)

    assert await store.begin_round("one") == 1
    assert await store.round() == Round(1, under_way=True)
    await store.end("one", finished=False)
    assert await store.round() == Round(1, under_way=True)
    assert (await store.holder())[0] is None
    await collector(store, "two")
    assert await store.begin_round("two") == 2
    await store.end("two", finished=True)
    assert await store.round() == Round(2, under_way=False)


async def test_a_process_is_known_by_its_signs_of_life(store: Store):
    assert not await store.report("p", 3)
    assert await store.report("p", 4)
    await store.report("q", 5)

    assert await store.watchers() == {"p": Watcher(2, 4), "q": Watcher(1, 5)}
    await store.leave("q")
    assert await store.watchers() == {"p": Watcher(2, 4)}


async def test_a_process_is_struck_off_only_while_it_is_silent(store: Store):
    await store.report("p", 0)
    await store.report("p", 0)

    await store.strike_off("p", 1)
    assert await store.report("p", 0)
    await store.strike_off("p", 3)

    assert not await store.report("p", 0)


async def test_what_is_doomed_is_given_by_digest_page_by_page(store: Store):
    await store.doom([C, A])
    await store.doom([A, B])

    assert list(await store.doomed("", 2)) == [A, B]
    assert list(await store.doomed(B.digest, 2)) == [C]


async def test_what_is_taken_out_is_not_condemned(store: Store):
    await store.doom([A, B])

    assert await store.spare([A.digest, C.digest]) == set()
    assert await store.condemn([A.digest, B.digest]) == {B.digest}
    assert list(await store.doomed("", 10)) == []
    assert list(await store.doomed("", 10, going=True)) == [B]


async def test_what_is_condemned_cannot_be_taken_out_or_doomed_anew_until_it_is_gone(store: Store):
    await store.doom([A])
    await store.condemn([A.digest])

    assert await store.spare([A.digest]) == {A.digest}
    await store.doom([A])
    assert list(await store.doomed("", 10)) == []
    await store.gone([A.digest])
    assert await store.spare([A.digest]) == set()
    assert list(await store.doomed("", 10, going=True)) == []


async def test_a_blob_is_either_taken_out_or_condemned_where_both_happen_at_once(open_store: Open):
    importer, collecting = await open_store(), await open_store()
    blobs = [Blob(f"sha256:{number:064x}", number) for number in range(250)]
    digests = [blob.digest for blob in blobs]
    await collecting.doom(blobs)

    going, condemned = await asyncio.gather(importer.spare(digests), collecting.condemn(digests))

    assert going == condemned
    assert list(await collecting.doomed("", 1000)) == []


async def test_an_answer_stands_as_it_was_given_first(open_store: Open):
    first, second = await open_store(), await open_store()
    command = CollectGarbage(envelope=said("gc-1", "operator"))

    def answer(removed: int) -> GarbageCollected:
        envelope = command.envelope.of_answer(GarbageCollected.address, GarbageCollected.said_by, at(removed))
        facts = {"removed_files": removed, "removed_bytes": 0, "kept_files": 0, "kept_bytes": 0}
        return GarbageCollected(envelope=envelope, dry_run=False, **facts)

    assert await first.answer_of(command) is None
    assert await first.keep_answer(answer(1)) == answer(1)
    assert await second.keep_answer(answer(2)) == answer(1)
    assert await second.answer_of(command) == answer(1)
