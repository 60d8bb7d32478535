"""Everything that runs in a chaos run: servers, wires, and two processes of each service."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import deploy.topology
from modelkin.processes import Server, start_mongo, start_nats
from shared.connection import connected
from shared.queries import SERVICES
from shared.subjects import ACK_WAIT_S, CONSUMERS
from tests.chaos.clock import Clock
from tests.chaos.disk import Disk
from tests.chaos.launching import Launcher, launcher
from tests.chaos.probes import ACK_WAIT, LANES
from tests.chaos.proxies import Proxy
from tests.chaos.slots import Slot
from tests.chaos.steps import StepBook

DATABASE = "modelkin"
SLOTS = tuple(f"{service}-{instance}" for instance in ("a", "b") for service in SERVICES)
# The second process of each service lives by the clock that jumps.
BY_FALSE_CLOCK = "-b"


@dataclass(slots=True)
class KilledServer:
    """A server that is started again where it was, on what it kept."""

    server: Server
    start_again: Callable[[int], Awaitable[Server]]
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def url(self) -> str:
        return self.server.url

    def kill(self) -> None:
        self.server.process.kill()

    async def kill_for(self, seconds: float) -> None:
        async with self._turn:
            await asyncio.to_thread(self.server.process.kill)
            await asyncio.sleep(seconds)
            self.server = await self.start_again(_port_of(self.server.url))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is not as usual, so that a short run does not wait for messages that dead processes had in hand."""

    ack_wait_s: float = ACK_WAIT_S
    lanes: int = 32


@dataclass(slots=True)
class System:
    """What faults befall."""

    folder: Path
    nats: KilledServer
    mongo: KilledServer
    disk: Disk
    clock: Clock
    slots: list[Slot]
    books: Mapping[str, StepBook]
    kills: Counter[str]
    bounds: Bounds
    _lives: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def artifacts(self) -> Path:
        return self.disk.folder / "artifacts"

    def start_services(self, slots: Iterable[Slot]) -> None:
        for slot in slots:
            slot.stopping = False
            self._lives.append(asyncio.create_task(slot.run()))

    async def stop_services(self) -> None:
        """Returns when none runs."""
        await asyncio.gather(*(slot.stop() for slot in self.slots))
        await asyncio.gather(*self._lives)
        self._lives.clear()


@contextlib.asynccontextmanager
async def running(
    folder: Path, books: Mapping[str, StepBook], slots: Sequence[str], bounds: Bounds
) -> AsyncIterator[System]:
    """Servers and services for the time of a block. Whatever happens in it, nothing of it runs after."""
    disk, clock = Disk(folder / "disk"), Clock(folder / "clock")
    disk.mount()
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(disk.unmount)
        nats = await _nats(folder)
        stack.callback(nats.kill)
        mongo = await _mongo(folder)
        stack.callback(mongo.kill)
        await _make_topology(nats.url, bounds.ack_wait_s)
        system = System(folder, nats, mongo, disk, clock, [], books, Counter(), bounds)
        true = await stack.enter_async_context(launcher(folder / "logs" / "launcher-a.log"))
        false = await stack.enter_async_context(launcher(folder / "logs" / "launcher-b.log", clock.environment))
        await asyncio.gather(true.ready(), false.ready())
        for slot in slots:
            system.slots.append(await _slot(system, slot, false if slot.endswith(BY_FALSE_CLOCK) else true, stack))
        system.start_services(system.slots)
        try:
            yield system
        finally:
            await system.stop_services()


async def _nats(folder: Path) -> KilledServer:
    async def start(port: int | None = None) -> Server:
        return await start_nats(folder / "nats", folder / "logs" / "nats-server.log", port)

    return KilledServer(await start(), start)


async def _mongo(folder: Path) -> KilledServer:
    async def start(port: int | None = None) -> Server:
        return await start_mongo(folder / "mongo", folder / "logs" / "mongo.log", port)

    return KilledServer(await start(), start)


async def _make_topology(url: str, ack_wait_s: float) -> None:
    async with connected(url, "chaos") as connection:
        jetstream = connection.jetstream()
        async for _ in deploy.topology.apply(jetstream):
            pass
        for consumer in CONSUMERS:
            config = (await jetstream.consumer_info(consumer.stream, consumer.durable)).config
            await jetstream.add_consumer(consumer.stream, config.evolve(ack_wait=ack_wait_s))


async def _slot(system: System, name: str, by: Launcher, stack: contextlib.AsyncExitStack) -> Slot:
    service = name.partition("-")[0]
    wires = {}
    for what, server in (("nats", system.nats), ("mongo", system.mongo)):
        wires[what] = Proxy(_port_of(server.url))
        await wires[what].open()
        stack.push_async_callback(wires[what].close)
    environment = {
        "MODELKIN_NATS_URL": _through(system.nats.url, wires["nats"]),
        "MODELKIN_MONGO_URI": _through(system.mongo.url, wires["mongo"]),
        "MODELKIN_MONGO_DATABASE": DATABASE,
        "MODELKIN_ARTIFACTS": str(system.artifacts),
        "MODELKIN_ALLOWED_ROOTS": str(system.models),
        ACK_WAIT: str(system.bounds.ack_wait_s),
        LANES: str(system.bounds.lanes),
        # What a process that dies has in hand is given to nobody else for a while: with the usual 16, the rest would starve.
        "MODELKIN_CONCURRENT_IMPORTS": "4",
    }
    return Slot(
        name=name,
        service=service,
        launcher=by,
        environment=environment,
        logs=system.folder / "logs",
        book=system.books[service],
        nats=wires["nats"],
        mongo=wires["mongo"],
        kills=system.kills,
    )


def _port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def _through(url: str, wire: Proxy) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.hostname}:{wire.port}"))
