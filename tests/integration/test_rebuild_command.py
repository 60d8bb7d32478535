"""`modelkin rebuild`, as a person types it."""

import asyncio
import json
import sys

from shared.subjects import EVENTS_STREAM
from tests.integration.registering import register
from tests.integration.system import System


async def typed(system: System, *words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from modelkin.cli import main; main()",
        "rebuild",
        *words,
        "--nats",
        system.nats_url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    return process.returncode or 0, out.decode(), error.decode()


async def test_it_says_what_was_read_or_why_not(bare_system: System):
    system = bare_system
    assert await typed(system, "registry") == (
        1,
        "",
        f"modelkin: no service at {system.nats_url} answers modelkin.qry.v1.service.ping.registry: is it running?\n",
    )
    status, _, error = await typed(system, "importer")
    assert (status, "'registry', 'versioning'" in error) == (2, True), error

    await system.start("registry")
    await register(system, "0.0.1", "0.0.2")
    status, out, error = await typed(system, "registry")
    assert (status, error) == (0, "")
    assert out.startswith("registry is made anew: 4 events read in ")
    status, out, _ = await typed(system, "registry", "--json")
    assert (status, json.loads(out)["events"]) == (0, 4)

    await system.client.jetstream().purge_stream(EVENTS_STREAM, seq=3)
    status, out, error = await typed(system, "registry")
    assert (status, out) == (1, "")
    assert error.startswith("modelkin: refused (events-missing): EVENTS begins at event 3: expected every event from")
