"""One import from start to end: gather, copy, inspect, manifest, and the outcome as a message."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.importer.copying import Copying
from services.importer.domain import Refusal, Unacceptable, UnsafePolicy, length_refusal, refusal_of, restrictions_of
from services.importer.gathering import Gathered, Gathering
from services.importer.large import LargeImports
from services.importer.manifest import manifest_of, package_of
from services.importer.package.profile import deployment_types, profile_refusals
from services.importer.ports import ArtifactStore, FoundFile, Inspector, Keep, Outcome
from services.importer.under_way.places import Places
from shared.contents import Contents
from shared.messages import ImportProgressed, ImportRefused, ImportRequest, ImportStarted, ModelImported
from shared.ports import Events
from shared.values import File, FromImage, FromTemplate, Package, Profile, Provenance, Reason, Restriction, Source

# Versioning says most of it again, beside up to 200 edges; an event has at most 1 MiB.
LARGEST_OUTCOME_BYTES = 768 * 1024
PROGRESS_EVERY = timedelta(seconds=0.5)
# Of what a refused request said of itself, so much is said again.
SAID_AGAIN = 100
UNSAFE_SAID = 16


async def not_collected(_: Sequence[str]) -> None:
    """For where nobody collects garbage."""


@dataclass(frozen=True, slots=True)
class Importing:
    """Brings models in. Holds no state of its own: what was decided is the store's to know."""

    gathering: Gathering
    copying: Copying
    artifacts: ArtifactStore
    inspector: Inspector
    places: Places
    large: LargeImports
    max_event_bytes: int
    policy_of: Callable[[str], UnsafePolicy]
    events: Events
    now: Callable[[], datetime]

    async def bring_in(self, request: ImportRequest, keep: Keep = not_collected, body_bytes: int = 0) -> Outcome:
        """Import what the request names, or refuse it. Safe to run twice: bytes are kept under their digests.

        Args:
            request: what to import.
            keep: holds what the import relies on against whoever collects garbage.
            body_bytes: how long the request was on the wire.

        Raises:
            Transient: a store, a registry or NATS is away, bytes that were there already are being removed, or there is
                no room for a large import now.
        """
        refusal = length_refusal(body_bytes, self.max_event_bytes) or refusal_of(request)
        if refusal is not None:
            return self._refused(request, refusal)
        request_id = request.envelope.id
        try:
            async with self.places.place(request.workspace, request_id):
                imported = await self.large.run(request_id, lambda: self._gathered_and_imported(request, keep))
        except Unacceptable as unacceptable:
            return self._refused(request, unacceptable.refusal)
        size_bytes = len(imported.body().encode())
        if size_bytes > LARGEST_OUTCOME_BYTES:
            message = f"what is told of the model makes {size_bytes} bytes: expected at most {LARGEST_OUTCOME_BYTES}"
            return self._refused(request, Refusal(Reason.METADATA_TOO_LARGE, message))
        return imported

    async def _gathered_and_imported(self, request: ImportRequest, keep: Keep) -> ModelImported:
        async with self.gathering.gathered(request) as gathered:
            self.large.check(gathered.size_bytes)
            return await self._import(request, gathered, keep)

    async def _import(self, request: ImportRequest, gathered: Gathered, keep: Keep) -> ModelImported:
        for refusal in profile_refusals(request, gathered.allows_batch):
            raise Unacceptable(*refusal)
        await self.events.publish(self._started(request, gathered))
        package = await self._package(request, gathered)
        await keep(package.stored)
        contents = await self.inspector.inspect(self._readable(package, gathered))
        restrictions = restrictions_of(request.origin, contents.unsafe, self.policy_of(request.workspace))
        return self._imported(request, gathered, package, contents, restrictions)

    async def _package(self, request: ImportRequest, gathered: Gathered) -> "_Brought":
        progress = _Progress(self.events, request, gathered.size_bytes, self.now)
        bring = self.copying.digested if request.reference else self.copying.copied
        files = await bring(gathered.files, progress.add)
        generated = await self.copying.copied(gathered.generated, progress.add)
        copied = generated if request.reference else [*files, *generated]
        files += generated
        for file in files:
            if gathered.judged.get(file.path, file.digest) != file.digest:
                message = f"{file.path!r} changed while it was imported: expected a package that stays as it is"
                raise Unacceptable(Reason.FILE_CHANGED, message)
        manifest = await self.artifacts.put(io.BytesIO(manifest_of(files)), _unreported)
        in_place = request.reference and bool(gathered.files)
        stored = [manifest.digest, *(file.digest for file in copied)]
        return _Brought(files, package_of(files, manifest.digest, in_place=in_place), stored)

    def _readable(self, brought: "_Brought", gathered: Gathered) -> list[FoundFile]:
        """What is kept, to be read again: so it is judged as it is kept. What stays in place is read there."""
        in_place = {file.path: file for file in gathered.files} if brought.package.in_place else {}
        return [
            in_place.get(file.path)
            or FoundFile(file.path, file.size_bytes, self.artifacts.opener(file.digest, file.size_bytes))
            for file in brought.files
        ]

    def _started(self, request: ImportRequest, gathered: Gathered) -> ImportStarted:
        return request.answer(
            ImportStarted,
            self.now(),
            import_id=request.import_id,
            method=request.origin.method,
            engine=gathered.checked.engine if gathered.checked else None,
            file_count=gathered.file_count,
            size_bytes=gathered.size_bytes,
        )

    def _imported(
        self,
        request: ImportRequest,
        gathered: Gathered,
        brought: "_Brought",
        contents: Contents,
        restrictions: tuple[Restriction, ...],
    ) -> ModelImported:
        said = {name: getattr(request, name) for name in (*Provenance.model_fields, *Profile.model_fields)}
        facts: dict[str, Any] = {
            "requested_by": request.envelope.source,
            "requested_version": request.version,
            "requested_bump": request.bump or "patch",
            "source": _source(request.origin),
            "package": brought.package,
            "deployment_types": deployment_types(request, gathered.allows_batch),
            "image": gathered.image,
            "contents": contents,
            "restrictions": restrictions,
        }
        if gathered.checked is not None:
            facts |= _configured(gathered, request)
        return request.answer(ModelImported, self.now(), import_id=request.import_id, **{**said, **facts})

    def _refused(self, request: ImportRequest, refusal: Refusal) -> ImportRefused:
        return request.answer(
            ImportRefused,
            self.now(),
            workspace=request.workspace[:SAID_AGAIN],
            model=request.model_name[:SAID_AGAIN],
            import_id=request.import_id,
            requested_by=request.envelope.source,
            reason=refusal.reason,
            message=refusal.message,
            faults=refusal.faults,
            unsafe=refusal.unsafe[:UNSAFE_SAID],
        )


@dataclass(frozen=True, slots=True)
class _Brought:
    files: Sequence[File]
    package: Package
    stored: Sequence[str]
    """The digests that the artifact store is to keep for it."""


def _source(origin: Source) -> Source:
    """Where it came from, without what is said elsewhere in full, and without what would let others in there."""
    match origin:
        case FromImage(config_location=location):
            return origin.model_copy(update={"config": None, "config_location": location and _unsigned(location)})
        case FromTemplate(inputs=inputs):
            unsigned = tuple(one.model_copy(update={"location": _unsigned(one.location)}) for one in inputs)
            return origin.model_copy(update={"inputs": unsigned})
        case _:
            return origin.model_copy(update={"location": _unsigned(origin.location)})


def _unsigned(location: str) -> str:
    """A presigned URL has its credentials in the query; events are kept for ever, and heard by many."""
    url, query, _ = location.partition("?")
    return f"{url}?…" if query and url.lower().startswith(("http://", "https://")) else location


def _configured(gathered: Gathered, request: ImportRequest) -> dict[str, Any]:
    """What the configuration says of a version. Metrics that the request names too are the request's."""
    assert gathered.checked is not None
    checked = gathered.checked
    return {
        "engine": checked.engine,
        "runtime": checked.runtime,
        "config": checked.config.document,
        "requirements": checked.requirements,
        "inference_code": checked.inference_code,
        "metrics": {**checked.config.metrics, **request.metrics},
    }


class _Progress:
    """Says how far one import has come, now and then; an import that is quick says nothing."""

    def __init__(self, events: Events, request: ImportRequest, total_bytes: int, now: Callable[[], datetime]) -> None:
        self._events = events
        self._request = request
        self._total_bytes = total_bytes
        self._done_bytes = 0
        self._now = now
        self._said_at = now()

    async def add(self, more_bytes: int) -> None:
        self._done_bytes += more_bytes
        time = self._now()
        if time - self._said_at < PROGRESS_EVERY:
            return
        self._said_at = time
        await self._events.announce(
            self._request.answer(
                ImportProgressed,
                time,
                import_id=self._request.import_id,
                done_bytes=self._done_bytes,
                total_bytes=self._total_bytes,
            )
        )


async def _unreported(_: int) -> None:
    """The manifest is ours, not bytes that the user waits for."""
