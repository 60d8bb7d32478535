"""Which steps of the services are known, and at which of them a process was killed already."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.stepping import DIED_AT

# Of the steps where no process died yet, a process has those up to a rank before it: most often what handlers do.
RANKS = (1, 1, 1, 2, 2, 3)
PASSES = (1, 1, 2, 3)
AT_START = ("createIndexes", "listCollections", "generations")


def _rank(step: str) -> int:
    """What handlers do comes first, then what they publish, acknowledge and keep, then what their stores do at each
    call; last what is done once at a start.
    """
    if any(word in step for word in AT_START):
        return 3
    return {"mongo": 2, "nats": 1, "disk": 1}.get(step.partition(".")[0], 0)


@dataclass(slots=True)
class StepBook:
    """The steps of one service, as every process of it adds them to the file."""

    file: Path
    choices: random.Random

    def known(self) -> Sequence[str]:
        return tuple(dict.fromkeys(line for line in self._lines() if not line.startswith(DIED_AT)))

    def deaths(self) -> Counter[str]:
        """How many processes died at each step."""
        return Counter(line.removeprefix(DIED_AT) for line in self._lines() if line.startswith(DIED_AT))

    def left(self) -> Sequence[str]:
        """Where no process died, by rank."""
        deaths = self.deaths()
        return sorted((step for step in self.known() if step not in deaths), key=_rank)

    def next(self) -> str:
        """Where the next process is to die, as MODELKIN_DIE_AT; empty while no steps are known."""
        rank = self.choices.choice(RANKS)
        left = [step for step in self.left() if _rank(step) <= rank]
        known = self.known()
        if left or not known:
            return ",".join(left)
        return f"{self.choices.choice(known)}#{self.choices.choice(PASSES)}"

    def _lines(self) -> Sequence[str]:
        return self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else ()
