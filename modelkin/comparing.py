"""Two versions side by side: what is the same and what differs. Pure values; tables of them are in judgements.py.

The parts are data, bases, code, parameters, environment and metrics, each a mapping from a name to what is said under it,
and files. "left" is the version named first.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from pydantic import Field, JsonValue

from shared.queries import VersionDetails
from shared.values import Base, Dataset, File, FromAutoLearning, FromJob, FromTemplate, Value

Change = Literal["same", "changed", "added", "removed"]
Part = Mapping[str, JsonValue]
PARTS = ("data", "bases", "code", "parameters", "environment", "metrics")

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9._+-]+)\s*(\[[^\]]*\])?\s*(.*?)\s*")


class Difference(Value):
    """What both versions say under one name."""

    name: str
    change: Change
    left: JsonValue = None
    right: JsonValue = None
    difference: float | None = Field(default=None, description="of two metrics: right minus left")


class FileDifference(Value):
    """A file by its path in the right version; of a removed one, in the left."""

    path: str
    change: Literal["same", "changed", "added", "removed", "moved"]
    moved_from: str | None = Field(default=None, description="the path of the same bytes in the left version")
    left: str | None = Field(default=None, description="its digest")
    right: str | None = Field(default=None, description="its digest")


class Comparison(Value):
    left: str = Field(description="<model>@<number>")
    right: str
    data: tuple[Difference, ...]
    bases: tuple[Difference, ...]
    code: tuple[Difference, ...]
    parameters: tuple[Difference, ...]
    environment: tuple[Difference, ...]
    metrics: tuple[Difference, ...]
    files: tuple[FileDifference, ...] | None = Field(
        description="by path; null: there is no list of all files of one of them any more"
    )

    @property
    def differs(self) -> bool:
        """Whether anything that was compared is not the same."""
        parts = (one for part in PARTS for one in getattr(self, part))
        return any(one.change != "same" for one in (*parts, *(self.files or ())))


def compare(
    left: VersionDetails, right: VersionDetails, files: tuple[Sequence[File], Sequence[File]] | None
) -> Comparison:
    """Compare two versions.

    Args:
        left: one version.
        right: the other.
        files: all files of both; None where they are not known.
    """
    return Comparison(
        left=f"{left.model}@{left.version}",
        right=f"{right.model}@{right.version}",
        data=differences(*data_of(left.datasets, right.datasets)),
        bases=differences(bases_of(left), bases_of(right)),
        code=differences(code_of(left), code_of(right)),
        parameters=differences(dict(flat(left.parameters)), dict(flat(right.parameters))),
        environment=differences(environment_of(left), environment_of(right)),
        metrics=metric_differences(left.metrics, right.metrics),
        files=None if files is None else file_differences(*files),
    )


def differences(left: Part, right: Part) -> tuple[Difference, ...]:
    """Every name of both, by name."""
    return tuple(_difference(name, left, right) for name in sorted({*left, *right}))


def _difference(name: str, left: Part, right: Part) -> Difference:
    if name not in left:
        return Difference(name=name, change="added", right=right[name])
    if name not in right:
        return Difference(name=name, change="removed", left=left[name])
    change: Change = "same" if alike(left[name], right[name]) else "changed"
    return Difference(name=name, change=change, left=left[name], right=right[name])


def alike(left: JsonValue, right: JsonValue) -> bool:
    """Whether two values are the same in JSON, where 1 is 1.0 and true is no number."""
    match left, right:
        case bool(), _:
            return left is right
        case _, bool():
            return False
        case list(), list():
            return len(left) == len(right) and all(map(alike, left, right))
        case dict(), dict():
            return left.keys() == right.keys() and all(alike(left[name], right[name]) for name in left)
        case _:
            return left == right


def flat(values: Mapping[str, JsonValue], above: str = "") -> Iterator[tuple[str, JsonValue]]:
    """Nested names joined by dots: {"optimizer": {"lr": 0.1}} → optimizer.lr. A name with a dot of its own is quoted."""
    for name, value in values.items():
        plain = name and not set(name) & set('."')
        path = f"{above}{name if plain else json.dumps(name, ensure_ascii=False)}"
        if isinstance(value, dict) and value:
            yield from flat(value, f"{path}.")
        else:
            yield path, value


def data_of(left: Sequence[Dataset], right: Sequence[Dataset]) -> tuple[Part, Part]:
    """Data sets by name; with their version or digest, where a version has several of one name."""
    once = {name for name in _names(left) | _names(right) if _count(left, name) < 2 and _count(right, name) < 2}  # noqa: PLR2004 - two of a name

    def named(data: Sequence[Dataset]) -> Part:
        return {(one.name if one.name in once else _full_name(one)): _said(one) for one in data}

    return named(left), named(right)


def _names(data: Sequence[Dataset]) -> set[str]:
    return {one.name for one in data}


def _count(data: Sequence[Dataset], name: str) -> int:
    return sum(one.name == name for one in data)


def _full_name(data: Dataset) -> str:
    return "@".join(part for part in (data.name, data.version or data.digest or data.location) if part)


def _said(data: Dataset) -> JsonValue:
    """What is known of it; null where that is the name alone."""
    return data.model_dump(mode="json", include={"version", "digest", "location"}, exclude_none=True) or None


def bases_of(version: VersionDetails) -> Part:
    """The bases that the request named."""
    return {base_name(base, version.workspace): base.relation for base in version.bases}


def base_name(base: Base, workspace: str) -> str:
    return base.digest or f"{base.workspace or workspace}/{base.model}@{base.version}"


def code_of(version: VersionDetails) -> Part:
    code, source = version.code, version.source
    said = code.model_dump(mode="json", exclude_none=True) if code else {}
    algorithm = source.built_in_algorithm if isinstance(source, FromJob) else None
    return {**said, **({"built-in algorithm": algorithm} if algorithm else {})}


def environment_of(version: VersionDetails) -> Part:
    """What it runs in, as far as it was told or read from the files."""
    source, image = version.source, version.image
    template = source if isinstance(source, FromTemplate) else None
    said: dict[str, JsonValue] = {
        "engine": version.engine,
        "runtime": version.runtime,
        "template": template.template if template else None,
        "template mode": template.mode if template else None,
        "image": image.digest if image else None,
        "platform": image.platform if image else None,
        **{f"requires {name}": restraint for name, restraint in requirements_of(version.requirements).items()},
        **{f"framework {name}": versions for name, versions in frameworks_of(version).items()},
    }
    return {name: value for name, value in said.items() if value is not None}


def requirements_of(lines: Iterable[str]) -> dict[str, str]:
    """Lines of requirements.txt by package, as pip compares names: {"scikit-learn": "==1.5"}."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        name, extras, restraint = _requirement(line)
        found[re.sub(r"[-_.]+", "-", name).lower()].append(f"{extras}{restraint}")
    return {name: ", ".join(sorted(restraints)) for name, restraints in found.items()}


def _requirement(line: str) -> tuple[str, str, str]:
    matched = _REQUIREMENT.fullmatch(line)
    return (matched[1], matched[2] or "", matched[3]) if matched else (line, "", "")


def frameworks_of(version: VersionDetails) -> dict[str, str]:
    """Frameworks that the files say they were written by, and in which versions."""
    contents = version.contents
    said = [(file.framework, file.framework_version) for file in contents.files]
    said += [("transformers", folder.transformers_version) for folder in contents.hugging_face]
    said += [flavor for folder in contents.mlflow for flavor in folder.flavors.items()]
    found: dict[str, set[str]] = defaultdict(set)
    for name, framework_version in said:
        if name and framework_version:
            found[name].add(framework_version)
    return {name: ", ".join(sorted(versions)) for name, versions in sorted(found.items())}


def job_of(version: VersionDetails) -> str | None:
    """The job that trained it, and which run of it."""
    match version.source:
        case FromJob(job=job):
            return f"{job.id}@{job.version}"
        case FromAutoLearning(project=project, run=run):
            return f"{project}@{run}"
        case _:
            return None


def metric_differences(left: Mapping[str, float], right: Mapping[str, float]) -> tuple[Difference, ...]:
    def with_difference(one: Difference) -> Difference:
        if one.name not in left or one.name not in right:
            return one
        return one.model_copy(update={"difference": right[one.name] - left[one.name]})

    return tuple(map(with_difference, differences(dict(left), dict(right))))


def file_differences(left: Iterable[File], right: Iterable[File]) -> tuple[FileDifference, ...]:
    """Every file of both, by path. Of a file that is gone while its bytes are elsewhere it is said that it moved."""
    before, after = ({file.path: file.digest for file in files} for files in (left, right))
    moves = _moves(before, after)
    came_from = set(moves.values())
    found = [_file(path, before, after, moves) for path in sorted({*before, *after} - came_from)]
    return tuple(found)


def _file(path: str, before: Mapping[str, str], after: Mapping[str, str], moves: Mapping[str, str]) -> FileDifference:
    old, new = before.get(path), after.get(path)
    if path in moves:
        return FileDifference(path=path, change="moved", moved_from=moves[path], left=new, right=new)
    if old is None:
        return FileDifference(path=path, change="added", right=new)
    if new is None:
        return FileDifference(path=path, change="removed", left=old)
    return FileDifference(path=path, change="same" if old == new else "changed", left=old, right=new)


def _moves(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """New path → old path, of bytes that left one path and came to another."""
    gone, came = _only_in(before, after), _only_in(after, before)
    return {new: old for digest, olds in gone.items() for old, new in zip(olds, came.get(digest, ()), strict=False)}


def _only_in(files: Mapping[str, str], others: Mapping[str, str]) -> Mapping[str, list[str]]:
    """Digest → the paths that the others do not have."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(files):
        if path not in others:
            found[files[path]].append(path)
    return found
