"""What a service shows of itself: metrics, health, readiness, traces."""

import asyncio
import json
import re
import shutil
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from modelkin.processes import free_port, is_free, start_nats
from shared.messages import ImportRefused, ModelImported, ModelRegistered
from shared.subjects import IMPORTER_ON_TRAINING_SUCCEEDED, Consumer
from tests.integration.system import PATIENCE_S, SERVICES, Spawn, System, eventually
from tests.integration.test_lifetime import ends, says

OBSERVE = Path(__file__).parents[2] / "deploy" / "observe"
METRIC = re.compile(r"\b(?:modelkin|process)_[a-z_]+\b")


@dataclass(frozen=True)
class Observed:
    """The services of a system, each with a port."""

    system: System
    ports: dict[str, int]

    async def get(self, service: str, path: str) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(f"http://127.0.0.1:{self.ports[service]}{path}", timeout=60)

    async def value(self, service: str, sample: str) -> float | None:
        """Of a sample with its labels, as Prometheus reads it; None where there is none."""
        page = (await self.get(service, "/metrics")).text
        found = re.search(rf"^{re.escape(sample)} (\S+)$", page, re.MULTILINE)
        return None if found is None else float(found[1])


@pytest.fixture
async def observed(bare_system: System) -> Observed:
    ports = {name: free_port() for name in SERVICES}
    await asyncio.gather(*(bare_system.start(name, http_port=port) for name, port in ports.items()))
    return Observed(bare_system, ports)


async def test_what_becomes_of_requests_is_counted_once_however_often_they_are_published(observed: Observed):
    system = observed.system
    good, bad = system.training("cats"), system.training("dogs", location="file:///nowhere")
    await system.publish(good, id="good")
    await system.publish(bad)
    await system.hear(ModelRegistered, "cats")
    await system.hear(ImportRefused, "dogs")
    await system.publish(good, id="again")
    await system.publish(b"no JSON", subject="modelkin.evt.v1.training.succeeded.0.cats")
    await system.dead_letter()
    await system.quiet()

    async def value(service: str, sample: str) -> float | None:
        return await observed.value(service, sample)

    assert await value("importer", 'modelkin_imports_total{method="training-job",outcome="imported"}') == 1
    assert await value("importer", 'modelkin_imports_total{method="training-job",outcome="refused"}') == 1
    assert await value("importer", 'modelkin_import_refusals_total{reason="location-not-allowed"}') == 1
    assert await value("importer", 'modelkin_import_refusals_total{reason="file-changed"}') == 0
    assert await value("importer", 'modelkin_import_seconds_count{size="1MB"}') == 1
    assert await value("importer", "modelkin_imported_bytes_total") == 15
    assert await value("importer", 'modelkin_import_stage_seconds_count{stage="copy"}') == 1
    assert await value("versioning", 'modelkin_events_total{event="version.assigned"}') == 1
    assert await value("registry", 'modelkin_events_total{event="model.registered"}') == 1
    handled = 'modelkin_message_seconds_count{consumer="importer-on-training-succeeded",outcome="%s"}'
    assert await value("importer", handled % "done") == 3
    assert await value("importer", handled % "set_aside") == 1
    assert await value("registry", 'modelkin_store_seconds_count{command="update"}') >= 1
    assert await value("importer", "modelkin_registration_seconds_count") == 1


async def test_every_metric_that_an_alert_or_the_dashboard_names_is_exposed(observed: Observed):
    pages = [(await observed.get(service, "/metrics")).text for service in SERVICES]
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", "\n".join(pages), re.MULTILINE))
    parts = {f"{name}_{part}" for name, kind in kinds.items() if kind == "histogram" for part in ("bucket", "count")}
    panels = json.loads((OBSERVE / "grafana" / "dashboards" / "modelkin.json").read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    named = set(METRIC.findall("\n".join([(OBSERVE / "rules.yml").read_text(), *expressions])))

    assert len(named) >= 17
    assert named - kinds.keys() - parts == set()


async def test_what_waits_and_what_was_set_aside_is_asked_of_nats(bare_system: System):
    await bare_system.publish(b"no JSON", subject="modelkin.evt.v1.training.succeeded.0.cats")
    await bare_system.publish(bare_system.training("cats"))
    await bare_system.start("importer")
    await bare_system.dead_letter()
    await bare_system.hear(ModelImported)
    await bare_system.stop("importer")
    ports = {"importer": free_port(), "versioning": free_port()}
    await bare_system.publish(bare_system.training("dogs"))
    await fetch(bare_system, IMPORTER_ON_TRAINING_SUCCEEDED)
    await asyncio.gather(*(bare_system.start(name, http_port=port) for name, port in ports.items()))
    observed = Observed(bare_system, ports)

    await eventually(lambda: observed.value("importer", "modelkin_oldest_import_seconds"))
    letters = 'modelkin_dead_letters{consumer="importer-on-training-succeeded"}'
    assert await observed.value("importer", letters) == 1
    in_hand = 'modelkin_consumer_unacknowledged{consumer="importer-on-training-succeeded"}'
    assert await observed.value("importer", in_hand) == 1
    free_bytes = await observed.value("importer", "modelkin_artifact_free_bytes")
    assert free_bytes == pytest.approx(shutil.disk_usage(bare_system.artifacts).free, rel=0.2)
    assert await observed.value("versioning", "modelkin_oldest_import_seconds") is None
    assert await observed.value("versioning", "modelkin_ready") == 1


async def test_a_service_says_that_it_is_alive_and_ready_and_nothing_else(bare_system: System):
    observed = Observed(bare_system, {"registry": free_port()})
    await bare_system.start("registry", http_port=observed.ports["registry"])
    answers = {path: await observed.get("registry", path) for path in ("/healthz", "/readyz", "/", "/metrics/")}

    assert {path: answer.status_code for path, answer in answers.items()} == {
        "/healthz": 200,
        "/readyz": 200,
        "/": 404,
        "/metrics/": 404,
    }
    assert answers["/readyz"].json() == {"ready": True, "missing": {}}
    async with httpx.AsyncClient() as client:
        posted = await client.post(f"http://127.0.0.1:{observed.ports['registry']}/readyz")
    assert posted.status_code == 405


async def test_a_consumer_that_is_gone_is_named_as_missing(bare_system: System):
    observed = Observed(bare_system, {"versioning": free_port()})
    await bare_system.start("versioning", http_port=observed.ports["versioning"])
    await observed.system.client.jetstream().delete_consumer("EVENTS", "versioning-on-changes")

    async def not_ready() -> dict[str, str]:
        answer = await observed.get("versioning", "/readyz")
        return answer.json()["missing"] if answer.status_code == 503 else {}

    missing = await eventually(not_ready)
    assert missing == {
        "NATS": "consumer versioning-on-changes of stream EVENTS (python -m deploy.topology makes it)",
    }


async def test_a_service_that_waits_says_what_for_and_its_port_is_left_when_it_stops(
    bare_system: System, spawn: Spawn, tmp_path: Path
):
    nats_port, port = free_port(), free_port()
    process = spawn("versioning", nats_url=f"nats://127.0.0.1:{nats_port}", http_port=str(port))
    observed = Observed(bare_system, {"versioning": port})

    async def missing() -> dict[str, str]:
        return dict((await observed.get("versioning", "/readyz")).json()["missing"])

    await says(process, "waiting", "what=NATS")
    assert "NATS with JetStream does not answer" in (await missing())["NATS"]
    assert (await observed.get("versioning", "/healthz")).status_code == 200
    server = await start_nats(tmp_path / "late", tmp_path / "late.log", nats_port)
    try:
        await eventually(lambda: no_topology_in(missing))
        assert await ends(process) == 0
        assert is_free(port)
        assert "Traceback" not in process.log.read_text()
    finally:
        server.process.stop()


async def test_a_port_that_is_taken_is_one_line_that_names_the_setting(bare_system: System, spawn: Spawn):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = spawn("registry", http_port=str(port))
        status = await asyncio.to_thread(process.popen.wait, PATIENCE_S)

    assert status == 2
    assert process.log.read_text() == (
        f"registry: MODELKIN_HTTP_PORT: 127.0.0.1:{port} cannot be listened on (Address already in use): expected a free"
        " port and an address of this machine (MODELKIN_HTTP_HOST)\n"
    )


async def test_a_line_of_the_log_says_of_which_request_and_model_it_is(bare_system: System, spawn: Spawn):
    process = spawn("importer", log_format="json")
    await bare_system.publish(b"no JSON", subject="modelkin.evt.v1.training.succeeded.0.cats", id="one")
    await bare_system.dead_letter()
    await says(process, "dead letter")

    (line,) = [json.loads(line) for line in process.log.read_text().splitlines() if "dead letter" in line]
    assert line["request_id"] == line["message_id"] == "one"
    assert (line["workspace"], line["model"]) == ("0", "cats")
    assert (line["service"], line["consumer"]) == ("importer", "importer-on-training-succeeded")


async def no_topology_in(missing: Callable[[], Awaitable[dict[str, str]]]) -> bool:
    return "deploy.topology makes it" in (await missing()).get("NATS", "")


async def fetch(system: System, consumer: Consumer) -> None:
    """Be given a message, and never say what became of it."""
    jetstream = system.client.jetstream()
    subscription = await jetstream.pull_subscribe_bind(consumer.durable, consumer.stream)
    await subscription.fetch(1, timeout=PATIENCE_S)
