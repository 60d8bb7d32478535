"""A versioning in memory: its stores, run through the same contract suite as the real ones, and its handlers put together."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from services.versioning.cursors import Walks
from services.versioning.domain import Decision, Head, Kin, Known, ModelKey, advanced, decide, kin_of
from services.versioning.edges import origins_of, place_of, version_node
from services.versioning.handlers import (
    Change,
    on_change,
    on_dataset_recalled,
    on_get_affected,
    on_get_lineage,
    on_model_imported,
    on_recall_version,
)
from services.versioning.lineage import Walk
from services.versioning.ports import (
    Decided,
    DeploymentRequest,
    Held,
    Late,
    RecallAnswer,
    RecallPage,
    Recorded,
    Relative,
    requested_versions,
)
from services.versioning.telling import InOrder
from services.versioning.walks import Step
from shared.errors import Transient
from shared.messages import (
    DatasetRecalled,
    DeploymentReady,
    DeploymentReport,
    DeploymentStarted,
    LineageExtended,
    ModelImported,
    RecallVersion,
    VersionAssigned,
    VersionDeleted,
    VersionRestricted,
)
from shared.naming import VersionNumber
from shared.queries import AffectedPage, GetAffected, GetLineage, LineageGraph
from shared.values import Edge
from tests.fakes import RecordingEvents
from tests.samples import at


class InMemoryLineageStore:
    """The LineageStore: versions by node."""

    def __init__(self) -> None:
        self._kin: dict[str, Kin] = {}
        self._assigned: dict[str, VersionAssigned] = {}
        self._origins: dict[str, set[str]] = {}
        self._late_edges: dict[str, dict[tuple[str, str], Edge]] = {}
        self._late: dict[tuple[str, ...], Late] = {}
        self._deleted: set[str] = set()
        self._requested: set[tuple[str, str]] = set()
        self._reports: dict[tuple[str, str], DeploymentReport] = {}

    def add(self, imported: ModelImported, assigned: VersionAssigned, kin: Kin) -> None:
        self._kin[kin.node], self._assigned[kin.node] = kin, assigned
        self._origins[kin.node] = origins_of(imported)

    async def kin(self, nodes: Iterable[str]) -> dict[str, Kin]:
        return {node: self._kin[node] for node in nodes if node in self._kin}

    async def relatives(self, nodes: Iterable[str]) -> list[Relative]:
        return [self._relative(node) for node in nodes if node in self._kin]

    async def children(self, nodes: Iterable[str]) -> list[Relative]:
        wanted = {*nodes}
        return [self._relative(node) for node, kin in self._kin.items() if kin.parents & wanted]

    async def versions(self, nodes: Iterable[str]) -> dict[str, Recorded]:
        return {node: self._recorded(node) for node in nodes if node in self._kin}

    async def has_model(self, workspace: str, model: str) -> bool:
        return any(place_of(node)[:2] == (workspace, model) for node in self._kin)

    async def containing(self, workspace: str, digest: str) -> AsyncIterator[Kin]:
        for kin in [*self._kin.values()]:
            if place_of(kin.node).workspace == workspace and digest in kin.weights:
                yield kin

    async def waiting(self, workspace: str, digest: str) -> AsyncIterator[Kin]:
        for kin in [*self._kin.values()]:
            if place_of(kin.node).workspace == workspace and digest in kin.waits:
                yield kin

    async def made_with(self, origin: str) -> AsyncIterator[Relative]:
        for node in [node for node, origins in self._origins.items() if origin in origins]:
            yield self._relative(node)

    async def record(self, found: Sequence[Late]) -> None:
        for event in found:
            standing = self._late.setdefault(_late_key(event), event)
            node = version_node(event.workspace, event.model, event.version)
            kin = self._kin[node]
            match standing:
                case LineageExtended(edges=edges):
                    self._kin[node] = replace(kin, parents=kin.parents | {edge.target for edge in edges})
                    self._late_edges.setdefault(node, {}).update({(edge.kind, edge.target): edge for edge in edges})
                case VersionRestricted(restricted_by=sources):
                    self._kin[node] = replace(kin, restricted_by=kin.restricted_by | {*sources})

    async def recorded(self, cause_id: str) -> AsyncIterator[Sequence[Late]]:
        found = sorted((key, event) for key, event in self._late.items() if event.envelope.cause_id == cause_id)
        for _, event in found:
            yield [event]

    async def delete(self, deleted: VersionDeleted) -> None:
        node = version_node(deleted.workspace, deleted.model, deleted.version)
        if node not in self._kin:
            raise Transient(f"{node} is not there yet")
        self._deleted.add(node)

    async def request(self, requested: DeploymentRequest) -> None:
        for version in requested_versions(requested):
            self._requested.add((version_node(requested.workspace, requested.model, version), requested.service))

    async def report(self, report: DeploymentReport) -> None:
        key = version_node(report.workspace, report.model, report.version), report.service
        self._reports[key] = max(
            self._reports.get(key, report), report, key=lambda one: (one.envelope.time, one.envelope.id)
        )

    def _relative(self, node: str) -> Relative:
        kin = self._kin[node]
        return Relative(node, kin.parents, kin.restricted_by, node in self._deleted)

    def _recorded(self, node: str) -> Recorded:
        services = sorted(
            service
            for (of, service), report in self._reports.items()
            if of == node
            and isinstance(report, DeploymentStarted | DeploymentReady)
            and (of, service) in self._requested
        )
        late = tuple(self._late_edges.get(node, {}).values())
        return Recorded(self._assigned[node], late, tuple(services), node in self._deleted)


def _late_key(event: Late) -> tuple[str, ...]:
    node = version_node(event.workspace, event.model, event.version)
    match event:
        case LineageExtended(edges=edges):
            return "extended", node, *(edge.target for edge in edges)
        case VersionRestricted(restricted_by=sources):
            return "restricted", node, *sources


class InMemoryVersionStore:
    """The VersionStore: decisions in the order in which they were made."""

    def __init__(self, lineage: InMemoryLineageStore) -> None:
        self._lineage = lineage
        self._decisions: dict[str, Decision] = {}
        self._heads: dict[ModelKey, Head] = {}
        self._numbers: dict[ModelKey, set[VersionNumber]] = {}
        self._held: dict[tuple[str, str], Held] = {}

    async def ping(self) -> None:
        """It is always there."""

    async def decide(self, imported: ModelImported, time: datetime) -> Decided:
        key = imported.envelope.id
        standing = self._decisions.get(key)
        decision = standing or await self._decide(imported, time)
        self._decisions[key] = decision
        if not isinstance(decision, VersionAssigned):
            return Decided(decision, again=standing is not None)
        node = version_node(decision.workspace, decision.model, decision.version)
        kin = (await self._lineage.kin([node]))[node]
        return Decided(decision, kin, self._remember(kin), again=standing is not None)

    async def assigned_between(self, model: ModelKey, after: int, before: int) -> list[VersionAssigned]:
        made = [one for one in self._decisions.values() if isinstance(one, VersionAssigned)]
        of_model = [one for one in made if (one.workspace, one.model) == model and after < one.ordinal < before]
        return sorted(of_model, key=lambda one: one.ordinal)

    async def _decide(self, imported: ModelImported, time: datetime) -> Decision:
        model = imported.workspace, imported.model
        head = self._heads.get(model, Head())
        known = Known(
            kin=await self._lineage.kin([*self._lineage._kin]),
            holders={key: held.node for key, held in self._held.items() if held.node is not None},
            awaited={key for key, held in self._held.items() if held.node is None},
            numbers=self._numbers,
        )
        decision = decide(imported, head, known, time)
        if isinstance(decision, VersionAssigned):
            self._heads[model] = advanced(head, decision)
            self._numbers.setdefault(model, set()).add(VersionNumber.parse(decision.version))
            self._lineage.add(imported, decision, kin_of(imported, decision, known))
        return decision

    def _remember(self, kin: Kin) -> frozenset[str]:
        workspace = place_of(kin.node).workspace
        met = frozenset(digest for digest in {*kin.held, *kin.waits} if (workspace, digest) in self._held)
        for digest in kin.held:
            self._held.setdefault((workspace, digest), Held(kin.node))
        for digest in kin.waits:
            self._held.setdefault((workspace, digest), Held(None, awaited=True))
        return met

    async def claim(self, kin: Kin, digests: Iterable[str]) -> Mapping[str, Held]:
        workspace = place_of(kin.node).workspace
        wanted = {digest: (workspace, digest) for digest in digests if (workspace, digest) in self._held}
        for digest, key in wanted.items():
            if self._held[key].node is None and digest in kin.held:
                self._held[key] = replace(self._held[key], node=kin.node)
        return {digest: self._held[key] for digest, key in wanted.items()}

    async def take_over(self, kin: Kin, digests: Mapping[str, str]) -> None:
        for digest, node in digests.items():
            key = place_of(kin.node).workspace, digest
            if self._held[key].node == node:
                self._held[key] = replace(self._held[key], node=kin.node, before=self._held[key].before | {node})


class InMemoryRecallStore:
    """The RecallStore."""

    def __init__(self) -> None:
        self._pages: dict[tuple[str, int], RecallPage] = {}
        self._answers: dict[str, RecallAnswer] = {}

    async def answer(self, cause_id: str) -> RecallAnswer | None:
        return self._answers.get(cause_id)

    async def pages(self, cause_id: str) -> AsyncIterator[RecallPage]:
        for key in sorted(self._pages):
            if key[0] == cause_id:
                yield self._pages[key]

    async def write(self, cause_id: str, page: RecallPage) -> None:
        if (cause_id, page.number) in self._pages:
            raise Transient("another process wrote this page")
        if cause_id in self._answers:
            raise Transient("another process ended it")
        self._pages[cause_id, page.number] = page

    async def said(self, cause_id: str, number: int) -> None:
        self._pages[cause_id, number] = replace(self._pages[cause_id, number], events=())

    async def close(self, answer: RecallAnswer) -> RecallAnswer:
        cause_id = answer.envelope.cause_id or ""
        self._pages = {key: page for key, page in self._pages.items() if key[0] != cause_id}
        return self._answers.setdefault(cause_id, answer)


class Versioning:
    """The handlers over these stores."""

    def __init__(self) -> None:
        self.lineage = InMemoryLineageStore()
        self.store = InMemoryVersionStore(self.lineage)
        self.recalls = InMemoryRecallStore()
        self.events = RecordingEvents()
        self.in_order = InOrder(self.events)
        self.graphs: Walks[Walk] = Walks()
        self.traces: Walks[list[Step]] = Walks()

    async def hear(self, imported: ModelImported, time: datetime | None = None) -> None:
        await on_model_imported(imported, self.store, self.lineage, self.events, self.in_order, lambda: time or at(1))

    async def change(self, change: Change) -> None:
        await on_change(change, self.lineage)

    async def recall(self, cause: RecallVersion | DatasetRecalled) -> None:
        if isinstance(cause, RecallVersion):
            await on_recall_version(cause, self.lineage, self.recalls, self.events, lambda: at(9))
        else:
            await on_dataset_recalled(cause, self.lineage, self.recalls, self.events, lambda: at(9))

    async def graph(self, query: GetLineage) -> LineageGraph:
        return await on_get_lineage(query, self.lineage, self.graphs)

    async def affected(self, query: GetAffected) -> AffectedPage:
        return await on_get_affected(query, self.lineage, self.traces)
