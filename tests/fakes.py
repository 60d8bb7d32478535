"""In-memory stand-ins. Each is run through the same contract suite as the real thing, in tests/contract."""

import contextlib
import functools
import hashlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import BinaryIO

from services.importer.domain import Unacceptable
from services.importer.garbage.ports import Round, Watcher
from services.importer.ports import Blob, Damaged, FoundFile, Kept, Opener, Outcome
from services.registry.domain import RegisteredVersion
from services.registry.listing.documents import (
    additions_to_models,
    listed_version,
    model_id,
    name_of_model,
    read_model,
    with_its_head,
)
from services.registry.listing.walking import Document, Path
from shared.errors import Transient
from shared.messages import (
    ImportRequest,
    Message,
    ModelImported,
    VersionAssigned,
    VersionDeleted,
    VersionRefused,
)
from shared.naming import VersionNumber
from shared.queries import ModelSummary
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

    async def last_assigned(self, workspace: str, model: str) -> int:
        about = (workspace, model)
        said = [one for one in self.kept.values() if isinstance(one, VersionAssigned)]
        return next((one.ordinal for one in reversed(said) if (one.workspace, one.model) == about), 0)

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
        self.half: set[str] = set()

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

    async def size_of(self, digest: str) -> int | None:
        return len(self.blobs[digest]) if digest in self.blobs else None

    async def read(self, digest: str, offset: int, size_bytes: int) -> bytes:
        if len(self.blobs.get(digest, b"")) < offset + size_bytes:
            raise Damaged(f"{digest} is not in the artifact store, or too short", "too few bytes")
        return self.blobs[digest][offset : offset + size_bytes]

    async def listed(self) -> AsyncIterator[Blob]:
        for digest in sorted(self.blobs):
            yield Blob(digest, len(self.blobs[digest]))

    async def remove(self, digests: Sequence[str]) -> None:
        for digest in digests:
            self.blobs.pop(digest, None)

    async def half_copied(self) -> Sequence[str]:
        return sorted(self.half)

    async def remove_half_copied(self, names: Sequence[str]) -> None:
        self.half -= {*names}

    def opener(self, digest: str, size_bytes: int) -> Opener:  # noqa: ARG002 - the port's
        return functools.partial(io.BytesIO, self.blobs[digest])


class InMemoryImportStore:
    """The ImportStore: outcomes by what they stand for."""

    def __init__(self) -> None:
        self._by_request: dict[str, Outcome] = {}
        self._by_import: dict[str, Outcome] = {}
        self._deletions: dict[str, Outcome | None] = {}
        self._blobs: dict[str, Blob] = {}

    async def ping(self) -> None:
        """It is always there."""

    async def outcome_of(self, request: ImportRequest) -> Outcome | None:
        return self._standing_for(request)

    def _standing_for(self, request: ImportRequest) -> Outcome | None:
        standing = self._by_request.get(request.envelope.id) or self._by_import.get(request.import_id)
        if standing is not None:
            self._by_request[request.envelope.id] = standing
        return standing

    async def decide(self, request: ImportRequest, outcome: Outcome) -> Outcome:
        standing = self._standing_for(request)
        if standing is not None:
            return standing
        if isinstance(outcome, ModelImported):
            self._by_import[request.import_id] = outcome
        self._by_request[request.envelope.id] = outcome
        return outcome

    async def release(self, refused: VersionRefused) -> None:
        standing = self._by_import.get(refused.import_id)
        if standing is not None and standing.envelope.id == refused.envelope.cause_id:
            del self._by_import[refused.import_id]

    async def delete(self, deleted: VersionDeleted) -> None:
        standing = self._deletions.setdefault(deleted.envelope.id, self._by_import.get(deleted.import_id))
        if standing is not None and self._by_import.get(deleted.import_id) is standing:
            del self._by_import[deleted.import_id]

    async def kept(self, package_digest: str) -> Kept:
        packages = [one.package for one in self._standing() if one.package.digest == package_digest]
        if not packages:
            return Kept.UNKNOWN
        return Kept.IN_PLACE if all(package.in_place for package in packages) else Kept.WHOLE

    async def packages(self) -> AsyncIterator[Sequence[str]]:
        yield [one.package.digest for one in self._standing()]

    def _standing(self) -> list[ModelImported]:
        return [one for one in self._by_import.values() if isinstance(one, ModelImported)]

    async def decided(self, request_ids: Sequence[str]) -> set[str]:
        return self._by_request.keys() & {*request_ids}

    async def imported(self, import_ids: Sequence[str]) -> set[str]:
        return self._by_import.keys() & {*import_ids}

    async def blobs_of(self, states: Sequence[str]) -> dict[str, Blob]:
        return {state: self._blobs[state] for state in states if state in self._blobs}

    async def remember(self, blobs: Mapping[str, Blob]) -> None:
        self._blobs = {**blobs, **self._blobs}


class InMemoryUnderWay:
    """The UnderWayStore."""

    def __init__(self) -> None:
        self.until: dict[str, dict[str, datetime]] = {}
        """By workspace and request."""

    async def enter(self, workspace: str, request_id: str, limit: int, now: datetime, until: datetime) -> int | None:
        counted = self.until.setdefault(workspace, {})
        if request_id not in counted and len(counted) >= limit:
            for lapsed in [other for other, its_until in counted.items() if its_until < now]:
                del counted[lapsed]
            if len(counted) >= limit:
                return len(counted)
        counted[request_id] = until
        return None

    async def leave(self, workspace: str, request_id: str) -> None:
        self.until.get(workspace, {}).pop(request_id, None)


class InMemoryGarbageStore:
    """The GarbageStore, and the Answers."""

    def __init__(self) -> None:
        self._round = Round(0, under_way=False)
        self._watchers: dict[str, Watcher] = {}
        self._holder: tuple[str | None, int] = (None, 0)
        self._doomed: dict[str, Blob] = {}
        self._going: dict[str, Blob] = {}
        self._answers: dict[str, Message] = {}

    async def round(self) -> Round:
        return self._round

    async def report(self, process: str, oldest_round: int) -> bool:
        known = self._watchers.get(process)
        self._watchers[process] = Watcher(known.beats + 1 if known else 1, oldest_round)
        return known is not None

    async def leave(self, process: str) -> None:
        self._watchers.pop(process, None)

    async def watchers(self) -> dict[str, Watcher]:
        return dict(self._watchers)

    async def strike_off(self, process: str, beats: int) -> None:
        if process in self._watchers and self._watchers[process].beats == beats:
            del self._watchers[process]

    async def holder(self) -> tuple[str | None, int]:
        return self._holder

    async def take(self, collector: str, seen: tuple[str | None, int]) -> bool:
        if self._holder != seen:
            return False
        self._holder = collector, seen[1] + 1
        return True

    async def beat(self, collector: str) -> bool:
        holder, beats = self._holder
        if holder != collector:
            return False
        self._holder = holder, beats + 1
        return True

    async def begin_round(self, collector: str) -> int:
        if self._holder[0] != collector:
            raise Transient("another process collects garbage")
        self._round = Round(self._round.number + 1, under_way=True)
        return self._round.number

    async def end(self, collector: str, *, finished: bool) -> None:
        if self._holder[0] == collector:
            self._holder = None, self._holder[1]
            if finished:
                self._round = self._round._replace(under_way=False)

    async def doom(self, blobs: Sequence[Blob]) -> None:
        for blob in blobs:
            if blob.digest not in self._going:
                self._doomed.setdefault(blob.digest, blob)

    async def doomed(self, after: str, limit: int, *, going: bool = False) -> list[Blob]:
        found = self._going if going else self._doomed
        return [found[digest] for digest in sorted(found) if digest > after][:limit]

    async def spare(self, digests: Sequence[str]) -> set[str]:
        for digest in digests:
            self._doomed.pop(digest, None)
        return self._going.keys() & {*digests}

    async def condemn(self, digests: Sequence[str]) -> set[str]:
        for digest in self._doomed.keys() & {*digests}:
            self._going[digest] = self._doomed.pop(digest)
        return self._going.keys() & {*digests}

    async def gone(self, digests: Sequence[str]) -> None:
        for digest in digests:
            self._doomed.pop(digest, None)
            self._going.pop(digest, None)

    async def answer_of(self, command: Message) -> Message | None:
        return self._answers.get(command.envelope.id)

    async def keep_answer(self, answer: Message) -> Message:
        return self._answers.setdefault(answer.envelope.cause_id or "", answer)


class InMemoryShelf:
    """A Shelf over documents."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}

    async def read(self, path: Path, *, keys_only: bool = False) -> list[Document]:  # noqa: ARG002 - the port's
        span = path.span
        found = [one for one in self.documents.values() if path.term in one.get(path.field, ())]
        above = [one for one in found if span.low < one[path.key] or (span.with_low and span.low == one[path.key])]
        return [one for one in above if one[path.key] < span.high or (span.with_high and span.high == one[path.key])]


class InMemoryListings:
    """The listings: made anew of the newest states whenever one comes."""

    def __init__(self) -> None:
        self.listings, self.models, self.names = InMemoryShelf(), InMemoryShelf(), InMemoryShelf()
        self._states: dict[tuple[str, str, str], RegisteredVersion] = {}

    async def prepare(self) -> None:
        """There is nothing to prepare."""

    async def refresh(self, versions: Sequence[RegisteredVersion]) -> None:
        for version in versions:
            key = (version.workspace, version.model, version.assigned.version)
            standing = self._states.get(key, version)
            newer = listed_version(version)["revision"] >= listed_version(standing)["revision"]
            self._states[key] = version if newer else standing
        for workspace, model in {(one.workspace, one.model) for one in versions}:
            self._make(workspace, model)

    def _make(self, workspace: str, model: str) -> None:
        states = [one for one in self._states.values() if (one.workspace, one.model) == (workspace, model)]
        self.listings.documents |= {one["_id"]: one for one in map(listed_version, states)}
        name = name_of_model(model_id(workspace, model))
        self.names.documents[name["_id"]] = name
        (whole,) = additions_to_models(states)
        model_document = {"_id": name["_id"], **whole.most, **whole.least, **whole.once}
        self.models.documents[name["_id"]] = with_its_head(model_document)

    async def model(self, workspace: str, model: str) -> ModelSummary | None:
        document = self.models.documents.get(model_id(workspace, model))
        return read_model(document) if document else None

    async def latest(self, workspace: str, model: str) -> VersionNumber | None:
        live = [
            one.number
            for one in self._states.values()
            if (one.workspace, one.model) == (workspace, model) and not one.deleted
        ]
        return max(live, default=None)

    async def models_named(self, workspace: str, names: Sequence[str]) -> list[Document]:
        ids = {model_id(workspace, name) for name in names}
        return [one for key, one in self.models.documents.items() if key in ids]

    async def versions_of(self, terms: Sequence[str]) -> list[Document]:
        return [one for one in self.listings.documents.values() if set(terms) & set(one["scopes"])]
