"""Kin that nobody knew of when a version got its number: what was decided at the same time, and bases that come after their children.

A version is written down first and looked around for afterwards. Of two that are decided at
once, at least one so sees the other; what both see has one key, and is said once.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from services.versioning.domain import Kin, holds
from services.versioning.edges import derived, place_of, same_bytes, weights_in
from services.versioning.ports import Decided, Held, LineageStore, VersionStore
from services.versioning.restricting import restrict
from services.versioning.walks import above
from shared.errors import Transient
from shared.messages import LineageExtended, ModelImported
from shared.values import Edge

# Edges are written down so many at a time.
PAGE = 100
# Each round is lost to another version with the same bytes; so many in a row are not by chance.
MOST_ROUNDS = 20


async def recognise(
    imported: ModelImported, decided: Decided, store: VersionStore, lineage: LineageStore, time: datetime
) -> bool:
    """Write down what the new version says of older ones, and what was missed of it.

    Run again after a crash, it finishes what was begun. Returns whether there may be something to say.
    """
    if decided.kin is None or not (decided.met or decided.kin.parents):
        return False
    found = _Found(imported, lineage, time)
    kin = decided.kin
    held: Mapping[str, Held] = {}
    if decided.again:
        await found.read()
    async for held in settling(decided.kin, decided.met, store, lineage):
        # Before a holder is replaced: a process that dies in between leaves nothing that only it knew.
        kin = await _catch_up(kin, imported, held, found, lineage)
    await _adopt(kin, imported, held, found, lineage)
    holder = held[imported.package.digest].node if imported.package.digest in held else None
    twins = found.twins | ({holder} if holder else set())
    restricted = await restrict(imported, kin, twins - {kin.node}, found.bases_of, lineage, time)
    return decided.again or found.any or restricted


class _Found:
    """Late edges, written down page by page."""

    def __init__(self, imported: ModelImported, lineage: LineageStore, time: datetime) -> None:
        self._imported, self._lineage, self._time = imported, lineage, time
        self.bases_of: dict[str, set[str]] = {}
        """Child → the bases that it got."""
        self.twins: set[str] = set()
        """Those that have their package in common with the version, and it itself."""

    @property
    def any(self) -> bool:
        return bool(self.bases_of)

    async def read(self) -> None:
        """Take up what was written down before a crash."""
        async for page in self._lineage.recorded(self._imported.envelope.id):
            self._keep(edge for event in page if isinstance(event, LineageExtended) for edge in event.edges)

    async def add(self, edges: Iterable[Edge]) -> None:
        new = list(edges)
        self._keep(new)
        if new:
            await self._lineage.record([self._event(edge) for edge in new])

    def _keep(self, edges: Iterable[Edge]) -> None:
        for edge in edges:
            self.bases_of.setdefault(edge.source, set()).add(edge.target)
            if edge.kind == "same-bytes-as":
                self.twins |= {edge.source, edge.target}

    def _event(self, edge: Edge) -> LineageExtended:
        return self._imported.answer(
            LineageExtended,
            self._time,
            part=f"{edge.source}\n{edge.target}",
            **place_of(edge.source)._asdict(),
            edges=(edge,),
        )


async def settling(
    kin: Kin, met: Iterable[str], store: VersionStore, lineage: LineageStore
) -> AsyncIterator[Mapping[str, Held]]:
    """Let bytes that the version shares with others be known by the right one of them, whichever came here first.

    Yields who holds them, before each change of that and at its end.
    """
    for _ in range(MOST_ROUNDS):
        held = await store.claim(kin, met)
        yield held
        others = await _strangers(kin, held, lineage)
        wanted = {
            digest: one.node
            for digest, one in held.items()
            if digest in kin.held and one.node in others and _goes_before(kin, others[one.node])
        }
        if wanted:
            own = await above(kin.parents, lineage) if kin.parents else set()
            wanted = {digest: node for digest, node in wanted.items() if node not in own}
        if not wanted:
            return
        await store.take_over(kin, wanted)
    raise Transient(f"{kin.node} and others with the same weights are decided at once")


def _goes_before(kin: Kin, holder: Kin) -> bool:
    """Whether shared bytes are known by the version rather than by the holder: by the one contained in the other, else the older."""
    if holder.contains(kin) or kin.contains(holder):
        return holder.contains(kin)
    return holder.is_younger_than(kin)


async def _strangers(kin: Kin, held: Mapping[str, Held], lineage: LineageStore) -> dict[str, Kin]:
    """The holders that the version was not made from as far as it is known."""
    return await lineage.kin({one.node for one in held.values() if one.node is not None} - {kin.node} - kin.parents)


async def _catch_up(
    kin: Kin, imported: ModelImported, held: Mapping[str, Held], found: _Found, lineage: LineageStore
) -> Kin:
    """Give the version the bases that were not there yet when it was decided. Returns it with them."""
    others = await _strangers(kin, held, lineage)
    edges = list(_missed(kin, imported, held, others))
    sound = [edge for edge in edges if edge.source not in await above([edge.target], lineage)]
    await found.add(sound)
    return replace(kin, parents=kin.parents | {edge.target for edge in sound if edge.source == kin.node})


def _missed(kin: Kin, imported: ModelImported, held: Mapping[str, Held], others: Mapping[str, Kin]) -> Iterator[Edge]:
    """Edges between the version and others with bytes in common, of which neither knew when they were decided."""
    known = ((digest, one, others.get(one.node or "")) for digest, one in held.items())
    new = {digest: holder for digest, one, holder in known if holder is not None and _is_new(kin, one, holder)}
    bases: dict[str, Edge] = {}
    for base in imported.bases:
        if base.digest in new:
            holder = new[base.digest]
            bases.setdefault(holder.node, derived(kin.node, holder.node, base.relation))
    package = held.get(imported.package.digest)
    if imported.package.digest in new:
        twin = new[imported.package.digest]
        young, old = (kin, twin) if kin.is_younger_than(twin) else (twin, kin)
        yield same_bytes(young.node, old.node)
    elif package is None or package.node in {None, kin.node}:
        for file in weights_in(imported):
            if file.digest in new:
                holder = new[file.digest]
                young, old = _in_order(kin, holder)
                bases.setdefault(holder.node, derived(young.node, old.node, holds(file.path)))
    yield from bases.values()


def _is_new(kin: Kin, held: Held, holder: Kin) -> bool:
    """A holder that took over from a base that the version knows says nothing new, unless all of it is in the version."""
    return not held.before & kin.parents or kin.contains(holder)


def _in_order(one: Kin, other: Kin) -> tuple[Kin, Kin]:
    """The one that was made from the other, and that other."""
    if one.contains(other):
        return one, other
    if other.contains(one) or not one.is_younger_than(other):
        return other, one
    return one, other


async def _adopt(
    kin: Kin, imported: ModelImported, held: Mapping[str, Held], found: _Found, lineage: LineageStore
) -> None:
    """Give the version to all that waited for it, and to all that contain its weights and more."""
    own = {digest: one for digest, one in held.items() if one.node == kin.node}
    awaited = [digest for digest, one in own.items() if one.awaited]
    taken = [file for file in weights_in(imported) if file.digest in own and own[file.digest].before]
    if not awaited and not taken:
        return
    ancestors = await above([kin.node], lineage)
    for digest in awaited:
        async for page in _pages(lineage.waiting(imported.workspace, digest)):
            children = [one for one in page if kin.node not in one.parents and one.node not in ancestors]
            await found.add(derived(one.node, kin.node, one.waits[digest]) for one in children)
    if taken:
        # Whoever contains all of the weights contains any one of them.
        async for page in _pages(lineage.containing(imported.workspace, taken[0].digest)):
            larger = [one for one in page if one.contains(kin) and kin.node not in one.parents]
            children = [one for one in larger if one.node not in ancestors]
            await found.add(derived(one.node, kin.node, holds(taken[0].path)) for one in children)


async def _pages(kin: AsyncIterator[Kin]) -> AsyncIterator[list[Kin]]:
    page: list[Kin] = []
    async for one in kin:
        page.append(one)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page
