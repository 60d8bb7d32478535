"""What happens to a message when a handler, the store or NATS fails."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import shared.delivery
from deploy.topology import consumer_config
from modelkin.processes import Server, free_port, start_mongo, start_nats
from services.registry.store import MongoModelStore
from services.versioning.store import MongoVersionStore
from shared.errors import Transient
from shared.messages import ImportRefused, ModelImported, ModelRegistered, VersionAssigned
from shared.subjects import (
    CONSUMERS,
    EVENTS_STREAM,
    REGISTRY_ON_MODEL_IMPORTED,
    REGISTRY_ON_VERSION_ASSIGNED,
    REGISTRY_ON_VERSION_REFUSED,
)
from tests.integration.system import SERVICES, System, drop, eventually, make_system

DELAY_S = 0.2


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.delivery, "retry_delay_s", lambda _: DELAY_S)


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the registry tried to record the import of the model "poison", which fails for no known reason."""
    times: list[float] = []
    record = MongoModelStore.record_import

    async def fail(self: MongoModelStore, imported: ModelImported, *rest: object) -> object:
        if imported.model != "poison":
            return await record(self, imported, *rest)
        times.append(time.monotonic())
        raise ZeroDivisionError("our own fault")

    monkeypatch.setattr(MongoModelStore, "record_import", fail)
    return times


async def test_what_a_handler_fails_on_is_tried_five_times_with_pauses_then_set_aside(
    system: System, tries: list[float]
):
    await system.publish(system.training("poison"))

    letter, said = await system.dead_letter()
    imported = next(one for one in await system.said() if one.is_a(ModelImported))
    assert len(tries) == 5
    assert min(later - earlier for earlier, later in pairwise(tries)) > DELAY_S * 0.9
    assert (letter.reason, letter.attempts, letter.durable) == ("failed", 5, "registry-on-model-imported")
    assert letter.message.startswith("ZeroDivisionError in services.registry.")
    assert letter.message.endswith(": the log of the service says more")
    assert "our own fault" not in f"{letter.message} {said.headers}"
    assert (letter.subject, letter.stream, letter.sequence) == (imported.subject, EVENTS_STREAM, imported.sequence)
    assert said.body == imported.body
    assert said.headers["ce-id"] == imported.headers["ce-id"]
    await system.quiet()
    assert len(tries) == 5


async def test_what_a_handler_fails_on_holds_up_nobody_else(system: System, tries: list[float]):
    await system.publish(system.training("poison"))
    await eventually(lambda: tries)
    await system.publish(system.training("resnet50"))

    await system.hear(ModelRegistered, "resnet50")
    await system.dead_letter()
    assert await system.all_of(ModelRegistered, "poison") == []


async def test_a_passing_fault_is_tried_more_than_five_times_until_it_works(
    system: System, monkeypatch: pytest.MonkeyPatch
):
    attempts = []
    decide = MongoVersionStore.decide

    async def fail_eight_times(self: MongoVersionStore, *arguments: object) -> object:
        attempts.append(time.monotonic())
        if len(attempts) <= 8:
            raise Transient("the store is away")
        return await decide(self, *arguments)

    monkeypatch.setattr(MongoVersionStore, "decide", fail_eight_times)
    await system.publish(system.training("resnet50"))

    assert (await system.hear(ModelRegistered)).version == "0.0.1"
    assert len(attempts) == 9
    assert await system.dead_letters() == []


async def test_faults_that_passed_are_not_counted_among_the_five_attempts(
    system: System, monkeypatch: pytest.MonkeyPatch
):
    attempts = []

    async def fail(*_: object) -> object:
        attempts.append(time.monotonic())
        raise Transient("the store is away") if len(attempts) <= 6 else ZeroDivisionError

    monkeypatch.setattr(MongoVersionStore, "decide", fail)
    await system.publish(system.training("resnet50"))

    letter, _ = await system.dead_letter()
    assert (letter.reason, letter.attempts) == ("failed", 11)
    await system.quiet()
    assert len(attempts) == 11


async def test_a_dead_letter_that_cannot_be_stored_is_not_lost(system: System):
    jetstream = system.client.jetstream()
    config = (await jetstream.stream_info("DEAD_LETTERS")).config
    await jetstream.delete_stream("DEAD_LETTERS")
    await system.publish(b"not JSON", subject="modelkin.evt.v1.training.succeeded.0.resnet50")

    async def tried_again() -> bool:
        info = await jetstream.consumer_info(EVENTS_STREAM, "importer-on-training-succeeded")
        return bool(info.num_redelivered)

    await eventually(tried_again)
    await jetstream.add_stream(config)
    letter, said = await system.dead_letter()
    assert (letter.reason, said.body) == ("malformed", b"not JSON")
    await system.quiet()
    assert len(await system.dead_letters()) == 1


@pytest.fixture
async def own_mongo(tmp_path: Path) -> AsyncIterator[Callable[[], Awaitable[Server]]]:
    """Starts a MongoDB of the test's own; again on the same port and data where it was killed."""
    port = free_port()
    servers: list[Server] = []

    async def begin() -> Server:
        servers.append(await start_mongo(tmp_path / "mongo", tmp_path / "mongo.log", port))
        return servers[-1]

    yield begin
    for server in servers:
        server.process.stop()


async def test_while_mongo_is_away_queries_say_so_and_events_wait(
    own_mongo: Callable[[], Awaitable[Server]], nats_server: Server, database_name: str, tmp_path: Path
):
    mongo = await own_mongo()
    system = await make_system(nats_server.url, mongo.url, database_name, tmp_path)
    await system.start(*SERVICES)
    await system.publish(system.training("before"))
    await system.hear(ModelRegistered, "before")
    mongo.process.kill()
    await system.publish(system.training("meanwhile"))
    answers = await asyncio.gather(
        system.ask("modelkin.qry.v1.model.get", {"model": "before"}),
        system.ask("modelkin.qry.v1.lineage.get", {"model": "before", "version": "0.0.1"}),
        system.ask("modelkin.qry.v1.service.ping.importer", {}),
    )
    await own_mongo()

    await system.hear(ModelRegistered, "meanwhile")
    assert [answer["error"] for answer in answers] == ["unavailable"] * 3
    assert await system.versions("before") == ["0.0.1"]
    assert await system.versions("meanwhile") == ["0.0.1"]
    assert await system.dead_letters() == []
    await drop(system)


async def test_services_go_on_after_nats_was_killed(system: System, nats_server: Server, tmp_path: Path):
    for n in range(10):
        await system.publish(system.training("before", f"job-{n}"))
    nats_server.process.kill()
    again = await start_nats(tmp_path / "nats", tmp_path / "nats.log", urlsplit(nats_server.url).port)
    try:
        await eventually(lambda: system.client.is_connected)
        await system.redeliver_after(1)
        await system.publish(system.training("after"))

        await system.hear(ModelRegistered, "after")
        await system.hear(ModelRegistered, "before", count=10)
        await system.quiet()
        assert len(await system.versions("before")) == 10
        assert await system.dead_letters() == []
        await system.stop(*SERVICES)
    finally:
        again.process.stop()


async def test_services_go_on_when_their_consumer_was_deleted_and_made_again(system: System):
    jetstream = system.client.jetstream()
    for consumer in CONSUMERS:
        await jetstream.delete_consumer(consumer.stream, consumer.durable)
    await system.publish(system.training("resnet50"))
    for consumer in CONSUMERS:
        await jetstream.add_consumer(consumer.stream, consumer_config(consumer))

    assert (await system.hear(ModelRegistered)).version == "0.0.1"


async def test_a_rebuilt_consumer_repeats_the_whole_stream_and_changes_nothing(system: System):
    for n in range(5):
        await system.publish(system.training("resnet50", f"job-{n}"))
    await system.publish(system.training("resnet50", location="ftp://host/model", run="V002"))
    await system.hear(ModelRegistered, count=5)
    await system.hear(ImportRefused)
    before = {kind: [one.version for one in await system.all_of(kind)] for kind in (VersionAssigned, ModelRegistered)}
    await system.stop(*SERVICES)
    jetstream = system.client.jetstream()
    for consumer in CONSUMERS:
        await jetstream.delete_consumer(consumer.stream, consumer.durable)
        await jetstream.add_consumer(consumer.stream, consumer_config(consumer))
    await system.start(*SERVICES)
    await system.quiet()

    after = {kind: [one.version for one in await system.all_of(kind)] for kind in (VersionAssigned, ModelRegistered)}
    assert after == before
    assert await system.versions("resnet50") == ["0.0.1", "0.0.2", "0.0.3", "0.0.4", "0.0.5"]


async def test_a_registry_that_lost_its_database_builds_the_same_again_from_the_stream(system: System):
    for n in range(5):
        await system.publish(system.training("resnet50", f"job-{n}", metrics={"f1": n / 10}))
    await system.hear(ModelRegistered, count=5)
    await system.quiet()
    before = await everything_known(system)
    database = next(one for one in system.running if one.name == "registry").app.context.get("store")._database
    await database.client.drop_database(database.name)
    await system.stop("registry")
    jetstream = system.client.jetstream()
    for consumer in (REGISTRY_ON_MODEL_IMPORTED, REGISTRY_ON_VERSION_ASSIGNED, REGISTRY_ON_VERSION_REFUSED):
        await jetstream.delete_consumer(consumer.stream, consumer.durable)
        await jetstream.add_consumer(consumer.stream, consumer_config(consumer))
    await system.start("registry")
    await system.quiet()

    assert await everything_known(system) == before


async def everything_known(system: System) -> list[dict[str, object]]:
    model = await system.ask("modelkin.qry.v1.model.get", {"model": "resnet50"})
    numbers = await system.versions("resnet50")
    questions = [{"model": "resnet50", "version": number} for number in numbers]
    return [model, *[await system.ask("modelkin.qry.v1.version.get", question) for question in questions]]


@pytest.mark.parametrize("name", ["versioning", "registry"])
async def test_a_service_that_comes_back_late_catches_up(system: System, name: str):
    await system.stop(name)
    await system.publish(system.training("resnet50"))
    await system.hear(ModelImported)
    assert await system.all_of(ModelRegistered) == []
    await system.start(name)

    assert (await system.hear(ModelRegistered)).version == "0.0.1"
