"""The versions of a training job at a location: folders V001, V002, … each with a `model` in it."""

import asyncio
import re

from services.importer.ports import ImportStore, ModelSource
from shared.messages import training_import_id
from shared.queries import JobVersion, JobVersions, ListJobVersions
from shared.values import Job

# What training jobs number their outputs with.
VERSION_FOLDER = re.compile(r"V[0-9]{1,9}")
LOOKED_INTO_AT_ONCE = 16


async def job_versions(query: ListJobVersions, source: ModelSource, store: ImportStore) -> JobVersions:
    """Those with a `model` folder, by number.

    Raises:
        Unacceptable: the location breaks a rule.
        Transient: what holds it, or the store, is away.
    """
    base = query.location.rstrip("/")
    names = [name for name in await source.folders(base, query.workspace) if VERSION_FOLDER.fullmatch(name)]
    turn = asyncio.Semaphore(LOOKED_INTO_AT_ONCE)

    async def has_model(name: str) -> bool:
        async with turn:
            return "model" in await source.folders(f"{base}/{name}", query.workspace)

    whole = await asyncio.gather(*(has_model(name) for name in names))
    found = sorted((name for name, is_whole in zip(names, whole, strict=True) if is_whole), key=_number)
    ids = {name: training_import_id(query.workspace, query.model, Job(id=query.job, version=name)) for name in found}
    imported = await store.imported(list(ids.values()))
    return JobVersions(
        versions=tuple(
            JobVersion(version=name, location=f"{base}/{name}", imported=ids[name] in imported) for name in found
        )
    )


def _number(name: str) -> tuple[int, str]:
    return int(name[1:]), name
