"""What goes wrong in a run, and when: chosen by the seed, done by damage.py."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from shared.subjects import ACK_WAIT_S

# Longer than a message that nobody acknowledges stays with a process.
PAUSE_S = ACK_WAIT_S + 4
# In the short form a message comes again sooner: else most of its time would be waiting for what died with messages in hand.
# Still so late that none is given out so often as shared/suspects.py bears.
SHORT_ACK_WAIT_S = 10.0
SHORT_PAUSE_S = SHORT_ACK_WAIT_S + 4
KINDS = ("kill", "kill all", "stall", "reset", "refuse", "nats", "mongo", "disk", "clock", "pause", "steps")
WEIGHTS = (6, 1, 4, 4, 2, 3, 3, 2, 3, 2, 8)
HOUR_S = 3600
JUMPS_S = (HOUR_S, 3 * HOUR_S, 30 * HOUR_S, -HOUR_S, -5 * HOUR_S)
STEPS_FOR_S = 25.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    at_s: float
    kind: str
    slots: tuple[str, ...] = ()
    """Whom it befalls; empty: the servers, or all."""
    server: str = ""
    """At the other end of a wire: nats or mongo."""
    for_s: float = 0.0
    """How long, where it lasts."""
    by_s: int = 0
    """How far a clock jumps."""

    def __str__(self) -> str:
        whom = ", ".join(self.slots) or "all"
        told = {
            "kill": f"SIGKILL of {whom}",
            "kill all": f"SIGKILL of {whom}",
            "stall": f"{self.server} stalls for {whom}, {self.for_s:.1f} s",
            "reset": f"{self.server} resets the connections of {whom}",
            "refuse": f"{self.server} refuses {whom}, {self.for_s:.1f} s",
            "nats": f"SIGKILL of nats-server, away for {self.for_s:.1f} s",
            "mongo": f"SIGKILL of the MongoDB-protocol server, away for {self.for_s:.1f} s",
            "disk": f"the disk of the artifact store is full, {self.for_s:.1f} s",
            "clock": f"the clock jumps to {self.by_s / HOUR_S:+.0f} h",
            "pause": f"SIGSTOP of {whom}, {self.for_s:.0f} s",
            "steps": f"SIGKILL at each step of {whom}, {self.for_s:.0f} s",
        }
        return told[self.kind]


def short(choices: random.Random, slots: Sequence[str], paused: str) -> list[Fault]:
    """One of each within a minute. One process of each service dies at steps, and then the other: work goes on meanwhile."""
    others = [slot for slot in slots if slot != paused]
    first, second = (tuple(slot for slot in others if slot.endswith(f"-{one}")) for one in "ab")
    wires = choices.sample(others, 4)

    def server() -> str:
        return choices.choice(("nats", "mongo"))

    return [
        Fault(4, "steps", first, for_s=27),
        Fault(6, "pause", (paused,), for_s=SHORT_PAUSE_S),
        Fault(9, "stall", (wires[0],), server(), for_s=choices.uniform(2, 4)),
        Fault(13, "reset", tuple(wires[1:3]), server()),
        Fault(17, "clock", by_s=choices.choice(JUMPS_S[:3])),
        Fault(24, "nats", for_s=choices.uniform(0.2, 1.5)),
        Fault(32, "steps", second, for_s=27),
        Fault(36, "disk", for_s=choices.uniform(2, 4)),
        Fault(40, "clock", by_s=choices.choice(JUMPS_S[3:])),
        Fault(44, "mongo", for_s=choices.uniform(0.2, 1.5)),
        Fault(49, "refuse", (wires[3],), server(), for_s=2),
        Fault(57, "clock", by_s=0),
        Fault(60, "kill all", tuple(others)),
    ]


def long(choices: random.Random, slots: Sequence[str], duration_s: float) -> list[Fault]:
    """One after another, or side by side, to the end."""
    faults: list[Fault] = []
    at_s = 10.0
    while at_s < duration_s - PAUSE_S:
        faults.append(_any(choices, slots, at_s))
        at_s += choices.choice((0.5, 2.0, 4.0, 8.0))
    return [*faults, Fault(duration_s, "clock", by_s=0)]


def _any(choices: random.Random, slots: Sequence[str], at_s: float) -> Fault:
    kind = choices.choices(KINDS, WEIGHTS)[0]
    some = tuple(choices.sample(slots, choices.choice((1, 1, 2, 3))))
    server = choices.choice(("nats", "mongo"))
    seconds = choices.uniform(0.2, 6)
    match kind:
        case "kill all":
            return Fault(at_s, kind, tuple(slots))
        case "stall" | "refuse":
            # Now and then as long as a message may stay unacknowledged.
            return Fault(at_s, kind, some, server, for_s=choices.choice((seconds, seconds, PAUSE_S)))
        case "nats" | "mongo" | "disk":
            return Fault(at_s, kind, for_s=seconds)
        case "clock":
            return Fault(at_s, kind, by_s=choices.choice((*JUMPS_S, 0)))
        case _:
            return Fault(at_s, kind, some, server, for_s=STEPS_FOR_S if kind == "steps" else PAUSE_S)
