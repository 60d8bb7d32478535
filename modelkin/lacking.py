"""What a rerun of a version needs and nobody recorded. Pure values."""

import re
from collections.abc import Iterator, Sequence

from pydantic import Field

from modelkin.comparing import requirements_of
from shared.queries import Status, VersionDetails
from shared.values import FromJob, Value

# Relations that need no data: bytes of the bases are calculated anew.
WITHOUT_DATA = frozenset({"merged", "quantized"})
_FULL_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_EXACT = re.compile(r"(\[[^\]]*\])?===?\s*[^\s*,]+")


class Missing(Value):
    what: str
    why: str = Field(description="why a rerun needs it")


class RecipeBase(Value):
    """A version that was started from."""

    base: str = Field(description="<workspace>/<model>@<number>; of one that is not registered, its digest")
    relation: str = Field(description="what the request said, or the file by which it was found")
    declared: bool = Field(default=True, description="false: the request did not name it, it was found by its bytes")
    package_digest: str | None = None
    status: Status | None = Field(default=None, description="null: it is not registered")
    downloadable: bool = False


def missing_from(version: VersionDetails, bases: Sequence[RecipeBase]) -> Iterator[Missing]:
    yield from _missing_data(version, bases)
    yield from _missing_code(version)
    if not version.parameters:
        yield Missing(
            what="parameters",
            why="none is recorded: a rerun would have to guess learning rate, seed and whatever else there was",
        )
    yield from _missing_environment(version)
    yield from _missing_bases(bases)
    if version.package.in_place:
        yield Missing(
            what=f"kept bytes of {version.model}@{version.version}",
            why=f"they were left at {version.source.location}: nobody keeps them from being changed or removed there,"
            " so a rerun may have nothing to be compared with but their digest",
        )


def _missing_data(version: VersionDetails, bases: Sequence[RecipeBase]) -> Iterator[Missing]:
    if not version.datasets and not any(base.relation in WITHOUT_DATA for base in bases):
        yield Missing(what="data", why="no data set is recorded: what it was trained on is not known")
    for data in version.datasets:
        if data.version is None and data.digest is None:
            yield Missing(
                what=f"version or digest of data set {data.name}",
                why="the name alone says nothing of its state: it may have grown or been cleaned since",
            )


def _missing_code(version: VersionDetails) -> Iterator[Missing]:
    code, built_in = version.code, _built_in(version)
    if code is None:
        if not built_in:
            yield Missing(what="code", why="no repository and commit are recorded: what trained it is not known")
        return
    if not _FULL_HASH.fullmatch(code.commit):
        yield Missing(
            what=f"full commit hash of {code.repository}",
            why=f"{code.commit!r} is a branch, a tag or an abbreviation: it may mean another commit one day",
        )
    if not code.entry_point and not built_in:
        yield Missing(what="entry point of the code", why="which program of the repository was run is not known")


def _built_in(version: VersionDetails) -> bool:
    """A built-in algorithm brings its code and what that runs in."""
    source = version.source
    return isinstance(source, FromJob) and bool(source.built_in_algorithm)


def _missing_environment(version: VersionDetails) -> Iterator[Missing]:
    tag = image_of_config(version)
    if version.image is None and tag:
        yield Missing(what=f"digest of image {tag}", why="the tag may be moved to another image")
    if version.image is None and not tag and not version.requirements and not _built_in(version):
        yield Missing(
            what="environment", why="neither dependencies nor an image are recorded: what it ran in is not known"
        )
    for name, restraint in requirements_of(version.requirements).items():
        if not _EXACT.fullmatch(restraint):
            yield Missing(
                what=f"exact version of dependency {name}",
                why=f"'{name}{restraint}' installs whatever is newest on the day of the rerun",
            )


def _missing_bases(bases: Sequence[RecipeBase]) -> Iterator[Missing]:
    for base in bases:
        if base.status is None:
            yield Missing(what=f"base {base.base}", why="it is not registered: there are no bytes to start from")
        elif base.status == "deleted":
            yield Missing(what=f"base {base.base}", why="it was deleted: there are no bytes to start from")
        elif not base.downloadable:
            why = "it is in quarantine" if base.status == "quarantined" else "it may not be downloaded"
            yield Missing(what=f"base {base.base}", why=f"{why}: nobody may have its bytes to start from")


def image_of_config(version: VersionDetails) -> str | None:
    location = (version.config or {}).get("swr_location")
    return location if isinstance(location, str) and location else None
