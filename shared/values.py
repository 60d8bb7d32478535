"""What messages are made of: frozen values, the same wherever they stand."""

import math
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, JsonValue, model_validator

from shared.naming import Digest


def _is_finite(value: JsonValue) -> bool:
    match value:
        case float():
            return math.isfinite(value)
        case list():
            return all(_is_finite(inner) for inner in value)
        case dict():
            return all(_is_finite(inner) for inner in value.values())
        case _:
            return True


def _check_finite(parameters: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """1e999 is JSON, and no number that can be said again."""
    infinite = [name for name, value in parameters.items() if not _is_finite(value)]
    if infinite:
        raise ValueError(f"{', '.join(infinite)}: expected finite numbers")
    return parameters


Parameters = Annotated[dict[str, JsonValue], AfterValidator(_check_finite)]


class Value(BaseModel):
    """Part of a message."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Job(Value):
    """The training job that made a model, and which run of it."""

    id: str
    version: str = Field(description="which run of the job, by custom V001, V002, ...")


class Dataset(Value):
    name: str = Field(min_length=1, max_length=200)
    version: str | None = Field(default=None, max_length=200)
    digest: Digest | None = None
    location: str | None = Field(default=None, max_length=2000)


class Code(Value):
    repository: str = Field(min_length=1, max_length=2000)
    commit: str = Field(min_length=1, max_length=200)
    entry_point: str | None = Field(default=None, max_length=2000)


class Base(Value):
    """What a model was made from: a version by its number, or a file by its digest."""

    model: str | None = None
    version: str | None = None
    digest: Digest | None = None
    relation: Literal["resumed", "fine-tuned", "distilled", "quantized", "merged", "adapter"] = "resumed"

    @model_validator(mode="after")
    def _names_one_thing(self) -> Self:
        by_number = (self.model is not None, self.version is not None)
        if by_number != ((False, False) if self.digest else (True, True)):
            raise ValueError("a base is either a model with a version, or a digest")
        return self


class Provenance(Value):
    """What a model was made with."""

    datasets: tuple[Dataset, ...] = ()
    code: Code | None = None
    parameters: Parameters = Field(default_factory=dict)
    metrics: dict[str, FiniteFloat] = Field(default_factory=dict)
    bases: tuple[Base, ...] = ()


class Source(Value):
    """How a model came in, and from where."""

    method: Literal["training-job"]
    location: str
    job: Job


class File(Value):
    path: str = Field(description="inside the package, '/' between folders")
    digest: Digest
    size_bytes: int = Field(ge=0)


class Package(Value):
    """The bytes of a version. Its digest is that of its manifest, which lists every file."""

    digest: Digest
    size_bytes: int = Field(ge=0)
    file_count: int = Field(ge=1)
    files: tuple[File, ...] = Field(description="all files by path; the largest 256 where there are more")


class Edge(Value):
    """One step of lineage: the version `source` came from `target`.

    Nodes are named `version:<workspace>/<model>@<number>`, `job:<workspace>/<id>@<version>`,
    `dataset:<workspace>/<name>@<version or digest>` and `code:<repository>@<commit>`.
    """

    source: str
    kind: Literal["succeeds", "trained-by", "trained-on", "built-from", "derived-from", "same-bytes-as"]
    target: str
    how: str | None = Field(default=None, description="of derived-from: the relation, or the file it was found by")


class Reason(StrEnum):
    """Why a request was refused. A closed list: a new word is a reviewed change."""

    INVALID_NAME = "invalid-name"
    INVALID_WORKSPACE = "invalid-workspace"
    INVALID_VERSION = "invalid-version"
    INVALID_JOB = "invalid-job"
    INVALID_BASE = "invalid-base"
    INVALID_LOCATION = "invalid-location"
    UNSUPPORTED_SCHEME = "unsupported-scheme"
    TOO_MANY_INPUTS = "too-many-inputs"
    METADATA_TOO_LARGE = "metadata-too-large"
    LOCATION_NOT_ALLOWED = "location-not-allowed"
    LOCATION_NOT_FOUND = "location-not-found"
    LOCATION_UNREADABLE = "location-unreadable"
    LOCATION_EMPTY = "location-empty"
    LINK_LEAVES_FOLDER = "link-leaves-folder"
    UNSUPPORTED_FILE = "unsupported-file"
    TOO_MANY_FILES = "too-many-files"
    ARTIFACT_STORE_FULL = "artifact-store-full"
    VERSION_EXISTS = "version-exists"
    VERSIONS_EXHAUSTED = "versions-exhausted"
    BASE_NOT_FOUND = "base-not-found"
