"""Restrictions that come late: of versions that turn out to descend from one that automatic learning made."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from services.versioning.domain import Kin
from services.versioning.edges import place_of
from services.versioning.ports import LineageStore, Relative
from shared.messages import ModelImported, VersionRestricted
from shared.parts import parts

Sources = dict[str, set[str]]
"""Node → the nodes of restricted versions."""


async def restrict(
    imported: ModelImported,
    kin: Kin,
    twins: set[str],
    bases_of: Mapping[str, set[str]],
    lineage: LineageStore,
    time: datetime,
) -> bool:
    """Restrict what came from restricted versions without knowing, and all that descends from it.

    The parents are read after the version was written: one that was restricted meanwhile is
    seen here, or the version was seen from there. Returns whether anything was restricted.

    Args:
        imported: the cause.
        kin: the version that was made.
        twins: versions with the same package: the one that it is known by, and those that were found late.
        bases_of: child → bases, of the edges that were found late.
        lineage: where it is written down.
        time: of what is said.
    """
    named = {base for bases in bases_of.values() for base in bases} | kin.parents | twins
    known = await lineage.kin(named - {kin.node})
    own = {source for parent in kin.parents if parent in known for source in known[parent].restricts}
    restricts = {node: set(one.restricts) for node, one in known.items()} | {kin.node: own | kin.restricts}
    starts: Sources = {kin.node: own - kin.restricted_by}
    for child, bases in bases_of.items():
        starts.setdefault(child, set()).update(*(restricts.get(base, set()) for base in bases))
    same = [known[node] for node in twins & known.keys()]
    if kin.automatic:
        starts |= {twin.node: starts.get(twin.node, set()) | {kin.node} for twin in same if not twin.automatic}
    else:
        starts[kin.node] |= await _automatic_ones(kin, same, lineage)
    return await _spread(starts, imported, lineage, time)


async def _automatic_ones(kin: Kin, twins: Iterable[Kin], lineage: LineageStore) -> set[str]:
    """Those with the package of the version that its twins know of and it does not."""
    sources = {source for twin in twins for source in twin.restricts} - kin.restricted_by
    found = await lineage.kin(sources) if sources else {}
    return {node for node, one in found.items() if one.package == kin.package}


async def _spread(starts: Sources, imported: ModelImported, lineage: LineageStore, time: datetime) -> bool:
    """Level by level, each written down before its children are read."""
    seen: Sources = {}
    level = _fresh(starts, seen)
    found = False
    while level:
        below: Sources = {}
        for nodes in parts(sorted(level)):
            events = [
                _event(imported, one.node, source, time)
                for one in await lineage.relatives(nodes)
                for source in sorted(level[one.node] - one.restricted_by)
            ]
            found = found or bool(events)
            for page in parts(events):
                await lineage.record(page)
            _inherit(below, level, await lineage.children(nodes))
        level = _fresh(below, seen)
    return found


def _inherit(below: Sources, level: Sources, children: Iterable[Relative]) -> None:
    for child in children:
        below.setdefault(child.node, set()).update(*(level.get(parent, ()) for parent in child.parents))


def _fresh(sources: Sources, seen: Sources) -> Sources:
    """What was not seen of it; none restricts itself."""
    fresh = {node: found - seen.get(node, set()) - {node} for node, found in sources.items()}
    for node, found in fresh.items():
        seen.setdefault(node, set()).update(found)
    return {node: found for node, found in fresh.items() if found}


def _event(imported: ModelImported, node: str, source: str, time: datetime) -> VersionRestricted:
    part = f"{node}\n{source}"
    return imported.answer(VersionRestricted, time, part=part, **place_of(node)._asdict(), restricted_by=(source,))
