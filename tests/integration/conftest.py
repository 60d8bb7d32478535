"""A system of the test's own: streams, an artifact folder, databases, and the services it starts."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from xdist.scheduler import LoadScopeScheduling

from modelkin.processes import Process, Server, start, stopping
from tests.integration.system import SERVICES, Spawn, System, drop, make_system

# Each of these has an engine, a server or downloads to itself: it stays whole in one process.
WHOLE = ("test_probe.py", "test_tls.py", "test_permissions.py", "test_real_models.py")


class OneByOne(LoadScopeScheduling):
    """Gives every test to a process that has room, and some files whole. xdist's own groups of tests are none with pytest 9.2."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file.endswith(WHOLE) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneByOne | None:
    return OneByOne(config, log) if config.getoption("dist") == "load" else None


@pytest.fixture(scope="session", autouse=True)
def _plain_logs() -> Iterator[None]:
    """Tracebacks as Python prints them: structlog's own take seconds, in which no service in this process runs."""
    console = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, console])
    yield
    structlog.reset_defaults()


@pytest.fixture
async def bare_system(nats_server: Server, mongo_uri: str, database_name: str, tmp_path: Path) -> AsyncIterator[System]:
    """The topology is there, no service runs."""
    system = await make_system(nats_server.url, mongo_uri, database_name, tmp_path)
    yield system
    await drop(system)


@pytest.fixture
async def system(bare_system: System) -> System:
    """All three services run."""
    await bare_system.start(*SERVICES)
    return bare_system


@pytest.fixture
async def spawn(bare_system: System, tmp_path: Path) -> AsyncIterator[Spawn]:
    """Starts services as processes; all are stopped at the end."""
    async with stopping() as processes:

        def spawn_service(name: str, *wrapper: str, **settings: str) -> Process:
            log = tmp_path / f"{name}-{len(processes)}.log"
            command = [*wrapper, sys.executable, "-m", f"services.{name}"]
            environment = {
                **bare_system.environment(),
                **{f"MODELKIN_{key.upper()}": value for key, value in settings.items()},
            }
            process = start(name, command, log, environment)
            processes.append(process)
            return process

        yield spawn_service
