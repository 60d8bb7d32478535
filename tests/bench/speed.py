"""Part `speed`: registrations a second, beside what bounds them and beside MLflow, all in one run.

Imports of one small file each go through the whole path: from just before a training event is published until a plain
subscriber heard ModelRegistered. The limits are those of the parts: a stream that only takes such events, and a store
that only takes the documents that such an import leaves, in large batches, without and with the indexes that questions
are answered from. MLflow's tracking server, on its default database, is asked over HTTP to create as many model
versions, from as many threads; it copies and checks no bytes.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import nats
from motor.motor_asyncio import AsyncIOMotorClient

from modelkin.launcher import Local, running
from modelkin.processes import Process, start, start_mongo, stopping, wait_for
from shared.messages import TrainingSucceeded
from shared.queries import SERVICES
from shared.store import connect
from tests.bench import mlflow_side
from tests.bench.copies import Document, Left, added, everything, insert_copies
from tests.bench.mlflow_side import Busy, Mlflow
from tests.bench.tables import milliseconds, ratio, say_note, say_table, say_title
from tests.bench.workload import MODELS, WARM_UP, Driver, Run, request_for, small_imports

IN_FLIGHT = {1: 200, 32: 1000, 512: 2000}
LIMIT_S = 40.0
COMPARED = 32
INSTANCES = (1, 2)
FEW = 1_000
COPIED = "copied-model"
PUBLISHED = 5_000
PUBLISHERS = 64
INSERTED = 1_000
SETTLE_S = 1.0


class MlflowRun(NamedTuple):
    a_second: float
    turned_away: int
    """How often it answered that its database is busy; it was asked again at once."""


@dataclass(slots=True)
class Rates:
    """Registrations a second, of all that was measured."""

    runs: dict[tuple[int, int], Run] = field(default_factory=dict)
    """Instances of each service, in flight."""
    filled: dict[int, Run] = field(default_factory=dict)
    """By how many copies were there; one instance, as many in flight as are compared."""
    mlflow: dict[int, MlflowRun] = field(default_factory=dict)
    publishes: float = 0.0
    inserts: float = 0.0
    indexed_inserts: float = 0.0


async def measure(folder: Path, versions: int) -> None:
    """Run and print.

    Args:
        folder: for everything that is written.
        versions: how many others there are at the end, against 1,000 at the beginning.
    """
    rates, models = Rates(), folder / "models"
    async with running(folder / "data", [models], lambda _: None) as local, Driver.connected(local.nats_url) as driver:
        store = _store_of(local)
        left = await _left_by_one(store, driver, models)
        rates.publishes = await _publishes(local.nats_url, folder)
        rates.inserts = await _inserts(folder, left)
        await driver.run(small_imports(models, "warm-up", WARM_UP), COMPARED)
        rates.indexed_inserts = await _copies_a_second(store, left, 0, FEW)
        rates.filled[FEW] = await driver.run(_requests(models, "few"), COMPARED, LIMIT_S)
        for instances in INSTANCES:
            async with _more(local, instances - 1, folder):
                for in_flight in IN_FLIGHT:
                    requests = _requests(models, f"flight-{instances}-{in_flight}", in_flight)
                    rates.runs[instances, in_flight] = await driver.run(requests, in_flight, LIMIT_S)
        await insert_copies(store, left, COPIED, FEW, versions - FEW)
        rates.filled[versions] = await driver.run(_requests(models, "many"), COMPARED, LIMIT_S)
    rates.mlflow = await _mlflow(folder / "mlflow")
    _show(rates)


def _requests(models: Path, name: str, in_flight: int = COMPARED) -> list[TrainingSucceeded]:
    return small_imports(models, name, IN_FLIGHT[in_flight])


def _store_of(local: Local) -> AsyncIOMotorClient[Document]:
    return connect(_environment_of(local)["MODELKIN_MONGO_URI"])


def _environment_of(local: Local) -> dict[str, str]:
    """What the services were told, as the system says it of one of them."""
    pid = next(process.pid for process in local.processes if process.name == SERVICES[0])
    pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
    told = dict(pair.split("=", 1) for pair in pairs if pair)
    return {name: value for name, value in told.items() if name.startswith("MODELKIN_")}


async def _left_by_one(store: AsyncIOMotorClient[Document], driver: Driver, models: Path) -> Left:
    """The documents that one import leaves, of a model that had none."""
    before = await everything(store)
    location = small_imports(models, COPIED, 1)[0].location
    request = request_for(location, COPIED, 0)
    await driver.run([request.model_copy(update={"model": COPIED})], 1)
    await asyncio.sleep(SETTLE_S)
    return added(before, await everything(store))


async def _publishes(url: str, folder: Path) -> float:
    """A second, of such events to a stream that nobody reads; confirmed, some at a time."""
    event = request_for(folder.as_uri(), "bare", 0)
    connection = await nats.connect(url)
    stream = connection.jetstream()
    await stream.add_stream(name="BENCH", subjects=["bench.>"])
    try:
        numbers = iter(range(PUBLISHED))

        async def lane() -> None:
            for number in numbers:
                headers = {**event.headers(), "Nats-Msg-Id": str(number)}
                await stream.publish("bench.event", event.body().encode(), headers=headers, stream="BENCH")

        started = time.perf_counter()
        await asyncio.gather(*(lane() for _ in range(PUBLISHERS)))
        return PUBLISHED / (time.perf_counter() - started)
    finally:
        await stream.delete_stream("BENCH")
        await connection.close()


async def _inserts(folder: Path, left: Left) -> float:
    """Imports a second whose documents are only inserted, in a store of its own, with no index but by `_id`."""
    async with stopping() as servers:
        server = await start_mongo(folder / "bare", folder / "bare.log")
        servers.append(server.process)
        client: AsyncIOMotorClient[Document] = connect(server.url)
        await insert_copies(client, left, COPIED, 0, 1)
        rate = await _copies_a_second(client, left, 1, INSERTED)
        client.close()
        return rate


async def _copies_a_second(client: AsyncIOMotorClient[Document], left: Left, first: int, count: int) -> float:
    started = time.perf_counter()
    await insert_copies(client, left, COPIED, first, count)
    return count / (time.perf_counter() - started)


@contextlib.asynccontextmanager
async def _more(local: Local, more: int, folder: Path) -> AsyncIterator[None]:
    """So many more processes of each service, for the time of a block."""
    environment = _environment_of(local)
    async with stopping() as processes:
        for name in (f"{service}-{number}" for service in SERVICES for number in range(more)):
            command = [sys.executable, "-m", f"services.{name.partition('-')[0]}"]
            processes.append(start(name, command, folder / f"{name}.log", environment))
        if processes:
            await _until_started(processes)
        yield


async def _until_started(processes: Sequence[Process]) -> None:
    async def started(process: Process) -> bool:
        return "started" in process.log.read_text()

    for process in processes:
        await wait_for(partial(started, process), process)


async def _mlflow(folder: Path) -> dict[int, MlflowRun]:
    """Model versions that MLflow makes, by threads that ask."""
    async with mlflow_side.running(folder, []) as server:
        for number in range(MODELS):
            server.ask("POST", "registered-models/create", {"name": f"model-{number:02}"})
        return {
            threads: await asyncio.to_thread(_versions_of_mlflow, server.port, threads, count)
            for threads, count in IN_FLIGHT.items()
            if threads <= COMPARED
        }


def _versions_of_mlflow(port: int, threads: int, count: int) -> MlflowRun:
    numbers, until = iter(range(count)), time.perf_counter() + LIMIT_S

    def lane() -> tuple[int, int]:
        server, made, turned_away = Mlflow(port), 0, 0
        for number in numbers:
            version = {"name": f"model-{number % MODELS:02}", "source": f"s3://models/{number}"}
            while time.perf_counter() < until:
                try:
                    server.ask("POST", "model-versions/create", version)
                except Busy:
                    turned_away += 1
                else:
                    made += 1
                    break
        return made, turned_away

    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        lanes = [lane.result() for lane in [pool.submit(lane) for _ in range(threads)]]
    took_s = time.perf_counter() - started
    return MlflowRun(sum(made for made, _ in lanes) / took_s, sum(turned_away for _, turned_away in lanes))


def _show(rates: Rates) -> None:
    compared = rates.runs[1, COMPARED]
    say_title("Registrations a second, from the training event to ModelRegistered")
    say_table(
        ("in flight", "instances", "imports", "a second", "p50 ms", "p99 ms"),
        [
            (str(in_flight), str(instances), *_run_cells(run))
            for (instances, in_flight), run in sorted(rates.runs.items(), key=lambda one: (one[0][1], one[0][0]))
        ],
    )
    say_title("What bounds it, and MLflow")
    limits = {
        f"bare publishes of such an event, {PUBLISHERS} at a time": rates.publishes,
        "bare inserts of the documents of an import, in batches of 200": rates.inserts,
        "… into collections with Modelkin's indexes, while its services are idle": rates.indexed_inserts,
        **{f"MLflow's create_model_version, {threads} threads": run.a_second for threads, run in rates.mlflow.items()},
    }
    say_table(
        ("what", "a second", f"Modelkin with {COMPARED} in flight to it"),
        [(what, f"{rate:,.0f}", ratio(compared.a_second / rate)) for what, rate in limits.items()],
    )
    for threads, run in rates.mlflow.items():
        say_note(
            f"MLflow turned {run.turned_away:,} requests of {threads} threads away, as busy; they were made again."
        )
    say_title(f"With more versions in the databases, {COMPARED} in flight, one instance")
    first = next(iter(rates.filled.values()))
    say_table(
        ("copies before", "imports", "a second", "p50 ms", "p99 ms", "rate to the first"),
        [(f"{there:,}", *_run_cells(run), ratio(run.a_second / first.a_second)) for there, run in rates.filled.items()],
    )
    say_note("Copies are those of one import's documents, under other names: a model each, with one version.")


def _run_cells(run: Run) -> tuple[str, ...]:
    p50_ms, p99_ms = milliseconds(run.percentile_s(50)), milliseconds(run.percentile_s(99))
    return f"{run.imports:,}", f"{run.a_second:.1f}", p50_ms, p99_ms
