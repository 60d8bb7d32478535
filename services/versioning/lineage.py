"""The lineage graph around a version: walked level by level, so that its cost is that of what it shows."""

from collections.abc import Iterable, Sequence

from services.versioning.domain import version_node
from services.versioning.ports import VersionStore
from shared.errors import NotFound
from shared.messages import VersionAssigned
from shared.queries import GetLineage, LineageGraph, LineageVersion
from shared.values import Edge

# A reply must fit into one message of 1 MiB.
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
    seen = {_node(version): version for version in (start, *up, *down)}
    return LineageGraph(
        root=root,
        versions=tuple(_described(node, version) for node, version in seen.items()),
        edges=tuple(edge for version in seen.values() for edge in version.edges),
        truncated=more_up or more_down,
    )


async def _ancestors(start: VersionAssigned, depth: int, store: VersionStore) -> tuple[list[VersionAssigned], bool]:
    seen = {_node(start)}
    found: list[VersionAssigned] = []
    level: Sequence[VersionAssigned] = [start]
    for _ in range(depth):
        wanted = _parents(level) - seen
        if not wanted or len(found) >= MOST_VERSIONS:
            break
        level = await store.versions(sorted(wanted)[: MOST_VERSIONS - len(found)])
        found += level
        seen |= wanted
    return found, bool(_parents(level) - seen)


async def _descendants(root: str, depth: int, store: VersionStore) -> tuple[list[VersionAssigned], bool]:
    seen = {root}
    found: list[VersionAssigned] = []
    level = [root]
    for _ in range(depth):
        if not level or len(found) >= MOST_VERSIONS:
            break
        touching = await store.with_edges_to(level, MOST_VERSIONS - len(found))
        children = [one for one in touching if _parents([one]) & set(level) and _node(one) not in seen]
        found += children
        level = [_node(child) for child in children]
        seen.update(level)
    return found, bool(level) and await _has_children(level, seen, store)


async def _has_children(level: Sequence[str], seen: set[str], store: VersionStore) -> bool:
    touching = await store.with_edges_to(level, MOST_VERSIONS)
    return any(_parents([one]) & set(level) and _node(one) not in seen for one in touching)


def is_descent(edge: Edge) -> bool:
    """Whether the edge says that one version was made from another."""
    return edge.kind in {"derived-from", "same-bytes-as"}


def _parents(versions: Iterable[VersionAssigned]) -> set[str]:
    return {edge.target for version in versions for edge in version.edges if is_descent(edge)}


def _node(version: VersionAssigned) -> str:
    return version_node(version.workspace, version.model, version.version)


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
