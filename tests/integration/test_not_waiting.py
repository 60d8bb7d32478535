"""An import that is not waited for: its id is printed, and on standard error whether anybody takes it up now."""

import asyncio
import re
import subprocess

from tests.e2e.conftest import command
from tests.integration.system import System

ID = r"[0-9a-f-]{36}\n"


async def asked(system: System) -> subprocess.CompletedProcess[str]:
    words = ("import", "storage", "file:///nowhere", "-m", "net", "--no-wait")
    return await asyncio.to_thread(command, *words, nats_url=system.nats_url)


async def test_where_no_importer_runs_that_is_said(bare_system: System):
    done = await asked(bare_system)

    assert done.returncode == 0
    assert re.fullmatch(ID, done.stdout)
    assert done.stderr == "no importer takes it up now: the stream keeps it; 'modelkin doctor' says what is missing\n"


async def test_where_an_importer_runs_there_is_nothing_to_say(bare_system: System):
    await bare_system.start("importer")
    done = await asked(bare_system)

    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(ID, done.stdout)
