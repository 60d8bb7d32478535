"""Everything on this machine: NATS, a MongoDB-protocol store, a folder as artifact store, and the three services."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from deploy.topology import apply
from modelkin.client import Client
from modelkin.errors import ModelkinError
from modelkin.processes import (
    Process,
    Server,
    StartFailed,
    is_free,
    start,
    start_mongo,
    start_nats,
    stopping,
    wait_for,
)
from shared.connection import connected
from shared.queries import SERVICES, Ping, Pong
from shared.settings import LOGIN_VARIABLES

USUAL_NATS_PORT = 4222
# In the line of a log that tells how far a service has come with its database.
ANEW = "database anew"
Say = Callable[[str], None]
Restore = Callable[[str, str], Awaitable[object]]
"""Brings a backup back on the NATS server of a URL, for services with this artifact store."""


@dataclass(frozen=True, slots=True)
class Local:
    """What runs, and where."""

    nats_url: str
    data: Path
    processes: Sequence[Process]

    async def until_one_ends(self) -> Process:
        """Wait until a process ends that should not."""
        while all(process.running for process in self.processes):  # noqa: ASYNC110 - a child that ends sets no event
            await asyncio.sleep(0.5)
        return next(process for process in self.processes if not process.running)


@contextlib.asynccontextmanager
async def running(
    data: Path, allowed_roots: Sequence[Path], say: Say, *, usual_port: bool = False, restore: Restore | None = None
) -> AsyncIterator[Local]:
    """Run everything for the time of a block; all of it is stopped at the end, whatever happens.

    Args:
        data: the folder of everything that is kept, an absolute path; what it holds is found again.
        allowed_roots: folders that models may be imported from.
        say: told each step.
        usual_port: NATS listens on 4222 if that is free.
        restore: what is restored before the services start; the folder must hold nothing but artifacts then.

    Raises:
        ModelkinError: the folder is in use, a process did not come up, or the backup cannot be restored.
    """
    # The servers of this machine know no users; those of others are not to be told of theirs.
    for variable in LOGIN_VARIABLES:
        os.environ.pop(variable, None)
    with _locked(data):
        if restore is not None:
            _check_new(data)
        artifacts = os.environ.get("MODELKIN_ARTIFACTS") or str(data / "artifacts")
        # The services end first: they finish what they are handling while the servers are there.
        async with stopping() as servers, stopping() as services:
            nats_server = await _start_nats(data, usual_port=usual_port)
            servers.append(nats_server.process)
            say(f"nats-server listens on {nats_server.url}")
            mongo = await start_mongo(data / "mongo", _log(data, "mongo"))
            servers.append(mongo.process)
            say("the store listens")
            if restore is not None:
                async with _servers_forgotten_where_it_fails(data, servers):
                    await restore(nats_server.url, artifacts)
                say("the backup is restored")
            await _make_topology(nats_server.url)
            say("streams and consumers are there")
            environment = {
                "MODELKIN_NATS_URL": nats_server.url,
                "MODELKIN_MONGO_URI": mongo.url,
                "MODELKIN_ARTIFACTS": artifacts,
                "MODELKIN_ALLOWED_ROOTS": os.pathsep.join(str(root.resolve()) for root in allowed_roots),
            }
            for service in SERVICES:
                services.append(start(service, _module(service), _log(data, service), environment))
            await _all_answer(nats_server.url, services)
            say("importer, versioning and registry answer")
            yield Local(nats_server.url, data, (*servers, *services))


async def _start_nats(data: Path, *, usual_port: bool) -> Server:
    folder, log = data / "nats", _log(data, "nats-server")
    if usual_port and is_free(USUAL_NATS_PORT):
        try:
            return await start_nats(folder, log, USUAL_NATS_PORT)
        except StartFailed:
            if is_free(USUAL_NATS_PORT):
                raise  # not for want of the port
    return await start_nats(folder, log)


def _log(data: Path, name: str) -> Path:
    return data / "logs" / f"{name}.log"


def _module(service: str) -> list[str]:
    return [sys.executable, "-m", f"services.{service}"]


@contextlib.contextmanager
def _locked(data: Path) -> Iterator[None]:
    data.mkdir(parents=True, exist_ok=True)
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ModelkinError(
                f"{data} is in use by another 'modelkin up': stop it, or name another --data"
            ) from error
        yield


def _check_new(data: Path) -> None:
    used = [name for name in ("nats", "mongo") if (data / name).exists()]
    if used:
        raise ModelkinError(
            f"{data} holds {' and '.join(used)} of another system: a backup is restored into a new --data"
        )


@contextlib.asynccontextmanager
async def _servers_forgotten_where_it_fails(data: Path, servers: Sequence[Process]) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        await asyncio.gather(*(asyncio.to_thread(server.stop) for server in servers))
        for name in ("nats", "mongo"):
            shutil.rmtree(data / name, ignore_errors=True)
        raise


async def _make_topology(url: str) -> None:
    async with connected(url, "modelkin-launcher") as connection:
        async for _ in apply(connection.jetstream()):
            pass


async def _all_answer(url: str, services: Sequence[Process]) -> None:
    async with Client.connected(url) as client:
        for service in services:
            await wait_for(partial(_answers, client, service.name), service, goes_on=_makes_its_database)


def _makes_its_database(service: Process) -> bool:
    """A service that makes its database anew says so every few seconds, and answers when it is done."""
    return ANEW in service.last_words()


async def _answers(client: Client, service: str) -> bool:
    try:
        await client.ask(Ping(), Pong, to=service)
    except ModelkinError:
        return False
    return True
