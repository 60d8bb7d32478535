"""Three nodes of NATS that speak TLS alone, two of each service: what a node that is killed costs, and who is let in."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from modelkin.processes import free_port
from shared.connection import connected
from tests.compose.composed import Composed, compose_files, eventually, numbers
from tests.engine import Engine

# The first test waits for all of it to come up.
pytestmark = pytest.mark.timeout(900)

NODES = ("nats", "nats-2", "nats-3")
RUNS = 40


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    """Where each node is reached."""
    return {node: free_port() for node in NODES}


@pytest.fixture(scope="module")
def cluster(engine: Engine, tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Iterator[Composed]:
    settings = {
        "MODELKIN_TLS": "on",
        "MODELKIN_NATS_PORT_2": str(ports["nats-2"]),
        "MODELKIN_NATS_PORT_3": str(ports["nats-3"]),
    }
    files = compose_files(engine, cluster=True)
    cluster = Composed(engine, tmp_path_factory.mktemp("cluster"), ports["nats"], files, settings)
    with cluster.running():
        yield cluster


async def leader(cluster: Composed) -> str:
    """The node that has the word for EVENTS, which is kept three times."""
    async with connected(cluster.nats("admin"), "test") as connection:
        events = await connection.jetstream().stream_info("EVENTS")
    assert events.config.num_replicas == 3
    assert events.cluster is not None
    named = {"nats-1": "nats", "nats-2": "nats-2", "nats-3": "nats-3"}
    return named[events.cluster.leader or ""]


async def test_a_node_that_is_killed_while_events_come_in_costs_none_of_them(cluster: Composed, ports: dict[str, int]):
    node = await leader(cluster)
    others = [name for name in NODES if name != node]
    container = cluster.containers(node)[0]
    saying = asyncio.create_task(cluster.trained("killed", RUNS, ports[others[0]]))
    await asyncio.to_thread(eventually, lambda: any(cluster.models.iterdir()), "the first event")

    os.kill(cluster.inspected(container)["State"]["Pid"], signal.SIGKILL)
    await saying

    through_another = replace(cluster, port=ports[others[1]])
    await asyncio.to_thread(eventually, lambda: through_another.versions("killed") == numbers(RUNS), "all versions")
    assert cluster.inspected(container)["RestartCount"] == 1


def test_doctor_finds_nothing_wrong_with_streams_that_are_kept_three_times(cluster: Composed):
    done = cluster.modelkin("doctor", "--json", user="admin")

    levels = {one["check"]: one["level"] for one in json.loads(done.stdout)["findings"]}
    assert {check: level for check, level in levels.items() if check.startswith("stream ")} == {
        "stream EVENTS": "ok",
        "stream COMMANDS": "ok",
        "stream DEAD_LETTERS": "ok",
    }


def test_who_does_not_speak_tls_is_told_what_to_set(cluster: Composed):
    clear = replace(cluster, settings={})

    refused = clear.modelkin("models")

    assert refused.returncode != 0
    assert len(refused.stderr.splitlines()) == 1, refused.stderr
    assert "set MODELKIN_TLS_CA to the certificate of the CA" in refused.stderr
