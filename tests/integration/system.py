"""The three services in this process, on real servers, and what a test says to them and hears from them."""

import asyncio
import contextlib
import hashlib
import inspect
import json
import shutil
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import nats
import nats.errors
import nats.js.errors
from faststream import FastStream
from nats.aio.client import Client

import deploy.topology
from modelkin.processes import Process
from services.importer.app import build_app as build_importer
from services.importer.settings import ImporterSettings
from services.registry.app import build_app as build_registry
from services.registry.settings import RegistrySettings
from services.versioning.app import build_app as build_versioning
from shared.dead_letters import DeadLetter
from shared.messages import Message, message_of
from shared.settings import ServiceSettings
from shared.store import connect
from shared.subjects import CONSUMERS, DEAD_LETTERS_STREAM, EVENTS_STREAM
from tests.oci import LOCAL

T = TypeVar("T")
E = TypeVar("E", bound=Message)

SERVICES = ("importer", "versioning", "registry")
BUILD: dict[str, Callable[..., FastStream]] = {
    "importer": build_importer,
    "versioning": build_versioning,
    "registry": build_registry,
}
# Far above what anything here takes, and less than the time after which an unanswered message is given out again: what was
# lost and comes back then is late.
DEADLINE_S = 25.0
# So much of the time between two looks counts at most: where the machine is so busy that a look takes longer, all else does.
LONGEST_LOOK_S = 0.1
# For what may be late: the start of a service, an answer, the end of a process. It passes only where something went wrong.
PATIENCE_S = 120.0
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


async def eventually(
    look: Callable[[], Awaitable[T] | T], what: object = "the condition", timeout_s: float = DEADLINE_S
) -> T:
    """Look again and again until there is something to see; `what` may be a function that says what there is instead."""
    left_s = timeout_s
    while True:
        began = time.monotonic()
        with contextlib.suppress(nats.errors.Error, nats.js.errors.Error, OSError):
            seen = look()
            if inspect.isawaitable(seen):
                seen = await seen
            if seen:
                return seen
        if left_s <= 0:
            told = what() if callable(what) else what
            told = await told if inspect.isawaitable(told) else told
            raise AssertionError(f"not within {timeout_s:.0f} s: {told}")
        await asyncio.sleep(0.02)
        left_s -= min(time.monotonic() - began, LONGEST_LOOK_S)


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a stream, as it is stored."""

    subject: str
    headers: Mapping[str, str]
    body: bytes
    sequence: int

    def is_a(self, kind: type[Message]) -> bool:
        return self.subject.startswith(f"{kind.address}.")

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    def event(self) -> Message:
        return message_of(
            self.subject,
            self.headers,
            self.body,
            fallback_id=f"{EVENTS_STREAM}-{self.sequence}",
            fallback_time=LONG_AGO,
        )

    def __str__(self) -> str:
        return f"{self.sequence} {self.subject} {self.body[:100].decode(errors='replace')}"


@dataclass(slots=True)
class Service:
    """One process worth of a service, in this process."""

    name: str
    app: FastStream

    async def start(self) -> None:
        await asyncio.wait_for(self.app.start(), PATIENCE_S)

    async def stop(self) -> None:
        try:
            await asyncio.wait_for(self.app.stop(), PATIENCE_S)
        finally:
            self.app.context.get("store")._database.client.close()


@dataclass(slots=True)
class System:
    """Streams, consumers and as many instances of each service as the test starts."""

    nats_url: str
    mongo_uri: str
    database: str
    folder: Path
    client: Client
    running: list[Service] = field(default_factory=list)
    _read: list[Said] = field(default_factory=list)

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    def environment(self) -> dict[str, str]:
        """What a service of this system reads when it is a process of its own."""
        return {
            "MODELKIN_NATS_URL": self.nats_url,
            "MODELKIN_MONGO_URI": self.mongo_uri,
            "MODELKIN_MONGO_DATABASE": self.database,
            "MODELKIN_ARTIFACTS": str(self.artifacts),
            "MODELKIN_ALLOWED_ROOTS": str(self.models),
            "MODELKIN_ALLOWED_REGISTRIES": ",".join(LOCAL),
        }

    # Services

    def build(self, name: str, **settings: Any) -> Service:
        common = {"nats_url": self.nats_url, "mongo_uri": self.mongo_uri, "mongo_database": self.database, **settings}
        if name == "importer":
            own = {"artifacts": str(self.artifacts), "allowed_roots": (self.models,), "allowed_registries": LOCAL}
            return Service(name, BUILD[name](ImporterSettings(**{**own, **common})))
        kind = RegistrySettings if name == "registry" else ServiceSettings
        return Service(name, BUILD[name](kind(**common)))

    async def start(self, *names: str, **settings: Any) -> None:
        services = [self.build(name, **settings) for name in names]
        self.running += services
        await asyncio.gather(*(service.start() for service in services))

    async def stop(self, *names: str) -> None:
        stopping = [service for service in self.running if service.name in names]
        self.running = [service for service in self.running if service not in stopping]
        await asyncio.gather(*(service.stop() for service in stopping))

    async def restart(self, *names: str) -> None:
        await self.stop(*names)
        await self.start(*names)

    # Models

    def model_folder(self, name: str, files: Mapping[str, bytes] | None = None) -> str:
        """Put a model where the importer may read; returns its location."""
        for path, content in (files or {"model.bin": name.encode()}).items():
            file = self.models / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return self.location(name)

    def location(self, name: str) -> str:
        return f"file://{self.models / name}"

    def blob(self, digest: str) -> bytes:
        name = digest.removeprefix("sha256:")
        return (self.artifacts / "blobs" / "sha256" / name[:2] / name).read_bytes()

    def half_copied(self) -> list[Path]:
        return list((self.artifacts / "partial").iterdir())

    def training(self, model: str, job: str = "job-1", run: str = "V001", **more: object) -> dict[str, Any]:
        """The body of a good TrainingSucceeded, as any training system would write it: a built-in algorithm needs no more."""
        if "location" not in more:
            more["location"] = self.model_folder(f"{model}-{job}-{run}")
        return {"model": model, "job": {"id": job, "version": run}, "built_in_algorithm": "resnet_v1_50", **more}

    # Saying

    async def publish(
        self,
        body: Mapping[str, Any] | bytes,
        *,
        subject: str | None = None,
        headers: Mapping[str, str] | None = None,
        id: str | None = None,  # noqa: A002 - what CloudEvents calls it
    ) -> str:
        """Publish a TrainingSucceeded with a plain NATS client; returns its id."""
        id = id or uuid.uuid4().hex  # noqa: A001 - as above
        if subject is None:
            assert not isinstance(body, bytes)
            subject = f"modelkin.evt.v1.training.succeeded.{body.get('workspace', '0')}.{body['model']}"
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.client.jetstream().publish(
            subject, data, headers={"Nats-Msg-Id": id, "ce-id": id, **(headers or {})}
        )
        return id

    async def say(self, event: Message) -> None:
        """Publish an event by hand, as the service that says it would."""
        await self.client.jetstream().publish(event.subject, event.body().encode(), headers=event.headers())

    async def ask(
        self, subject: str, question: Mapping[str, Any] | bytes, timeout_s: float = PATIENCE_S
    ) -> dict[str, Any]:
        data = question if isinstance(question, bytes) else json.dumps(question).encode()
        return dict(json.loads((await self.client.request(subject, data, timeout=timeout_s)).data))

    async def versions(self, model: str) -> list[str]:
        """The numbers of all registered versions."""
        page = await self.ask("modelkin.qry.v1.version.list", {"model": model, "limit": 1000})
        return [version["version"] for version in page["versions"]]

    # Hearing

    async def said(self) -> Sequence[Said]:
        """Everything in the EVENTS stream."""
        jetstream = self.client.jetstream()
        last = (await jetstream.stream_info(EVENTS_STREAM)).state.last_seq
        for sequence in range(self._read[-1].sequence + 1 if self._read else 1, last + 1):
            with contextlib.suppress(nats.js.errors.NotFoundError):  # a restored stream has empty places
                self._read.append(await _stored(self.client, EVENTS_STREAM, sequence))
        return tuple(self._read)

    async def all_of(self, kind: type[E], model: str | None = None) -> list[E]:
        """The events of one kind, in order."""
        return [
            one.event()
            for one in await self.said()
            if one.is_a(kind) and (model is None or one.subject.endswith(f".{model}"))
        ]

    async def hear(
        self, kind: type[E], model: str | None = None, *, count: int = 1, timeout_s: float = DEADLINE_S
    ) -> E:
        """Wait for the `count`-th event of a kind."""

        async def heard() -> list[E]:
            events = await self.all_of(kind, model)
            return events if len(events) >= count else []

        what = f"{count} × {kind.__name__} of {model or 'any model'}"
        return (await eventually(heard, lambda: self._instead_of(what), timeout_s))[count - 1]

    async def dead_letters(self) -> list[tuple[DeadLetter, Said]]:
        last = (await self.client.jetstream().stream_info(DEAD_LETTERS_STREAM)).state.last_seq
        letters = [await _stored(self.client, DEAD_LETTERS_STREAM, sequence) for sequence in range(1, last + 1)]
        return [(DeadLetter.from_headers(letter.headers), letter) for letter in letters]

    async def dead_letter(self, timeout_s: float = DEADLINE_S) -> tuple[DeadLetter, Said]:
        """Wait for the first dead letter."""
        what = "a dead letter"
        return (await eventually(self.dead_letters, lambda: self._instead_of(what), timeout_s))[0]

    async def quiet(self, timeout_s: float = DEADLINE_S) -> None:
        """Wait until the services that run have handled every message."""
        names = tuple(service.name for service in self.running)
        consumers = [consumer for consumer in CONSUMERS if consumer.durable.startswith(names)]

        async def nothing_left() -> bool:
            jetstream = self.client.jetstream()
            before = (await jetstream.stream_info(EVENTS_STREAM)).state.last_seq
            infos = [await jetstream.consumer_info(consumer.stream, consumer.durable) for consumer in consumers]
            after = (await jetstream.stream_info(EVENTS_STREAM)).state.last_seq
            return before == after and not any(info.num_pending or info.num_ack_pending for info in infos)

        await eventually(nothing_left, lambda: self._instead_of("all messages handled"), timeout_s)

    async def redeliver_after(self, ack_wait_s: float) -> None:
        """An operator lowers the time after which an unanswered message is given out again."""
        jetstream = self.client.jetstream()
        for consumer in CONSUMERS:
            config = (await jetstream.consumer_info(consumer.stream, consumer.durable)).config
            await jetstream.add_consumer(consumer.stream, config.evolve(ack_wait=ack_wait_s))

    async def _instead_of(self, what: str) -> str:
        with contextlib.suppress(nats.errors.Error, nats.js.errors.Error):
            said = "\n".join(str(one) for one in await self.said())
            dead = "\n".join(f"{letter} {one}" for letter, one in await self.dead_letters())
            return f"{what}; instead there is\n{said}\nand dead letters\n{dead}"
        return what


async def _stored(client: Client, stream: str, sequence: int) -> Said:
    message = await client.jetstream().get_msg(stream, sequence)
    return Said(message.subject or "", message.headers or {}, message.data or b"", sequence)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Spawn(Protocol):
    def __call__(self, name: str, *wrapper: str, **settings: str) -> Process:
        """Start a service as a process of its own.

        Args:
            name: which one.
            wrapper: a command that runs the service's command.
            settings: MODELKIN_* variables that differ from the system's own.
        """
        ...


async def make_system(nats_url: str, mongo_uri: str, database: str, folder: Path) -> System:
    """Apply the topology; start nothing."""
    client = await nats.connect(nats_url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=_ignore)
    system = System(nats_url, mongo_uri, database, folder, client)
    system.models.mkdir()
    async for _ in deploy.topology.apply(client.jetstream(timeout=PATIENCE_S)):
        pass
    return system


async def drop(system: System) -> None:
    """Stop what still runs, and leave nothing in MongoDB."""
    for service in system.running:
        with contextlib.suppress(Exception):  # the test's own failure is the one to see
            await service.stop()
    if not system.client.is_closed:
        await system.client.close()
    store = connect(system.mongo_uri)
    for name in SERVICES:
        await store.drop_database(f"{system.database}_{name}")
    store.close()
    # pytest keeps the folders of three runs, and some of the models here are large.
    await asyncio.to_thread(shutil.rmtree, system.artifacts, ignore_errors=True)


async def _ignore(_: Exception) -> None:
    """Tests that stop NATS know that it is away."""
