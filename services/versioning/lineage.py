"""The lineage graph around a version: walked level by level, so that its cost is that of what it shows."""

from services.versioning.domain import node_of, parents_of, version_node
from services.versioning.ports import VersionStore
from shared.errors import NotFound
from shared.messages import VersionAssigned
from shared.queries import GetLineage, LineageGraph, LineageVersion, fitting

# More than a person reads; a reply of many bytes ends before.
MOST_VERSIONS = 500


async def graph_around(query: GetLineage, store: VersionStore) -> LineageGraph:
    """Ancestors and descendants of a version by `derived-from` and `same-bytes-as`, and all that each came from.

    Raises:
        NotFound: there is no such version.
    """
    root = version_node(query.workspace, query.model, query.version)
    start = await store.version(root)
    if start is None:
        raise NotFound("version-not-found", f"{query.model} has no version {query.version}")
    up, more_up = await _ancestors(start, query.depth, store)
    down, more_down = await _descendants(root, query.depth, store)
    # The root first, so that it is what a full reply never leaves out. Edges and parameters: the event is a fair measure.
    seen = {node_of(version): version for version in (start, *up, *down)}
    shown = fitting(seen.values())
    return LineageGraph(
        root=root,
        versions=tuple(_described(node_of(version), version) for version in shown),
        edges=tuple(edge for version in shown for edge in version.edges),
        truncated=more_up or more_down or len(shown) < len(seen),
    )


async def _ancestors(start: VersionAssigned, depth: int, store: VersionStore) -> tuple[list[VersionAssigned], bool]:
    """Those found, and whether there are more."""
    seen = {node_of(start)}
    found: list[VersionAssigned] = []
    wanted = parents_of(start) - seen
    for _ in range(depth):
        room = MOST_VERSIONS - len(found)
        if not wanted or room == 0:
            break
        level = await store.versions(sorted(wanted)[:room])
        found += level
        if len(wanted) > room:
            return found, True
        seen |= wanted
        wanted = {parent for version in level for parent in parents_of(version)} - seen
    return found, bool(wanted)


async def _descendants(root: str, depth: int, store: VersionStore) -> tuple[list[VersionAssigned], bool]:
    """Those found, and whether there are more: each level is asked for one that does not fit, or lies too deep."""
    seen = {root}
    found: list[VersionAssigned] = []
    level = [root]
    for steps in range(depth + 1):
        # Of a level, children that were seen on another way come again: room for them too.
        children = await store.children(level, MOST_VERSIONS + len(seen) + 1) if level else []
        fresh = {node_of(child): child for child in children if node_of(child) not in seen}
        room = MOST_VERSIONS - len(found) if steps < depth else 0
        found += list(fresh.values())[:room]
        if len(fresh) > room:
            return found, True
        level = list(fresh)
        seen.update(level)
    return found, False


def _described(node: str, version: VersionAssigned) -> LineageVersion:
    return LineageVersion(
        node=node,
        workspace=version.workspace,
        model=version.model,
        version=version.version,
        assigned_at=version.envelope.time,
        parameters=version.parameters,
        metrics=version.metrics,
    )
