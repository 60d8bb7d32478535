"""Part `memory`: what a process needs to import a package as a whole, from finding to inspection, small and large.

As a program it imports one location twice, and says what that took:
`python -m tests.bench.memory LOCATION ARTIFACTS SPOOL MONGO_URL`.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import services.importer.__main__ as importer
from modelkin.processes import start_mongo, stopping
from services.importer.artifacts.opening import open_artifacts
from services.importer.copying import Copying
from services.importer.domain import UnsafePolicy
from services.importer.gathering import Gathering
from services.importer.importing import Importing
from services.importer.inspection.worker import ProcessInspector
from services.importer.large import LargeImports
from services.importer.secrets import Secrets
from services.importer.settings import TEBIBYTE
from services.importer.sources.limits import Limits
from services.importer.sources.routing import Sources
from services.importer.store import MongoImportStore
from services.importer.templates.catalogue import Catalogue
from services.importer.under_way.places import MOST_GIVEN_OUT, Places
from shared.messages import ModelImported
from shared.store import connect
from tests.bench import models, object_store, plain
from tests.bench.bringing import AT_ONCE, DISK, S3, SETTLED_S
from tests.bench.machine import MB, children, usage_of
from tests.bench.object_store import ObjectStore
from tests.bench.tables import milliseconds, say_note, say_table, say_title
from tests.bench.workload import request_for
from tests.fakes import InMemoryUnderWay, RecordingEvents
from tests.importings import NoImages
from tests.s3 import environment_of

SMALL_KB = 64
DISK_TIMES = 4
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Imported:
    """The same location, imported twice by a fresh process."""

    first_s: float
    again_s: float
    resident_before: int
    peak_bytes: int
    inspecting_bytes: int
    """The peak of the process that inspects."""


async def measure(folder: Path, large_mb: int) -> None:
    """`large_mb` goes from S3 to S3, so many times more from disk to disk."""
    async with stopping() as servers, object_store.running(folder / "s3") as s3:
        mongo = await start_mongo(folder / "mongo", folder / "mongo.log")
        servers.append(mongo.process)
        rows = []
        for kilobytes in (SMALL_KB, large_mb * DISK_TIMES * 1024):
            package = await _package(folder / f"{kilobytes}", kilobytes)
            rows.append((_size(kilobytes), f"{DISK} → {DISK}", await _on_disk(package, folder / "imported", mongo.url)))
        for kilobytes in (SMALL_KB, large_mb * 1024):
            package = await _package(folder / f"of S3 {kilobytes}", kilobytes)
            imported = await _in_buckets(package, s3, folder / "imported", mongo.url)
            rows.append((_size(kilobytes), f"{S3} → {S3}", imported))
    _show(rows)


async def _package(folder: Path, kilobytes: int) -> Path:
    package = models.write_hollow_safetensors(folder / "model.safetensors", kilobytes * 1024).parent
    await asyncio.sleep(SETTLED_S)
    return package


def _size(kilobytes: int) -> str:
    return f"{kilobytes} KB" if kilobytes < 1024 else f"{kilobytes // 1024:,} MB"


async def _on_disk(package: Path, folder: Path, mongo_url: str) -> Imported:
    try:
        return await _in_a_process([package.as_uri(), str(folder), str(folder / "spool"), mongo_url], {})
    finally:
        shutil.rmtree(folder)


async def _in_buckets(package: Path, s3: ObjectStore, folder: Path, mongo_url: str) -> Imported:
    source, target = s3.server.bucket(), s3.server.bucket()
    await plain.folder_to_bucket(package, s3.server.store(source))
    arguments = [f"s3://{source}", f"s3://{target}", str(folder / "spool"), mongo_url]
    try:
        return await _in_a_process(arguments, environment_of(s3.server))
    finally:
        s3.remove(source)
        s3.remove(target)


async def _in_a_process(arguments: list[str], environment: Mapping[str, str]) -> Imported:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.bench.memory", *arguments],
        check=True,
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        env={**os.environ, **environment},
    )
    return Imported(**json.loads(done.stdout))


async def _import(location: str, artifacts: str, spool: str, mongo_url: str) -> Imported:
    client, name = connect(mongo_url), f"bench_{uuid.uuid4().hex[:12]}"
    importing = await _prepared(artifacts, Path(spool), MongoImportStore(client[name]))
    before = usage_of()
    first_s, again_s = [await _imported(importing, location, number) for number in range(2)]
    inspecting = [usage_of(pid).peak_bytes for pid in children()]
    peak_bytes = usage_of().peak_bytes
    await client.drop_database(name)
    return Imported(first_s, again_s, before.resident_bytes, peak_bytes, max(inspecting))


async def _prepared(place: str, spool: Path, store: MongoImportStore) -> Importing:
    """As the service puts it together, but for its events."""
    artifacts = open_artifacts(place, spool, os.environ)
    sources = Sources([Path("/")], [], Secrets(None), Limits(100_000, TEBIBYTE), spool)
    for part in (artifacts, store, sources):
        await part.prepare()
    return Importing(
        gathering=Gathering(sources, NoImages(), Catalogue.load(None)),
        copying=Copying(artifacts, store, AT_ONCE),
        artifacts=artifacts,
        inspector=ProcessInspector(),
        places=Places(InMemoryUnderWay(), MOST_GIVEN_OUT, lambda: datetime.now(UTC)),
        large=LargeImports(TEBIBYTE, at_once=1),
        max_event_bytes=MB,
        policy_of=lambda _: UnsafePolicy.REFUSE,
        events=RecordingEvents(),
        now=lambda: datetime.now(UTC),
    )


async def _imported(importing: Importing, location: str, number: int) -> float:
    started = time.perf_counter()
    outcome = await importing.bring_in(request_for(location, "memory", number))
    assert isinstance(outcome, ModelImported), f"expected an import, got {outcome}"
    return time.perf_counter() - started


def _show(rows: list[tuple[str, str, Imported]]) -> None:
    say_title("Memory of a whole import, in a fresh process")
    say_table(
        ("safetensors of", "route", "peak above start, MB", "start, MB", "inspection, MB", "import s", "again ms"),
        [
            (
                what,
                route,
                f"{(one.peak_bytes - one.resident_before) / MB:.1f}",
                f"{one.resident_before / MB:.0f}",
                f"{one.inspecting_bytes / MB:.0f}",
                f"{one.first_s:.2f}",
                milliseconds(one.again_s),
            )
            for what, route, one in rows
        ],
    )
    say_note(
        "The peaks are of resident memory. The file has a true header and holes behind it; the objects are made from"
        " it. The first import starts the process that inspects; the second finds the bytes there."
    )


if __name__ == "__main__":
    # The process that inspects loads the importer's own main module, and not this one.
    with patch.object(sys.modules["__main__"], "__file__", importer.__file__):
        result = asyncio.run(_import(*sys.argv[1:]))
    sys.stdout.write(json.dumps({name: getattr(result, name) for name in Imported.__slots__}))
