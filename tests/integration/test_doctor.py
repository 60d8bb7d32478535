"""What the doctor finds on a whole system, and on one where something is amiss."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import modelkin.doctor.services
from modelkin.doctor.examining import examine
from modelkin.processes import Server, free_port, start_mongo
from shared.connection import settle
from shared.messages import DeadLetterAdded, ModelRegistered
from shared.queries import SERVICES, Examination, Examine, Finding
from shared.store import connect
from shared.subjects import CONSUMERS, EVENTS_STREAM, IMPORTER_ON_TRAINING_SUCCEEDED, REGISTRY_ON_CHANGES
from tests.e2e.conftest import command
from tests.integration.system import System, make_system

TRAINING = f"consumer {IMPORTER_ON_TRAINING_SUCCEEDED.durable}"


async def doctor(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The command as an operator types it."""
    return await asyncio.to_thread(command, "doctor", *words, nats_url=url)


@dataclass(frozen=True, slots=True)
class Found:
    """Findings by what was looked at."""

    findings: list[Finding]

    def of(self, check: str) -> Finding:
        return next(one for one in self.findings if one.check == check)

    @property
    def amiss(self) -> dict[str, str]:
        return {one.check: one.level for one in self.findings if one.level != "ok"}


async def found(system: System, most_waiting: int = 1000) -> Found:
    return Found(await examine(system.nats_url, most_waiting))


async def test_on_a_fresh_system_all_is_well(system: System):
    await system.publish(system.training("resnet50"))
    await system.hear(ModelRegistered)
    await system.quiet()
    said = await doctor(system.nats_url)
    told = await doctor(system.nats_url, "--json")

    assert said.returncode == 0, said.stdout
    lines = said.stdout.splitlines()
    assert lines[-1] == f"{len(lines) - 1} ok, 0 warnings, 0 wrong"
    assert all(line.startswith("ok ") for line in lines[:-1])
    facts = json.loads(told.stdout)
    assert facts["level"] == "ok"
    checks = {one["check"] for one in facts["findings"]}
    assert checks >= {
        "nats",
        "nats clock",
        "stream EVENTS",
        "stream COMMANDS",
        "stream DEAD_LETTERS",
        *(f"consumer {one.durable}" for one in CONSUMERS),
        "dead letters",
        "oldest import",
        "orphaned bytes",
        *(f"{service}{part}" for service in SERVICES for part in ("", " store", " indexes", " clock")),
        "importer artifacts",
        "importer free space",
        "versions",
    }
    assert list((system.artifacts / "partial").iterdir()) == []
    blobs = [path for path in (system.artifacts / "blobs").rglob("*") if path.is_file()]
    assert "modelkin doctor" not in "".join(path.read_text(errors="replace") for path in blobs)


async def test_a_consumer_that_was_deleted_is_missing(system: System):
    await system.client.jetstream().delete_consumer(EVENTS_STREAM, REGISTRY_ON_CHANGES.durable)
    said = await doctor(system.nats_url)

    line = next(line for line in said.stdout.splitlines() if REGISTRY_ON_CHANGES.durable in line)
    assert said.returncode == 2
    assert line == f"wrong    consumer {REGISTRY_ON_CHANGES.durable}: is missing  → python -m deploy.topology makes it"


async def test_a_consumer_that_was_changed_and_one_that_lacks_a_subject(system: System):
    jetstream = system.client.jetstream()
    await system.redeliver_after(7)
    config = (await jetstream.consumer_info(EVENTS_STREAM, REGISTRY_ON_CHANGES.durable)).config
    first, *rest = config.filter_subjects or []
    await jetstream.add_consumer(EVENTS_STREAM, config.evolve(filter_subjects=rest))
    seen = await found(system)

    assert seen.of(TRAINING).message == "ack_wait is 7 s (a new one has 30 s)"
    assert seen.of(TRAINING).level == "warning"
    lacking = seen.of(f"consumer {REGISTRY_ON_CHANGES.durable}")
    assert (lacking.level, lacking.message) == ("wrong", f"lacks {first}")


async def test_a_stream_that_was_changed_and_one_that_refuses_events(system: System):
    jetstream = system.client.jetstream()
    config = (await jetstream.stream_info(EVENTS_STREAM)).config
    await jetstream.update_stream(config.evolve(max_age=3600.0))
    warned = await doctor(system.nats_url)
    seen = await found(system)
    without = [one for one in config.subjects or [] if ".model.registered." not in one]
    await jetstream.update_stream(config.evolve(max_age=3600.0, subjects=without))
    worse = await found(system)
    await jetstream.update_stream(config.evolve(max_age=0.0, duplicate_window=600.0))
    harmless = await found(system)

    assert warned.returncode == 2
    forgets = "events will be lost: max_age is 60 minutes (a new one has no limit)"
    assert (seen.of("stream EVENTS").level, seen.of("stream EVENTS").message) == ("wrong", forgets)
    lines = [str(one) for one in worse.findings if "stream EVENTS" in str(one)]
    assert "lacks modelkin.evt.v1.model.registered.*.*" in lines[0]
    assert forgets in lines[1]
    assert (harmless.of("stream EVENTS").level, harmless.of("stream EVENTS").message) == (
        "warning",
        "duplicate_window is 10 minutes (a new one has 2 minutes)",
    )


async def test_a_service_that_does_not_run_is_wrong_and_what_waits_for_it_is_counted(system: System):
    await system.stop("importer")
    await system.publish(system.training("resnet50"))
    seen = await found(system, most_waiting=1)

    assert seen.amiss == {"importer": "wrong", TRAINING: "warning"}
    assert seen.of("importer").message == "no process of it answers"
    assert seen.of(TRAINING).message == "1 waiting, 0 in hand"
    assert seen.of("oldest import").message.startswith("the oldest request that is not worked off is ")


async def test_a_message_that_is_tried_again_is_warned_of(system: System):
    await system.stop("importer")
    await system.publish(system.training("resnet50"))
    await system.client.jetstream().add_consumer(
        EVENTS_STREAM,
        (await system.client.jetstream().consumer_info(EVENTS_STREAM, IMPORTER_ON_TRAINING_SUCCEEDED.durable)).config,
    )
    pulled = await system.client.jetstream().pull_subscribe_bind(
        durable=IMPORTER_ON_TRAINING_SUCCEEDED.durable, stream=EVENTS_STREAM
    )
    for _ in range(2):
        for message in await pulled.fetch(1, timeout=60):
            await message.nak()
    await pulled.fetch(1, timeout=60)
    seen = await found(system)

    assert seen.of(TRAINING).level == "warning"
    assert "1 in hand, 1 of them delivered again" in seen.of(TRAINING).message


async def test_dead_letters_are_warned_of(system: System):
    await system.publish(b"not JSON", subject="modelkin.evt.v1.training.succeeded.0.resnet50")
    await system.hear(DeadLetterAdded)
    await system.quiet()
    seen = await found(system)

    assert seen.amiss == {"dead letters": "warning"}
    assert seen.of("dead letters").message.startswith("1, the oldest ")


async def test_every_process_answers_and_a_dropped_index_is_named(system: System, mongo_uri: str):
    await system.start("registry")
    store = connect(mongo_uri)
    versions = store[f"{system.database}_registry"]["versions"]
    names = set(await versions.index_information()) - {"_id_"}
    gone = min(names)
    await versions.drop_index(gone)
    store.close()
    seen = await found(system)

    missing = [one for one in seen.findings if one.check.startswith("registry ") and one.check.endswith(" indexes")]
    assert [one.message for one in missing] == [f"missing: versions.{gone}"] * 2
    assert {one.level for one in missing} == {"wrong"}


@pytest.mark.parametrize("service", SERVICES)
async def test_an_index_that_nobody_asked_for_is_warned_of(system: System, mongo_uri: str, service: str):
    collection = {"importer": "imports", "versioning": "versions", "registry": "versions"}[service]
    store = connect(mongo_uri)
    await store[f"{system.database}_{service}"][collection].create_index("by_hand")
    store.close()
    seen = await found(system)

    assert seen.amiss == {f"{service} indexes": "warning"}
    assert f"{collection}.by_hand_1" in seen.of(f"{service} indexes").message


async def test_an_artifact_folder_that_is_gone_or_cannot_be_written(system: System):
    shutil.rmtree(system.artifacts)
    gone = await found(system)
    system.artifacts.mkdir()
    (system.artifacts / "partial").write_text("no folder")
    unwritable = await found(system)

    assert gone.of("importer artifacts").level == "wrong"
    assert "cannot be written" in gone.of("importer artifacts").message
    assert unwritable.of("importer artifacts").level == "wrong"


@pytest.fixture
async def own_mongo(tmp_path: Path) -> AsyncIterator[Server]:
    server = await start_mongo(tmp_path / "mongo", tmp_path / "mongo.log", free_port())
    yield server
    server.process.stop()


async def test_while_mongo_is_away_the_services_say_so(
    own_mongo: Server, nats_server: Server, database_name: str, tmp_path: Path
):
    system = await make_system(nats_server.url, own_mongo.url, database_name, tmp_path)
    await system.start(*SERVICES)
    own_mongo.process.kill()
    seen = await found(system)
    for service in system.running:
        await service.stop()
    system.running.clear()
    await system.client.close()

    assert {check: level for check, level in seen.amiss.items() if check.endswith(" store")} == dict.fromkeys(
        (f"{service} store" for service in SERVICES), "wrong"
    )
    assert seen.of("importer artifacts").level == "ok"
    assert seen.of("stream EVENTS").level == "ok"


async def test_where_nats_is_away_there_is_one_line():
    said = await doctor(f"nats://127.0.0.1:{free_port()}")

    assert said.returncode == 2
    first, summary = said.stdout.splitlines()
    assert first.startswith("wrong    nats: no NATS server answers at nats://127.0.0.1:")
    assert "modelkin up" in first
    assert summary == "0 ok, 0 warnings, 1 wrong"


async def test_without_topology_every_part_is_missing(nats_server: Server):
    seen = Found(await examine(nats_server.url))

    assert seen.of("stream EVENTS").message == "is missing"
    assert seen.of(TRAINING).message == "is missing"
    assert {seen.of(service).level for service in SERVICES} == {"wrong"}
    assert seen.of("nats").level == "ok"


async def test_a_process_with_another_version_and_a_wrong_clock_is_told_apart(
    system: System, monkeypatch: pytest.MonkeyPatch
):
    async def answer(message: object) -> None:
        said = Examination(
            service="registry",
            version="0.0.0",
            instance="elsewhere:1",
            time=datetime.now(UTC) - timedelta(seconds=90),
            findings=(Finding(check="store", message="fine"),),
        )
        await message.respond(said.model_dump_json().encode())

    await system.client.subscribe(f"{Examine.address}.registry", cb=answer)
    await settle(system.client)
    monkeypatch.setattr(modelkin.doctor.services, "version", lambda _: "0.1.0")
    seen = await found(system)

    clock = seen.of("registry elsewhere:1 clock")
    assert clock.level == "wrong"
    assert "behind" in clock.message
    assert seen.of("registry elsewhere:1 store").level == "ok"
    assert seen.of("versions").level == "warning"
    assert "registry 0.0.0" in seen.of("versions").message


async def test_a_paused_consumer_is_warned_of(system: System):
    jetstream = system.client.jetstream()
    stream, durable = REGISTRY_ON_CHANGES.stream, REGISTRY_ON_CHANGES.durable
    until = datetime.now(UTC) + timedelta(minutes=5)
    body = json.dumps({"pause_until": until.isoformat()}).encode()
    await system.client.request(f"$JS.API.CONSUMER.PAUSE.{stream}.{durable}", body, timeout=60)
    seen = await found(system)

    assert seen.amiss == {f"consumer {durable}": "warning"}
    assert "it is paused" in seen.of(f"consumer {durable}").message
    assert (await jetstream.consumer_info(stream, durable)).paused


async def test_looking_leaves_nothing_behind(system: System):
    before = await _consumers(system)
    await found(system)

    assert await _consumers(system) == before


async def _consumers(system: System) -> set[str]:
    return {one.name for one in await system.client.jetstream().consumers_info(EVENTS_STREAM)}
