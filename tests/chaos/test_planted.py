"""The checker on real servers: it finds nothing wrong with the services as they are, and each fault that is put into one."""

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from modelkin.processes import Process, Server, start, stopping
from shared.subjects import COMMANDS_STREAM, EVENTS_STREAM
from tests.chaos.checker import Violation, check
from tests.chaos.planted import Fault
from tests.chaos.sent import Sent
from tests.integration.system import PATIENCE_S, System, drop, eventually, make_system

STREAMS = (EVENTS_STREAM, COMMANDS_STREAM)
MODELS, VERSIONS = ("apple", "birch", "cedar"), 8
# In one round, a single process may happen to take all there is.
MOST_ROUNDS = 5


@pytest.fixture
async def load(nats_server: Server, mongo_uri: str, database_name: str, tmp_path: Path) -> AsyncIterator["Load"]:
    system = await make_system(nats_server.url, mongo_uri, database_name, tmp_path)
    async with stopping() as processes:
        yield Load(system, processes)
    await drop(system)


class Load:
    """A system of processes, what is published to it, and what the checker says of it."""

    def __init__(self, system: System, processes: list[Process]) -> None:
        self.system = system
        self.sent: list[Sent] = []
        self._processes = processes

    async def run(self, *services: str, fault: Fault | None = None) -> list[Process]:
        """Processes of these services, with a fault or without; returns when they work."""
        command = ["-m", "tests.chaos.planted", fault] if fault else []
        started = []
        for service in services:
            arguments = [*command, service] if fault else ["-m", f"services.{service}"]
            log = self.system.folder / f"{service}-{len(self._processes)}.log"
            process = start(service, [sys.executable, *arguments], log, self.system.environment())
            self._processes.append(process)
            started.append(process)
        await asyncio.gather(
            *(eventually(lambda one=one: "started" in one.log.read_text(), one, PATIENCE_S) for one in started)
        )
        return started

    async def publish(self, subject: str, body: dict[str, Any], *, valid: bool = True) -> Sent:
        message_id = uuid.uuid4().hex
        data = json.dumps(body).encode()
        ack = await self.system.client.jetstream().publish(
            subject, data, headers={"Nats-Msg-Id": message_id, "ce-id": message_id}
        )
        sent = Sent(message_id, subject, data, "", "0", body.get("model", ""), None, ack.seq, valid)
        self.sent.append(sent)
        return sent

    async def train(self, job: str = "job-1") -> None:
        """Some versions of each model, all at once."""
        runs = [f"V{number:03}" for number in range(1, VERSIONS + 1)]
        trainings = [self.system.training(model, job, run) for run in runs for model in MODELS]
        await asyncio.gather(
            *(self.publish(f"modelkin.evt.v1.training.succeeded.0.{one['model']}", one) for one in trainings)
        )

    async def command(self, what: str, model: str, **fields: Any) -> None:
        await self.publish(f"modelkin.cmd.v1.{what}.0.{model}", {"model": model, "why": "a test", **fields})

    async def use(self) -> None:
        """A bit of everything that a model's life holds; half of it is refused."""
        for model in MODELS:
            await self.command("alias.move", model, alias="best", version="0.0.1")
            await self.command("alias.move", model, alias="best", version="0.0.2")
            await self.command("version.edit", model, version="0.0.2", labels=["good"])
            await self.command("version.edit", model, version="0.0.2", description="better", labels=["good"])
            await self.command("version.download", model, version="0.0.3")
            await self.command("version.deploy", model, version="0.0.3", service=f"{model}-shop", mode="real-time")
            weights = [{"version": "0.0.3", "weight": 60}, {"version": "0.0.4", "weight": 40}]
            await self.command("service.rollout", model, service=f"{model}-shop", weights=weights)
            await self.command("version.delete", model, version="0.0.2")
            await self.command("version.edit", model, version="0.0.2", labels=["gone"])
            await self.command("version.recall", model, version="0.0.5")
        await self.command("version.delete", "nobody", cascade=True)

    async def spoil(self) -> None:
        """Requests that repeat others, that are refused, and that nobody can read."""
        again = self.system.training(MODELS[0], run="V001")
        subject = f"modelkin.evt.v1.training.succeeded.0.{MODELS[0]}"
        await self.publish(subject, again)
        await self.publish(subject, {**again, "job": {"id": "job-2", "version": "V001"}, "version": "0.0.1"})
        await self.publish(subject, {**again, "job": {"id": "job-3", "version": "V001"}, "location": "file:///etc"})
        await self.publish(subject, {"model": MODELS[0], "job": "no job"}, valid=False)

    async def quiet(self, *services: str) -> None:
        """Wait until all messages were handled by these."""
        jetstream = self.system.client.jetstream()

        async def nothing_left() -> bool:
            before = await newest()
            infos = [one for stream in STREAMS for one in await jetstream.consumers_info(stream)]
            waited_for = [one for one in infos if one.name.startswith(services)]
            # A handled message may bring forth another for a consumer that was looked at already.
            return not any(one.num_pending or one.num_ack_pending for one in waited_for) and before == await newest()

        async def newest() -> list[int]:
            return [(await jetstream.stream_info(stream)).state.last_seq for stream in STREAMS]

        await eventually(nothing_left, "all handled", PATIENCE_S)

    async def violations(self) -> Sequence[Violation]:
        system = self.system
        return await check(system.nats_url, system.mongo_uri, system.database, system.artifacts, self.sent)


async def test_nothing_is_wrong_with_the_services_as_they_are_nor_once_they_were_made_anew(load: Load):
    await load.system.start("importer", "registry", "registry")
    await load.run("versioning", "versioning")
    await load.train()
    await load.spoil()
    await load.quiet("importer", "versioning", "registry")
    await load.use()
    await load.quiet("importer", "versioning", "registry")

    assert await load.violations() == []

    for service in ("registry", "versioning"):
        await load.publish(f"modelkin.cmd.v1.{service}.rebuild.0.{service}", {})
    await load.quiet("importer", "versioning", "registry")

    assert await load.violations() == []


async def test_a_message_that_is_acknowledged_before_the_write_is_missed_after_a_kill(load: Load):
    await load.system.start("importer", "registry")
    (faulty,) = await load.run("versioning", fault=Fault.ACKNOWLEDGE_FIRST)
    await load.train()
    await load.quiet("importer", "versioning")
    faulty.kill()
    await load.run("versioning")
    await load.quiet("importer", "versioning", "registry")

    lost = [one for one in await load.violations() if "never answered" in one.message]
    assert {one.invariant for one in lost} == {1}
    assert all(one.message.startswith("model.imported") for one in lost)
    assert len(lost) == len(MODELS) * VERSIONS


async def test_a_number_is_seen_to_be_given_twice_where_no_index_forbids_it(load: Load):
    await load.system.start("importer", "registry")
    await load.run("versioning", "versioning", fault=Fault.NO_UNIQUE_INDEX)
    twice: list[Violation] = []
    for number in range(MOST_ROUNDS):
        await load.train(f"job-{number}")
        await load.quiet("importer", "versioning", "registry")
        twice = [one for one in await load.violations() if "was given already" in one.message]
        if twice:
            break

    assert twice
    assert {one.invariant for one in twice} == {3}


async def test_an_event_that_is_not_said_is_missed(load: Load):
    await load.system.start("importer", "registry")
    await load.run("versioning", fault=Fault.SKIPPED_PUBLISH)
    await load.train()
    await load.quiet("importer", "versioning", "registry")

    violations = await load.violations()
    missed = [one for one in violations if "model.imported was never answered" in one.message]
    unsaid = [one for one in violations if "it was decided, and never said" in one.message]
    assert len(missed) == len(unsaid) == len(MODELS) * VERSIONS // 3
    assert {one.invariant for one in missed + unsaid} == {1}
