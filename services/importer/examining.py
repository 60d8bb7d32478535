"""What an importer finds of itself: its database, the artifact store, the room that is left."""

import io
import shutil
import uuid
from pathlib import Path

from services.importer.domain import Unacceptable
from services.importer.garbage.store import MongoGarbageStore
from services.importer.ports import ArtifactStore
from services.importer.sources.folders import path_of
from services.importer.store import MongoImportStore
from services.importer.threads import to_its_end
from shared.examining import Check, Checks, Prepares, index_check, store_check
from shared.queries import Finding
from shared.store import Database

# Packages of a usual size still fit above the first; below the second every import is about to be refused.
LITTLE_FREE_BYTES = 2 * 1024**3
NO_FREE_BYTES = 256 * 1024**2


def importer_checks(database: Database, artifacts: ArtifactStore, place: str) -> Checks:
    """All of them; `place` is that of the artifact store, as it is set."""

    async def in_use() -> Database:
        return database

    checks = {
        "store": store_check(database),
        "indexes": index_check(in_use, importer_stores),
        "artifacts": _artifacts_check(artifacts, place),
    }
    folder = folder_of(place)
    return checks if folder is None else {**checks, "free space": _space_check(folder)}


def importer_stores(database: Database) -> Prepares:
    return (MongoImportStore(database).prepare, MongoGarbageStore(database).prepare)


def _artifacts_check(artifacts: ArtifactStore, place: str) -> Check:
    """Put, read and remove a few bytes that nobody else has."""

    async def check() -> Finding:
        content = f"modelkin doctor {uuid.uuid4()}".encode()
        try:
            blob = await artifacts.put(io.BytesIO(content), _unheard)
        except Unacceptable as full:
            remedy = "make room, or collect garbage: modelkin gc"
            return Finding(check="artifacts", level="wrong", message=str(full), remedy=remedy)
        try:
            read = await artifacts.read(blob.digest, 0, blob.size_bytes)
        finally:
            await artifacts.remove([blob.digest])
        if read != content:
            message = f"{place} gives other bytes than were put there"
            return Finding(
                check="artifacts", level="wrong", message=message, remedy="look at that store; modelkin verify"
            )
        return Finding(check="artifacts", message=f"{place} is written and read")

    return check


async def _unheard(_: int) -> None:
    """Nobody watches a few bytes."""


def folder_of(place: str) -> Path | None:
    """That of an artifact store; None where it is no folder."""
    if "://" not in place:
        return Path(place)
    return path_of(place) if place.startswith("file://") else None


def _space_check(folder: Path) -> Check:
    async def check() -> Finding:
        usage = await to_its_end(lambda: shutil.disk_usage(folder))
        free = f"{usage.free / 1024**3:.1f} GB of {usage.total / 1024**3:.1f} GB are free in {folder}"
        if usage.free >= LITTLE_FREE_BYTES:
            return Finding(check="free space", message=free)
        level = "wrong" if usage.free < NO_FREE_BYTES else "warning"
        remedy = "make room, or collect garbage: modelkin gc"
        return Finding(check="free space", level=level, message=free, remedy=remedy)

    return check
