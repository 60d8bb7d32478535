"""Services as processes: how they wait, go on, and end."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import nats
import pytest

import deploy.topology
from modelkin.processes import Process, Server, StartFailed, free_port, start_mongo, start_nats
from shared.connection import connected
from shared.messages import ModelImported, ModelRegistered
from shared.subjects import EVENTS_STREAM, IMPORTER_ON_TRAINING_SUCCEEDED
from tests.chaos.clock import Clock
from tests.integration.system import PATIENCE_S, SERVICES, Spawn, System, eventually


async def says(process: Process, *words: str) -> None:
    """Wait for a line of the log that holds all the words."""

    def found() -> bool:
        assert process.running, process.last_words()
        return any(all(word in line for word in words) for line in process.log.read_text().splitlines())

    await eventually(found, lambda: f"{words} in the log of {process.name}:\n{process.log.read_text()}")


async def ends(process: Process) -> int:
    """The exit status after SIGTERM."""
    return await asyncio.to_thread(process.stop, PATIENCE_S)


async def test_services_wait_for_nats_then_for_their_consumers_then_work_and_end_on_sigterm(
    bare_system: System, spawn: Spawn, tmp_path: Path
):
    port = free_port()
    processes = {name: spawn(name, nats_url=f"nats://127.0.0.1:{port}") for name in SERVICES}
    for process in processes.values():
        there = f"NATS with JetStream does not answer at nats://127.0.0.1:{port} (MODELKIN_NATS_URL): "
        await says(process, "waiting", "what=NATS", there, "waited_s=0")
    server = await start_nats(tmp_path / "late", tmp_path / "late.log", port)
    try:
        for name, process in processes.items():
            await says(process, "waiting", f"consumer {name}-on-", "of stream EVENTS", "deploy.topology")
        client = await nats.connect(server.url)
        async for _ in deploy.topology.apply(client.jetstream()):
            pass
        for name, process in processes.items():
            await says(process, "found", "what=NATS")
            await says(process, "started")
            answer = await client.request(f"modelkin.qry.v1.service.ping.{name}", b"{}", timeout=PATIENCE_S)
            assert json.loads(answer.data)["service"] == name
        await client.close()

        assert await asyncio.gather(*(ends(process) for process in processes.values())) == [0, 0, 0]
        assert "Traceback" not in "".join(process.log.read_text() for process in processes.values())
    finally:
        server.process.stop()


async def test_a_service_that_is_told_to_stop_while_it_starts_ends_well(bare_system: System, spawn: Spawn):
    process = spawn("importer")
    jetstream = bare_system.client.jetstream()

    async def begins_to_fetch() -> bool:
        return bool((await jetstream.consumer_info("EVENTS", "importer-on-training-succeeded")).num_waiting)

    await eventually(begins_to_fetch)

    assert await ends(process) == 0
    assert "Traceback (most recent call last)" not in process.log.read_text().partition("nats: encountered error")[0]


async def test_of_two_servers_that_want_one_port_one_has_it_and_the_other_says_so(tmp_path: Path):
    port = free_port()
    wanted = (start_nats(tmp_path / name, tmp_path / f"{name}.log", port) for name in ("one", "other"))
    started = await asyncio.gather(*wanted, return_exceptions=True)
    for server in started:
        if isinstance(server, Server):
            server.process.stop()

    assert [type(one) for one in sorted(started, key=lambda one: isinstance(one, Server))] == [StartFailed, Server]


class CutOnce:
    """Stands before a NATS server, and cuts off the first connection that has subscribed to a few consumers."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self.cut = False

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection("127.0.0.1", self._target_port)
        one_way = asyncio.create_task(self._pass_on(reader, to_there, counting=True))
        await asyncio.wait({one_way, asyncio.create_task(self._pass_on(there, writer))}, return_when="FIRST_COMPLETED")
        writer.close()
        to_there.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counting: bool = False):
        asked = 0
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                asked += data.count(b"$JS.API.CONSUMER.MSG.NEXT.") if counting else 0
                if asked >= 3 and not self.cut:
                    self.cut = True
                    return
                writer.write(data)


async def test_a_service_whose_nats_goes_away_while_it_subscribes_starts_all_the_same(
    bare_system: System, spawn: Spawn
):
    cutting = CutOnce(int(bare_system.nats_url.rpartition(":")[2]))
    proxy = await asyncio.start_server(cutting.connected, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    try:
        process = spawn("versioning", nats_url=f"nats://127.0.0.1:{port}", http_port=str(free_port()))
        await says(process, "started")

        assert cutting.cut
        assert (await bare_system.ask("modelkin.qry.v1.service.ping.versioning", {}))["service"] == "versioning"
        assert await ends(process) == 0
        assert "Traceback" not in process.log.read_text()
    finally:
        proxy.close()


async def test_a_service_waits_for_mongo_then_works_or_ends_on_sigterm(
    bare_system: System, spawn: Spawn, tmp_path: Path
):
    port = free_port()
    uri = f"mongodb://127.0.0.1:{port}/?retryWrites=false&directConnection=true"
    patient, told_to_end = spawn("importer", mongo_uri=uri), spawn("registry", mongo_uri=uri)
    for process in (patient, told_to_end):
        await says(process, "waiting", "what=MongoDB", f"127.0.0.1:{port}")
    await bare_system.publish(bare_system.training("resnet50"))
    ending = asyncio.create_task(ends(told_to_end))
    server = await start_mongo(tmp_path / "late", tmp_path / "late.log", port)
    try:
        assert await ending == 0
        await bare_system.hear(ModelImported)
        assert await ends(patient) == 0
    finally:
        server.process.stop()


async def test_a_service_that_waits_for_nats_ends_on_sigterm(bare_system: System, spawn: Spawn):
    process = spawn("registry", nats_url=f"nats://127.0.0.1:{free_port()}")
    await says(process, "waiting", "what=NATS")

    assert await ends(process) == 0


async def test_a_service_whose_clock_is_wrong_says_so(bare_system: System, spawn: Spawn, tmp_path: Path):
    clock = Clock(tmp_path / "clock")
    environment = clock.environment
    clock.jump(90)

    process = spawn("registry", "env", *(f"{name}={value}" for name, value in environment.items()))

    await says(process, "clocks differ", " s ahead of that of NATS", "remedy='keep clocks by NTP")
    assert "what=NATS" not in process.log.read_text()


async def test_an_artifact_folder_that_comes_later_is_waited_for(bare_system: System, spawn: Spawn):
    bare_system.artifacts.write_text("a file is no folder")
    await bare_system.publish(bare_system.training("resnet50"))
    process = spawn("importer")
    await says(process, "waiting", "what='the artifact store'", "the artifact folder cannot be written")
    bare_system.artifacts.unlink()

    await bare_system.hear(ModelImported)


async def test_a_service_whose_nats_went_away_ends_on_sigterm(bare_system: System, spawn: Spawn, nats_server: Server):
    process = spawn("importer")
    await says(process, "started")
    nats_server.process.kill()
    await eventually(lambda: not bare_system.client.is_connected)

    assert await ends(process) == 0


async def test_a_service_that_nats_turned_away_works_again_when_let_in_or_has_ended(
    bare_system: System, spawn: Spawn, nats_server: Server, tmp_path: Path
):
    process = spawn("importer")
    await says(process, "started")
    await bare_system.client.close()
    config, log = tmp_path / "nats" / "nats.conf", tmp_path / "nats.log"
    open_to_all = config.read_text()
    reload(nats_server, config, f"{open_to_all}\nauthorization {{ token: changed }}\n")
    await eventually(lambda: "authentication error" in log.read_text(), "a connection that is turned away")
    reload(nats_server, config, open_to_all)

    async def works_or_ended() -> bool:
        if not process.running:
            return True
        async with connected(nats_server.url, "test") as client:
            return bool(await client.request("modelkin.qry.v1.service.ping.importer", b"{}", timeout=1))

    await eventually(works_or_ended, lambda: f"it is deaf:\n{process.log.read_text()}")


def reload(server: Server, config: Path, text: str) -> None:
    """An operator changes the configuration of a server that runs."""
    config.write_text(text)
    os.kill(server.process.pid, signal.SIGHUP)


def _sparse_model(system: System, size_bytes: int) -> str:
    location = system.model_folder("large")
    with (system.models / "large" / "model.bin").open("wb") as file:
        file.truncate(size_bytes)
    return location


async def _copying(system: System) -> None:
    """Wait until some of the bytes are copied."""
    await eventually(lambda: any(part.stat().st_size > 1_000_000 for part in system.half_copied()), "a copy")


async def test_a_copy_that_ends_in_time_is_finished_after_sigterm(bare_system: System, spawn: Spawn):
    system = bare_system
    process = spawn("importer", stop_timeout_s=str(PATIENCE_S))
    await says(process, "started")
    await system.publish(system.training("resnet50", location=_sparse_model(system, 300_000_000)))
    await _copying(system)

    assert await ends(process) == 0
    info = await system.client.jetstream().consumer_info(EVENTS_STREAM, IMPORTER_ON_TRAINING_SUCCEEDED.durable)
    assert (info.num_pending, info.num_ack_pending) == (0, 0)
    assert [event.package.size_bytes for event in await system.all_of(ModelImported)] == [300_000_000]


async def test_a_copy_that_takes_too_long_is_left_after_sigterm_and_made_by_the_next_process(
    bare_system: System, spawn: Spawn
):
    system = bare_system
    process = spawn("importer", stop_timeout_s="0.5", concurrent_imports="2")
    await says(process, "started")
    heard = await system.client.subscribe("modelkin.live.v1.import.progressed.0.resnet50")
    await system.publish(system.training("resnet50", location=_sparse_model(system, 20_000_000_000)), id="request")
    progress = await heard.next_msg(timeout=PATIENCE_S)

    assert (progress.headers or {})["ce-causationid"] == "request"
    assert 0 < json.loads(progress.data)["done_bytes"] < json.loads(progress.data)["total_bytes"] == 20_000_000_000
    assert await ends(process) == 0
    assert system.half_copied() == []
    assert await system.all_of(ModelImported) == []
    os.truncate(system.models / "large" / "model.bin", 100)
    await system.redeliver_after(1)
    await system.start(*SERVICES)
    await system.hear(ModelRegistered)
    await system.quiet()
    assert [event.package.size_bytes for event in await system.all_of(ModelImported)] == [100]
    assert await system.versions("resnet50") == ["0.0.1"]


async def test_an_importer_that_is_killed_leaves_its_import_to_the_next_one(bare_system: System, spawn: Spawn):
    system = bare_system
    process = spawn("importer")
    await says(process, "started")
    await system.publish(system.training("resnet50", location=_sparse_model(system, 20_000_000_000)))
    await _copying(system)
    process.kill()
    os.truncate(system.models / "large" / "model.bin", 100)
    await system.redeliver_after(1)
    await system.start(*SERVICES)

    await system.hear(ModelRegistered)
    await system.quiet()
    assert [event.package.size_bytes for event in await system.all_of(ModelImported)] == [100]


async def refuses_to_start(name: str, **settings: str) -> tuple[int | None, bytes, bytes]:
    """Exit status, standard output and standard error."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MODELKIN_")}
    command = [sys.executable, "-m", f"services.{name}"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env={**kept, **settings}, stdout=pipe, stderr=pipe)
    try:
        output, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output, errors


@pytest.mark.parametrize("settings", [{}, {"MODELKIN_ARTIFACTS": ""}], ids=["missing", "empty"])
async def test_a_missing_setting_is_one_line_that_names_it(settings: dict[str, str]):
    ended = await refuses_to_start("importer", **settings)

    assert ended == (2, b"", b"importer: MODELKIN_ARTIFACTS: Field required\n")


async def test_a_wrong_setting_is_one_line_that_names_it():
    wrong = {"MODELKIN_STOP_TIMEOUT_S": "soon", "MODELKIN_LOG_FORMAT": "xml", "MODELKIN_MAX_FILES": "0"}
    fine = {"MODELKIN_ARTIFACTS": "/tmp/artifacts"}
    ended = await asyncio.gather(*(refuses_to_start("importer", **fine, **{name: wrong[name]}) for name in wrong))

    for variable, (status, output, errors) in zip(wrong, ended, strict=True):
        assert (status, output) == (2, b""), variable
        assert errors.decode().startswith(f"importer: {variable}: ")
        assert errors.count(b"\n") == 1


async def test_logs_may_be_json_with_the_service_on_every_line(bare_system: System, spawn: Spawn):
    process = spawn("registry", log_format="json")

    await says(process, '"event": "started"', '"service": "registry"', '"level": "info"')


async def test_a_mongodb_that_is_no_replica_set_is_named_in_one_line(bare_system: System, spawn: Spawn):
    address = bare_system.mongo_uri.partition("?")[0]

    process = spawn("registry", mongo_uri=f"{address}?replicaSet=rs7")

    message = "no member of the replica set 'rs7', which MODELKIN_MONGO_URI names, answers: expected a MongoDB"
    await says(process, "waiting", "what=MongoDB", message, "started with --replSet rs7 and initiated")
