"""What hangs on a dataset, a job or a version: everything that came from it, at any distance."""

import bisect
from collections.abc import AsyncIterator
from dataclasses import dataclass

from services.versioning.cursors import Position, Walks, cursor_after, position_of
from services.versioning.edges import dataset_node, job_node, origin, place_of, version_node
from services.versioning.lineage import existing
from services.versioning.ports import LineageStore, Recorded
from services.versioning.walks import Step, levels_below
from shared.errors import NotFound, Refused
from shared.queries import AffectedPage, AffectedVersion, GetAffected, fitting
from shared.texts import shown


@dataclass(frozen=True, slots=True)
class Root:
    """What others hang on: a version, or something that versions came from."""

    node: str
    origin: str | None = None
    """By what the versions are found that came from it; None where it is itself a version."""


def dataset_root(workspace: str, name: str, version: str | None) -> Root:
    return Root(dataset_node(workspace, name, version), origin("dataset", workspace, name, version))


def job_root(workspace: str, job: str, version: str | None) -> Root:
    return Root(job_node(workspace, job, version), origin("job", workspace, job, version))


async def levels_of(root: Root, lineage: LineageStore) -> AsyncIterator[list[Step]]:
    """Nearest first, each version once, by name within a level; nothing where nothing came from the root.

    A version that is the root is itself affected, at distance 0.
    """
    if root.origin is None:
        first = [Step(0, one.node, one.node, one.deleted) for one in await lineage.relatives([root.node])]
    else:
        first = sorted([Step(1, one.node, root.node, one.deleted) async for one in lineage.made_with(root.origin)])
    if not first:
        return
    yield first
    nodes = [step.node for step in first]
    async for level in levels_below(nodes, lineage, distance=first[0].distance):
        yield level


async def affected_by(query: GetAffected, lineage: LineageStore, walks: Walks[list[Step]]) -> AffectedPage:
    """Every version that hangs on what is asked about.

    Raises:
        NotFound: there is no such thing.
        Refused: the question names none or several things, or its cursor is that of another.
    """
    root = root_of(query)
    question = query.model_dump_json(exclude={"after", "limit"})
    after = position_of(question, query.after) if query.after is not None else None
    steps = walks.take(question) if after else None
    if steps is None:
        steps = [step async for level in levels_of(root, lineage) for step in level]
        if not steps:
            raise await _not_found(query, lineage)
    walks.keep(question, steps)
    start = bisect.bisect_right(steps, after, key=_position) if after else 0
    page = steps[start : start + query.limit]
    recorded = await lineage.versions(step.node for step in page)
    versions = fitting(_described(step, recorded[step.node]) for step in page)
    end = start + len(versions)
    more = end < len(steps) and versions
    next_ = cursor_after(question, _position(steps[end - 1])) if more else None
    return AffectedPage(root=root.node, versions=tuple(versions), total=len(steps), next=next_)


def root_of(query: GetAffected) -> Root:
    """What the question is about.

    Raises:
        Refused: it names none or several things, or half of one.
    """
    match query:
        case GetAffected(dataset=str(name), job=None, job_version=None, model=None, version=None):
            return dataset_root(query.workspace, name, query.dataset_version)
        case GetAffected(job=str(job), dataset=None, dataset_version=None, model=None, version=None):
            return job_root(query.workspace, job, query.job_version)
        case GetAffected(
            model=str(model), version=str(version), dataset=None, dataset_version=None, job=None, job_version=None
        ):
            return Root(version_node(query.workspace, model, version))
    named = ", ".join(name for name in ASKED if getattr(query, name) is not None) or "nothing"
    raise Refused("invalid-question", f"{named} is named: expected a dataset, or a job, or a model with a version")


ASKED = ("dataset", "dataset_version", "job", "job_version", "model", "version")


async def _not_found(query: GetAffected, lineage: LineageStore) -> Refused:
    where = f"in workspace {shown(query.workspace)}"
    if query.dataset is not None:
        version = f" of version or digest {shown(query.dataset_version)}" if query.dataset_version is not None else ""
        return NotFound(
            "dataset-not-found", f"no version was trained on dataset {shown(query.dataset)}{version} {where}"
        )
    if query.job is not None:
        version = f" of version {shown(query.job_version)}" if query.job_version is not None else ""
        return NotFound("job-not-found", f"no version was trained by job {shown(query.job)}{version} {where}")
    try:
        await existing(query.workspace, query.model or "", query.version or "", lineage)
    except NotFound as missing:
        return missing
    return NotFound("version-not-found", "the version came while it was looked for: ask again")


def _position(step: Step) -> Position:
    return Position(0, step.distance, step.node)


def _described(step: Step, version: Recorded) -> AffectedVersion:
    return AffectedVersion(
        node=step.node,
        **place_of(step.node)._asdict(),
        distance=step.distance,
        via=step.via,
        services=version.services,
        deleted=version.deleted,
    )
