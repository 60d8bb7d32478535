"""Starting services through forking.py, and hearing of their ends."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

READY_WITHIN_S = 240.0
STARTED_WITHIN_S = 240.0


@dataclass(slots=True)
class Running:
    """One process of a service."""

    pid: int
    log: Path
    _ended: asyncio.Future[int]

    @property
    def running(self) -> bool:
        return not self._ended.done()

    async def end(self) -> int:
        """Wait for its exit status, minus the signal where one ended it."""
        return await asyncio.shield(self._ended)

    def signal(self, number: signal.Signals) -> None:
        """Nothing where it has ended."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


@dataclass(slots=True)
class Launcher:
    """A process that starts others."""

    _process: asyncio.subprocess.Process
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _started: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    _ends: dict[int, asyncio.Future[int]] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self, service: str, environment: Mapping[str, str], log: Path) -> Running:
        assert self._process.stdin is not None
        async with self._turn:
            order = {"service": service, "environment": dict(environment), "log": str(log)}
            self._process.stdin.write(f"{json.dumps(order)}\n".encode())
            pid = await asyncio.wait_for(self._started.get(), STARTED_WITHIN_S)
        return Running(pid, log, self._ends[pid])

    async def ready(self) -> None:
        """Wait until it has loaded the services."""
        await asyncio.wait_for(self._ready.wait(), READY_WITHIN_S)

    async def hear(self) -> None:
        """Runs beside everything else."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            match line.decode().split():
                case ["ready"]:
                    self._ready.set()
                case ["started", pid]:
                    self._ends[int(pid)] = asyncio.get_running_loop().create_future()
                    self._started.put_nowait(int(pid))
                case ["ended", pid, status]:
                    self._ends.pop(int(pid)).set_result(int(status))
        for end in self._ends.values():  # what it started ended with it
            end.set_result(-signal.SIGKILL)
        self._ends.clear()


@contextlib.asynccontextmanager
async def launcher(log: Path, environment: Mapping[str, str] | None = None) -> AsyncIterator[Launcher]:
    """One that lives for a block; what it started ends with it, at the latest."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.chaos.forking",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            env={**os.environ, **(environment or {})},
            # A Ctrl-C at the terminal reaches the run alone, which stops everything in order.
            start_new_session=True,
        )
    assert process.stdin is not None
    starting = Launcher(process)
    hearing = asyncio.create_task(starting.hear())
    try:
        yield starting
    finally:
        hearing.cancel()
        process.stdin.close()
        await process.wait()
