"""One package, from where it lies into an artifact store: by a plain copy, by the importer, and by the importer again."""

import asyncio
import contextlib
import os
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path

from services.importer.artifacts.opening import open_artifacts
from services.importer.copying import Copying
from services.importer.ports import ImportStore
from services.importer.secrets import Secrets
from services.importer.settings import TEBIBYTE
from services.importer.sources.limits import Limits
from services.importer.sources.routing import Sources
from services.importer.store import MongoImportStore
from shared.store import connect
from tests.bench import plain
from tests.bench.object_store import ObjectStore, Traffic
from tests.bench.reading import Read, counted
from tests.s3 import environment_of

# The default of MODELKIN_CONCURRENT_FILES.
AT_ONCE = 8
# A source does not trust a file that was written a moment ago to stay as it is.
SETTLED_S = 3.0
DISK, S3 = "disk", "S3"


@dataclass(frozen=True, slots=True)
class Package:
    """The same files in a folder and in a bucket."""

    folder: Path
    bucket: str
    file_count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Brought:
    """What the importer needed for it."""

    took_s: float
    read_bytes: int
    from_bucket: Traffic
    to_bucket: Traffic


@dataclass(frozen=True, slots=True)
class Round:
    plain_s: float
    digest_s: float
    first: Brought
    again: Brought


@dataclass(frozen=True, slots=True)
class Bench:
    """The servers, and a folder for what is brought."""

    folder: Path
    s3: ObjectStore
    mongo_url: str

    async def round(self, package: Package, source: str, target: str) -> Round:
        """All on a target that is empty before, but for the second import; then the target is removed."""
        async with self._emptied(target) as place:
            plain_s = await _timed(self._copied(package, source, place))
        digest_s = await _timed(asyncio.to_thread(plain.digest_all, package.folder))
        async with self._emptied(target) as place, self._store() as store:
            first = await self._brought(package, source, place, store)
            again = await self._brought(package, source, place, store)
        return Round(plain_s, digest_s, first, again)

    async def _copied(self, package: Package, source: str, place: str) -> None:
        client = self.s3.server.store
        match source, _bucket_of(place):
            case "disk", "":
                await plain.folder_to_folder(package.folder, Path(place))
            case "S3", "":
                await plain.bucket_to_folder(client(package.bucket), Path(place))
            case "disk", bucket:
                await plain.folder_to_bucket(package.folder, client(bucket))
            case _, bucket:
                await plain.bucket_to_bucket(client(package.bucket), client(bucket))

    async def _brought(self, package: Package, source: str, place: str, store: ImportStore) -> Brought:
        environment, spool = environment_of(self.s3.server), self.folder / "spool"
        artifacts = open_artifacts(place, spool, environment)
        await artifacts.prepare()
        limits = Limits(max_files=100_000, max_package_bytes=TEBIBYTE)
        sources = Sources([package.folder], [], Secrets(None, environment), limits, spool)
        location = package.folder.as_uri() if source == DISK else f"s3://{package.bucket}"
        copying, read = Copying(artifacts, store, AT_ONCE), Read()
        before = self._traffic(package, place)
        started = time.perf_counter()
        async with sources.found(location, "0") as files:
            await copying.copied(counted(files, read), _unheard)
        took_s = time.perf_counter() - started
        after = self._traffic(package, place)
        return Brought(took_s, read.size_bytes, after[0].since(before[0]), after[1].since(before[1]))

    def _traffic(self, package: Package, place: str) -> tuple[Traffic, Traffic]:
        return self.s3.traffic(package.bucket), self.s3.traffic(_bucket_of(place))

    @contextlib.asynccontextmanager
    async def _emptied(self, target: str) -> AsyncIterator[str]:
        """A place for an artifact store; what was written and deleted before is not its to pay for."""
        place = self.folder / uuid.uuid4().hex
        bucket = self.s3.server.bucket() if target == S3 else ""
        await asyncio.to_thread(os.sync)
        try:
            yield f"s3://{bucket}" if bucket else str(place)
        finally:
            if bucket:
                self.s3.remove(bucket)
            shutil.rmtree(place, ignore_errors=True)

    @contextlib.asynccontextmanager
    async def _store(self) -> AsyncIterator[ImportStore]:
        """A memory that remembers nothing."""
        client, name = connect(self.mongo_url), f"bench_{uuid.uuid4().hex[:12]}"
        try:
            store = MongoImportStore(client[name])
            await store.prepare()
            yield store
        finally:
            await client.drop_database(name)
            client.close()


def _bucket_of(place: str) -> str:
    return place.removeprefix("s3://") if place.startswith("s3://") else ""


async def _timed(work: Awaitable[None]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def _unheard(_: int) -> None:
    """Progress that nobody waits for."""
