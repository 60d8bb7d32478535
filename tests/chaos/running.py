"""One chaos run from start to end: load and faults, then quiet, then the judgement."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from shared.queries import SERVICES
from tests.chaos import faults
from tests.chaos.checker import check
from tests.chaos.counting import counts, lines
from tests.chaos.damage import Damage
from tests.chaos.draining import Backlog, watched
from tests.chaos.folders import Folders
from tests.chaos.load import Load
from tests.chaos.publishing import Publishing, publishers
from tests.chaos.rebuilding import made_anew
from tests.chaos.steps import StepBook
from tests.chaos.system import DATABASE, SLOTS, Bounds, System, running

ROUND = 10
ROUND_EVERY_S = 0.8
TELL_EVERY_S = 10.0
READY_WITHIN_S = 240.0
SHORT_LOAD_S = 61.0
SHORT_LANES = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to be."""

    seed: int
    form: Literal["short", "long"]
    duration_s: float
    folder: Path

    @property
    def bounds(self) -> Bounds:
        return Bounds(faults.SHORT_ACK_WAIT_S, SHORT_LANES) if self.form == "short" else Bounds()

    @property
    def drain_s(self) -> float:
        """A message may be delivered again after the ack wait, and where its store was away for long, a minute later."""
        return 300.0 if self.form == "short" else 600.0

    @property
    def most_missed(self) -> int | None:
        """Of the steps where nobody died, so many are named: in the long form all."""
        return 12 if self.form == "short" else None

    @property
    def most_waiting(self) -> int:
        return 200 if self.form == "short" else 500


@dataclass(slots=True)
class Telling:
    """Says what happens, with the time since the start."""

    write: Callable[[str], object]
    began_at: float = field(default_factory=time.monotonic)

    def __call__(self, line: str) -> None:
        self.write(f"{time.monotonic() - self.began_at:6.1f} s  {line}\n")


async def run(plan: Plan, say: Callable[[str], None]) -> list[str]:
    """Everything that was found wrong, a line each."""
    # Each has choices of its own, so that how fast one goes changes nothing for another.
    seeds = random.Random(plan.seed)
    of_folders, of_load, of_faults, *of_steps = (random.Random(seeds.getrandbits(64)) for _ in range(6))
    folders = Folders(plan.folder / "models", of_folders)
    folders.prepare()
    books = {
        service: StepBook(plan.folder / f"steps-{service}", choices)
        for service, choices in zip(SERVICES, of_steps, strict=True)
    }
    slots, chosen = _chosen(plan, of_faults)
    load = Load(of_load, folders, collects=plan.form == "long")
    async with running(plan.folder, books, slots, plan.bounds) as system:
        say("servers are there, services start")
        damage = Damage(system, say)
        async with publishers(system.nats.url) as connections:
            backlog = Backlog(connections[0])
            await backlog.heard(READY_WITHIN_S)
            say("every consumer is served")
            publishing = Publishing(
                connections, load.rounds(ROUND), ROUND_EVERY_S, lambda: backlog.undelivered, plan.most_waiting
            )
            await _trouble(plan, chosen, damage, publishing, backlog, say)
            say("everything is mended and nothing more is said: waiting until all is handled")
            wrong = await _quiet(plan, backlog, system, say)
            await system.stop_services()
            say("services are stopped; servers are killed and started again for the judgement")
            await asyncio.gather(system.nats.kill_for(0), system.mongo.kill_for(0))
            said = await counts(connections[1])
        for line in lines(system, damage, publishing.sent, said, plan.most_missed):
            say(line)
        violations = await check(system.nats.url, system.mongo.url, DATABASE, system.artifacts, publishing.sent)
        if not wrong:  # what is not handled yet would be, meanwhile
            wrong = await made_anew(system, say)
    return [*wrong, *(str(violation) for violation in violations)]


def _chosen(plan: Plan, choices: random.Random) -> tuple[Sequence[str], list[faults.Fault]]:
    """Which processes there are, and what befalls them. In the short form one more is there to be paused, for long."""
    if plan.form == "long":
        return SLOTS, faults.long(choices, SLOTS, plan.duration_s)
    paused = f"{choices.choice(SERVICES)}-c"
    slots = (*SLOTS, paused)
    return slots, faults.short(choices, slots, paused)


async def _trouble(
    plan: Plan,
    chosen: list[faults.Fault],
    damage: Damage,
    publishing: Publishing,
    backlog: Backlog,
    say: Callable[[str], None],
) -> None:
    """Load and faults, side by side."""
    enough = asyncio.Event()

    async def tell() -> None:
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            killed = sum(damage.system.kills.values())
            say(f"  published {len(publishing.sent)}, waiting {backlog.total}, processes killed {killed}")

    async with watched(backlog), asyncio.TaskGroup() as group:
        telling = group.create_task(tell())
        load = group.create_task(publishing.run(enough))
        ended = group.create_task(damage.run(chosen))
        await asyncio.sleep(plan.duration_s)
        enough.set()
        await asyncio.wait((load, ended))
        telling.cancel()


async def _quiet(plan: Plan, backlog: Backlog, system: System, say: Callable[[str], None]) -> list[str]:
    began_at = time.monotonic()
    if await backlog.drained(plan.drain_s, say):
        say(f"all is handled, after {time.monotonic() - began_at:.0f} s")
        return []
    dead = [slot.name for slot in system.slots if slot.process is None or not slot.process.running]
    also = f"; not running: {', '.join(dead)}" if dead else ""
    return [f"not handled within {plan.drain_s:.0f} s: {backlog.left()}{also}"]
