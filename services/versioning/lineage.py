"""The lineage graph around a version, page by page; its cost is that of what it shows."""

import bisect
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

from services.versioning.cursors import Position, Walks, cursor_after, position_of
from services.versioning.edges import node_of, version_node
from services.versioning.ports import LineageStore, Recorded, Relative
from services.versioning.walks import levels_above, levels_below
from shared.errors import NotFound
from shared.queries import GetLineage, LineageGraph, LineageVersion, fitting
from shared.texts import shown as _short
from shared.values import Edge, Value

# More than a person reads; a reply of many bytes ends before.
MOST_VERSIONS = 500
ROOT, UP, DOWN = range(3)


async def graph_around(query: GetLineage, lineage: LineageStore, walks: "Walks[Walk]") -> LineageGraph:
    """Ancestors and descendants of a version by `derived-from` and `same-bytes-as`, and all that each came from.

    Raises:
        NotFound: there is no such version.
        Refused: the cursor is none of this question.
    """
    question = query.model_dump_json(exclude={"after"})
    after = position_of(question, query.after) if query.after is not None else None
    walk = walks.take(question) if after else None
    if walk is None:
        root = await existing(query.workspace, query.model, query.version, lineage)
        walk = Walk(query, root, lineage)
    found = await walk.page(after, MOST_VERSIONS + 1)
    recorded = await lineage.versions(one.node for one in found[:MOST_VERSIONS])
    walks.keep(question, walk)
    page = fitting(_shown(one, recorded[one.node]) for one in found[:MOST_VERSIONS])
    return LineageGraph(
        root=walk.root.node,
        versions=tuple(one.version for one in page),
        edges=tuple(edge for one in page for edge in one.edges),
        truncated=walk.truncated,
        next=cursor_after(question, found[len(page) - 1].position) if len(page) < len(found) else None,
    )


async def existing(workspace: str, model: str, version: str, lineage: LineageStore) -> Relative:
    """A version that a question is about.

    Raises:
        NotFound: there is no such model, or no such version of it.
    """
    for relative in await lineage.relatives([version_node(workspace, model, version)]):
        return relative
    if await lineage.has_model(workspace, model):
        raise NotFound("version-not-found", f"{_short(model)} has no version {_short(version)}")
    raise NotFound("model-not-found", f"there is no model {_short(model)} in workspace {_short(workspace)}")


def edges_of(version: Recorded) -> Iterator[Edge]:
    """All that a version came from, and what it is deployed as."""
    yield from version.assigned.edges
    yield from version.late
    node = node_of(version.assigned)
    for service in version.services:
        yield Edge(source=node, kind="deployed-as", target=f"service:{version.assigned.workspace}/{service}")


class Walk:
    """Both ways from a version, read as far as pages were asked for."""

    def __init__(self, query: GetLineage, root: Relative, lineage: LineageStore) -> None:
        self.root = root
        self.truncated = False
        """Whether there is more beyond the depth; known when the last page is."""
        self._found = [Found(Position(ROOT, 0, root.node), 0, root.deleted)]
        self._levels = self._walk(query, lineage)

    def __len__(self) -> int:
        return len(self._found)

    async def page(self, after: Position | None, limit: int) -> list["Found"]:
        """At most so many, in order. Where it fails the walk is of no more use."""
        start = bisect.bisect_right(self._found, after, key=_position) if after else 0
        while len(self._found) < start + limit:
            level = await anext(self._levels, None)
            if level is None:
                break
            self._found += level
            start = bisect.bisect_right(self._found, after, key=_position) if after else 0
        return self._found[start : start + limit]

    async def _walk(self, query: GetLineage, lineage: LineageStore) -> AsyncIterator[list["Found"]]:
        seen = {self.root.node}
        if query.direction != "down":
            async for level in levels_above(self.root, lineage):
                if level[0].distance > query.depth:
                    self.truncated = True
                    break
                seen.update(step.node for step in level)
                yield [Found(Position(UP, step.distance, step.node), step.distance, step.deleted) for step in level]
        if query.direction != "up":
            async for level in levels_below([self.root.node], lineage, seen=seen):
                if level[0].distance > query.depth:
                    self.truncated = True
                    break
                yield [Found(Position(DOWN, step.distance, step.node), -step.distance, step.deleted) for step in level]


class Found(NamedTuple):
    position: Position
    steps: int
    deleted: bool

    @property
    def node(self) -> str:
        return self.position.node


def _position(found: Found) -> Position:
    return found.position


class Shown(Value):
    """What a reply says of a version."""

    version: LineageVersion
    edges: tuple[Edge, ...]


def _shown(found: Found, recorded: Recorded) -> Shown:
    assigned = recorded.assigned
    version = LineageVersion(
        node=found.node,
        workspace=assigned.workspace,
        model=assigned.model,
        version=assigned.version,
        assigned_at=assigned.envelope.time,
        parameters=assigned.parameters,
        metrics=assigned.metrics,
        steps=found.steps,
        deleted=recorded.deleted,
    )
    return Shown(version=version, edges=tuple(edges_of(recorded)))
