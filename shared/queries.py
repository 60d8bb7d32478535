"""Questions to the services and their replies, over NATS request and reply.

    modelkin.qry.v1
    ├── model.list, model.get        registry
    ├── version.list, version.get    registry
    ├── import.get                   registry: what became of a request
    ├── job.list                     importer: the versions of a training job at a location
    ├── template.list, template.get  importer
    ├── lineage.get                  versioning
    └── service.ping.<service>       each service: it runs and reaches its store

A question that cannot be answered is replied to with `QueryFailed`, told apart by its `error`.
"""

from collections.abc import Iterable
from typing import ClassVar, Literal, TypeVar

from pydantic import AwareDatetime, Field, FiniteFloat, JsonValue

from shared.naming import DEFAULT_WORKSPACE
from shared.templates import Template
from shared.values import Edge, Reason, Restriction, Value
from shared.version_facts import VersionFacts

Fitted = TypeVar("Fitted", bound=Value)

PAGE = 100
# A reply must fit into one message of 1 MiB, also after it was put together with its page.
LARGEST_REPLY_BYTES = 768 * 1024
SERVICES = ("importer", "versioning", "registry")


class Query(Value):
    """A question, one JSON object, with the subject it is asked on."""

    address: ClassVar[str]
    reply: ClassVar[type[Value]]


def fitting(values: Iterable[Fitted]) -> list[Fitted]:
    """As many of the values, in order, as one reply can hold; at least one."""
    taken: list[Fitted] = []
    room_bytes = LARGEST_REPLY_BYTES
    for value in values:
        room_bytes -= len(value.model_dump_json().encode())
        if room_bytes < 0 and taken:
            break
        taken.append(value)
    return taken


class QueryFailed(Value):
    """Why there is no answer. `error` is for programs, `message` for people."""

    error: str
    message: str


class ModelSummary(Value):
    workspace: str
    model: str
    versions: int = Field(description="how many it has had")
    latest: str = Field(description="the highest number")
    created_at: AwareDatetime
    updated_at: AwareDatetime


class ModelPage(Value):
    models: tuple[ModelSummary, ...]
    next: str | None = Field(default=None, description="ask again with this as `after`; null on the last page")


class ListModels(Query):
    """The models of a workspace, by name."""

    address: ClassVar[str] = "modelkin.qry.v1.model.list"
    reply: ClassVar[type[Value]] = ModelPage

    workspace: str = DEFAULT_WORKSPACE
    after: str = ""
    limit: int = Field(default=PAGE, ge=1, le=1000)


class GetModel(Query):
    address: ClassVar[str] = "modelkin.qry.v1.model.get"
    reply: ClassVar[type[Value]] = ModelSummary

    workspace: str = DEFAULT_WORKSPACE
    model: str


class VersionSummary(Value):
    version: str
    registered_at: AwareDatetime
    package_digest: str
    size_bytes: int
    metrics: dict[str, FiniteFloat]
    job: str | None = None
    method: str = "training-job"
    engine: str | None = None
    labels: tuple[str, ...] = ()
    restrictions: tuple[Restriction, ...] = ()


class VersionPage(Value):
    versions: tuple[VersionSummary, ...]
    next: str | None = Field(default=None, description="ask again with this as `after`; null on the last page")


class ListVersions(Query):
    """The versions of a model, lowest number first."""

    address: ClassVar[str] = "modelkin.qry.v1.version.list"
    reply: ClassVar[type[Value]] = VersionPage

    workspace: str = DEFAULT_WORKSPACE
    model: str
    after: str | None = Field(default=None, description="a version number")
    limit: int = Field(default=PAGE, ge=1, le=1000)


class Release(Value):
    """How a version came out of quarantine."""

    released_by: str
    why: str
    released_at: AwareDatetime


class VersionDetails(VersionFacts):
    workspace: str
    model: str
    version: str
    status: Literal["published", "quarantined"] = "published"
    downloadable: bool = True
    deployable: bool = True
    release: Release | None = None
    import_id: str
    requested_by: str = Field(description="the `ce-source` of the request")
    imported_at: AwareDatetime
    registered_at: AwareDatetime


class GetVersion(Query):
    """One version; the highest where none is named."""

    address: ClassVar[str] = "modelkin.qry.v1.version.get"
    reply: ClassVar[type[Value]] = VersionDetails

    workspace: str = DEFAULT_WORKSPACE
    model: str
    version: str | None = None


class ImportStatus(Value):
    """What became of an import that reached the registry."""

    import_id: str
    workspace: str
    model: str
    status: Literal["publishing", "published", "failed"]
    version: str | None = None
    reason: Reason | None = None
    message: str | None = None


class GetImport(Query):
    address: ClassVar[str] = "modelkin.qry.v1.import.get"
    reply: ClassVar[type[Value]] = ImportStatus

    import_id: str


class JobVersion(Value):
    version: str
    location: str = Field(description="the folder above its `model`")
    imported: bool = Field(description="whether this version of the job has been imported as the model")


class JobVersions(Value):
    versions: tuple[JobVersion, ...]
    next: str | None = Field(default=None, description="ask again with this as `after`; null on the last page")


class ListJobVersions(Query):
    """The versions of a training job that lie below a location: folders V001, V002, … by number."""

    address: ClassVar[str] = "modelkin.qry.v1.job.list"
    reply: ClassVar[type[Value]] = JobVersions

    workspace: str = DEFAULT_WORKSPACE
    model: str
    job: str
    location: str
    after: str | None = Field(default=None, description="a version of the job")
    limit: int = Field(default=PAGE, ge=1, le=PAGE)


class TemplatePage(Value):
    templates: tuple[Template, ...]


class ListTemplates(Query):
    """Templates to import with, by id. Each filter that is left out lets all pass."""

    address: ClassVar[str] = "modelkin.qry.v1.template.list"
    reply: ClassVar[type[Value]] = TemplatePage

    type: str | None = None
    engine: str | None = None
    environment: str | None = None
    word: str | None = Field(default=None, description="somewhere in what the template says of itself")


class GetTemplate(Query):
    address: ClassVar[str] = "modelkin.qry.v1.template.get"
    reply: ClassVar[type[Value]] = Template

    template: str = Field(description="its id")


class LineageVersion(Value):
    """A version in a lineage graph, and what it was made with."""

    node: str
    workspace: str
    model: str
    version: str
    assigned_at: AwareDatetime
    parameters: dict[str, JsonValue]
    metrics: dict[str, FiniteFloat]


class LineageGraph(Value):
    """The versions above and below the root, and every edge that leaves one of them."""

    root: str
    versions: tuple[LineageVersion, ...]
    edges: tuple[Edge, ...]
    truncated: bool = Field(description="there is more than depth or size allowed")


class GetLineage(Query):
    address: ClassVar[str] = "modelkin.qry.v1.lineage.get"
    reply: ClassVar[type[Value]] = LineageGraph

    workspace: str = DEFAULT_WORKSPACE
    model: str
    version: str
    depth: int = Field(default=10, ge=0, le=1000, description="steps of derived-from, each way")


class Pong(Value):
    service: str
    version: str


class Ping(Query):
    """Is the service there, and does it reach its store? Asked on `<address>.<service>`."""

    address: ClassVar[str] = "modelkin.qry.v1.service.ping"
    reply: ClassVar[type[Value]] = Pong


QUERIES: tuple[type[Query], ...] = (
    ListModels,
    GetModel,
    ListVersions,
    GetVersion,
    GetImport,
    ListJobVersions,
    ListTemplates,
    GetTemplate,
    GetLineage,
    Ping,
)
