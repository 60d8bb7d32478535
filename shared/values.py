"""What messages are made of: frozen values, the same wherever they stand."""

import math
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    JsonValue,
    model_validator,
)

from shared.naming import Digest, Number


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

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


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

    workspace: str | None = Field(default=None, description="of the base; left out: that of the import")
    model: str | None = None
    version: str | None = None
    digest: Digest | None = None
    relation: Literal["resumed", "fine-tuned", "distilled", "quantized", "merged", "adapter"] = "resumed"

    @model_validator(mode="after")
    def _names_one_thing(self) -> Self:
        by_number = (self.model is not None, self.version is not None)
        if by_number != ((False, False) if self.digest else (True, True)):
            raise ValueError("a base is either a model with a version, or a digest")
        if self.digest and self.workspace is not None:
            raise ValueError("a base that is named by a digest has no workspace")
        return self


class Provenance(Value):
    """What a model was made with."""

    datasets: tuple[Dataset, ...] = ()
    code: Code | None = None
    parameters: Parameters = Field(default_factory=dict)
    metrics: dict[str, FiniteFloat] = Field(default_factory=dict)
    bases: tuple[Base, ...] = ()


class Document(Value):
    """A page that belongs to a version."""

    name: str
    url: str


class Specs(Value):
    """The least that inference needs. Left out: not said."""

    cpu: float | None = Field(default=None, description="cores")
    memory: float | None = Field(default=None, description="MB")
    gpu: float | None = Field(default=None, description="cards")
    ascend: float | None = Field(default=None, description="cards")


class Notes(Value):
    """What a person says of a version, and may say anew at any time."""

    labels: tuple[str, ...] = ()
    description: str = ""
    documents: tuple[Document, ...] = ()


class Profile(Notes):
    """What a person says of a version when it is imported."""

    deployment_types: tuple[str, ...] = Field(
        default=(), description="any of real-time and batch; left out: all that the model allows"
    )
    minimum_specs: Specs | None = None


class FromJob(Value):
    """The output of a training job."""

    method: Literal["training-job"] = "training-job"
    location: str = Field(description="the folder that holds the model, as a URL: file:///models/run-7")
    job: Job
    built_in_algorithm: str | None = Field(
        default=None, description="the built-in algorithm that the job used; its output needs no config.json"
    )


class FromStorage(Value):
    """A model package that was made elsewhere."""

    method: Literal["object-storage"] = "object-storage"
    location: str = Field(description="the folder above `model`, or an archive of it, as a URL")


class TemplateInput(Value):
    input_id: str
    location: str


class FromTemplate(Value):
    """Model files without a configuration; a template has it."""

    method: Literal["template"] = "template"
    template: str = Field(description="its id")
    inputs: tuple[TemplateInput, ...] = Field(min_length=1)
    mode: str | None = Field(default=None, description="an input/output mode instead of the template's own")

    @property
    def location(self) -> str:
        return self.inputs[0].location


class FromImage(Value):
    """A container image in a registry, and its configuration: inline, or a file at a location."""

    method: Literal["container-image"] = "container-image"
    image: str = Field(description="host/name:tag or host/name@sha256:…")
    platform: str | None = Field(default=None, description="of an image for several: os/architecture[/variant]")
    config: dict[str, JsonValue] | None = None
    config_location: str | None = None
    probe: bool = Field(default=False, description="start the image and call its health URL first")

    @property
    def location(self) -> str:
        return self.image


class FromAutoLearning(Value):
    """A model that automatic learning made. Its bytes leave by no download."""

    method: Literal["automatic-learning"] = "automatic-learning"
    source_type: Literal["auto"] = "auto"
    location: str
    project: str
    run: str


# The four methods that anyone may ask for.
Requested = Annotated[FromJob | FromStorage | FromTemplate | FromImage, Field(discriminator="method")]
# How a model came in, and from where.
Source = Annotated[FromJob | FromStorage | FromTemplate | FromImage | FromAutoLearning, Field(discriminator="method")]


class Layer(Value):
    digest: Digest
    size_bytes: int = Field(ge=0)


class Image(Value):
    """What a registry says of an image. The digest pins it: the tag may move, this stays."""

    reference: str = Field(description="as it was asked for")
    digest: Digest = Field(description="of the manifest for this platform")
    index_digest: Digest | None = Field(default=None, description="of the index that the manifest was chosen from")
    media_type: str
    platform: str = Field(description="os/architecture[/variant]")
    size_bytes: int = Field(ge=0, description="of configuration and layers, compressed as the registry keeps them")
    layers: tuple[Layer, ...]
    labels: dict[str, str] = Field(default_factory=dict)
    ports: tuple[str, ...] = Field(default=(), description="exposed, such as 8080/tcp")
    created: str | None = None


class Fault(Value):
    """One rule that a configuration breaks."""

    path: str = Field(description="where: a JSON path such as $.apis[0].url")
    got: str = Field(description="what was there, shortened")
    expected: str


class Restriction(StrEnum):
    """Why a version may not be used in every way."""

    AUTO_LEARNING = "auto-learning"
    """Deployed and rolled out, never downloaded."""
    QUARANTINE = "quarantine"
    """Neither downloaded nor deployed until it is released."""
    DERIVED = "derived-from-restricted"
    """Descends from a version that automatic learning made: as restricted as that, until this is lifted by name."""


DeploymentMode = Literal["real-time", "batch"]


class Grant(Value):
    """Leave to read the bytes of one version, for a short time."""

    id: str
    package_digest: Digest
    service: str | None = Field(default=None, description="the service it is bound to; null: a download by a person")
    expires_at: AwareDatetime


class Weight(Value):
    """Which part of a service's traffic goes to a version."""

    version: str
    weight: int = Field(description="percent")


class Target(Value):
    """A version that a service is asked to serve, and the leave to fetch its bytes."""

    version: Number
    weight: int = Field(ge=0, le=100, description="percent of the traffic")
    grant: Grant


class File(Value):
    path: str = Field(description="inside the package, '/' between folders")
    digest: Digest
    size_bytes: int = Field(ge=0)


class Package(Value):
    """The bytes of a version. Its digest is that of its manifest, which lists every file."""

    digest: Digest
    size_bytes: int = Field(ge=0)
    file_count: int = Field(ge=1)
    in_place: bool = Field(
        default=False, description="the bytes stay where the source says; only manifest and digests are kept"
    )
    files: tuple[File, ...] = Field(description="all files by path; the largest 256 where there are more")


class Edge(Value):
    """One step of lineage: the version `source` came from `target`.

    Nodes are named `version:<workspace>/<model>@<number>`, `job:<workspace>/<id>@<version>`,
    `dataset:<workspace>/<name>@<version or digest>`, `code:<repository>@<commit>`,
    `image:<digest>`, `template:<id>` and `service:<workspace>/<name>`.
    """

    source: str
    kind: Literal[
        "succeeds",
        "trained-by",
        "trained-on",
        "built-from",
        "derived-from",
        "same-bytes-as",
        "packaged-as",
        "made-from",
        "deployed-as",
    ]
    target: str
    how: str | None = Field(default=None, description="of derived-from: the relation, or the file it was found by")


class Reason(StrEnum):
    """Why a request was refused. A closed list: a new word is a reviewed change."""

    INVALID_NAME = "invalid-name"
    INVALID_WORKSPACE = "invalid-workspace"
    INVALID_VERSION = "invalid-version"
    INVALID_JOB = "invalid-job"
    INVALID_BASE = "invalid-base"
    BASE_IN_OTHER_WORKSPACE = "base-in-other-workspace"
    INVALID_BUMP = "invalid-bump"
    INVALID_LOCATION = "invalid-location"
    INVALID_LABELS = "invalid-labels"
    INVALID_DESCRIPTION = "invalid-description"
    INVALID_DOCUMENTS = "invalid-documents"
    INVALID_DEPLOYMENT_TYPES = "invalid-deployment-types"
    INVALID_SPECS = "invalid-specs"
    INVALID_PROJECT = "invalid-project"
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
    PACKAGE_TOO_LARGE = "package-too-large"
    FILE_CHANGED = "file-changed"
    NOT_AUTHORIZED = "not-authorized"
    UNSUPPORTED_ARCHIVE = "unsupported-archive"
    UNSAFE_ARCHIVE = "unsafe-archive"
    UNSAFE_FILE = "unsafe-file"
    MODEL_FOLDER_MISSING = "model-folder-missing"
    CONFIG_MISSING = "config-missing"
    INVALID_CONFIG = "invalid-config"
    MORE_THAN_ONE_CONFIG = "more-than-one-config"
    MORE_THAN_ONE_INFERENCE_CODE = "more-than-one-inference-code"
    ENGINE_FILE_MISSING = "engine-file-missing"
    MORE_THAN_ONE_MODEL_FILE = "more-than-one-model-file"
    TEMPLATE_NOT_FOUND = "template-not-found"
    INVALID_TEMPLATE_INPUT = "invalid-template-input"
    MODE_NOT_FOUND = "mode-not-found"
    MODE_NOT_REPLACEABLE = "mode-not-replaceable"
    INVALID_IMAGE = "invalid-image"
    IMAGE_NOT_FOUND = "image-not-found"
    PLATFORM_NOT_FOUND = "platform-not-found"
    UNSUPPORTED_IMAGE = "unsupported-image"
    PROBE_UNAVAILABLE = "probe-unavailable"
    PROBE_FAILED = "probe-failed"
    ARTIFACT_STORE_FULL = "artifact-store-full"
    VERSION_EXISTS = "version-exists"
    VERSIONS_EXHAUSTED = "versions-exhausted"
    BASE_NOT_FOUND = "base-not-found"
    VERSION_NOT_FOUND = "version-not-found"
    NOT_QUARANTINED = "not-quarantined"
    LINEAGE_CYCLE = "lineage-cycle"
    MODEL_NOT_FOUND = "model-not-found"
    VERSION_DELETED = "version-deleted"
    VERSION_DEPLOYED = "version-deployed"
    VERSION_QUARANTINED = "version-quarantined"
    VERSION_RESTRICTED = "version-restricted"
    NOT_LIFTABLE = "not-liftable"
    INVALID_ALIAS = "invalid-alias"
    ALIAS_NOT_FOUND = "alias-not-found"
    NOTHING_TO_CHANGE = "nothing-to-change"
    INVALID_SERVICE = "invalid-service"
    SERVICE_NOT_FOUND = "service-not-found"
    SERVICE_OF_ANOTHER_MODEL = "service-of-another-model"
    INVALID_MODE = "invalid-mode"
    DEPLOYMENT_TYPE_NOT_ALLOWED = "deployment-type-not-allowed"
    INVALID_WEIGHTS = "invalid-weights"
    VERSION_TWICE = "version-twice"
    KEPT_IN_PLACE = "kept-in-place"
    DATASET_NOT_FOUND = "dataset-not-found"
    PACKAGE_NOT_FOUND = "package-not-found"
    IMPORTS_FORGOTTEN = "imports-forgotten"
    TOO_MANY_IMPORTS = "too-many-imports"
    EVENTS_MISSING = "events-missing"


class NotDeleted(Value):
    """A version that stays, and why."""

    version: str
    reason: Reason
    message: str
