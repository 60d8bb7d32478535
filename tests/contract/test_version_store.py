"""The VersionStore: numbers without gap or double, and lineage, whoever decides. In memory and in MongoDB."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase

from services.versioning import store as mongo_store
from services.versioning.ports import VersionStore
from services.versioning.store import MongoVersionStore
from shared.errors import Transient
from shared.messages import ModelImported, VersionAssigned, VersionRefused
from shared.store import Document
from shared.values import Base, FromAutoLearning, FromStorage, FromTemplate, Reason, TemplateInput
from tests.fakes import InMemoryVersionStore
from tests.samples import NOON, a_file, a_package, an_import, at, digest, said

Database = AsyncIOMotorDatabase[Document]
Open = Callable[[], Awaitable[VersionStore]]
ODD = {"a.b": 1, "$x": {"$set": None}, "": "", "huge": 123456789012345678901234567890, "模型": [True, -0.0, 1e300]}


@pytest.fixture(params=["fake", "mongo"])
def open_store(request: pytest.FixtureRequest) -> Open:
    """Opens the store, again and again: each is a process of its own on the same data."""
    if request.param == "fake":
        fake = InMemoryVersionStore()

        async def open_fake() -> VersionStore:
            return fake

        return open_fake
    database = cast("Database", request.getfixturevalue("database"))
    return lambda: opened(database)


async def opened(database: Database) -> MongoVersionStore:
    store = MongoVersionStore(database)
    await store.prepare()
    return store


@pytest.fixture
async def store(open_store: Open) -> VersionStore:
    return await open_store()


def run(number: int, **changes: Any) -> ModelImported:
    """An import with bytes of its own."""
    package = a_package().model_copy(update={"digest": f"sha256:{number:064x}"})
    return an_import(f"import-{number}", **{"package": package, **changes})


async def assigned(store: VersionStore, imported: ModelImported) -> VersionAssigned:
    decision = await store.decide(imported, at(1))
    assert isinstance(decision, VersionAssigned)
    return decision


async def refused(store: VersionStore, imported: ModelImported) -> VersionRefused:
    decision = await store.decide(imported, at(1))
    assert isinstance(decision, VersionRefused)
    return decision


async def numbers(store: VersionStore, *imports: ModelImported) -> list[str]:
    """What imports get that are decided at once."""
    return [one.version for one in await asyncio.gather(*(assigned(store, imported) for imported in imports))]


def targets(decision: VersionAssigned, kind: str) -> list[str]:
    return [edge.target for edge in decision.edges if edge.kind == kind]


async def test_versions_of_a_model_are_counted_from_0_0_1(store: VersionStore):
    decisions = [await assigned(store, run(number)) for number in range(3)]

    assert [(one.version, one.ordinal) for one in decisions] == [("0.0.1", 1), ("0.0.2", 2), ("0.0.3", 3)]
    assert [targets(one, "succeeds") for one in decisions] == [
        [],
        ["version:0/resnet@0.0.1"],
        ["version:0/resnet@0.0.2"],
    ]


async def test_models_and_workspaces_are_counted_apart(store: VersionStore):
    imports = [run(1), run(2, model="bert"), run(3, workspace="vision"), run(4)]

    assert await numbers(store, *imports) == ["0.0.1", "0.0.1", "0.0.1", "0.0.2"]


async def test_a_repeat_gets_the_decision_that_stands(store: VersionStore):
    first = await store.decide(run(1), at(1))
    await store.decide(run(2), at(2))

    assert await store.decide(run(1), at(3)) == first


async def test_a_repeat_within_one_batch_is_one_decision(store: VersionStore):
    assert await numbers(store, run(1), run(1), run(2), run(1)) == ["0.0.1", "0.0.1", "0.0.2", "0.0.1"]


async def test_a_decision_is_there_for_the_next_process(open_store: Open):
    first = await (await open_store()).decide(run(1), at(1))
    other = await open_store()

    assert await other.decide(run(1), at(9)) == first
    assert (await assigned(other, run(2))).version == "0.0.2"


async def test_a_decision_comes_back_as_it_was_with_odd_names_and_numbers(store: VersionStore):
    decision = await assigned(store, run(1, parameters=ODD, metrics={"f1": 0.1 + 0.2}))

    again = await store.version("version:0/resnet@0.0.1")

    assert again == decision
    assert again is not None
    assert again.parameters == ODD
    assert again.metrics == {"f1": 0.30000000000000004}


async def test_a_number_may_be_asked_for_once(store: VersionStore):
    await assigned(store, run(1, requested_version="2.0.0"))

    refusal = await refused(store, run(2, requested_version="2.0.0"))

    assert refusal.reason is Reason.VERSION_EXISTS
    assert (await assigned(store, run(3))).version == "2.0.1"


async def test_of_two_that_ask_for_one_number_at_once_one_gets_it(open_store: Open):
    stores = [await open_store(), await open_store()]
    imports = [run(number, requested_version="2.0.0") for number in range(16)]

    decisions = await asyncio.gather(
        *(stores[index % 2].decide(imported, at(1)) for index, imported in enumerate(imports))
    )

    assert [isinstance(one, VersionAssigned) for one in decisions].count(True) == 1
    assert {one.reason for one in decisions if isinstance(one, VersionRefused)} == {Reason.VERSION_EXISTS}


async def test_a_refusal_stands_and_takes_no_number(store: VersionStore):
    await assigned(store, run(1))
    refusal = await refused(store, run(2, requested_version="0.0.1"))

    assert await store.decide(run(2, requested_version="0.0.1"), at(9)) == refusal
    assert (await assigned(store, run(3))).ordinal == 2


async def test_a_refusal_stands_though_it_would_be_granted_now(store: VersionStore):
    wish = run(1, bases=(Base(model="bert", version="0.0.1"),))
    refusal = await refused(store, wish)
    await assigned(store, run(2, model="bert"))

    assert await store.decide(wish, at(9)) == refusal
    assert (await assigned(store, run(3, bases=(Base(model="bert", version="0.0.1"),)))).version == "0.0.1"


async def test_many_refusals_of_one_model_stand_side_by_side(store: VersionStore):
    await assigned(store, run(0))

    decisions = await asyncio.gather(
        *(store.decide(run(number, requested_version="0.0.1"), at(1)) for number in range(1, 9))
    )

    assert all(isinstance(one, VersionRefused) for one in decisions)
    assert len({one.envelope.id for one in decisions}) == 8


async def test_after_the_last_number_free_ones_are_given_on_request(store: VersionStore):
    await assigned(store, run(1, requested_version="99.99.99"))

    assert (await refused(store, run(2))).reason is Reason.VERSIONS_EXHAUSTED
    assert (await assigned(store, run(3, requested_version="5.0.0"))).version == "5.0.0"


async def test_a_lower_number_succeeds_the_one_right_below_it(store: VersionStore):
    for number, version in enumerate(("0.0.1", "0.0.5", "3.0.0")):
        await assigned(store, run(number, requested_version=version))

    between = await assigned(store, run(9, requested_version="1.0.0"))

    assert targets(between, "succeeds") == ["version:0/resnet@0.0.5"]
    assert between.ordinal == 4
    assert (await assigned(store, run(10))).version == "3.0.1"


async def test_a_lower_number_succeeds_the_one_right_below_it_for_a_process_that_just_started(open_store: Open):
    first = await open_store()
    for number, version in enumerate(("0.0.1", "0.0.5", "3.0.0")):
        await assigned(first, run(number, requested_version=version))

    between = await assigned(await open_store(), run(9, requested_version="1.0.0"))

    assert targets(between, "succeeds") == ["version:0/resnet@0.0.5"]


async def test_numbers_asked_for_in_falling_order_at_once_have_the_same_lineage_as_one_by_one(store: VersionStore):
    await assigned(store, run(0, requested_version="1.0.0"))
    opening = asyncio.create_task(assigned(store, run(1, model="bert")))
    await asyncio.sleep(0)

    five, three = await asyncio.gather(
        assigned(store, run(2, requested_version="5.0.0")), assigned(store, run(3, requested_version="3.0.0"))
    )
    await opening

    assert targets(five, "succeeds") == ["version:0/resnet@1.0.0"]
    assert targets(three, "succeeds") == ["version:0/resnet@1.0.0"]


async def test_a_base_may_be_registered_in_the_same_batch(store: VersionStore):
    bases = (Base(model="bert", version="0.0.1", relation="quantized"),)

    _, quantized = await asyncio.gather(assigned(store, run(1, model="bert")), assigned(store, run(2, bases=bases)))

    assert targets(quantized, "derived-from") == ["version:0/bert@0.0.1"]


async def test_bases_and_twins_are_found_by_their_bytes(store: VersionStore):
    await assigned(store, an_import("first", model="bert", package=a_package("a", a_file("w.pt", "b"))))

    twin = await assigned(store, an_import("twin", package=a_package("a", a_file("w.pt", "b"))))
    heir = await assigned(store, an_import("heir", package=a_package("c", a_file("base.pt", "b"), a_file("w.pt", "d"))))
    named = await assigned(store, an_import("named", package=a_package("e"), bases=(Base(digest=digest("a")),)))

    assert targets(twin, "same-bytes-as") == ["version:0/bert@0.0.1"]
    assert targets(twin, "derived-from") == []
    assert targets(heir, "derived-from") == ["version:0/bert@0.0.1"]
    assert targets(named, "derived-from") == ["version:0/bert@0.0.1"]


async def test_bytes_of_another_workspace_are_not_found(store: VersionStore):
    await assigned(store, an_import("first", workspace="vision"))

    assert targets(await assigned(store, an_import("second")), "same-bytes-as") == []


async def test_bytes_are_found_within_one_batch(store: VersionStore):
    first, second = await asyncio.gather(
        assigned(store, an_import("first", model="bert")), assigned(store, an_import("second"))
    )

    assert targets(first, "same-bytes-as") == []
    assert targets(second, "same-bytes-as") == ["version:0/bert@0.0.1"]


async def test_versions_of_every_origin_are_numbered_in_one_row(store: VersionStore):
    sources = (
        FromStorage(location="s3://models/resnet"),
        FromTemplate(template="t", inputs=(TemplateInput(input_id="i", location="l"),)),
        FromAutoLearning(location="l", project="flowers", run="V001"),
    )

    decisions = [await assigned(store, run(number, source=source)) for number, source in enumerate(sources)]

    assert [one.version for one in decisions] == ["0.0.1", "0.0.2", "0.0.3"]
    assert [targets(one, "made-from") for one in decisions] == [[], ["template:t"], []]
    assert [targets(one, "trained-by") for one in decisions] == [[], [], ["job:0/flowers@V001"]]
    assert await store.version("version:0/resnet@0.0.2") == decisions[1]


async def test_versions_are_found_by_their_nodes(store: VersionStore):
    one, two = await assigned(store, run(1)), await assigned(store, run(2))
    await refused(store, run(3, requested_version="0.0.1"))

    assert await store.version("version:0/resnet@0.0.2") == two
    assert await store.version("version:0/resnet@0.0.3") is None
    found = await store.versions(["version:0/resnet@0.0.1", "version:0/resnet@0.0.2", "version:0/bert@0.0.1"])
    assert sorted(found, key=lambda version: version.ordinal) == [one, two]
    assert await store.versions([]) == []


async def test_children_are_the_versions_that_were_made_from_one(store: VersionStore):
    await assigned(store, run(1, model="bert"))
    bert = (Base(model="bert", version="0.0.1"),)
    for number in (2, 3):
        await assigned(store, run(number, model=f"heir-{number}", bases=bert))
    await assigned(store, run(1, model="twin", envelope=said("twin")))
    await assigned(store, run(5, model="bert"))

    children = await store.children(["version:0/bert@0.0.1"], 10)

    assert sorted(child.model for child in children) == ["heir-2", "heir-3", "twin"]
    assert len(await store.children(["version:0/bert@0.0.1"], 2)) == 2
    assert list(await store.children(["version:0/bert@0.0.2", "job:0/job-7@V001"], 10)) == []


async def test_a_child_of_several_is_one_child(store: VersionStore):
    for number, model in enumerate("ab"):
        await assigned(store, run(number, model=model))
    both = (Base(model="a", version="0.0.1"), Base(model="b", version="0.0.1"))
    merged = await assigned(store, run(3, model="merged", bases=both))

    assert list(await store.children(["version:0/a@0.0.1", "version:0/b@0.0.1"], 10)) == [merged]


async def test_64_imports_of_one_model_decided_by_two_processes_get_64_numbers_without_a_gap(open_store: Open):
    stores = [await open_store(), await open_store()]

    decisions = await asyncio.gather(*(assigned(stores[number % 2], run(number)) for number in range(64)))

    in_order = sorted(decisions, key=lambda one: one.ordinal)
    assert [one.version for one in in_order] == [f"0.0.{number}" for number in range(1, 65)]
    assert [one.ordinal for one in in_order] == list(range(1, 65))
    assert [targets(one, "succeeds") for one in in_order[1:]] == [
        [f"version:0/resnet@0.0.{number}"] for number in range(1, 64)
    ]


async def test_imports_that_two_processes_both_decide_get_one_number_each(open_store: Open):
    stores = [await open_store(), await open_store()]

    decisions = await asyncio.gather(*(assigned(store, run(number)) for number in range(32) for store in stores))

    by_import: dict[str, set[str]] = {}
    for decision in decisions:
        by_import.setdefault(decision.import_id, set()).add(decision.body())
    assert [len(said) for said in by_import.values()] == [1] * 32
    assert sorted(decision.ordinal for decision in decisions) == sorted([*range(1, 33)] * 2)


async def test_a_process_that_was_overtaken_goes_on_from_the_newest(open_store: Open):
    slow, fast = await open_store(), await open_store()
    await assigned(slow, run(1))
    for number in (2, 3):
        await assigned(fast, run(number))

    assert (await assigned(slow, run(4))).version == "0.0.4"
    assert (await assigned(fast, run(5))).version == "0.0.5"


async def test_after_130_versions_a_process_that_just_started_goes_on(open_store: Open):
    first = await open_store()
    await numbers(first, *(run(number) for number in range(70)))
    for number in range(70, 76):
        await assigned(first, run(number))
    await numbers(first, *(run(number) for number in range(76, 130)))

    later = [await assigned(await open_store(), run(number)) for number in (200, 201)]

    assert [(one.version, one.ordinal) for one in later] == [("0.1.31", 131), ("0.1.32", 132)]


async def test_the_newest_version_is_known_to_a_process_that_just_started_though_an_older_one_is_higher(
    open_store: Open,
):
    first = await open_store()
    for number, version in enumerate(("7.0.0", "1.0.1", "1.0.0")):
        await assigned(first, run(number, requested_version=version))

    following = await assigned(await open_store(), run(9))

    assert (following.version, following.ordinal) == ("7.0.1", 4)


async def test_the_highest_number_is_known_to_a_process_that_just_started_after_many_lower_ones(open_store: Open):
    first = await open_store()
    await assigned(first, run(0, requested_version="7.0.0"))
    await numbers(first, *(run(number, requested_version=f"1.0.{number}") for number in range(1, 80)))

    assert (await assigned(await open_store(), run(200))).version == "7.0.1"


async def test_it_is_there(store: VersionStore):
    await store.ping()


class TestInMongo:
    """What only the real store can get wrong."""

    @pytest.fixture
    async def mongo(self, database: Database) -> MongoVersionStore:
        return await opened(database)

    async def test_a_process_that_died_before_it_wrote_the_holders_is_healed_by_the_redelivery(
        self, mongo: MongoVersionStore, database: Database
    ):
        first = an_import("first", model="bert", package=a_package("a", a_file("w.pt", "b")))
        decision = await mongo.decide(first, at(1))
        await database["holders"].delete_many({})

        again = await opened(database)
        assert await again.decide(first, at(9)) == decision

        heir = await assigned(again, an_import("heir", package=a_package("c", a_file("w.pt", "b"))))
        assert targets(heir, "derived-from") == ["version:0/bert@0.0.1"]

    async def test_healing_does_not_take_bytes_from_whoever_holds_them(
        self, mongo: MongoVersionStore, database: Database
    ):
        await mongo.decide(an_import("first", model="bert"), at(1))
        await mongo.decide(an_import("second", model="gpt"), at(2))

        await (await opened(database)).decide(an_import("second", model="gpt"), at(3))

        third = await assigned(mongo, an_import("third"))
        assert targets(third, "same-bytes-as") == ["version:0/bert@0.0.1"]

    async def test_a_head_is_written_down_within_64_versions(self, mongo: MongoVersionStore, database: Database):
        await numbers(mongo, *(run(number) for number in range(64)))

        assert await database["heads"].find_one({"_id": "0/resnet"}) == {
            "_id": "0/resnet",
            "ordinal": 64,
            "highest": 64,
        }

    async def test_a_head_that_was_never_written_down_is_found_all_the_same(
        self, mongo: MongoVersionStore, database: Database
    ):
        await numbers(mongo, *(run(number) for number in range(70)))
        await database["heads"].delete_many({})

        assert (await assigned(await opened(database), run(70))).ordinal == 71

    async def test_a_full_memory_of_heads_is_emptied_without_harm(
        self, mongo: MongoVersionStore, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(mongo_store, "KNOWN_HEADS", 1)
        await mongo.decide(run(1, model="bert"), at(1))
        await mongo.decide(run(2, model="gpt"), at(1))

        assert (await assigned(mongo, run(3, model="bert"))).version == "0.0.2"

    async def test_preparing_twice_is_as_good_as_once(self, mongo: MongoVersionStore):
        await mongo.decide(run(1), at(1))
        await mongo.prepare()

        assert (await assigned(mongo, run(2))).version == "0.0.2"


async def test_where_mongodb_is_away_every_call_is_transient():
    client: AsyncIOMotorClient[Document] = AsyncIOMotorClient("mongodb://127.0.0.1:1", serverSelectionTimeoutMS=50)
    store = MongoVersionStore(client["nowhere"])

    said = await asyncio.gather(
        store.prepare(),
        store.ping(),
        store.decide(run(1), NOON),
        store.version("version:0/resnet@0.0.1"),
        store.children(["version:0/resnet@0.0.1"], 1),
        return_exceptions=True,
    )
    client.close()

    assert [type(fault) for fault in said] == [Transient] * len(said)
