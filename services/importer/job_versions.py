"""The versions of a training job at a location: folders V001, V002, … each with a `model` in it."""

import asyncio
import re

from services.importer.ports import ImportStore, ModelSource
from shared.errors import Malformed
from shared.messages import training_import_id
from shared.queries import JobVersion, JobVersions, ListJobVersions
from shared.values import Job

# What training jobs number their outputs with.
VERSION_FOLDER = re.compile(r"V[0-9]{1,9}")
LOOKED_INTO_AT_ONCE = 16


async def job_versions(query: ListJobVersions, source: ModelSource, store: ImportStore) -> JobVersions:
    """A page of those with a `model` folder, by number.

    Raises:
        Unacceptable: the location breaks a rule.
        Transient: what holds it, or the store, is away.
    """
    base = query.location.rstrip("/")
    folders = await source.folders(base, query.workspace)
    names = sorted((name for name in folders if VERSION_FOLDER.fullmatch(name)), key=_number)
    rest = [name for name in names if query.after is None or _number(name) > _number(query.after)]
    page = rest[: query.limit]
    turn = asyncio.Semaphore(LOOKED_INTO_AT_ONCE)

    async def has_model(name: str) -> bool:
        async with turn:
            return "model" in await source.folders(f"{base}/{name}", query.workspace)

    whole = await asyncio.gather(*(has_model(name) for name in page))
    found = [name for name, is_whole in zip(page, whole, strict=True) if is_whole]
    ids = {name: training_import_id(query.workspace, query.model, Job(id=query.job, version=name)) for name in found}
    imported = await store.imported(list(ids.values()))
    return JobVersions(
        versions=tuple(
            JobVersion(version=name, location=f"{base}/{name}", imported=ids[name] in imported) for name in found
        ),
        next=page[-1] if len(page) < len(rest) else None,
    )


def _number(name: str) -> tuple[int, str]:
    if not VERSION_FOLDER.fullmatch(name):
        raise Malformed(f"job version {name[:20]!r}: expected V and a number, such as V001")
    return int(name[1:]), name
