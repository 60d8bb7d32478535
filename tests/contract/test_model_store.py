"""The ModelStore: versions are seen when both halves are there. In memory and in MongoDB."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase

from services.registry.domain import RegisteredVersion
from services.registry.ports import ModelStore
from services.registry.store import MongoModelStore
from shared.errors import Transient
from shared.messages import CommandRefused, ModelImported, VersionReleased
from shared.naming import VersionNumber
from shared.queries import ImportStatus, ModelSummary
from shared.store import Document
from shared.values import Reason
from tests.fakes import InMemoryModelStore
from tests.samples import NOON, a_refusal, a_release, a_release_command, an_assignment, an_import, at

Database = AsyncIOMotorDatabase[Document]
Open = Callable[[], Awaitable[ModelStore]]
ODD = {"a.b": 1, "$x": {"$set": None}, "": "", "huge": 123456789012345678901234567890, "模型": [True, -0.0, 1e300]}
ABOUT = {"import_id": "job-7-V001", "workspace": "0", "model": "resnet"}


@pytest.fixture(params=["fake", "mongo"])
def open_store(request: pytest.FixtureRequest) -> Open:
    """Opens the store, again and again: each is a process of its own on the same data."""
    if request.param == "fake":
        fake = InMemoryModelStore()

        async def open_fake() -> ModelStore:
            return fake

        return open_fake
    database = cast("Database", request.getfixturevalue("database"))
    return lambda: opened(database)


async def opened(database: Database) -> MongoModelStore:
    store = MongoModelStore(database)
    await store.prepare()
    return store


@pytest.fixture
async def store(open_store: Open) -> ModelStore:
    return await open_store()


async def register(store: ModelStore, model: str, *versions: str, **changes: Any) -> None:
    """Versions in that order, a second apart."""
    for ordinal, version in enumerate(versions, start=1):
        imported = an_import(f"{model}-{version}", model=model, **changes)
        await store.record_import(imported)
        await store.record_version(an_assignment(imported, version, ordinal, time=at(ordinal)))


def attempt(number: int) -> ModelImported:
    """One of several imports of the same job version."""
    return an_import(f"attempt-{number}", import_id="job-7-V001")


def number(text: str) -> VersionNumber:
    return VersionNumber.parse(text)


async def test_an_import_alone_is_no_version(store: ModelStore):
    assert await store.record_import(an_import()) is None
    assert await store.version("0", "resnet", number("0.0.1")) is None
    assert list(await store.versions("0", "resnet", None, 10)) == []
    assert await store.model("0", "resnet") is None


async def test_a_number_alone_is_no_version(store: ModelStore):
    assert await store.record_version(an_assignment(an_import())) is None
    assert await store.version("0", "resnet", number("0.0.1")) is None
    assert list(await store.versions("0", "resnet", None, 10)) == []
    assert await store.model("0", "resnet") is None


async def test_the_second_half_makes_the_version_whichever_it_is(store: ModelStore):
    one, two = an_import("import-1"), an_import("import-2", model="bert")
    await store.record_import(one)
    await store.record_version(an_assignment(two))

    assert await store.record_version(an_assignment(one)) == RegisteredVersion(one, an_assignment(one))
    assert await store.record_import(two) == RegisteredVersion(two, an_assignment(two))


async def test_both_halves_at_once_make_one_version(store: ModelStore):
    found = await asyncio.gather(store.record_import(an_import()), store.record_version(an_assignment(an_import())))

    assert RegisteredVersion(an_import(), an_assignment(an_import())) in found
    assert len(await store.versions("0", "resnet", None, 10)) == 1


async def test_a_repeat_finds_the_version_as_it_was(store: ModelStore):
    await store.record_import(an_import())
    first = await store.record_version(an_assignment(an_import()))

    assert first is not None
    assert await store.record_version(an_assignment(an_import())) == first
    assert await store.record_import(an_import()) == first
    summary = await store.model("0", "resnet")
    assert summary is not None
    assert (summary.versions, summary.created_at, summary.updated_at) == (1, at(1), at(1))


async def test_a_version_that_is_announced_can_be_found_at_once_by_every_process(open_store: Open):
    one, other = await open_store(), await open_store()
    await one.record_import(an_import())

    registered = await one.record_version(an_assignment(an_import()))

    assert registered is not None
    assert await other.version("0", "resnet", number("0.0.1")) == registered
    assert await other.model("0", "resnet") is not None


async def test_a_version_comes_back_as_it_was_with_odd_names_and_numbers(store: ModelStore):
    imported = an_import(parameters=ODD, metrics={"f1": 0.1 + 0.2})
    await store.record_import(imported)
    await store.record_version(an_assignment(imported))

    found = await store.version("0", "resnet", number("0.0.1"))

    assert found == RegisteredVersion(imported, an_assignment(imported))
    assert found.imported.parameters == ODD


async def test_times_are_those_of_the_events_and_in_utc(store: ModelStore):
    await store.record_import(an_import())
    registered = await store.record_version(an_assignment(an_import(), time=at(0.123456)))
    model = await store.model("0", "resnet")

    assert registered is not None
    assert model is not None
    assert registered.registered_at == at(0.123456)
    assert model.created_at.replace(microsecond=0) == NOON
    assert registered.registered_at.tzinfo is not None


async def test_versions_are_listed_by_number_and_not_as_text(store: ModelStore):
    await register(store, "resnet", "0.0.10", "0.0.9", "1.0.0", "0.10.0")

    versions = await store.versions("0", "resnet", None, 10)

    assert [version.assigned.version for version in versions] == ["0.0.9", "0.0.10", "0.10.0", "1.0.0"]


async def test_versions_after_a_number_are_listed_up_to_a_limit(store: ModelStore):
    await register(store, "resnet", "0.0.0", "0.0.1", "0.0.2", "0.0.3")

    async def listed(after: VersionNumber | None, limit: int) -> list[str]:
        return [version.assigned.version for version in await store.versions("0", "resnet", after, limit)]

    assert await listed(None, 2) == ["0.0.0", "0.0.1"]
    assert await listed(number("0.0.1"), 2) == ["0.0.2", "0.0.3"]
    assert await listed(number("0.0.0"), 1) == ["0.0.1"]
    assert await listed(number("0.0.3"), 2) == []
    assert await listed(number("0.0.2"), 9) == ["0.0.3"]


async def test_versions_of_other_models_and_workspaces_are_not_listed(store: ModelStore):
    await register(store, "resnet", "0.0.1")
    await register(store, "bert", "0.0.2")
    imported = an_import("elsewhere", workspace="vision")
    await store.record_import(imported)
    await store.record_version(an_assignment(imported, "0.0.3"))

    assert [version.assigned.version for version in await store.versions("0", "resnet", None, 10)] == ["0.0.1"]
    assert await store.version("0", "resnet", number("0.0.2")) is None
    assert await store.version("0", "resnet", number("0.0.3")) is None


async def test_a_model_is_summed_up(store: ModelStore):
    await register(store, "resnet", "0.0.1", "7.0.0", "0.0.5")

    assert await store.model("0", "resnet") == ModelSummary(
        workspace="0", model="resnet", versions=3, latest="7.0.0", created_at=at(1), updated_at=at(3)
    )
    assert await store.model("0", "bert") is None
    assert await store.model("vision", "resnet") is None


async def test_models_are_listed_by_name_a_page_at_a_time(store: ModelStore):
    for model in ("b", "模型", "B", "a-b", "𐐀", "ab", "a", "a_b"):
        await register(store, model, "0.0.1")

    first = [model.model for model in await store.models("0", "", 5)]
    second = [model.model for model in await store.models("0", first[-1], 5)]

    assert first == ["B", "a", "a-b", "a_b", "ab"]
    assert second == ["b", "模型", "𐐀"]


async def test_models_are_listed_in_their_own_workspace_alone(store: ModelStore):
    for workspace in ("0", "00", "0-", "vision", "visio", "vision2", "vision_"):
        await register(store, f"of-{workspace}", "0.0.1", workspace=workspace)

    async def listed(workspace: str) -> list[str]:
        return [model.model for model in await store.models(workspace, "", 10)]

    assert await listed("0") == ["of-0"]
    assert await listed("00") == ["of-00"]
    assert await listed("vision") == ["of-vision"]
    assert await listed("nowhere") == []


async def test_an_import_is_followed_to_its_version(store: ModelStore):
    assert await store.import_status("job-7-V001") is None
    await store.record_import(attempt(1))
    assert await store.import_status("job-7-V001") == ImportStatus(**ABOUT, status="publishing")
    await store.record_version(an_assignment(attempt(1)))
    assert await store.import_status("job-7-V001") == ImportStatus(**ABOUT, status="published", version="0.0.1")


async def test_an_import_that_got_no_version_has_failed_whichever_half_came_first(store: ModelStore):
    failed = ImportStatus(**ABOUT, status="failed", reason="version-exists", message="taken")

    await store.record_refusal(a_refusal(attempt(1), "taken"))
    assert await store.import_status("job-7-V001") == failed
    await store.record_import(attempt(1))
    await store.record_refusal(a_refusal(attempt(1), "taken"))

    assert await store.import_status("job-7-V001") == failed
    assert await store.model("0", "resnet") is None


async def test_of_several_attempts_the_one_that_worked_counts(store: ModelStore):
    for number_, worked in ((1, False), (2, True), (3, False)):
        await store.record_import(attempt(number_))
        if worked:
            await store.record_version(an_assignment(attempt(number_)))
        else:
            await store.record_refusal(a_refusal(attempt(number_)))

    assert await store.import_status("job-7-V001") == ImportStatus(**ABOUT, status="published", version="0.0.1")


async def test_an_attempt_under_way_counts_more_than_one_that_failed(store: ModelStore):
    await store.record_refusal(a_refusal(attempt(1)))
    await store.record_import(attempt(2))

    assert await store.import_status("job-7-V001") == ImportStatus(**ABOUT, status="publishing")


async def test_of_attempts_that_all_failed_the_latest_counts(store: ModelStore):
    for number_ in (1, 2, 3):
        await store.record_import(attempt(number_))
        await store.record_refusal(a_refusal(attempt(number_), f"reason {number_}", at(number_)))

    status = await store.import_status("job-7-V001")

    assert status is not None
    assert status.message == "reason 3"


async def test_an_attempt_that_worked_counts_however_many_failed_before(store: ModelStore):
    await asyncio.gather(*(store.record_refusal(a_refusal(attempt(number_))) for number_ in range(1, 22)))
    await store.record_import(attempt(99))
    await store.record_version(an_assignment(attempt(99)))

    assert await store.import_status("job-7-V001") == ImportStatus(**ABOUT, status="published", version="0.0.1")


# The refusal of the first may reach the registry after the second is registered: each event has a consumer of its own.
async def test_an_attempt_that_worked_counts_more_than_an_older_one_whose_refusal_has_not_come_yet(store: ModelStore):
    await store.record_import(attempt(1))
    await store.record_import(attempt(2))
    await store.record_version(an_assignment(attempt(2)))

    assert await store.import_status("job-7-V001") == ImportStatus(**ABOUT, status="published", version="0.0.1")


async def test_many_halves_at_once_from_two_processes_make_each_version_once(open_store: Open):
    stores = [await open_store(), await open_store()]
    imports = [an_import(f"import-{number_}") for number_ in range(32)]
    answers = [an_assignment(one, f"0.0.{ordinal}", ordinal) for ordinal, one in enumerate(imports, start=1)]

    async def until_it_works(record: Callable[[], Awaitable[RegisteredVersion | None]]) -> RegisteredVersion | None:
        while True:
            try:
                return await record()
            except Transient:  # what NATS would deliver again
                await asyncio.sleep(0)

    found = await asyncio.gather(
        *(until_it_works(lambda one=one: stores[0].record_import(one)) for one in imports),
        *(until_it_works(lambda one=one: stores[1].record_version(one)) for one in answers),
    )

    whole = {version.assigned.version for version in found if version is not None}
    assert len(whole) == 32
    listed = await stores[0].versions("0", "resnet", None, 100)
    assert [version.assigned.ordinal for version in listed] == list(range(1, 33))
    summary = await stores[1].model("0", "resnet")
    assert summary is not None
    assert (summary.versions, summary.latest) == (32, "0.0.32")


async def test_a_version_that_was_released_comes_back_with_its_release(open_store: Open):
    one, other = await open_store(), await open_store()
    await register(one, "resnet", "0.0.1")

    recorded = await one.record_release(a_release(why="图像 \u0000 $x"))

    assert recorded == a_release(why="图像 \u0000 $x")
    found = await other.version("0", "resnet", number("0.0.1"))
    assert found is not None
    assert found.released == recorded
    assert [version.released for version in await other.versions("0", "resnet", None, 10)] == [recorded]


async def test_a_version_that_was_not_released_has_no_release(store: ModelStore):
    await register(store, "resnet", "0.0.1")

    found = await store.version("0", "resnet", number("0.0.1"))

    assert found is not None
    assert found.released is None


async def test_the_first_release_holds_and_is_what_every_other_gets(store: ModelStore):
    await register(store, "resnet", "0.0.1")
    await store.record_release(a_release("release-1"))

    assert await store.record_release(a_release("release-1")) == a_release("release-1")
    assert await store.record_release(a_release("release-2", at(9), why="me too")) == a_release("release-1")
    found = await store.version("0", "resnet", number("0.0.1"))
    assert found is not None
    assert found.released == a_release("release-1")


async def test_of_two_processes_that_release_a_version_at_once_one_did_it(open_store: Open):
    stores = [await open_store(), await open_store()]
    await register(stores[0], "resnet", "0.0.1")

    recorded = await asyncio.gather(
        *(stores[number_ % 2].record_release(a_release(f"release-{number_}")) for number_ in range(16))
    )

    found = await stores[0].version("0", "resnet", number("0.0.1"))
    assert found is not None
    assert recorded == [found.released] * 16


@pytest.mark.parametrize("half", ["none", "import", "number"])
async def test_a_version_that_is_not_whole_cannot_be_released_yet(store: ModelStore, half: str):
    if half == "import":
        await store.record_import(an_import())
    if half == "number":
        await store.record_version(an_assignment(an_import()))

    with pytest.raises(Transient):
        await store.record_release(a_release())


async def test_a_release_is_of_one_version_of_one_model_of_one_workspace(store: ModelStore):
    elsewhere = an_import("elsewhere", workspace="vision")
    await store.record_import(elsewhere)
    await store.record_version(an_assignment(elsewhere))
    await register(store, "bert", "0.0.1")
    await register(store, "resnet", "0.0.2", "0.0.1")

    await store.record_release(a_release())

    async def released(workspace: str, model: str, version: str) -> VersionReleased | None:
        found = await store.version(workspace, model, number(version))
        assert found is not None
        return found.released

    assert await released("0", "resnet", "0.0.1") == a_release()
    assert await released("0", "resnet", "0.0.2") is None
    assert await released("0", "bert", "0.0.1") is None
    assert await released("vision", "resnet", "0.0.1") is None


async def test_a_release_stays_when_the_halves_are_delivered_again(store: ModelStore):
    await register(store, "resnet", "0.0.1")
    await store.record_release(a_release())
    imported = an_import("resnet-0.0.1")

    again = await store.record_import(imported)
    once_more = await store.record_version(an_assignment(imported, "0.0.1", 1, time=at(1)))

    assert again is not None
    assert again.released == a_release()
    assert once_more == again


async def test_a_release_changes_neither_the_model_nor_the_import(store: ModelStore):
    await register(store, "resnet", "0.0.1")
    before = await store.model("0", "resnet"), await store.import_status("of-resnet-0.0.1")

    await store.record_release(a_release(time=at(100)))

    assert (await store.model("0", "resnet"), await store.import_status("of-resnet-0.0.1")) == before


async def test_it_is_there(store: ModelStore):
    await store.ping()


class TestInMongo:
    """What only the real store can get wrong."""

    @pytest.fixture
    async def mongo(self, database: Database) -> MongoModelStore:
        store = await opened(database)
        await register(store, "resnet", "0.0.1")
        return store

    async def test_a_process_that_died_before_it_wrote_the_model_is_healed_by_the_redelivery(
        self, mongo: MongoModelStore, database: Database
    ):
        before = await mongo.model("0", "resnet")
        await database["models"].delete_many({})

        await (await opened(database)).record_import(an_import("resnet-0.0.1"))

        assert await mongo.model("0", "resnet") == before

    async def test_preparing_twice_is_as_good_as_once(self, mongo: MongoModelStore):
        await mongo.prepare()

        assert await mongo.model("0", "resnet") is not None


async def test_where_mongodb_is_away_every_call_is_transient():
    client: AsyncIOMotorClient[Document] = AsyncIOMotorClient("mongodb://127.0.0.1:1", serverSelectionTimeoutMS=50)
    store = MongoModelStore(client["nowhere"])

    said = await asyncio.gather(
        store.prepare(),
        store.ping(),
        store.record_import(an_import()),
        store.record_refusal(a_refusal(an_import())),
        store.record_release(a_release()),
        store.models("0", "", 1),
        store.model("0", "resnet"),
        store.versions("0", "resnet", None, 1),
        store.version("0", "resnet", number("0.0.1")),
        store.import_status("job-7-V001"),
        return_exceptions=True,
    )
    client.close()

    assert [type(fault) for fault in said] == [Transient] * len(said)


def a_command_refusal(message: str = "it is not in quarantine", command_id: str = "release-1") -> CommandRefused:
    command = a_release_command(command_id)
    return command.answer(CommandRefused, NOON, command=command.address, reason=Reason.NOT_QUARANTINED, message=message)


async def test_the_first_refusal_of_a_command_stands(open_store: Open):
    one, other = await open_store(), await open_store()

    first = await one.record_command_refusal(a_command_refusal())
    second = await other.record_command_refusal(a_command_refusal("there is no such version"))

    assert first == second == a_command_refusal()
    assert await other.refusal_of("release-1") == a_command_refusal()
    assert await other.refusal_of("release-2") is None
