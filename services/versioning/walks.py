"""Walks over the graph, level by level: a level costs one read for every hundred versions in it, nothing else is read."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import NamedTuple, TypeVar

from services.versioning.ports import LineageStore, Relative
from shared.parts import parts

T = TypeVar("T")


class Step(NamedTuple):
    """A version found on a walk."""

    distance: int
    node: str
    via: str
    """One step nearer; of several the first by name."""
    deleted: bool = False


async def above(nodes: Iterable[str], lineage: LineageStore) -> set[str]:
    """These and all their ancestors."""
    seen: set[str] = set()
    level = set(nodes)
    while level:
        seen |= level
        level = {parent for one in await lineage.relatives(level) for parent in one.parents} - seen
    return seen


async def levels_above(start: Relative, lineage: LineageStore) -> AsyncIterator[list[Step]]:
    """The parents of a version, then theirs, and so on; each version once, by name within a level."""
    seen = {start.node}
    level = [start]
    distance = 0
    while True:
        distance += 1
        via = {
            parent: child.node for child in reversed(level) for parent in sorted(child.parents) if parent not in seen
        }
        if not via:
            return
        seen |= via.keys()
        level = sorted(await lineage.relatives(sorted(via)), key=_by_name)
        yield [Step(distance, one.node, via[one.node], one.deleted) for one in level]


async def levels_below(
    nodes: Sequence[str], lineage: LineageStore, *, distance: int = 0, seen: Iterable[str] = ()
) -> AsyncIterator[list[Step]]:
    """The children of versions, then theirs, and so on; each version once, by name within a level.

    Args:
        nodes: a level.
        lineage: where they are read.
        distance: of that level.
        seen: what is no longer to be shown, beside that level.
    """
    known = {*nodes, *seen}
    level = sorted(nodes)
    while level:
        distance += 1
        found: dict[str, Step] = {}
        for page in parts(level):
            for child in await lineage.children(page):
                if child.node not in known:
                    via = min(child.parents.intersection(page))
                    found[child.node] = _nearest(found.get(child.node), Step(distance, child.node, via, child.deleted))
        level = sorted(found)
        known |= found.keys()
        if level:
            yield [found[node] for node in level]


def _nearest(standing: Step | None, found: Step) -> Step:
    return found if standing is None else min(standing, found, key=lambda step: step.via)


def _by_name(relative: Relative) -> str:
    return relative.node
