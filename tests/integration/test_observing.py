"""What a service shows of itself: metrics, health, readiness, traces."""

import asyncio
import json
import re
from dataclasses import dataclass

import httpx
import pytest

from modelkin.processes import Server, free_port
from shared.messages import ImportRefused, ModelRegistered, VersionAssigned
from tests.integration.system import SERVICES, Spawn, System, eventually
from tests.integration.test_lifetime import ends, says


@dataclass(frozen=True)
class Observed:
    """The services of a system, each with a port."""

    system: System
    ports: dict[str, int]

    async def get(self, service: str, path: str) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(f"http://127.0.0.1:{self.ports[service]}{path}", timeout=10)

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
    await system.quiet()

    async def value(service: str, sample: str) -> float | None:
        return await observed.value(service, sample)

    assert await value("importer", 'modelkin_imports_total{method="training-job",outcome="imported"}') == 1
    assert await value("importer", 'modelkin_imports_total{method="training-job",outcome="refused"}') == 1
    assert await value("importer", 'modelkin_import_refusals_total{reason="location-not-allowed"}') == 1
    assert await value("importer", 'modelkin_import_seconds_count{size="1MB"}') == 1
    assert await value("importer", "modelkin_imported_bytes_total") == 15
    assert await value("importer", 'modelkin_import_stage_seconds_count{stage="copy"}') == 1
    assert await value("versioning", 'modelkin_events_total{event="version.assigned"}') == 1
    assert await value("registry", 'modelkin_events_total{event="model.registered"}') == 1
    handled = 'modelkin_message_seconds_count{consumer="importer-on-training-succeeded",outcome="done"}'
    assert await value("importer", handled) == 3
    assert await value("registry", 'modelkin_store_seconds_count{command="update"}') >= 1
    assert await value("importer", "modelkin_registration_seconds_count") == 1
