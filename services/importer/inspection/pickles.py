"""Pickles, one after another in a stream: what loading them would run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from services.importer.inspection.machine import Machine
from services.importer.inspection.reading import Stream, TooMuch, Unreadable, shortened
from services.importer.inspection.trust import Trust
from services.importer.inspection.walk import Walk

Open = Callable[[], Stream]
"""Gives a stream at its start, again and again."""
_PROTOCOL, _NEWEST = 0x80, 5
# PyTorch before 1.6 writes five, the first of which is this number; few programs append more to a file.
_MOST_PICKLES = 64
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
# So many instructions are no accident: what fails after them was meant as a pickle.
_MEANT = 3
_SHOWN_IMPORTS = 16


class Judgement(NamedTuple):
    """Why pickles should not be loaded."""

    verdict: str
    imports: tuple[str, ...]
    message: str


@dataclass(slots=True)
class Pickles:
    """The pickles that were found, in order, and where they could not be followed."""

    walks: list[Walk] = field(default_factory=list)
    failure: str | None = None
    limited: bool = False
    """Whether it was a limit of ours that ended the walk: a loader would go on."""

    @property
    def main(self) -> Walk:
        """The one that holds the model."""
        return max(self.walks, key=lambda walk: walk.instructions, default=Walk())

    @property
    def is_one(self) -> bool:
        """Whether there is a pickle at all, whole or broken."""
        return self.failure is None or self.main.instructions >= _MEANT

    @property
    def is_legacy_torch(self) -> bool:
        return bool(self.walks) and self.walks[0].result == _TORCH_MAGIC

    @property
    def worst(self) -> Trust:
        return max((walk.worst for walk in self.walks), default=Trust.HARMLESS)


def has_header(beginning: bytes) -> bool:
    """Whether bytes begin as pickles of protocol 2 and above do."""
    return len(beginning) > 1 and beginning[0] == _PROTOCOL and beginning[1] <= _NEWEST


def walk_pickles(opened: Open, start: int = 0, *, scripted: bool = False) -> Pickles:
    """Follow the pickles of a stream.

    A file with arrays between its instructions is followed twice, for joblib passes over
    the arrays and every other loader takes them for instructions.
    """
    found = _walk_each(opened, start, with_arrays=True, scripted=scripted)
    if any(walk.arrays for walk in found.walks):
        plain = _walk_each(opened, start, with_arrays=False, scripted=scripted)
        # Taken for instructions of the outer one, a nested pickle recalls what it did not remember: names out of place.
        least = Trust.DANGEROUS if any(walk.nested for walk in found.walks) else Trust.HARMLESS
        found.walks += [walk for walk in plain.walks if walk.called and walk.worst >= least]
    return found


def _walk_each(opened: Open, start: int, *, with_arrays: bool, scripted: bool) -> Pickles:
    stream = opened()
    stream.skip(start)
    pickles = Pickles()
    for place in range(_MOST_PICKLES):
        if not stream.peek(1):
            break
        walk = Walk()
        try:
            Machine(stream, walk, with_arrays=with_arrays, scripted=scripted).run()
        except Unreadable as error:
            # Behind the first there may be anything: it counts only as far as it would have run.
            pickles.limited = isinstance(error, TooMuch)
            if place == 0 or walk.called or pickles.limited:
                pickles.walks.append(walk)
                pickles.failure = str(error)
            break
        pickles.walks.append(walk)
    return pickles


def judge(pickles: Pickles, *, certain: bool) -> Judgement | None:
    """What there is to say against loading; None where nothing.

    `certain` says that the file is meant to be unpickled. Otherwise it may look like a
    pickle by chance, and what it would never come to run is not held against it.
    """
    if _is_chance(pickles, certain=certain):
        return None
    doubtful = dict.fromkeys(shortened(name, 200) for walk in pickles.walks for name in walk.doubtful())
    imports = tuple(doubtful)[:_SHOWN_IMPORTS]
    suspicions = [suspicion for walk in pickles.walks for suspicion in walk.suspicions]
    if pickles.worst is Trust.DANGEROUS:
        worst = next(walk for walk in pickles.walks if walk.worst is Trust.DANGEROUS).doubtful()[0]
        return Judgement("dangerous", imports, f"loading it may run any code: it imports {shortened(worst)}")
    if pickles.failure:
        return Judgement("unreadable", imports, f"a pickle that {pickles.failure}: expected a whole one")
    if suspicions:
        return Judgement("unknown", imports, f"cannot be judged: it {suspicions[0]}")
    if imports:
        return Judgement(
            "unknown", imports, f"it imports {shortened(imports[0])}, which is on no list of harmless names"
        )
    return None


def _is_chance(pickles: Pickles, *, certain: bool) -> bool:
    """Whether bytes that are no whole pickle only look like the beginning of one, and would run nothing."""
    if pickles.failure is None or pickles.limited:
        return False
    if any(walk.called for walk in pickles.walks):
        # Random bytes hold a call now and then, but of nothing that was imported.
        return not certain and not any(walk.imports for walk in pickles.walks)
    return not certain or (pickles.main.instructions < _MEANT and not pickles.worst)
