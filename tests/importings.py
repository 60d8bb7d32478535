"""An importing without processes and servers, put together from parts in memory."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from services.importer.copying import Copying
from services.importer.domain import UnsafePolicy
from services.importer.gathering import Gathering
from services.importer.importing import Importing
from services.importer.inspection.inspect import inspect_package
from services.importer.large import LargeImports
from services.importer.ports import ArtifactStore, FoundFile, ImportStore, ModelSource, ResolvedImage
from services.importer.templates.catalogue import Catalogue
from services.importer.under_way.places import MOST_GIVEN_OUT, Places
from shared.contents import Contents
from shared.values import FromImage, Image
from tests.fakes import InMemoryArtifactStore, InMemoryImportStore, InMemoryUnderWay, RecordingEvents
from tests.samples import noon

GIBIBYTE = 2**30


class DirectInspector:
    """Inspects in this process."""

    async def inspect(self, files: Sequence[FoundFile]) -> Contents:
        return inspect_package(files)


class NoImages:
    """For tests that import none."""

    async def resolve(self, source: FromImage, workspace: str) -> ResolvedImage:
        raise AssertionError(f"{source.image} of {workspace} was asked for")

    async def probe(self, image: Image, health: Mapping[str, object], workspace: str) -> None:
        raise AssertionError(f"{image.reference} of {workspace} was to be started: {health}")


def an_importing(
    source: ModelSource,
    artifacts: ArtifactStore | None = None,
    events: RecordingEvents | None = None,
    now: Callable[[], datetime] = noon,
    store: ImportStore | None = None,
    policy: UnsafePolicy = UnsafePolicy.REFUSE,
    *,
    places: Places | None = None,
    large: LargeImports | None = None,
) -> Importing:
    artifacts = artifacts or InMemoryArtifactStore()
    return Importing(
        gathering=Gathering(source, NoImages(), Catalogue.load(None)),
        copying=Copying(artifacts, store or InMemoryImportStore(), at_once=1),
        artifacts=artifacts,
        inspector=DirectInspector(),
        places=places or Places(InMemoryUnderWay(), MOST_GIVEN_OUT, now),
        large=large or LargeImports(GIBIBYTE, at_once=1),
        max_event_bytes=256 * 1024,
        policy_of=lambda _: policy,
        events=events or RecordingEvents(),
        now=now,
    )
