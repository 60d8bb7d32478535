"""Does to a system what faults.py chose, and mends it after."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.chaos.faults import Fault
from tests.chaos.proxies import Proxy
from tests.chaos.slots import Slot
from tests.chaos.system import System


@dataclass(slots=True)
class Damage:
    """Every fault at its time; those that last, side by side."""

    system: System
    say: Callable[[str], None]
    done: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, str] = field(default_factory=dict)

    async def run(self, faults: Sequence[Fault]) -> None:
        """Returns when everything is mended."""
        began_at = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(max(0.0, began_at + fault.at_s - time.monotonic()))
                why_not = self._why_not(fault)
                if why_not:
                    self.skipped[fault.kind] = why_not
                    continue
                self.say(str(fault))
                self.done[fault.kind] += 1
                group.create_task(self._do(fault))

    def _why_not(self, fault: Fault) -> str:
        reasons = {"disk": self.system.disk.why_not, "clock": self.system.clock.why_not}
        return reasons.get(fault.kind, "")

    async def _do(self, fault: Fault) -> None:
        slots = [slot for slot in self.system.slots if slot.name in fault.slots]
        match fault.kind:
            case "kill" | "kill all":
                for slot in slots:
                    slot.kill()
            case "pause":
                await self._pause(slots, fault.for_s)
            case "steps":
                await self._steps(slots, fault.for_s)
            case "stall" | "reset" | "refuse":
                await self._wires([slot.wire(fault.server) for slot in slots], fault)
            case "nats":
                await self.system.nats.kill_for(fault.for_s)
            case "mongo":
                await self.system.mongo.kill_for(fault.for_s)
            case "disk":
                await self._fill(fault.for_s)
            case "clock":
                self.system.clock.jump(fault.by_s)

    async def _pause(self, slots: Sequence[Slot], for_s: float) -> None:
        for slot in slots:
            slot.pause()
        await asyncio.sleep(for_s)
        for slot in slots:
            slot.go_on()

    async def _steps(self, slots: Sequence[Slot], for_s: float) -> None:
        """What runs already is killed at any moment; each that follows has a step of its own."""
        for slot in slots:
            slot.stepping = True
            slot.kill()
            await asyncio.sleep(0.3)  # they start one after another
        await asyncio.sleep(for_s)
        for slot in slots:
            slot.stepping = False
            slot.kill()  # what follows it has no step to die at

    async def _wires(self, wires: Sequence[Proxy], fault: Fault) -> None:
        match fault.kind:
            case "reset":
                for wire in wires:
                    wire.reset()
            case "stall":
                for wire in wires:
                    wire.stall()
                await asyncio.sleep(fault.for_s)
                for wire in wires:
                    wire.flow()
            case "refuse":
                for wire in wires:
                    wire.refuse()
                await asyncio.sleep(fault.for_s)
                for wire in wires:
                    wire.admit()

    async def _fill(self, for_s: float) -> None:
        self.system.disk.fill()
        await asyncio.sleep(for_s)
        self.system.disk.free()
