"""How a version is made again: its recipe, as far as anybody recorded it. Pure values."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

from pydantic import AwareDatetime, Field, JsonValue

from modelkin.comparing import (
    flat,
    frameworks_of,
    job_of,
)
from modelkin.lacking import Missing, RecipeBase, image_of_config, missing_from
from shared.queries import VersionDetails
from shared.values import Base, Code, Dataset, Edge, FromJob, FromTemplate, Parameters, Value

RELATIONS = frozenset(get_args(Base.model_fields["relation"].annotation))


class RecipeImage(Value):
    reference: str
    digest: str | None
    platform: str | None = None


class Environment(Value):
    engine: str | None = None
    runtime: str | None = None
    template: str | None = None
    template_mode: str | None = None
    requirements: tuple[str, ...] = ()
    image: RecipeImage | None = None
    frameworks: dict[str, str] = Field(default_factory=dict, description="as the files of the model say")


class Origin(Value):
    """The import, and the job before it."""

    method: str
    location: str
    job: str | None = None
    built_in_algorithm: str | None = None


class Result(Value):
    """What came out, for comparing with what comes out again."""

    package_digest: str
    size_bytes: int
    metrics: dict[str, float]


class Recipe(Value):
    """Everything that is known of how a version was made, in the order in which it is needed."""

    workspace: str
    model: str
    version: str
    registered_at: AwareDatetime
    made_by: Origin
    data: tuple[Dataset, ...]
    code: Code | None
    parameters: Parameters
    environment: Environment
    bases: tuple[RecipeBase, ...]
    command: tuple[str, ...] = Field(description="a suggestion: how the job passed its parameters is not recorded")
    result: Result
    reproducible: bool
    missing: tuple[Missing, ...]


def recipe_of(version: VersionDetails, bases: Sequence[RecipeBase]) -> Recipe:
    missing = tuple(missing_from(version, bases))
    source = version.source
    return Recipe(
        workspace=version.workspace,
        model=version.model,
        version=version.version,
        registered_at=version.registered_at,
        made_by=Origin(
            method=source.method,
            location=source.location,
            job=job_of(version),
            built_in_algorithm=source.built_in_algorithm if isinstance(source, FromJob) else None,
        ),
        data=version.datasets,
        code=version.code,
        parameters=version.parameters,
        environment=_environment(version),
        bases=tuple(bases),
        command=tuple(_command(version.code, version.parameters)),
        result=Result(
            package_digest=version.package.digest, size_bytes=version.package.size_bytes, metrics=version.metrics
        ),
        reproducible=not missing,
        missing=missing,
    )


def bases_from(
    version: VersionDetails, edges: Sequence[Edge], known: Mapping[str, VersionDetails | None]
) -> list[RecipeBase]:
    """The bases of a version, those that its request named first.

    Args:
        version: the version.
        edges: those that leave it in the lineage.
        known: node → the base; None where nobody knows it any more.
    """
    derived = [edge for edge in edges if edge.kind == "derived-from"]
    found = [_base(edge, known.get(edge.target)) for edge in derived]
    held = {digest for base in known.values() if base is not None for digest in _digests(base)}
    waiting = [
        RecipeBase(base=base.digest, relation=base.relation)
        for base in version.bases
        if base.digest is not None and base.digest not in held
    ]
    return sorted([*found, *waiting], key=lambda base: not base.declared)


def _base(edge: Edge, version: VersionDetails | None) -> RecipeBase:
    how = edge.how or ""
    return RecipeBase(
        base=edge.target.removeprefix("version:"),
        relation=how,
        declared=how in RELATIONS,
        package_digest=version.package.digest if version else None,
        status=version.status if version else None,
        downloadable=version.downloadable if version else False,
    )


def _digests(version: VersionDetails) -> Iterator[str]:
    yield version.package.digest
    yield from (file.digest for file in version.package.files)


def _environment(version: VersionDetails) -> Environment:
    source, image = version.source, version.image
    template = source if isinstance(source, FromTemplate) else None
    tag = image_of_config(version)
    if image is not None:
        pinned: RecipeImage | None = RecipeImage(
            reference=image.reference, digest=image.digest, platform=image.platform
        )
    else:
        pinned = RecipeImage(reference=tag, digest=None) if tag else None
    return Environment(
        engine=version.engine,
        runtime=version.runtime,
        template=template.template if template else None,
        template_mode=template.mode if template else None,
        requirements=version.requirements,
        image=pinned,
        frameworks=frameworks_of(version),
    )


def _command(code: Code | None, parameters: Mapping[str, JsonValue]) -> Iterator[str]:
    """Lines for a shell. Words that a program would take for an option of its own are not put into a command."""
    if code is None or not code.entry_point:
        return
    if any(word.startswith("-") for word in (code.repository, code.commit, code.entry_point)):
        return
    options = [
        f"--{name}={_as_option(value)}" for name, value in flat(parameters) if not isinstance(value, list | dict)
    ]
    yield shlex.join(["git", "clone", code.repository, "code"])
    yield shlex.join(["git", "-C", "code", "checkout", "--detach", code.commit])
    yield "cd code"
    yield shlex.join([*_runner(code.entry_point), code.entry_point, *options])


def _runner(entry_point: str) -> list[str]:
    runners = {".py": ["python"], ".sh": ["sh"]}
    return next((words for suffix, words in runners.items() if entry_point.endswith(suffix)), [])


def _as_option(value: JsonValue) -> str:
    match value:
        case bool() | None:
            return str(value).lower() if value is not None else ""
        case _:
            return str(value)
