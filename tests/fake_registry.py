"""The registry's stores in memory: what was said, and everything else worked out from it anew at every look."""

from collections.abc import Sequence
from datetime import datetime

from services.registry.changes.documents import grants_in
from services.registry.documents import when
from services.registry.domain import RegisteredVersion, bytes_of
from services.registry.ports import Answer, Granted, Told
from services.registry.rules.known import Asked, Head, Known
from services.registry.rules.placement import (
    Placement,
    Report,
    ServiceState,
    mode_in,
    state_in,
    weights_in,
)
from shared.errors import NotYet
from shared.messages import (
    AliasMoved,
    Change,
    DeploymentReport,
    DeploymentRequested,
    LineageExtended,
    Message,
    ModelImported,
    ModelMessage,
    RestrictionLifted,
    RolloutRequested,
    VersionAssigned,
    VersionDeleted,
    VersionEdited,
    VersionRefused,
    VersionReleased,
    VersionRestricted,
)
from shared.naming import VersionNumber
from shared.queries import AliasState, ImportStatus, ModelSummary
from shared.values import Restriction


class InMemoryRegistry:
    """ModelStore, ChangeStore, ListingStore and Readings in one."""

    def __init__(self) -> None:
        self._imported: dict[str, ModelImported] = {}
        self._assigned: dict[str, VersionAssigned] = {}
        self._refused: dict[str, VersionRefused] = {}
        self._events: dict[str, ModelMessage] = {}
        self._answers: dict[str, Answer] = {}
        self._said: dict[tuple[str, str], int] = {}

    async def ping(self) -> None:
        """It is always there."""

    # Halves

    async def record_import(self, imported: ModelImported) -> RegisteredVersion | None:
        self._imported[imported.envelope.id] = imported
        return self._whole(imported.envelope.id)

    async def record_version(self, assigned: VersionAssigned) -> RegisteredVersion | None:
        key = assigned.envelope.cause_id or ""
        self._assigned[key] = assigned
        return self._whole(key)

    async def record_refusal(self, refused: VersionRefused) -> None:
        self._refused[refused.envelope.cause_id or ""] = refused

    async def version(self, workspace: str, model: str, number: VersionNumber) -> RegisteredVersion | None:
        return next((one for one in self._of(workspace, model) if one.number == number), None)

    async def import_status(self, import_id: str) -> ImportStatus | None:
        halves = {**self._imported, **self._refused}
        attempts = [self._status(key, half) for key, half in halves.items() if half.import_id == import_id]
        by_rank = {"published": 2, "publishing": 1, "failed": 0}
        return max(reversed(attempts), key=lambda attempt: by_rank[attempt.status], default=None)

    def _status(self, key: str, half: ModelImported | VersionRefused) -> ImportStatus:
        about = {"import_id": half.import_id, "workspace": half.workspace, "model": half.model}
        if isinstance(half, VersionRefused):
            return ImportStatus(**about, status="failed", reason=half.reason, message=half.message)
        if self._whole(key):
            return ImportStatus(**about, status="published", version=self._assigned[key].version)
        return ImportStatus(**about, status="publishing")

    def _whole(self, key: str, at: datetime | None = None) -> RegisteredVersion | None:
        if key not in self._imported or key not in self._assigned:
            return None
        assigned = self._assigned[key]
        found = RegisteredVersion(self._imported[key], assigned)
        about = [
            one
            for one in self._happened(found.workspace, found.model, at)
            if getattr(one, "version", None) == assigned.version
        ]
        return RegisteredVersion(
            found.imported,
            assigned,
            released=next((one for one in about if isinstance(one, VersionReleased)), None),
            edited=next((one for one in reversed(about) if isinstance(one, VersionEdited)), None),
            lifted=next((one for one in about if isinstance(one, RestrictionLifted)), None),
            deleted=next((one for one in about if isinstance(one, VersionDeleted)), None),
            found_later=tuple(
                sorted({node for one in about if isinstance(one, VersionRestricted) for node in one.restricted_by})
            ),
        )

    def _of(self, workspace: str, model: str) -> list[RegisteredVersion]:
        """Lowest number first."""
        whole = (version for key in self._imported if (version := self._whole(key)))
        about = [one for one in whole if (one.workspace, one.model) == (workspace, model)]
        return sorted(about, key=lambda one: one.number)

    # Lists

    async def refresh(self, versions: Sequence[RegisteredVersion]) -> None:
        """They are worked out from the events."""

    async def model(self, workspace: str, model: str) -> ModelSummary | None:
        versions = self._of(workspace, model)
        live = [one for one in versions if not one.deleted]
        if not versions:
            return None
        return ModelSummary(
            workspace=workspace,
            model=model,
            versions=max(one.assigned.ordinal for one in versions),
            deleted=len(versions) - len(live),
            latest=(live or versions)[-1].assigned.version,
            created_at=min(one.registered_at for one in versions),
            updated_at=max(one.registered_at for one in versions),
        )

    async def latest(self, workspace: str, model: str) -> VersionNumber | None:
        return max((one.number for one in self._of(workspace, model) if not one.deleted), default=None)

    # Changes

    async def known(self, workspace: str, model: str, asked: Asked) -> Known:
        changes = self._changes(workspace, model)
        deletions = sum(isinstance(one, VersionDeleted) for one in changes)
        summary = await self.model(workspace, model)
        versions = {one.assigned.version: one for one in self._of(workspace, model)}
        asked_for = {version: versions[version] for version in asked.versions if version in versions}
        pointing = self._pointing(workspace, model)
        service = await self.service(workspace, asked.service) if asked.service else None
        twins = {version: await self.twin(one) for version, one in asked_for.items() if asked.twins}
        return Known(
            head=Head(len(changes), changes[-1].envelope.time, deletions) if changes else Head(),
            had=summary.versions if summary else 0,
            versions=asked_for,
            aliases={
                alias: to
                for alias, to in pointing.items()
                if alias == asked.alias or (asked.whole and to in asked.versions)
            },
            owner=service.model if service else None,
            service=service,
            placements=tuple(await self.placements_of(workspace, model, asked.versions)) if asked.whole else (),
            twins={version: twin for version, twin in twins.items() if twin},
        )

    async def standing(self, command_id: str) -> list[Message]:
        caused = [one for one in self._events.values() if one.envelope.cause_id == command_id]
        changes = sorted((one for one in caused if isinstance(one, Change)), key=lambda one: one.ordinal)
        return [*changes, *([self._answers[command_id]] if command_id in self._answers else [])]

    async def append(self, change: Change, *, founds: bool = False) -> bool:
        others = self._changes(change.workspace, change.model)
        if any(one.ordinal == change.ordinal for one in others) or change.envelope.id in self._events:
            return False
        if founds and await self.service(change.workspace, getattr(change, "service", "")):
            return False
        self._events[change.envelope.id] = change
        return True

    async def record_change(self, change: Change) -> None:
        head = len(self._changes(change.workspace, change.model))
        if change.ordinal > head + 1:
            raise NotYet("what comes before is not there yet")
        version = getattr(change, "version", None)
        if change.ordinal == head + 1:
            if isinstance(change, VersionReleased | VersionEdited | RestrictionLifted | VersionDeleted):
                await self._expect(change.workspace, change.model, str(version))
            self._events[change.envelope.id] = change
            await self.mark_said(change)

    async def _expect(self, workspace: str, model: str, version: str) -> None:
        if await self.version(workspace, model, VersionNumber.parse(version)) is None:
            raise NotYet("the version is not whole yet")

    async def unsaid_before(self, change: Change) -> list[Change]:
        said = self._said.get((change.workspace, change.model), 0)
        return [one for one in self._changes(change.workspace, change.model) if said < one.ordinal < change.ordinal]

    async def mark_said(self, change: Change) -> None:
        key = change.workspace, change.model
        self._said[key] = max(self._said.get(key, 0), change.ordinal)

    async def record_answer(self, answer: Answer) -> Answer:
        return self._answers.setdefault(answer.envelope.cause_id or "", answer)

    async def lowest_live(self, workspace: str, model: str, limit: int) -> list[str]:
        return [one.assigned.version for one in self._of(workspace, model) if not one.deleted][:limit]

    async def record_restriction(self, restricted: VersionRestricted) -> None:
        await self._expect(restricted.workspace, restricted.model, restricted.version)
        self._events.setdefault(restricted.envelope.id, restricted)

    async def record_extension(self, extended: LineageExtended) -> None:
        self._events.setdefault(extended.envelope.id, extended)

    async def record_report(self, report: DeploymentReport) -> bool:
        asked = self._requests(report.workspace, report.service)
        if not any(report.version in weights_in(one) and one.model == report.model for one in asked):
            return False
        self._events.setdefault(report.envelope.id, report)
        return True

    async def twin(self, version: RegisteredVersion) -> str | None:
        for key, other in self._imported.items():
            same = other.workspace == version.workspace and bytes_of(other) & version.guarded_bytes
            if same and other != version.imported and Restriction.AUTO_LEARNING in other.restrictions:
                number = f" {self._assigned[key].version}" if key in self._assigned else ""
                return f"{other.model}{number}"
        return None

    # Services

    async def service(self, workspace: str, service: str) -> ServiceState | None:
        asked = self._requests(workspace, service)
        if not asked:
            return None
        newest = asked[-1]
        return ServiceState(workspace, service, newest.model, mode_in(newest), newest.ordinal)

    async def placements_in(self, workspace: str, service: str) -> list[Placement]:
        named = {version for one in self._requests(workspace, service) for version in weights_in(one)}
        return [self._placement(workspace, service, one) for one in sorted(named, key=VersionNumber.parse)]

    async def placements_of(
        self, workspace: str, model: str, versions: Sequence[str] | str, at: datetime | None = None
    ) -> list[Placement]:
        wanted = [versions] if isinstance(versions, str) else versions
        asked = [one for one in self._happened(workspace, model, at) if _is_request(one)]
        pairs = {(one.service, version) for one in asked for version in weights_in(one) if version in wanted}
        return [self._placement(workspace, service, version, at) for service, version in sorted(pairs)]

    def _placement(self, workspace: str, service: str, version: str, at: datetime | None = None) -> Placement:
        asked = self._requests(workspace, service, at)
        naming = [one for one in asked if version in weights_in(one)][-1]
        reports = [
            one
            for one in self._happened(workspace, naming.model, at)
            if isinstance(one, DeploymentReport) and (one.service, one.version) == (service, version)
        ]
        said = max(reports, key=when, default=None)
        return Placement(
            service=service,
            mode=mode_in(naming),
            version=version,
            weight=weights_in(naming)[version],
            named=naming == asked[-1],
            requested_at=naming.envelope.time,
            report=Report(said.envelope.time, state_in(said), said.message[:1000]) if said else None,
        )

    def _requests(
        self, workspace: str, service: str, at: datetime | None = None
    ) -> list[DeploymentRequested | RolloutRequested]:
        asked = [one for one in self._happened(workspace, None, at) if _is_request(one) and one.service == service]
        return sorted(asked, key=lambda one: one.ordinal)

    # Aliases, grants, history

    async def alias(self, workspace: str, model: str, alias: str, at: datetime | None = None) -> str | None:
        return self._pointing(workspace, model, at).get(alias)

    async def aliases(self, workspace: str, model: str) -> list[AliasState]:
        moves = {one.alias: one for one in self._changes(workspace, model) if isinstance(one, AliasMoved)}
        return [
            AliasState(alias=alias, version=one.new, moved_by=one.by, moved_at=one.envelope.time, why=one.why)
            for alias, one in sorted(moves.items())
            if one.new
        ]

    async def aliases_of(self, workspace: str, model: str, version: str, at: datetime | None = None) -> list[str]:
        return sorted(alias for alias, to in self._pointing(workspace, model, at).items() if to == version)

    def _pointing(self, workspace: str, model: str, at: datetime | None = None) -> dict[str, str]:
        moves = [one for one in self._happened(workspace, model, at) if isinstance(one, AliasMoved)]
        newest = {one.alias: one.new for one in sorted(moves, key=lambda one: one.ordinal)}
        return {alias: to for alias, to in newest.items() if to}

    async def grant(self, grant_id: str) -> Granted | None:
        for one in self._events.values():
            for version, grant in grants_in(one).items() if isinstance(one, Change) else ():
                if grant.id == grant_id:
                    return Granted(grant, one.workspace, one.model, version)
        return None

    async def history(self, workspace: str, model: str, version: str | None, after: str, limit: int) -> list[Told]:
        told = [
            Told(when(one), one, getattr(one, "by", one.envelope.source)) for one in self._happened(workspace, model)
        ]
        told += [
            Told(when(one.assigned), one.assigned, one.imported.requested_by) for one in self._of(workspace, model)
        ]
        about = [one for one in told if version is None or version in _versions_in(one.event)]
        return sorted(one for one in about if one.key > after)[:limit]

    def _changes(self, workspace: str, model: str) -> list[Change]:
        changes = (one for one in self._happened(workspace, model) if isinstance(one, Change))
        return sorted(changes, key=lambda one: one.ordinal)

    def _happened(self, workspace: str, model: str | None, at: datetime | None = None) -> list[ModelMessage]:
        return [
            one
            for one in self._events.values()
            if one.workspace == workspace and model in {None, one.model} and (at is None or one.envelope.time <= at)
        ]


class InMemoryPast:
    """The Past of an InMemoryRegistry."""

    def __init__(self, registry: InMemoryRegistry) -> None:
        self._registry = registry

    async def alias(self, workspace: str, model: str, alias: str, at: datetime) -> str | None:
        return await self._registry.alias(workspace, model, alias, at)

    async def latest(self, workspace: str, model: str, at: datetime) -> str | None:
        versions = [await self.version(one, at) for one in self._registry._of(workspace, model)]
        there = [one for one in versions if one.registered_at <= at and not one.deleted]
        return there[-1].assigned.version if there else None

    async def version(self, version: RegisteredVersion, at: datetime) -> RegisteredVersion:
        return self._registry._whole(version.imported.envelope.id, at) or version

    async def aliases_of(self, workspace: str, model: str, version: str, at: datetime) -> list[str]:
        return await self._registry.aliases_of(workspace, model, version, at)

    async def placements_of(self, workspace: str, model: str, version: str, at: datetime) -> list[Placement]:
        return await self._registry.placements_of(workspace, model, version, at)


def _is_request(event: Message) -> bool:
    return isinstance(event, DeploymentRequested | RolloutRequested)


def _versions_in(event: Message) -> set[str]:
    match event:
        case AliasMoved():
            return {version for version in (event.old, event.new) if version}
        case RolloutRequested():
            return {target.version for target in event.targets}
        case _:
            return {event.version}
