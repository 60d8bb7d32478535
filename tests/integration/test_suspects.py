"""Messages that kill the process that works on them."""

import asyncio
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from nats.aio.msg import Msg

import shared.suspects
from modelkin.processes import Process, start, stopping
from shared.errors import Deadly, Transient
from shared.messages import (
    CollectGarbage,
    GarbageCollected,
    ModelImported,
    ModelRegistered,
    ProjectionRebuilt,
    RebuildRegistry,
    VersionAssigned,
)
from shared.store import Database, connect
from shared.suspects import MARKED_FROM_DELIVERY, Marks, Suspects
from tests.integration.deadly import DEATHS_ALONE, DIED
from tests.integration.registering import now
from tests.integration.system import System, eventually
from tests.samples import an_import, said

# Two deliveries cost nothing more, one is marked, and then it is alone.
DEATHS = 3 + DEATHS_ALONE


@pytest.fixture
async def deadly(bare_system: System, tmp_path: Path) -> AsyncIterator[Callable[[str], Process]]:
    """Starts a service that some models kill; messages without an answer come again after a second."""
    async with stopping() as processes:
        await bare_system.redeliver_after(1)

        def begin(service: str) -> Process:
            command = [sys.executable, "-m", "tests.integration.deadly", service]
            log = tmp_path / f"deadly-{len(processes)}.log"
            processes.append(start(service, command, log, bare_system.environment()))
            return processes[-1]

        yield begin


def deaths(process: Process) -> Counter[str]:
    lines = process.log.read_text().splitlines()
    return Counter(line.removeprefix(DIED) for line in lines if line.startswith(DIED))


async def test_what_kills_its_process_is_set_aside_and_what_was_beside_it_is_not(
    bare_system: System, deadly: Callable[[str], Process]
):
    system = bare_system
    await system.start("importer", "registry")
    models = ["one", "deadly", "two", "three", "deadly-too"]
    await asyncio.gather(*(system.publish(system.training(model)) for model in models))
    await system.hear(ModelImported, count=len(models))
    process = deadly("versioning")

    async def two_letters() -> bool:
        return len(await system.dead_letters()) == 2

    await eventually(two_letters, lambda: process.log.read_text()[-3000:], 90)
    for model in ("one", "two", "three"):
        await system.hear(ModelRegistered, model)
    await system.publish(system.training("four"))
    await system.hear(ModelRegistered, "four")

    letters = [letter for letter, _ in await system.dead_letters()]
    assert {letter.about["model"] for letter in letters} == {"deadly", "deadly-too"}
    assert {letter.reason for letter in letters} == {"failed"}
    for letter in letters:
        assert f"delivered {letter.attempts} times, 3 of them in a row without an answer" in letter.message
        assert "2 times with nothing else in hand; it may kill the process that works on it" in letter.message
    assert max(deaths(process).values()) <= DEATHS
    assert [one.version for one in await system.all_of(VersionAssigned, "deadly")] == []
    await eventually(lambda: no_marks(system), "no marks")


async def no_marks(system: System) -> bool:
    client = connect(system.mongo_uri)
    try:
        documents = await client[f"{system.database}_versioning"]["suspects"].find({}).to_list(None)
        return [one["_id"] for one in documents] == ["processes"]
    finally:
        client.close()


@pytest.fixture
async def database(mongo_uri: str, database_name: str) -> AsyncIterator[Database]:
    client = connect(mongo_uri)
    yield client[database_name]
    await client.drop_database(database_name)
    client.close()


def delivered(times: int) -> Msg:
    return Msg(None, subject="a.b", reply=f"$JS.ACK.EVENTS.durable.{times}.7.9.1700000000000000000.0")


KEY = "durable:EVENTS:7"


async def works() -> str:
    return "done"


async def test_what_is_given_back_for_want_of_a_store_is_never_blamed(database: Database):
    async def fails() -> None:
        raise Transient("the store is away")

    suspects, marks = Suspects(database), Marks(database)
    for times in range(1, 40):
        with pytest.raises(Transient):
            await suspects.handle(delivered(times), fails)
        assert await marks.of(KEY) is None

    assert await suspects.handle(delivered(40), works) == "done"


async def test_what_is_given_up_at_a_stop_is_not_blamed(database: Database):
    begun = asyncio.Event()

    async def takes_long() -> None:
        begun.set()
        await asyncio.sleep(3600)

    task = asyncio.create_task(Suspects(database).handle(delivered(MARKED_FROM_DELIVERY), takes_long))
    await begun.wait()
    marked = await Marks(database).of(KEY)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert marked is not None
    assert await Marks(database).of(KEY) is None


async def test_a_store_that_goes_away_during_the_work_does_not_look_like_a_death(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    left, remove = [1, 2], Marks.remove

    async def away_twice(marks: Marks, key: str) -> None:
        if left:
            left.pop()
            raise Transient("the store is away")
        await remove(marks, key)

    monkeypatch.setattr(Marks, "remove", away_twice)
    monkeypatch.setattr(shared.suspects, "TRY_AGAIN_S", 0.01)

    assert await Suspects(database).handle(delivered(MARKED_FROM_DELIVERY), works) == "done"
    assert await Marks(database).of(KEY) is None


async def dies(database: Database, times: int, *, besides: int = 0) -> None:
    """A process with a message in hand, so often, and each time some for other reasons; each is followed by another."""
    marks = Marks(database)
    for _ in range(times):
        mark = await marks.of(KEY)
        if mark is not None and mark.times_alone:
            await marks.process_explained()
        await marks.one_more(KEY)
        for _ in range(1 + besides):
            await marks.process_started()


async def test_it_is_blamed_once_five_processes_ended_with_it_alone(database: Database):
    suspects = Suspects(database)
    await suspects.process_started()
    await dies(database, 5)
    assert await suspects.handle(delivered(8), works) == "done"
    await dies(database, 6)

    with pytest.raises(Deadly, match="delivered 9 times, 6 of them in a row without an answer"):
        await suspects.handle(delivered(9), works)


async def test_where_processes_end_all_the_time_it_is_not_blamed_for_being_in_hand(database: Database):
    suspects = Suspects(database)
    await suspects.process_started()
    await dies(database, 20, besides=4)

    assert await suspects.handle(delivered(23), works) == "done"


async def test_a_rebuild_and_what_is_handled_alone_do_not_wait_for_one_another(
    bare_system: System, database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shared.suspects, "MARKED_FROM_DELIVERY", 1)
    system = bare_system
    await system.start("registry", "versioning")
    marks = Marks(database.client[f"{system.database}_registry"])
    asked = RebuildRegistry(envelope=said(uuid.uuid4().hex, "operator", now()))
    for sequence in range(1, 60):
        await marks.one_more(f"registry-on-model-imported:EVENTS:{sequence}")
    await system.say(asked)
    for number in range(15):
        await system.say(an_import(f"import-{number}", model="bert"))

    assert (await system.hear(ProjectionRebuilt)).service == "registry"
    await system.hear(ModelRegistered, count=15)
    assert await system.dead_letters() == []


async def test_garbage_is_collected_beside_imports_and_never_blamed(
    bare_system: System, database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shared.suspects, "MARKED_FROM_DELIVERY", 1)
    system = bare_system
    await system.start("importer")
    kept = database.client[f"{system.database}_importer"]
    marks = Marks(kept)
    for _ in range(3 * shared.suspects.DEATHS_ALONE):
        await marks.one_more("importer-on-collect-garbage:COMMANDS:1")
        await marks.process_explained()
    await kept["collector"].update_one({"_id": "collector"}, {"$set": {"holder": "another"}})

    await system.say(CollectGarbage(envelope=said(uuid.uuid4().hex, "operator", now()), workspace="0"))
    await asyncio.sleep(1)
    await system.publish(system.training("resnet"))
    await system.hear(ModelImported)
    assert await system.all_of(GarbageCollected) == []

    await kept["collector"].update_one({"_id": "collector"}, {"$set": {"holder": None}})
    await system.hear(GarbageCollected)
    assert await system.dead_letters() == []
