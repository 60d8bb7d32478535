"""Numbers, with several versioning processes on one consumer."""

import asyncio
from collections import Counter
from itertools import pairwise

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo import monitoring

from services.versioning.graph.store import MongoLineageStore
from services.versioning.store import HEAD_EVERY, MongoVersionStore
from shared.messages import ModelImported, VersionAssigned, VersionRefused
from shared.store import Document
from shared.values import Base, Reason
from tests.integration.system import System
from tests.samples import NOON, a_package, an_import


def imported(number: int, **changes: object) -> ModelImported:
    package = a_package().model_copy(update={"digest": f"sha256:{number:064x}"})
    return an_import(f"import-{number}", **{"package": package, **changes})


async def test_64_imports_at_once_over_three_processes_get_64_consecutive_numbers(bare_system: System):
    system = bare_system
    await system.start("versioning", "versioning", "versioning")
    await asyncio.gather(*(system.say(imported(number)) for number in range(64)))

    await system.hear(VersionAssigned, count=64)
    await system.quiet()
    decisions = await system.all_of(VersionAssigned)
    # In the order in which they were given, whichever process said them.
    assert [one.ordinal for one in decisions] == list(range(1, 65))
    assert {(one.ordinal, one.version) for one in decisions} == {(n, f"0.0.{n}") for n in range(1, 65)}
    assert await system.all_of(VersionRefused) == []
    assert await system.dead_letters() == []
    # No retry: each import was delivered once, and is said once.
    assert len(decisions) == 64


async def test_wishes_for_patch_minor_and_major_at_once_leave_no_double(bare_system: System):
    system = bare_system
    await system.start("versioning", "versioning")
    bumps = ["patch", "minor", "major"]
    await asyncio.gather(*(system.say(imported(n, requested_bump=bumps[n % 3])) for n in range(30)))

    await system.hear(VersionAssigned, count=30)
    decisions = await system.all_of(VersionAssigned)
    in_order = sorted(decisions, key=lambda one: one.ordinal)
    assert [one.ordinal for one in in_order] == list(range(1, 31))
    assert len({one.version for one in decisions}) == 30
    wished = {f"of-import-{n}": bumps[n % 3] for n in range(30)}
    for before, after in pairwise(in_order):
        major, minor, patch = (int(part) for part in before.version.split("."))
        expected = {
            "patch": f"{major}.{minor}.{patch + 1}",
            "minor": f"{major}.{minor + 1}.0",
            "major": f"{major + 1}.0.0",
        }
        assert after.version == expected[wished[after.import_id]]


async def test_after_the_last_number_a_wish_is_refused_in_its_own_words(bare_system: System):
    system = bare_system
    await system.start("versioning")
    await system.say(imported(0, requested_version="99.99.98"))
    await system.hear(VersionAssigned)
    await system.say(imported(1, requested_bump="minor"))

    refused = await system.hear(VersionRefused)
    assert refused.reason is Reason.VERSIONS_EXHAUSTED
    assert refused.message == (
        "resnet has reached 99.99.98: no minor number is left after it,"
        " expected a smaller step or a request for a free number"
    )
    await system.say(imported(2))
    assert (await system.hear(VersionAssigned, count=2)).version == "99.99.99"


async def test_of_two_that_ask_for_one_number_one_is_refused_and_told_who_has_it(bare_system: System):
    system = bare_system
    await system.start("versioning", "versioning")
    await asyncio.gather(*(system.say(imported(number, requested_version="2.0.0")) for number in range(8)))

    winner = await system.hear(VersionAssigned)
    await system.hear(VersionRefused, count=7)
    refusals = await system.all_of(VersionRefused)
    assert {one.reason for one in refusals} == {Reason.VERSION_EXISTS}
    assert {one.message for one in refusals} == {
        f"resnet has a version 2.0.0 already, of import {winner.import_id}: expected a number that is free"
    }


async def test_a_version_that_names_itself_as_its_base_is_refused(bare_system: System):
    system = bare_system
    await system.start("versioning")
    await system.say(imported(1, requested_version="2.0.0", bases=(Base(model="resnet", version="2.0.0"),)))

    assert (await system.hear(VersionRefused)).reason is Reason.LINEAGE_CYCLE


async def test_a_base_of_another_workspace_is_refused(bare_system: System):
    system = bare_system
    await system.start("versioning")
    await system.say(imported(1))
    await system.hear(VersionAssigned)
    await system.say(imported(2, bases=(Base(workspace="vision", model="resnet", version="0.0.1"),)))

    refused = await system.hear(VersionRefused)
    assert refused.reason is Reason.BASE_IN_OTHER_WORKSPACE
    assert refused.message == "base vision/resnet@0.0.1 is in another workspace: expected one of 0"


class Tally(monitoring.CommandListener):
    """Counts commands, and the documents that come back."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.counts[event.command_name] += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self.counts["documents"] += len(event.reply.get("cursor", {}).get("firstBatch", ()))

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


async def test_number_10_000_costs_what_number_10_costs(mongo_uri: str, database_name: str):
    """Round trips and documents read; a process that just started reads at most 64 documents to find the newest."""
    tally = Tally()
    client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(mongo_uri, event_listeners=[tally])
    database = client[database_name]

    async def opened() -> MongoVersionStore:
        store = MongoVersionStore(database, MongoLineageStore(database))
        await store.prepare()
        return store

    async def cost(store: MongoVersionStore, number: int) -> Counter[str]:
        tally.counts.clear()
        decision = (await store.decide(imported(number), NOON)).decision
        assert isinstance(decision, VersionAssigned)
        assert decision.ordinal == number
        return tally.counts.copy()

    store = await opened()
    for number in range(1, 10):
        await store.decide(imported(number), NOON)
    tenth = await cost(store, 10)
    of_fresh = await cost(await opened(), 11)
    await _continued(database, [*range(12, 1012), *range(8999, 9999)])
    store = await opened()
    of_fresh_later = await cost(store, 9999)
    last = await cost(store, 10_000)
    await client.drop_database(database_name)
    client.close()

    assert last == tenth
    documents = of_fresh_later.pop("documents")
    of_fresh.pop("documents")
    assert of_fresh_later == of_fresh
    assert documents <= 64 + 1


async def _continued(database: AsyncIOMotorDatabase[Document], ordinals: list[int]) -> None:
    """What the store would have after so many versions more, most of those in the middle left out, written at once."""
    like = await database["versions"].find_one({"ordinal": 11})
    assert like is not None
    numbers = [{"ordinal": n, "number": n, "highest": n, "node": f"copy-{n}", "_id": f"copy-{n}"} for n in ordinals]
    for start in range(0, len(numbers), 1000):
        await database["versions"].insert_many([{**like, **one} for one in numbers[start : start + 1000]])
    newest = max(n for n in ordinals if n % HEAD_EVERY == 0)
    await database["heads"].insert_one({"_id": "0/resnet", "ordinal": newest, "highest": newest})
