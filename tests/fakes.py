"""In-memory stand-ins. Each is run through the same contract suite as the real thing, in tests/contract."""

import contextlib
import functools
import hashlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import BinaryIO

from services.importer.domain import Unacceptable
from services.importer.ports import Blob, FoundFile, Opener, Outcome
from services.registry.domain import RegisteredVersion
from services.versioning.domain import Decision, Head, Known, ModelKey, advanced, decide, parents_of, version_node
from shared.errors import Transient
from shared.messages import (
    CommandRefused,
    ImportRequest,
    Message,
    ModelImported,
    VersionAssigned,
    VersionRefused,
    VersionReleased,
)
from shared.naming import VersionNumber
from shared.queries import ImportStatus, ModelSummary
from shared.values import Reason


class RecordingEvents:
    """The Events port: remembers what was said."""

    def __init__(self) -> None:
        self.said: list[Message] = []
        """Every call of publish, repeats too."""
        self.kept: dict[str, Message] = {}
        """What a stream would hold: one event an id."""
        self.announced: list[Message] = []
        self.away = False

    async def publish(self, event: Message) -> None:
        if self.away:
            raise Transient("the events are away")
        self.said.append(event)
        self.kept.setdefault(event.envelope.id, event)

    async def announce(self, event: Message) -> None:
        if not self.away:
            self.announced.append(event)


class InMemoryModelSource:
    """The ModelSource: packages by location, each the bytes of its files by path."""

    def __init__(self, packages: Mapping[str, Mapping[str, bytes]]) -> None:
        self._packages = packages

    @contextlib.asynccontextmanager
    async def found(self, location: str, workspace: str) -> AsyncIterator[Sequence[FoundFile]]:  # noqa: ARG002 - the port's
        files = self._files(location)
        if not files:
            raise Unacceptable(Reason.LOCATION_EMPTY, f"{location} holds no file")
        yield [
            FoundFile(path, len(files[path]), functools.partial(io.BytesIO, files[path]), _state(location, path, files))
            for path in sorted(files)
        ]

    async def folders(self, location: str, workspace: str) -> Sequence[str]:  # noqa: ARG002 - the port's
        return sorted({path.split("/")[0] for path in self._files(location) if "/" in path})

    def _files(self, location: str) -> Mapping[str, bytes]:
        if location not in self._packages:
            raise Unacceptable(Reason.LOCATION_NOT_FOUND, f"{location} does not exist")
        return self._packages[location]


def _state(location: str, path: str, files: Mapping[str, bytes]) -> str:
    return f"{location}/{path}#{hashlib.sha256(files[path]).hexdigest()}"


class InMemoryArtifactStore:
    """The ArtifactStore: bytes by digest."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    async def prepare(self) -> None:
        """It is always ready."""

    async def put(self, content: BinaryIO, progress: Callable[[int], Awaitable[None]]) -> Blob:
        try:
            held = content.read()
        except OSError as error:
            raise Unacceptable(Reason.LOCATION_UNREADABLE, f"cannot be read: {error.strerror}") from error
        await progress(len(held))
        digest = f"sha256:{hashlib.sha256(held).hexdigest()}"
        self.blobs[digest] = held
        return Blob(digest, len(held))

    async def holds(self, digests: Sequence[str]) -> set[str]:
        return self.blobs.keys() & {*digests}

    def opener(self, digest: str, size_bytes: int) -> Opener:  # noqa: ARG002 - the port's
        return functools.partial(io.BytesIO, self.blobs[digest])


class InMemoryImportStore:
    """The ImportStore: outcomes by what they stand for."""

    def __init__(self) -> None:
        self._by_request: dict[str, Outcome] = {}
        self._by_import: dict[str, Outcome] = {}
        self._blobs: dict[str, Blob] = {}

    async def ping(self) -> None:
        """It is always there."""

    async def outcome_of(self, request: ImportRequest) -> Outcome | None:
        return self._by_request.get(request.envelope.id) or self._by_import.get(request.import_id)

    async def decide(self, request: ImportRequest, outcome: Outcome) -> Outcome:
        if request.envelope.id in self._by_request:
            return self._by_request[request.envelope.id]
        if isinstance(outcome, ModelImported):
            if request.import_id in self._by_import:
                return self._by_import[request.import_id]
            self._by_import[request.import_id] = outcome
        self._by_request[request.envelope.id] = outcome
        return outcome

    async def release(self, refused: VersionRefused) -> None:
        standing = self._by_import.get(refused.import_id)
        if standing is not None and standing.envelope.id == refused.envelope.cause_id:
            del self._by_import[refused.import_id]

    async def imported(self, import_ids: Sequence[str]) -> set[str]:
        return self._by_import.keys() & {*import_ids}

    async def blobs_of(self, states: Sequence[str]) -> dict[str, Blob]:
        return {state: self._blobs[state] for state in states if state in self._blobs}

    async def remember(self, blobs: Mapping[str, Blob]) -> None:
        self._blobs = {**blobs, **self._blobs}


class InMemoryVersionStore:
    """The VersionStore: decisions in the order in which they were made."""

    def __init__(self) -> None:
        self._decisions: dict[str, Decision] = {}
        self._heads: dict[ModelKey, Head] = {}
        self._known = Known()

    async def ping(self) -> None:
        """It is always there."""

    async def decide(self, imported: ModelImported, time: datetime) -> Decision:
        if imported.envelope.id not in self._decisions:
            self._decisions[imported.envelope.id] = self._decide(imported, time)
        return self._decisions[imported.envelope.id]

    def _decide(self, imported: ModelImported, time: datetime) -> Decision:
        model = imported.workspace, imported.model
        head = self._heads.get(model, Head())
        decision = decide(imported, head, self._known, time)
        if isinstance(decision, VersionAssigned):
            self._heads[model] = advanced(head, decision)
            self._known.learn(imported, decision)
        return decision

    async def version(self, node: str) -> VersionAssigned | None:
        return next(iter(await self.versions([node])), None)

    async def versions(self, nodes: Sequence[str]) -> list[VersionAssigned]:
        return [version for version in self._assigned() if _node(version) in nodes]

    async def children(self, nodes: Sequence[str], limit: int) -> list[VersionAssigned]:
        return [version for version in self._assigned() if parents_of(version) & {*nodes}][:limit]

    def _assigned(self) -> list[VersionAssigned]:
        return [decision for decision in self._decisions.values() if isinstance(decision, VersionAssigned)]


def _node(version: VersionAssigned) -> str:
    return version_node(version.workspace, version.model, version.version)


class InMemoryModelStore:
    """The ModelStore: the halves of each version by the id of its ModelImported."""

    def __init__(self) -> None:
        self._imported: dict[str, ModelImported] = {}
        self._assigned: dict[str, VersionAssigned] = {}
        self._refused: dict[str, VersionRefused] = {}
        self._released: dict[str, VersionReleased] = {}
        self._refusals: dict[str, CommandRefused] = {}

    async def ping(self) -> None:
        """It is always there."""

    async def record_import(self, imported: ModelImported) -> RegisteredVersion | None:
        self._imported[imported.envelope.id] = imported
        return self._whole(imported.envelope.id)

    async def record_version(self, assigned: VersionAssigned) -> RegisteredVersion | None:
        key = assigned.envelope.cause_id or ""
        self._assigned[key] = assigned
        return self._whole(key)

    async def record_refusal(self, refused: VersionRefused) -> None:
        self._refused[refused.envelope.cause_id or ""] = refused

    async def record_release(self, released: VersionReleased) -> VersionReleased:
        about = released.workspace, released.model, released.version
        for key, assigned in self._assigned.items():
            if (assigned.workspace, assigned.model, assigned.version) == about and key in self._imported:
                return self._released.setdefault(key, released)
        raise Transient("the version is not there")

    async def refusal_of(self, command_id: str) -> CommandRefused | None:
        return self._refusals.get(command_id)

    async def record_command_refusal(self, refused: CommandRefused) -> CommandRefused:
        return self._refusals.setdefault(refused.envelope.cause_id or "", refused)

    def _whole(self, key: str) -> RegisteredVersion | None:
        if key not in self._imported or key not in self._assigned:
            return None
        return RegisteredVersion(self._imported[key], self._assigned[key], self._released.get(key))

    async def models(self, workspace: str, after: str, limit: int) -> list[ModelSummary]:
        names = {version.assigned.model for version in self._visible() if version.assigned.workspace == workspace}
        return [self._summary(workspace, name) for name in sorted(names) if name > after][:limit]

    async def model(self, workspace: str, model: str) -> ModelSummary | None:
        return self._summary(workspace, model) if self._of(workspace, model) else None

    async def versions(
        self, workspace: str, model: str, after: VersionNumber | None, limit: int
    ) -> list[RegisteredVersion]:
        return [one for one in self._of(workspace, model) if after is None or _number(one) > after][:limit]

    async def version(self, workspace: str, model: str, number: VersionNumber) -> RegisteredVersion | None:
        return next((one for one in self._of(workspace, model) if _number(one) == number), None)

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

    def _visible(self) -> list[RegisteredVersion]:
        return [version for key in self._imported if (version := self._whole(key))]

    def _of(self, workspace: str, model: str) -> list[RegisteredVersion]:
        """Lowest number first."""
        about = [one for one in self._visible() if (one.assigned.workspace, one.assigned.model) == (workspace, model)]
        return sorted(about, key=_number)

    def _summary(self, workspace: str, model: str) -> ModelSummary:
        versions = self._of(workspace, model)
        return ModelSummary(
            workspace=workspace,
            model=model,
            versions=max(one.assigned.ordinal for one in versions),
            latest=versions[-1].assigned.version,
            created_at=min(one.registered_at for one in versions),
            updated_at=max(one.registered_at for one in versions),
        )


def _number(version: RegisteredVersion) -> VersionNumber:
    return VersionNumber.parse(version.assigned.version)
