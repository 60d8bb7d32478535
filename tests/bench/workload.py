"""The load: small models on disk, their requests, and a driver that keeps so many imports in flight."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.connection import settle
from shared.envelope import Envelope
from shared.messages import ImportRefused, ModelRegistered, TrainingSucceeded, VersionRefused
from shared.subjects import DEAD_LETTERS, EVENTS_STREAM, all_of
from shared.values import Code, Dataset, Job
from tests.bench.models import write_safetensors

MODELS = 50
SMALL_FILE_BYTES = 4096
WARM_UP = 64
# Far above what any import here takes: whoever waits this long has found a fault, not a figure.
DEADLINE_S = 60.0
# Where nobody asked for a number of imports, a run takes no more requests after this: the whole stays within minutes.
RUN_LIMIT_S = 30.0


def small_imports(folder: Path, name: str, count: int) -> list[TrainingSucceeded]:
    """Requests for so many packages of one small file, spread over the models, and the packages."""
    return [request_for(_package(folder / name / str(number)).as_uri(), name, number) for number in range(count)]


def _package(folder: Path) -> Path:
    write_safetensors(folder / "model.safetensors", SMALL_FILE_BYTES)
    return folder


def request_for(location: str, name: str, number: int) -> TrainingSucceeded:
    """What a training system would say of the package there: about 600 bytes."""
    return TrainingSucceeded(
        envelope=Envelope.of_request(f"{name}-{number}", "bench", datetime.now(UTC)),
        model=f"model-{number % MODELS:02}",
        job=Job(id=name, version=f"V{number:05}"),
        location=location,
        built_in_algorithm="resnet-50",
        datasets=(Dataset(name="cats", version="2026-11"), Dataset(name="dogs", version="2026-10")),
        code=Code(repository="git.example/cats", commit="4c2f8d1", entry_point="train.py"),
        parameters={"lr": 0.001, "epochs": 40, "seed": number, "optimizer": "adam"},
        metrics={"f1": 0.93, "loss": 0.07, "recall": 0.91},
    )


class Lost(Exception):
    """An import did not become a version. A bench that goes on would measure something else."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a number of imports went."""

    took_s: float
    latencies_s: Sequence[float]
    """From just before the publish to the ModelRegistered that a plain subscriber heard; one an import."""

    @property
    def imports(self) -> int:
        return len(self.latencies_s)

    @property
    def a_second(self) -> float:
        return self.imports / self.took_s

    def percentile_s(self, percent: int) -> float:
        """The latency that so many percent of the imports stayed within."""
        in_order = sorted(self.latencies_s)
        return in_order[min(len(in_order) - 1, len(in_order) * percent // 100)]


@dataclass(slots=True)
class Driver:
    """Publishes requests and hears what becomes of them, over one plain connection to NATS."""

    nats: Client
    _waiting: dict[str, asyncio.Future[float]] = field(default_factory=dict)

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, url: str) -> AsyncIterator[Self]:
        connection = await nats.connect(url, name="bench")
        try:
            driver = cls(connection)
            await connection.subscribe(all_of(ModelRegistered), cb=driver._registered)
            for bad in (all_of(ImportRefused), all_of(VersionRefused), f"{DEAD_LETTERS}.*"):
                await connection.subscribe(bad, cb=driver._failed)
            await settle(connection)
            yield driver
        finally:
            await connection.close()

    async def run(self, requests: Sequence[TrainingSucceeded], in_flight: int, limit_s: float = math.inf) -> Run:
        """Import all, `in_flight` at any time: a new one is published when one is registered, until `limit_s` have passed.

        Raises:
            Lost: one was refused, set aside, or not heard of in time.
        """
        left = iter(requests)
        started = time.perf_counter()
        lanes = await asyncio.gather(*(self._lane(left, started + limit_s) for _ in range(in_flight)))
        return Run(time.perf_counter() - started, [latency for lane in lanes for latency in lane])

    async def _lane(self, requests: Iterator[TrainingSucceeded], until: float) -> list[float]:
        latencies: list[float] = []
        while time.perf_counter() < until and (request := next(requests, None)) is not None:
            latencies.append(await self._import(request))
        return latencies

    async def _import(self, request: TrainingSucceeded) -> float:
        subject, body, headers = request.subject, request.body().encode(), request.headers()
        heard = self._waiting[request.envelope.id] = asyncio.get_running_loop().create_future()
        started = time.perf_counter()
        await self.nats.jetstream().publish(subject, body, headers=headers, stream=EVENTS_STREAM, timeout=DEADLINE_S)
        try:
            heard_at: float = await asyncio.wait_for(heard, DEADLINE_S)
        except TimeoutError:
            raise Lost(f"{request.envelope.id} was not registered in {DEADLINE_S:.0f} s") from None
        return heard_at - started

    async def _registered(self, message: Msg) -> None:
        heard = self._waiting.pop(_request_of(message), None)
        if heard is not None and not heard.done():
            heard.set_result(time.perf_counter())

    async def _failed(self, message: Msg) -> None:
        waiting = self._waiting.pop(_request_of(message), None)
        if waiting is not None and not waiting.done():
            waiting.set_exception(Lost(f"{message.subject}: {message.data[:300].decode(errors='replace')}"))


def _request_of(message: Msg) -> str:
    headers = message.headers or {}
    return headers.get("ce-correlationid") or headers.get("ce-id") or ""
