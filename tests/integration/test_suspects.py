"""Messages that kill the process that works on them."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from modelkin.processes import Process, start, stopping
from shared.messages import ModelImported, ModelRegistered, VersionAssigned
from shared.store import connect
from tests.integration.deadly import DIED
from tests.integration.system import System, eventually

# Two deliveries cost nothing more, one is marked, five are alone.
DEATHS = 8


@pytest.fixture
async def deadly(bare_system: System, tmp_path: Path) -> AsyncIterator[Callable[[str], Process]]:
    """Starts a service that some models kill; messages without an answer come again after two seconds."""
    async with stopping() as processes:
        await bare_system.redeliver_after(2)

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
        assert f"delivered {letter.attempts} times, 6 of them in a row without an answer" in letter.message
        assert "5 times with nothing else in hand; it may kill the process that works on it" in letter.message
    assert max(deaths(process).values()) <= DEATHS
    assert [one.version for one in await system.all_of(VersionAssigned, "deadly")] == []
    await eventually(lambda: no_marks(system), "no marks")


async def no_marks(system: System) -> bool:
    client = connect(system.mongo_uri)
    try:
        return await client[f"{system.database}_versioning"]["suspects"].find_one({}) is None
    finally:
        client.close()
