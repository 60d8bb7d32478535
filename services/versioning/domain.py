"""Rules of versioning: the next number, and which versions one came from. Pure: no clock, no network, no database."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from services.versioning.edges import (
    base_node,
    circumstances,
    derived,
    digests_held,
    named_bases,
    node_of,
    parents_of,
    same_bytes,
    version_node,
    weights_in,
)
from shared.messages import ModelImported, VersionAssigned, VersionRefused
from shared.naming import FIRST, LAST, VersionNumber
from shared.values import Edge, FromAutoLearning, Reason

Decision = VersionAssigned | VersionRefused
ModelKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Head:
    """How far a model has come."""

    ordinal: int = 0
    """How many versions it has had."""
    highest: VersionNumber | None = None


@dataclass(frozen=True, slots=True)
class Kin:
    """A version, as far as others that may descend from it, or it from them, need to know it."""

    node: str
    import_id: str
    at: str
    """When its number was assigned: of two such texts the later time is the greater one."""
    parents: frozenset[str] = frozenset()
    package: str = ""
    """The digest of its package."""
    weights: frozenset[str] = frozenset()
    """The digests of its files of weights."""
    partial: bool = False
    """Whether it has more files than were listed."""
    waits: Mapping[str, str] = field(default_factory=dict)
    """Digest → relation, of bases that it was said to have and nobody held."""
    automatic: bool = False
    """Made by automatic learning."""
    restricted_by: frozenset[str] = frozenset()

    @property
    def held(self) -> frozenset[str]:
        """The digests that it is known by."""
        return self.weights | {self.package}

    @property
    def restricts(self) -> frozenset[str]:
        """What every version that came from it is restricted by."""
        return self.restricted_by | {self.node} if self.automatic else self.restricted_by

    def contains(self, other: "Kin") -> bool:
        """Whether it has all weights of the other and more: {base, adapter} was made from {base}, whichever came first."""
        return bool(other.weights) and not other.partial and other.weights < self.weights

    def is_younger_than(self, other: "Kin") -> bool:
        return (self.at, self.node) > (other.at, other.node)


@dataclass(slots=True)
class Known:
    """What the store knows of the versions that a decision touches."""

    kin: dict[str, Kin] = field(default_factory=dict)
    """By node: those of the nodes asked for that exist, the holders, and what was read above them."""
    holders: dict[tuple[str, str], str] = field(default_factory=dict)
    """(workspace, digest) → the node that these bytes are known by."""
    awaited: set[tuple[str, str]] = field(default_factory=set)
    """(workspace, digest) that versions name as their base while nobody holds it."""
    numbers: dict[ModelKey, set[VersionNumber]] = field(default_factory=dict)
    """(workspace, model) → numbers next to those asked for."""

    def learn(self, imported: ModelImported, assigned: VersionAssigned, kin: Kin) -> None:
        """Take in a version that was just decided, for those decided after it."""
        workspace = imported.workspace
        self.numbers.setdefault((workspace, imported.model), set()).add(VersionNumber.parse(assigned.version))
        held = {(workspace, digest) for digest in digests_held(imported)}
        for node in {*younger_bases(kin, self), *self._waiting_for(held - self.holders.keys())} - self.above(
            kin.parents
        ):
            self.kin[node] = replace(self.kin[node], parents=self.kin[node].parents | {kin.node})
        for key in held:
            holder = self.holders.setdefault(key, kin.node)
            if holder in self.kin and kin.node in self.kin[holder].parents:
                self.holders[key] = kin.node
        self.awaited |= {(workspace, digest) for digest in kin.waits}
        self.awaited -= self.holders.keys()
        self.kin[kin.node] = kin

    def _waiting_for(self, keys: set[tuple[str, str]]) -> list[str]:
        if not keys & self.awaited:
            return []
        digests = {digest for _, digest in keys & self.awaited}
        return [node for node, kin in self.kin.items() if digests & kin.waits.keys()]

    def above(self, nodes: Iterable[str]) -> set[str]:
        """These and their ancestors, as far as they were read."""
        seen: set[str] = set()
        level = {node for node in nodes if node in self.kin}
        while level:
            seen |= level
            level = {parent for node in level for parent in self.kin[node].parents if parent in self.kin} - seen
        return seen


def decide(imported: ModelImported, head: Head, known: Known, time: datetime) -> Decision:
    """Give an import its number and its lineage, or say why it gets none.

    A requested number is taken as it is; else it is the next one after the highest.
    """
    number = _number(imported, head)
    if number is None:
        return _refused(imported, time, Reason.VERSIONS_EXHAUSTED, _exhausted(imported, head))
    fault = next(_faults(imported, number, known), None)
    if fault is not None:
        return _refused(imported, time, *fault)
    edges = tuple(_edges(imported, number, head, known))
    parents = {edge.target for edge in edges if edge.kind in {"derived-from", "same-bytes-as"}} & known.kin.keys()
    return imported.answer(
        VersionAssigned,
        time,
        import_id=imported.import_id,
        version=str(number),
        ordinal=head.ordinal + 1,
        package_digest=imported.package.digest,
        parameters=imported.parameters,
        metrics=imported.metrics,
        edges=edges,
        restricted_by=tuple(sorted({source for parent in parents for source in known.kin[parent].restricts})),
    )


def kin_of(imported: ModelImported, assigned: VersionAssigned, known: Known) -> Kin:
    """The version as others will know it; `known` is what it was decided on."""
    held = {*digests_held(imported)}
    return Kin(
        node=node_of(assigned),
        import_id=imported.import_id,
        at=assigned.envelope.time.astimezone(UTC).isoformat(timespec="microseconds"),
        parents=frozenset(parents_of(assigned)),
        package=imported.package.digest,
        weights=frozenset(file.digest for file in weights_in(imported)),
        partial=imported.package.file_count > len(imported.package.files),
        waits={
            base.digest: base.relation
            for base in reversed(imported.bases)
            if base.digest and base.digest not in held and (imported.workspace, base.digest) not in known.holders
        },
        automatic=isinstance(imported.source, FromAutoLearning),
        restricted_by=frozenset(assigned.restricted_by),
    )


def known_then(imported: ModelImported, assigned: VersionAssigned, bases: Mapping[str, Kin]) -> Known:
    """As much of what a version was decided on as `kin_of` asks for: which bases were known by their bytes.

    That is so where the version descends from one that holds them.

    Args:
        imported: what was decided.
        assigned: the decision.
        bases: by node, the versions that it descends from.
    """
    named = {base.digest for base in imported.bases if base.digest is not None}
    parents = [bases[node] for node in parents_of(assigned) if node in bases]
    return Known(holders={(imported.workspace, digest): kin.node for kin in parents for digest in kin.held & named})


def advanced(head: Head, assigned: VersionAssigned) -> Head:
    """The head after this version."""
    number = VersionNumber.parse(assigned.version)
    return Head(assigned.ordinal, max(number, head.highest) if head.highest else number)


def ancestors_wanted(imported: ModelImported, known: Known) -> set[str]:
    """The versions above which all must be known before the import can be decided; most often none.

    That is so where it may be the base of an older version: it must not come from that one.
    """
    claimed, found = set(_claimed(imported, known)), set(_found(imported, known))
    younger = {node for node in found if _contains_import(known.kin.get(node), imported)}
    if younger or _newly_held(imported, known) & known.awaited:
        return claimed | (found - younger)
    return set()


def younger_bases(kin: Kin, known: Known) -> list[str]:
    """The versions by which the weights of this one are known, and which hold more than them."""
    workspace = kin.node.removeprefix("version:").partition("/")[0]
    held = {(workspace, digest) for digest in kin.weights} & known.holders.keys()
    holders = {known.holders[key] for key in held} & known.kin.keys()
    return sorted(holder for holder in holders if known.kin[holder].contains(kin))


def _number(imported: ModelImported, head: Head) -> VersionNumber | None:
    if imported.requested_version is not None:
        return VersionNumber.parse(imported.requested_version)
    return head.highest.next(imported.requested_bump) if head.highest else FIRST


def _exhausted(imported: ModelImported, head: Head) -> str:
    if imported.requested_bump == "patch":
        return f"{imported.model} has reached {LAST}: no number is left, expected a request for a free one"
    return (
        f"{imported.model} has reached {head.highest}: no {imported.requested_bump} number is left after it,"
        " expected a smaller step or a request for a free number"
    )


def _faults(imported: ModelImported, number: VersionNumber, known: Known) -> Iterator[tuple[Reason, str]]:
    own = version_node(imported.workspace, imported.model, str(number))
    holder = known.kin.get(own)
    if imported.requested_version is not None and holder is not None:
        message = f"{imported.model} has a version {number} already, of import {holder.import_id}: expected a number that is free"
        yield Reason.VERSION_EXISTS, message
    for base in imported.bases:
        if base.workspace not in {None, imported.workspace}:
            message = f"base {_short(base_node(imported, base))} is in another workspace: expected one of {imported.workspace}"
            yield Reason.BASE_IN_OTHER_WORKSPACE, message
    for node in named_bases(imported):
        if imported.requested_version is not None and node == own:
            message = f"base {_short(node)} is the version itself: expected one that it can descend from"
            yield Reason.LINEAGE_CYCLE, message
        if node not in known.kin:
            yield Reason.BASE_NOT_FOUND, f"base {_short(node)} is not registered: expected a version that is"
    yield from _cycles(imported, known)


def _cycles(imported: ModelImported, known: Known) -> Iterator[tuple[Reason, str]]:
    """A base cannot wait for the bytes of what is made from it."""
    fresh = {digest for _, digest in _newly_held(imported, known)}
    for base in sorted(set(_claimed(imported, known))):
        for node in sorted(known.above([base])):
            for digest in sorted(fresh & known.kin[node].waits.keys()):
                message = (
                    f"base {_short(base)} descends from this version, which holds {digest}, the base of {_short(node)}"
                )
                yield Reason.LINEAGE_CYCLE, f"{message}: expected a base that does not"


def _refused(imported: ModelImported, time: datetime, reason: Reason, message: str) -> VersionRefused:
    return imported.answer(VersionRefused, time, import_id=imported.import_id, reason=reason, message=message)


def _edges(imported: ModelImported, number: VersionNumber, head: Head, known: Known) -> Iterator[Edge]:
    """Everything the version came from."""
    workspace = imported.workspace
    node = version_node(workspace, imported.model, str(number))
    previous = _number_before(number, head, known.numbers.get((workspace, imported.model), set()))
    if previous is not None:
        yield Edge(source=node, kind="succeeds", target=version_node(workspace, imported.model, str(previous)))
    yield from circumstances(imported, node)
    yield from (derived(node, base, how) for base, how in _bases(imported, known).items())
    twin = known.holders.get((workspace, imported.package.digest))
    if twin is not None:
        yield same_bytes(node, twin)


def _number_before(number: VersionNumber, head: Head, known: set[VersionNumber]) -> VersionNumber | None:
    lower = {one for one in known | {head.highest} if one is not None and one < number}
    return max(lower, default=None)


def _bases(imported: ModelImported, known: Known) -> dict[str, str]:
    """Base versions and how each is known: named first, then found by digest; each once."""
    bases: dict[str, str] = {}
    for base in imported.bases:
        target = known.holders.get((imported.workspace, base.digest)) if base.digest else base_node(imported, base)
        if target is not None:
            bases.setdefault(target, base.relation)
    if (imported.workspace, imported.package.digest) in known.holders:
        return bases  # the whole package is another's: that is said once, not again for each file
    found = _found(imported, known)
    younger = {node for node in found if _contains_import(known.kin.get(node), imported)}
    younger -= known.above({*bases, *(found.keys() - younger)}) if younger else set()
    for holder, path in found.items():
        if holder not in younger:
            bases.setdefault(holder, holds(path))
    return bases


def holds(path: str) -> str:
    """How a base is known that was found by its bytes."""
    return f"holds its {path}"


def _claimed(imported: ModelImported, known: Known) -> Iterator[str]:
    """The versions that the import says it was made from."""
    for base in imported.bases:
        target = known.holders.get((imported.workspace, base.digest)) if base.digest else base_node(imported, base)
        if target in known.kin:
            yield target


def _found(imported: ModelImported, known: Known) -> dict[str, str]:
    """Who holds weights of the import → the first of its files that tells."""
    found: dict[str, str] = {}
    for file in weights_in(imported):
        holder = known.holders.get((imported.workspace, file.digest))
        if holder is not None:
            found.setdefault(holder, file.path)
    return found


def _newly_held(imported: ModelImported, known: Known) -> set[tuple[str, str]]:
    return {(imported.workspace, digest) for digest in digests_held(imported)} - known.holders.keys()


def _contains_import(holder: Kin | None, imported: ModelImported) -> bool:
    weights = frozenset(file.digest for file in weights_in(imported))
    partial = imported.package.file_count > len(imported.package.files)
    return holder is not None and holder.contains(Kin(node="", import_id="", at="", weights=weights, partial=partial))


def _short(node: str) -> str:
    return node.removeprefix("version:")
