"""The ImportStore: one outcome for an import, however many ask for it at once. In memory and in MongoDB."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import cast

import pytest
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase

from services.importer.ports import Blob, ImportStore, Kept
from services.importer.store import MongoImportStore
from shared.envelope import Envelope
from shared.errors import Transient
from shared.messages import ImportRefused, ImportRequest, ModelImported, VersionDeleted
from shared.store import Document
from tests.fakes import InMemoryImportStore
from tests.samples import NOON, a_deployment, a_package, a_refusal, a_request, an_import_command, at, digest, said

Open = Callable[[], Awaitable[ImportStore]]
ODD = {"a.b": 1, "$x": {"$set": None}, "": "", "huge": 123456789012345678901234567890, "模型": [True, -0.0, 1e300]}


@pytest.fixture(params=["fake", "mongo"])
def open_store(request: pytest.FixtureRequest) -> Open:
    """Opens the store, again and again: each is a process of its own on the same data."""
    if request.param == "fake":
        fake = InMemoryImportStore()

        async def open_fake() -> ImportStore:
            return fake

        return open_fake
    database = cast("AsyncIOMotorDatabase[Document]", request.getfixturevalue("database"))

    async def open_mongo() -> ImportStore:
        store = MongoImportStore(database)
        await store.prepare()
        return store

    return open_mongo


@pytest.fixture
async def store(open_store: Open) -> ImportStore:
    return await open_store()


def imported(request: ImportRequest, letter: str = "a") -> ModelImported:
    return request.answer(
        ModelImported,
        at(1),
        import_id=request.import_id,
        requested_by=request.envelope.source,
        source=request.origin,
        package=a_package(letter),
        parameters=request.parameters,
    )


def refused(request: ImportRequest, message: str = "no file") -> ImportRefused:
    return request.answer(ImportRefused, at(1), import_id=request.import_id, reason="location-empty", message=message)


async def test_nothing_is_decided_at_first(store: ImportStore):
    assert await store.outcome_of(a_request()) is None


async def test_a_decision_stands(store: ImportStore):
    decided = await store.decide(a_request(), imported(a_request()))

    assert decided == imported(a_request())
    assert await store.outcome_of(a_request()) == imported(a_request())


async def test_a_decision_is_there_for_the_next_process(open_store: Open):
    await (await open_store()).decide(a_request(), imported(a_request()))

    assert await (await open_store()).outcome_of(a_request()) == imported(a_request())


async def test_an_outcome_comes_back_as_it_was_with_odd_names_and_numbers(store: ImportStore):
    request = a_request(parameters=ODD)
    await store.decide(request, imported(request))

    outcome = await store.outcome_of(request)

    assert isinstance(outcome, ModelImported)
    assert outcome.parameters == ODD
    assert outcome.envelope == imported(request).envelope


async def test_what_was_decided_first_holds(store: ImportStore):
    await store.decide(a_request(), imported(a_request(), "a"))

    second = await store.decide(a_request(), imported(a_request(), "b"))

    assert second == imported(a_request(), "a")


async def test_a_refusal_holds_too(store: ImportStore):
    await store.decide(a_request(), refused(a_request()))

    assert await store.decide(a_request(), imported(a_request())) == refused(a_request())
    assert await store.outcome_of(a_request()) == refused(a_request())


async def test_a_request_that_succeeded_is_not_refused_afterwards(store: ImportStore):
    await store.decide(a_request(), imported(a_request()))

    assert await store.decide(a_request(), refused(a_request())) == imported(a_request())


async def test_an_import_that_succeeded_stands_for_every_id_it_is_asked_under(store: ImportStore):
    first, second = a_request("request-1"), a_request("request-2")
    await store.decide(first, imported(first))

    assert await store.outcome_of(second) == imported(first)
    assert await store.decide(second, imported(second)) == imported(first)


async def test_a_refusal_stands_for_its_own_id_alone(store: ImportStore):
    first, second = a_request("request-1"), a_request("request-2")
    await store.decide(first, refused(first))

    assert await store.outcome_of(second) is None
    assert await store.decide(second, imported(second)) == imported(second)
    assert await store.outcome_of(first) == refused(first)


async def test_each_refused_request_keeps_its_own_reason(store: ImportStore):
    first, second = a_request("request-1"), a_request("request-2")
    await store.decide(first, refused(first, "no file"))
    await store.decide(second, refused(second, "still no file"))

    assert await store.outcome_of(first) == refused(first, "no file")
    assert await store.outcome_of(second) == refused(second, "still no file")


async def test_other_imports_are_decided_apart(store: ImportStore):
    first, second = a_request("request-1"), a_request("request-2", model="bert")
    await store.decide(first, imported(first))

    assert await store.outcome_of(second) is None


async def test_many_that_are_decided_at_once_each_get_their_own(store: ImportStore):
    requests = [a_request(f"request-{number}", model=f"model-{number}") for number in range(64)]

    decided = await asyncio.gather(*(store.decide(one, imported(one)) for one in requests))

    assert decided == [imported(one) for one in requests]
    assert await asyncio.gather(*(store.outcome_of(one) for one in requests)) == decided


async def test_one_import_decided_by_two_processes_at_once_has_one_outcome(open_store: Open):
    stores = [await open_store(), await open_store()]
    requests = [a_request(f"request-{number}") for number in range(16)]

    decided = await asyncio.gather(
        *(store.decide(one, imported(one, "ab"[index])) for one in requests for index, store in enumerate(stores))
    )

    assert len({outcome.envelope.id for outcome in decided}) == 1
    assert len({outcome.body() for outcome in decided}) == 1


async def test_among_many_at_once_those_decided_before_keep_what_they_had(store: ImportStore):
    requests = [a_request(f"request-{number}", model=f"model-{number}") for number in range(10)]
    await store.decide(requests[3], refused(requests[3]))
    await store.decide(a_request("earlier", model="model-7"), imported(a_request("earlier", model="model-7"), "b"))

    decided = await asyncio.gather(*(store.decide(one, imported(one)) for one in requests))

    assert decided[3] == refused(requests[3])
    assert decided[7] == imported(a_request("earlier", model="model-7"), "b")
    assert [decided[index] for index in (0, 9)] == [imported(requests[0]), imported(requests[9])]


async def test_a_repeat_within_one_batch_gets_one_outcome(store: ImportStore):
    decided = await asyncio.gather(*(store.decide(a_request(), imported(a_request(), one)) for one in "abcd"))

    assert len({outcome.body() for outcome in decided}) == 1


async def test_an_import_without_a_version_may_be_tried_again(store: ImportStore):
    first, second = a_request("request-1"), a_request("request-2")
    await store.decide(first, imported(first))

    await store.release(a_refusal(imported(first)))

    assert await store.outcome_of(second) is None
    assert await store.decide(second, imported(second)) == imported(second)
    assert await store.outcome_of(first) == imported(first)


async def test_releasing_twice_does_not_release_the_import_that_came_between(store: ImportStore):
    first, second, third = (a_request(f"request-{number}") for number in (1, 2, 3))
    await store.decide(first, imported(first))
    await store.release(a_refusal(imported(first)))
    await store.decide(second, imported(second))

    await store.release(a_refusal(imported(first)))

    assert await store.outcome_of(third) == imported(second)


async def test_releasing_what_is_not_there_changes_nothing(store: ImportStore):
    await store.release(a_refusal(imported(a_request())))

    assert await store.outcome_of(a_request()) is None


async def test_an_import_asked_for_within_a_longer_conversation_may_be_tried_again(store: ImportStore):
    envelope = Envelope(id="request-1", source="trainer", time=NOON, correlation_id="pipeline-9")
    first, second = a_request(envelope=envelope), a_request("request-2")
    await store.decide(first, imported(first))

    await store.release(a_refusal(imported(first)))

    assert await store.outcome_of(second) is None


async def test_a_command_for_a_job_version_gets_what_its_training_event_got(store: ImportStore):
    command = an_import_command(source=a_request().origin)
    await store.decide(a_request(), imported(a_request()))

    assert await store.outcome_of(command) == imported(a_request())
    assert await store.decide(command, imported(command)) == imported(a_request())


async def test_commands_that_ask_for_the_same_place_are_imports_of_their_own(store: ImportStore):
    first, second = an_import_command("command-1"), an_import_command("command-2")
    await store.decide(first, imported(first))

    assert await store.outcome_of(second) is None
    assert await store.decide(second, imported(second)) == imported(second)


async def test_a_deployment_under_another_id_gets_what_the_first_got(store: ImportStore):
    first, second = a_deployment("deployment-1"), a_deployment("deployment-2")
    await store.decide(first, imported(first))

    assert await store.outcome_of(second) == imported(first)
    assert await store.outcome_of(a_deployment("deployment-3", run="V002")) is None


async def test_those_of_the_imports_that_succeeded_are_known(store: ImportStore):
    done, failed, deployed = a_request("request-1"), a_request("request-2", model="bert"), a_deployment()
    await store.decide(done, imported(done))
    await store.decide(failed, refused(failed))
    await store.decide(deployed, imported(deployed))

    assert await store.imported([done.import_id, failed.import_id, "nowhere", deployed.import_id]) == {
        done.import_id,
        deployed.import_id,
    }
    assert await store.imported([]) == set()


async def test_an_import_that_got_no_version_has_not_succeeded(store: ImportStore):
    request = a_request()
    await store.decide(request, imported(request))
    await store.release(a_refusal(imported(request)))

    assert await store.imported([request.import_id]) == set()


async def test_the_id_of_a_message_is_not_taken_for_that_of_an_import(store: ImportStore):
    await store.decide(a_request("request-1"), imported(a_request("request-1")))

    assert await store.imported(["request-1"]) == set()


async def test_a_thousand_imports_are_asked_for_at_once(store: ImportStore):
    requests = [a_request(f"request-{number}", model=f"model-{number}") for number in range(1000)]
    await asyncio.gather(*(store.decide(one, imported(one)) for one in requests[::2]))

    assert await store.imported([one.import_id for one in requests]) == {one.import_id for one in requests[::2]}


async def test_what_was_read_in_a_state_is_remembered_by_every_process(open_store: Open):
    await (await open_store()).remember({"here:1": Blob(digest("a"), 5), "here:2": Blob(digest("b"), 2**40)})

    assert await (await open_store()).blobs_of(["here:2", "here:1"]) == {
        "here:1": Blob(digest("a"), 5),
        "here:2": Blob(digest("b"), 2**40),
    }


async def test_states_that_nobody_read_are_left_out(store: ImportStore):
    await store.remember({"here:1": Blob(digest("a"), 5)})

    assert await store.blobs_of(["here:2", "here:1", "", "here:1 "]) == {"here:1": Blob(digest("a"), 5)}
    assert await store.blobs_of([]) == {}


async def test_what_is_remembered_again_stays_as_it_was_and_new_states_are_added(store: ImportStore):
    await store.remember({"here:1": Blob(digest("a"), 5)})

    await store.remember({"here:1": Blob(digest("a"), 5)})
    await store.remember(
        {"here:0": Blob(digest("c"), 7), "here:1": Blob(digest("a"), 5), "here:2": Blob(digest("b"), 6)}
    )

    assert await store.blobs_of(["here:0", "here:1", "here:2"]) == {
        "here:0": Blob(digest("c"), 7),
        "here:1": Blob(digest("a"), 5),
        "here:2": Blob(digest("b"), 6),
    }


async def test_what_was_read_first_in_a_state_holds(store: ImportStore):
    await store.remember({"here:1": Blob(digest("a"), 5)})

    await store.remember({"here:1": Blob(digest("b"), 6)})

    assert await store.blobs_of(["here:1"]) == {"here:1": Blob(digest("a"), 5)}


async def test_a_state_may_be_any_text_of_any_length(store: ImportStore):
    blobs = {state: Blob(digest("a"), 5) for state in ("$x", "a.b", "模型\u0000", "x" * 10_000, "x" * 10_001)}

    await store.remember(blobs)

    assert await store.blobs_of([*blobs, "x" * 10_002]) == blobs


async def test_many_states_are_remembered_and_looked_up_at_once_by_several_processes(open_store: Open):
    stores = [await open_store(), await open_store()]
    blobs = {f"here:{number}": Blob(f"sha256:{number:064x}", number) for number in range(1000)}
    half = dict(list(blobs.items())[:500])

    await asyncio.gather(stores[0].remember(blobs), stores[1].remember(half), stores[1].remember(blobs))

    assert await stores[0].blobs_of(list(blobs)) == blobs


async def test_what_is_remembered_is_no_import(store: ImportStore):
    await store.remember({a_request().import_id: Blob(digest("a"), 5)})

    assert await store.outcome_of(a_request()) is None
    assert await store.imported([a_request().import_id]) == set()


async def test_it_is_there(store: ImportStore):
    await store.ping()


async def test_where_mongodb_is_away_every_call_is_transient():
    client: AsyncIOMotorClient[Document] = AsyncIOMotorClient("mongodb://127.0.0.1:1", serverSelectionTimeoutMS=50)
    store = MongoImportStore(client["nowhere"])
    request = a_request()

    said = await asyncio.gather(
        store.prepare(),
        store.ping(),
        store.outcome_of(request),
        store.decide(request, imported(request)),
        store.release(a_refusal(imported(request))),
        store.imported(["import-1"]),
        store.blobs_of(["here:1"]),
        store.remember({"here:1": Blob(digest("a"), 5)}),
        return_exceptions=True,
    )
    client.close()

    assert [type(fault) for fault in said] == [Transient] * len(said)


async def test_in_mongodb_what_was_read_is_forgotten_after_30_days(database: AsyncIOMotorDatabase[Document]):
    store = MongoImportStore(database)
    await store.prepare()
    await store.prepare()

    [index] = [one for one in (await database["blobs"].index_information()).values() if "expireAfterSeconds" in one]

    assert index["key"] == [("at", 1)]
    assert index["expireAfterSeconds"] == 30 * 24 * 3600
    await store.remember({"here:1": Blob(digest("a"), 5)})
    written = await database["blobs"].find_one({})
    assert written is not None
    assert isinstance(written["at"], datetime)


def deleted(of: ImportRequest, event_id: str = "deletion-1", version: str = "0.0.1") -> VersionDeleted:
    return VersionDeleted(
        envelope=said(event_id, "modelkin/registry", at(5)),
        workspace="0",
        model="resnet",
        ordinal=1,
        by="operator",
        version=version,
        import_id=of.import_id,
        package_digest=digest("a"),
        deletions=1,
    )


async def packages(store: ImportStore) -> list[str]:
    return sorted([one async for page in store.packages() for one in page])


async def test_a_job_version_whose_version_was_deleted_may_be_imported_again(store: ImportStore):
    first, second = a_request("request-1"), a_request("request-2")
    await store.decide(first, imported(first, "a"))

    await store.delete(deleted(first))

    assert await store.outcome_of(second) is None
    assert await store.decide(second, imported(second, "b")) == imported(second, "b")
    assert await store.outcome_of(first) == imported(first, "a")


async def test_a_repeat_under_another_id_keeps_what_it_got_when_the_version_is_deleted(open_store: Open):
    first, repeat = a_request("request-1"), a_request("request-2")
    store = await open_store()
    await store.decide(first, imported(first, "a"))
    await store.outcome_of(repeat)

    await store.delete(deleted(first))

    assert await (await open_store()).outcome_of(repeat) == imported(first, "a")
    assert await packages(store) == []


async def test_a_repeat_that_was_brought_in_beside_the_first_keeps_what_it_got(open_store: Open):
    first, repeat = a_request("request-1"), a_request("request-2")
    store = await open_store()
    await store.decide(first, imported(first, "a"))
    await store.decide(repeat, imported(repeat, "a"))

    await store.delete(deleted(first))

    assert await (await open_store()).outcome_of(repeat) == imported(first, "a")


async def test_a_deletion_that_is_heard_again_leaves_alone_what_was_imported_anew(open_store: Open):
    first, second = a_request("request-1"), a_request("request-2")
    store, other = await open_store(), await open_store()
    await store.decide(first, imported(first, "a"))
    await store.delete(deleted(first))
    await store.decide(second, imported(second, "a"))

    await other.delete(deleted(first))

    assert await store.outcome_of(a_request("request-3")) == imported(second, "a")
    assert await packages(store) == [digest("a")]


async def test_what_was_imported_anew_can_be_deleted_too(store: ImportStore):
    first, second = a_request("request-1"), a_request("request-2")
    await store.decide(first, imported(first, "a"))
    await store.delete(deleted(first))
    await store.decide(second, imported(second, "a"))

    await store.delete(deleted(second, "deletion-2", "0.0.2"))

    assert await packages(store) == []


async def test_the_deletion_of_what_was_never_imported_changes_nothing(store: ImportStore):
    await store.delete(deleted(a_request()))
    await store.decide(a_request(), imported(a_request()))

    await store.delete(deleted(a_request()))

    assert await packages(store) == [digest("a")]


async def test_a_package_is_needed_by_imports_whose_version_stands(store: ImportStore):
    requests = [a_request(f"request-{letter}", model=f"model-{letter}") for letter in "abcd"]
    for request, letter in zip(requests, "abcd", strict=True):
        await store.decide(request, imported(request, letter))
    await store.decide(a_request("refused", model="none"), refused(a_request("refused", model="none")))

    await store.delete(deleted(requests[1]))
    await store.release(a_refusal(imported(requests[2], "c")))

    assert await packages(store) == [digest("a"), digest("d")]


async def test_all_packages_are_found_where_there_are_many(store: ImportStore):
    requests = [a_request(f"request-{number}", model=f"model-{number}") for number in range(450)]
    await asyncio.gather(*(store.decide(one, imported(one)) for one in requests))

    assert await packages(store) == [digest("a")] * 450


async def test_where_the_bytes_of_a_package_are_is_what_standing_imports_say(store: ImportStore):
    whole, in_place = a_request("request-1"), a_request("request-2", model="bert")
    lying = imported(in_place).model_copy(update={"package": a_package().model_copy(update={"in_place": True})})

    assert await store.kept(digest("a")) is Kept.UNKNOWN
    await store.decide(in_place, lying)
    assert await store.kept(digest("a")) is Kept.IN_PLACE
    await store.decide(whole, imported(whole))
    assert await store.kept(digest("a")) is Kept.WHOLE
    await store.delete(deleted(whole))
    assert await store.kept(digest("a")) is Kept.IN_PLACE
    await store.release(a_refusal(lying))
    assert await store.kept(digest("a")) is Kept.UNKNOWN


async def test_an_import_of_a_release_that_did_not_write_its_package_down_is_needed(
    database: AsyncIOMotorDatabase[Document],
):
    store = MongoImportStore(database)
    await store.prepare()
    await store.decide(a_request(), imported(a_request()))
    await database["imports"].update_many({}, {"$unset": {"package": "", "kept": ""}})

    assert await packages(store) == [digest("a")]


async def test_a_request_with_any_outcome_is_decided(store: ImportStore):
    await store.decide(a_request("good"), imported(a_request("good")))
    await store.decide(a_request("bad"), refused(a_request("bad")))

    assert await store.decided(["good", "bad", "unknown"]) == {"good", "bad"}
    assert await store.decided([]) == set()
