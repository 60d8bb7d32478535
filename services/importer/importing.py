"""One import from start to end: check, find, copy, manifest, and the outcome as a message."""

import asyncio
import io
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from services.importer.domain import Fault, Unacceptable, fault_of
from services.importer.manifest import manifest_of, package_of
from services.importer.ports import ArtifactStore, FoundFile, ModelSource, Outcome
from shared.messages import ImportProgressed, ImportRefused, ModelImported, TrainingSucceeded
from shared.ports import Events
from shared.values import File, Package, Reason, Source

# Versioning says most of it again, beside up to 200 edges; an event has at most 1 MiB.
LARGEST_OUTCOME_BYTES = 768 * 1024
PROGRESS_EVERY = timedelta(seconds=0.5)


class Importing:
    """Brings models in. Holds no state of its own: what was decided is the store's to know."""

    def __init__(
        self, source: ModelSource, artifacts: ArtifactStore, events: Events, now: Callable[[], datetime]
    ) -> None:
        self._source = source
        self._artifacts = artifacts
        self._events = events
        self._now = now

    async def bring_in(self, request: TrainingSucceeded) -> Outcome:
        """Import what the request names, or refuse it. Safe to run twice: bytes are kept under their digests.

        Raises:
            Transient: the artifact store is away.
        """
        fault = fault_of(request)
        if fault is not None:
            return self._refused(request, fault)
        try:
            package = await self._copy(request, await self._source.find(request.location))
        except Unacceptable as unacceptable:
            return self._refused(request, unacceptable.fault)
        imported = self._imported(request, package)
        size_bytes = len(imported.body().encode())
        if size_bytes > LARGEST_OUTCOME_BYTES:
            message = f"what is told of the model makes {size_bytes} bytes: expected at most {LARGEST_OUTCOME_BYTES}"
            return self._refused(request, Fault(Reason.METADATA_TOO_LARGE, message))
        return imported

    async def _copy(self, request: TrainingSucceeded, found: Sequence[FoundFile]) -> Package:
        progress = _Progress(self._events, request, sum(file.size_bytes for file in found), self._now)
        files = [await self._copy_file(file, progress) for file in found]
        manifest = await self._artifacts.put(io.BytesIO(manifest_of(files)), _unreported)
        return package_of(files, manifest.digest)

    async def _copy_file(self, file: FoundFile, progress: "_Progress") -> File:
        content = await asyncio.to_thread(file.open)
        try:
            blob = await self._artifacts.put(content, progress.add)
        finally:
            content.close()
        return File(path=file.path, digest=blob.digest, size_bytes=blob.size_bytes)

    def _imported(self, request: TrainingSucceeded, package: Package) -> ModelImported:
        return request.answer(
            ModelImported,
            self._now(),
            import_id=request.import_id,
            requested_by=request.envelope.source,
            requested_version=request.version,
            source=Source(method="training-job", location=request.location, job=request.job),
            package=package,
            datasets=request.datasets,
            code=request.code,
            parameters=request.parameters,
            metrics=request.metrics,
            bases=request.bases,
        )

    def _refused(self, request: TrainingSucceeded, fault: Fault) -> ImportRefused:
        return request.answer(
            ImportRefused,
            self._now(),
            workspace=request.workspace[:100],
            model=request.model[:100],
            import_id=request.import_id,
            reason=fault.reason,
            message=fault.message,
        )


class _Progress:
    """Says how far one import has come, now and then; an import that is quick says nothing."""

    def __init__(
        self, events: Events, request: TrainingSucceeded, total_bytes: int, now: Callable[[], datetime]
    ) -> None:
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
