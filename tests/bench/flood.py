"""Part `flood`: far more requests than can be handled, published at once; what every process needs until all are answered."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nats
from nats.aio.client import Client

from modelkin.launcher import Local, running
from shared.messages import ImportRefused, ModelRegistered, TrainingSucceeded
from shared.parts import parts
from shared.subjects import CONSUMERS, EVENTS_STREAM, all_of
from tests.bench.machine import MB, Usage, usage_of
from tests.bench.tables import say_note, say_table, say_title
from tests.bench.workload import Lost, request_for

REQUESTS = 10_000
# The others name folders that are not there: refused as soon as they are looked for, they come fastest.
ONE_IMPORTED_OF = 10
AT_ONCE = 500
LOOK_EVERY_S = 0.5
# Per request, far above what any takes; whoever waits longer has found a fault.
PATIENCE_S = 0.05
LEAST_PATIENCE_S = 60.0


@dataclass(slots=True)
class Flood:
    """How one went."""

    requests: int
    took_s: float = 0.0
    usages: dict[str, list[Usage]] = field(default_factory=dict)
    """Of each process: just before, then again and again until the last request was answered."""

    def peak_bytes(self, process: str) -> int:
        return max(usage.resident_bytes for usage in self.usages[process])

    def growth_bytes(self, process: str) -> int:
        """How much more the process had at most in the second half of the time than in the first."""
        sizes = [usage.resident_bytes for usage in self.usages[process]]
        half = max(1, len(sizes) // 2)
        return max(sizes[half:], default=0) - max(sizes[:half])


async def measure(folder: Path, requests: int = REQUESTS) -> None:
    """Run and print."""
    show(await flood(folder, requests))


async def flood(folder: Path, requests: int) -> Flood:
    """Publish so many as fast as the stream takes them.

    Raises:
        Lost: a request was not answered, or one too many was.
    """
    models = folder / "models"
    models.mkdir(parents=True)
    async with running(folder / "data", [models], lambda _: None) as local:
        client = await nats.connect(local.nats_url)
        try:
            return await _flood(local, client, _requests(models, requests), requests)
        finally:
            await client.close()


async def _flood(local: Local, client: Client, requests: Iterator[TrainingSucceeded], count: int) -> Flood:
    went = Flood(count)
    async with _watched(local, went):
        await asyncio.sleep(LOOK_EVERY_S)
        started = time.monotonic()
        await _publish(client, requests)
        await _answered(client, time.monotonic() + max(LEAST_PATIENCE_S, PATIENCE_S * count))
        went.took_s = time.monotonic() - started
    await _check(client, count)
    return went


def _requests(models: Path, count: int) -> Iterator[TrainingSucceeded]:
    for number in range(count):
        folder = models / str(number)
        if number % ONE_IMPORTED_OF == 0:
            folder.mkdir()
            (folder / "weights.bin").write_bytes(f"weights {number}".encode())
        yield request_for(folder.as_uri(), "flood", number)


async def _publish(client: Client, requests: Iterator[TrainingSucceeded]) -> None:
    jetstream = client.jetstream(timeout=60)
    for some in parts(list(requests), AT_ONCE):
        await asyncio.gather(
            *(jetstream.publish(one.subject, one.body().encode(), headers=one.headers()) for one in some)
        )


async def _answered(client: Client, deadline: float) -> None:
    """Wait until no consumer has anything left."""
    jetstream = client.jetstream(timeout=30)
    while True:
        before = (await jetstream.stream_info(EVENTS_STREAM)).state.last_seq
        infos = [await jetstream.consumer_info(consumer.stream, consumer.durable) for consumer in CONSUMERS]
        after = (await jetstream.stream_info(EVENTS_STREAM)).state.last_seq
        if before == after and not any(info.num_pending or info.num_ack_pending for info in infos):
            return
        if time.monotonic() > deadline:
            raise Lost(f"not answered in time: {[(i.name, i.num_pending, i.num_ack_pending) for i in infos]}")
        await asyncio.sleep(LOOK_EVERY_S)


async def _check(client: Client, requests: int) -> None:
    imported = (requests + ONE_IMPORTED_OF - 1) // ONE_IMPORTED_OF
    for kind, expected in ((ModelRegistered, imported), (ImportRefused, requests - imported)):
        said = await _count(client, all_of(kind))
        if said != expected:
            raise Lost(f"{said} × {kind.__name__}: expected {expected}")


async def _count(client: Client, subject: str) -> int:
    jetstream = client.jetstream(timeout=60)
    subscription = await jetstream.pull_subscribe(subject, stream=EVENTS_STREAM)
    return (await subscription.consumer_info()).num_pending or 0


@contextlib.asynccontextmanager
async def _watched(local: Local, went: Flood) -> AsyncIterator[None]:
    def look() -> None:
        for process in local.processes:
            went.usages.setdefault(process.name, []).append(usage_of(process.pid))

    async def look_again_and_again() -> None:
        while True:
            look()
            await asyncio.sleep(LOOK_EVERY_S)

    looking = asyncio.create_task(look_again_and_again())
    try:
        yield
        look()
    finally:
        looking.cancel()


def show(went: Flood) -> None:
    say_title(f"A flood of {went.requests:,} requests, one of {ONE_IMPORTED_OF} a small import, the rest refused")
    say_note(f"All were answered after {went.took_s:.0f} s: {went.requests / went.took_s:.0f} a second.")
    say_table(
        ("memory in MB", "before", "most", "at the end", "second half against the first"),
        [_row(went, process, usages) for process, usages in went.usages.items()],
    )


def _row(went: Flood, process: str, usages: Sequence[Usage]) -> tuple[str, ...]:
    sizes = (usages[0].resident_bytes, went.peak_bytes(process), usages[-1].resident_bytes)
    return (process, *(f"{size / MB:.0f}" for size in sizes), f"{went.growth_bytes(process) / MB:+.0f}")
