"""Places for processes of services: in each runs one, and when that ends, the next."""

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shared.stepping import DIE_AT, STEPS_TO
from tests.chaos.launching import Launcher, Running
from tests.chaos.proxies import Proxy
from tests.chaos.steps import StepBook

# A process that has not come to the step it is to die at by then is killed where it is.
STEP_WITHIN_S = 5.0
# One that ends by itself at its start would be started all the time.
PAUSE_AFTER_FAILURE_S = 1.0
STOP_WITHIN_S = 25.0


@dataclass(slots=True)
class Slot:
    """One of several places for a service, behind wires of its own."""

    name: str
    service: str
    launcher: Launcher
    environment: Mapping[str, str]
    logs: Path
    book: StepBook
    nats: Proxy
    mongo: Proxy
    kills: Counter[str]
    """By their kind; shared by all slots."""
    odd: list[str] = field(default_factory=list)
    """Ends that nobody wanted."""
    stepping: bool = False
    """Whether its processes die at steps, one after another."""
    stopping: bool = False
    """Whether its process is to end, and none to follow."""
    process: Running | None = None
    _killed: bool = False

    async def run(self) -> None:
        """Keep a process running until it is to stop."""
        while not self.stopping:
            steps = self.book.next() if self.stepping else ""
            self._killed = False
            self.process = process = await self._start(steps)
            status = await (self._until_step(process) if steps else process.end())
            await self._note(steps, status)

    async def _start(self, steps: str) -> Running:
        environment = {**self.environment, STEPS_TO: str(self.book.file), DIE_AT: steps}
        return await self.launcher.start(self.service, environment, self.logs / f"{self.name}.log")

    async def _until_step(self, process: Running) -> int:
        try:
            return await asyncio.wait_for(process.end(), STEP_WITHIN_S)
        except TimeoutError:
            if not self.stepping:
                return await process.end()
            self.kill()
            return await process.end()

    async def _note(self, steps: str, status: int) -> None:
        if self.stopping:
            return
        if self._killed:
            self.kills[f"SIGKILL at any moment of {self.service}"] += 1
        elif steps and status == -signal.SIGKILL:
            self.kills[f"SIGKILL at a step of {self.service}"] += 1
        else:
            self.odd.append(f"{self.name} ended by itself with status {status}")
            await asyncio.sleep(PAUSE_AFTER_FAILURE_S)

    def wire(self, server: str) -> Proxy:
        return {"nats": self.nats, "mongo": self.mongo}[server]

    def kill(self) -> None:
        if self.process is not None and self.process.running:
            self._killed = True
            self.process.signal(signal.SIGKILL)

    def pause(self) -> None:
        if self.process is not None:
            self.process.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        if self.process is not None:
            self.process.signal(signal.SIGCONT)

    async def stop(self) -> None:
        """In order; by SIGKILL where it does not stop."""
        self.stopping = True
        if self.process is None:
            return
        self.go_on()
        self.process.signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            status = await asyncio.wait_for(self.process.end(), STOP_WITHIN_S)
            if status != 0:
                self.odd.append(f"{self.name} stopped with status {status}")
            return
        self.odd.append(f"{self.name} did not stop within {STOP_WITHIN_S:.0f} s")
        self.process.signal(signal.SIGKILL)
        await self.process.end()
