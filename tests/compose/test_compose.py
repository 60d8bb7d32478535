"""docker compose up, as an operator meets it: real images, a real engine, spoken to through the one published port."""

import hashlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelkin.processes import free_port
from tests.compose.composed import Composed, compose_files, eventually, numbers
from tests.engine import Engine
from tests.models import model_file
from tests.packages import valid_config

# The first test waits for an engine, an image and the whole system.
pytestmark = pytest.mark.timeout(900)

SERVICES = ("importer", "registry", "versioning")
RUNNING = (*SERVICES, "nats", "mongo")


@pytest.fixture(scope="module")
def composed(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    composed = Composed(engine, tmp_path_factory.mktemp("compose"), free_port(), compose_files(engine))
    with composed.running():
        yield composed


def test_a_real_model_comes_in_and_goes_out_with_an_operators_password(composed: Composed, tmp_path: Path):
    folder = composed.models / "silero" / "model"
    folder.mkdir(parents=True)
    model = model_file("silero-vad", "silero_vad_16k_op15.onnx", folder)
    (folder / "config.json").write_text(json.dumps(valid_config("ONNX")))

    imported = composed.modelkin("import", "storage", "file:///models/silero", "--model", "silero")
    shown = composed.modelkin("show", "silero").stdout
    downloaded = composed.modelkin("download", "silero", "0.0.1", str(tmp_path / "out"))

    assert (imported.stdout, imported.stderr) == ("silero 0.0.1 is registered\n", "")
    assert "ONNX" in shown
    assert downloaded.returncode == 0, downloaded.stderr
    [copy] = (tmp_path / "out").rglob("*.onnx")
    assert hashlib.sha256(copy.read_bytes()).digest() == hashlib.sha256(model.read_bytes()).digest()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_killed_service_is_started_again_and_nothing_is_lost(composed: Composed, service: str):
    container = composed.containers(service)[0]
    before = composed.inspected(container)["RestartCount"]
    await composed.trained(f"killed-{service}", 10)

    os.kill(composed.inspected(container)["State"]["Pid"], signal.SIGKILL)
    eventually(lambda: composed.inspected(container)["RestartCount"] == before + 1, "started again")

    eventually(lambda: composed.versions(f"killed-{service}") == numbers(10), "ten versions")
    eventually(lambda: composed.ready(container), "ready again")


async def test_while_mongodb_hangs_services_are_not_ready_and_then_go_on(composed: Composed):
    [mongo], [registry] = composed.containers("mongo"), composed.containers("registry")
    process = composed.inspected(mongo)["State"]["Pid"]
    # As `docker pause` does, which not every kernel has the means for.
    os.kill(process, signal.SIGSTOP)
    try:
        await composed.trained("paused", 5)
        eventually(lambda: not composed.ready(registry), "not ready")
    finally:
        os.kill(process, signal.SIGCONT)

    eventually(lambda: composed.versions("paused") == numbers(5), "five versions")
    eventually(lambda: composed.ready(registry), "ready again")


async def test_services_are_scaled(composed: Composed):
    composed.up("--no-recreate", "--scale", "importer=3", "--scale", "versioning=2")

    await composed.trained("scaled", 30)

    assert [len(composed.containers(service)) for service in SERVICES] == [3, 1, 2]
    eventually(lambda: composed.versions("scaled") == numbers(30), "thirty versions")


def test_a_wrong_password_is_one_line_that_says_so(composed: Composed):
    refused = composed.modelkin("models", MODELKIN_NATS_PASSWORD="wrong")

    assert refused.returncode != 0
    assert len(refused.stderr.splitlines()) == 1, refused.stderr
    assert "does not accept the user 'operator-0'" in refused.stderr


@pytest.mark.parametrize("service", RUNNING)
def test_what_runs_can_do_no_more_than_it_needs(composed: Composed, service: str):
    container = composed.containers(service)[0]
    inspected = composed.inspected(container)
    host, ports = inspected["HostConfig"], inspected["NetworkSettings"]["Ports"]
    published = {port: {place["HostIp"] for place in places} for port, places in ports.items() if places}

    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] is None
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert inspected["Config"]["User"].split(":")[0] not in {"", "0", "root"}
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "5"}
    eventually(lambda: composed.inspected(container)["State"]["Health"]["Status"] == "healthy", "healthy")
    assert published == ({"4222/tcp": {"127.0.0.1"}} if service == "nats" else {})


@pytest.mark.parametrize("service", ["registry", "versioning", "mongo"])
def test_only_the_importer_and_nats_are_on_a_network_that_leads_outside(composed: Composed, service: str):
    networks = composed.inspected(composed.containers(service)[0])["NetworkSettings"]["Networks"]

    internal = [composed.docker("network", "inspect", "--format", "{{.Internal}}", name) for name in networks]

    assert set(internal) == {"true"}


def test_without_secrets_compose_says_what_to_do_first(engine: Engine, tmp_path: Path):
    nothing_made = Composed(engine, tmp_path, free_port(), ("docker-compose.yml",))

    told = nothing_made.compose("up", "--detach")

    assert told.returncode != 0
    assert len(told.stderr.strip().splitlines()) == 1
    assert "made-by-make-secrets" in told.stderr
