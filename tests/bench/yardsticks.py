"""What one step costs on this machine, in this run: latencies are told as multiples of it."""

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import nats

from modelkin.processes import start_mongo, start_nats, stopping
from shared.store import connect
from tests.bench.tables import milliseconds, say_table, say_title
from tests.bench.workload import SMALL_FILE_BYTES

ROUNDS = 200


@dataclass(frozen=True, slots=True)
class Yardsticks:
    """Medians, one step after the other."""

    insert_s: float
    """Insert of a small document, journaled."""
    publish_s: float
    """Publish to a stream, confirmed."""
    fsync_s: float
    """A file of 4 KB written, then flushed to disk."""


async def measure(folder: Path) -> Yardsticks:
    """Measure on servers of their own, that nothing else uses."""
    async with stopping() as servers:
        mongo = await start_mongo(folder / "mongo", folder / "mongo.log")
        servers.append(mongo.process)
        nats_server = await start_nats(folder / "nats", folder / "nats.log")
        servers.append(nats_server.process)
        return Yardsticks(
            insert_s=await _insert(mongo.url),
            publish_s=await _publish(nats_server.url),
            fsync_s=await _fsync(folder),
        )


def show(yardsticks: Yardsticks) -> None:
    say_title(f"Yardsticks: one step after the other, median of {ROUNDS}")
    insert, publish, fsync = yardsticks.insert_s, yardsticks.publish_s, yardsticks.fsync_s
    say_table(
        ("step", "ms"),
        [
            ("insert of a small document, journaled", milliseconds(insert)),
            ("publish to a stream, confirmed", milliseconds(publish)),
            ("4 KB file written and flushed to disk", milliseconds(fsync)),
        ],
    )


async def _insert(url: str) -> float:
    client = connect(url)

    async def step(number: int) -> None:
        await client["yardstick"]["documents"].insert_one({"_id": number, "text": "x" * 500})

    try:
        return await _median_s(step)
    finally:
        client.close()


async def _publish(url: str) -> float:
    connection = await nats.connect(url)
    jetstream = connection.jetstream()
    await jetstream.add_stream(name="YARDSTICK", subjects=["yardstick"])

    async def step(_: int) -> None:
        await jetstream.publish("yardstick", b"x" * 500)

    try:
        return await _median_s(step)
    finally:
        await connection.close()


async def _fsync(folder: Path) -> float:
    async def step(number: int) -> None:
        await asyncio.to_thread(_write_and_flush, folder / str(number))

    return await _median_s(step)


def _write_and_flush(path: Path) -> None:
    with path.open("wb") as file:
        file.write(os.urandom(SMALL_FILE_BYTES))
        file.flush()
        os.fsync(file.fileno())


async def _median_s(step: Callable[[int], Awaitable[None]]) -> float:
    taken = []
    for number in range(ROUNDS):
        started = time.perf_counter()
        await step(number)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)
