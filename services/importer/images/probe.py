"""Starts an image in a Docker engine, without a network, and calls its health URL from beside it."""

import asyncio
import contextlib
import inspect
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from services.importer.domain import Unacceptable
from services.importer.images import health_call
from services.importer.images.engine import SHOWN_LENGTH, Engine, NotStarted, Start, engine_faults
from services.importer.images.health import Health, health_of
from services.importer.images.login import Login, LoginFor, no_login
from services.importer.images.platforms import parse_platform
from services.importer.images.reference import parse
from shared.values import Image, Reason

# Each takes the memory of a model, and a thread for as long as it lasts.
PROBES_AT_ONCE = 2
MEMORY_BYTES = 4 * 1024**3
HELPER_MEMORY_BYTES = 256 * 1024**2
# A container that is started, and one that is stopped, on a busy machine.
GRACE_S = 30.0
POLL_S = 0.2


class DockerProbe:
    """Probes images in a Docker engine.

    Args:
        login_for: who the engine says it is to registries.
        docker_host: where the engine listens; None: where DOCKER_HOST says, else the socket of this machine.
        probe_image: an image that the engine has, with `python`, from which the health URL is called.
        memory_bytes: the most that the probed image may use.
    """

    def __init__(
        self,
        login_for: LoginFor = no_login,
        docker_host: str | None = None,
        probe_image: str = "modelkin:local",
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._login_for = login_for
        self._docker_host = docker_host
        self._probe_image = probe_image
        self._memory_bytes = memory_bytes
        self._places = asyncio.Semaphore(PROBES_AT_ONCE)
        self._users: Counter[str] = Counter()
        """How many probes use an image."""
        self._pulled: set[str] = set()
        """What probes fetched."""
        self._counting = threading.Lock()

    async def probe(self, image: Image, health: Mapping[str, object], workspace: str) -> None:
        """Start the image and wait until it is well. Raises as the port Images does, and leaves nothing running."""
        reference = parse(image.reference)
        wanted = _Wanted(
            image, reference.repository, health_of(health, image.ports), self._login_for(workspace, reference.host)
        )
        async with self._places:
            await _in_thread(lambda stopped: self._probe(wanted, stopped))

    def _probe(self, wanted: "_Wanted", stopped: threading.Event) -> None:
        with Engine(self._docker_host) as engine, engine_faults():
            engine.sweep()
            self._check(engine, wanted.image)
            with self._used(engine, wanted.pinned):
                if not engine.has(wanted.pinned):
                    self._pulled.add(wanted.pinned)
                    engine.pull(wanted.repository, wanted.image.digest, wanted.login, stopped.is_set)
                if not stopped.is_set():
                    self._run(engine, wanted, stopped)

    @contextlib.contextmanager
    def _used(self, engine: Engine, image: str) -> Iterator[None]:
        """What was fetched goes with the last probe that uses it; whoever comes meanwhile waits until it is gone."""
        with self._counting:
            self._users[image] += 1
        try:
            yield
        finally:
            with self._counting:
                self._users[image] -= 1
                if not self._users[image]:
                    del self._users[image]
                    if image in self._pulled and engine.remove_image(image):
                        self._pulled.discard(image)

    def _check(self, engine: Engine, image: Image) -> None:
        platform = parse_platform(image.platform)
        if (platform.os, platform.architecture) != (engine.platform.os, engine.platform.architecture):
            raise Unacceptable(
                Reason.PROBE_UNAVAILABLE,
                f"the image is for {platform}: expected {engine.platform}, as the Docker engine",
            )
        if not engine.has(self._probe_image):
            raise Unacceptable(
                Reason.PROBE_UNAVAILABLE,
                f"the Docker engine lacks the image {self._probe_image[:SHOWN_LENGTH]!r} that calls from beside the"
                " probed one: expected one with python (MODELKIN_PROBE_IMAGE)",
            )

    def _run(self, engine: Engine, wanted: "_Wanted", stopped: threading.Event) -> None:
        start = Start(wanted.pinned, "none", self._memory_bytes)
        try:
            with engine.running(start, wanted.watched_s) as target:
                came = self._call(engine, wanted, target, stopped)
                if not (came.startswith("2") or stopped.is_set()):
                    raise _failed(wanted.health, _end_of(engine, target) or f"came {came}")
        except NotStarted as error:
            raise _failed(wanted.health, f"it could not be started: {error}") from error

    def _call(self, engine: Engine, wanted: "_Wanted", target: str, stopped: threading.Event) -> str:
        """What came of the last call, as health_call says it."""
        program = ("python", "-c", inspect.getsource(health_call), *wanted.health.arguments)
        start = Start(self._probe_image, f"container:{target}", HELPER_MEMORY_BYTES, program)
        try:
            with engine.running(start, wanted.watched_s) as helper:
                return _answer_of(engine, helper, target, time.monotonic() + wanted.watched_s - GRACE_S, stopped)
        except NotStarted as error:
            if engine.state(target).ended:
                return "nothing"
            raise Unacceptable(
                Reason.PROBE_UNAVAILABLE, f"{self._probe_image[:SHOWN_LENGTH]!r} could not be started: {error}"
            ) from error


class _Wanted(NamedTuple):
    """One probe."""

    image: Image
    repository: str
    health: Health
    login: Login | None

    @property
    def pinned(self) -> str:
        return f"{self.repository}@{self.image.digest}"

    @property
    def watched_s(self) -> float:
        return self.health.initial_delay_s + self.health.timeout_s + 2 * GRACE_S


def _answer_of(engine: Engine, helper: str, target: str, ends: float, stopped: threading.Event) -> str:
    """Wait until the helper is done, the target has ended, or the time is up: the target may keep a call open."""
    while not stopped.wait(POLL_S) and time.monotonic() < ends:
        if engine.state(helper).ended:
            return _said(engine, helper)
        if engine.state(target).ended:
            break
    return "nothing"


def _said(engine: Engine, helper: str) -> str:
    try:
        return str(json.loads(engine.output(helper))["came"])
    except (ValueError, KeyError, TypeError):
        return f"nothing: {engine.last_lines(helper)!r}"


def _end_of(engine: Engine, target: str) -> str:
    """How a container ended; '' while it runs."""
    state = engine.state(target)
    if not state.ended:
        return ""
    memory = ", out of memory" if state.out_of_memory else ""
    return f"it ended with status {state.status}{memory}, saying {engine.last_lines(target)!r}"


def _failed(health: Health, came: str) -> Unacceptable:
    within_s = health.initial_delay_s + health.timeout_s
    return Unacceptable(
        Reason.PROBE_FAILED, f"expected 2xx from {health.url[:SHOWN_LENGTH]} within {within_s:g} s: {came}"
    )


async def _in_thread(work: Callable[[threading.Event], None]) -> None:
    """Run to the end in a thread. Where this is cancelled, the thread is told, and waited for: it cleans up."""
    stopped = threading.Event()
    running = asyncio.ensure_future(asyncio.to_thread(work, stopped))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        stopped.set()
        await asyncio.wait([running])
        running.exception()  # what came of it, nobody waits for
        raise
