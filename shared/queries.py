"""Questions to the services and their replies, over NATS request and reply.

    modelkin.qry.v1
    ├── model.list, model.get        registry
    ├── version.list, version.get    registry
    ├── version.best                 registry: the best version of a model by a metric
    ├── alias.list, history.get      registry: where aliases point, what changed and who did it
    ├── deployment.get               registry: what a service serves
    ├── grant.get                    registry: whether bytes may be read
    ├── import.get                   registry: what became of a request
    ├── job.list                     importer: the versions of a training job at a location
    ├── template.list, template.get  importer
    ├── file.list, file.read         importer: the files of a package, and with a grant their bytes
    ├── lineage.get                  versioning
    ├── lineage.affected             versioning: what hangs on a dataset, a job or a version
    └── service
        ├── ping.<service>           each service: it runs and reaches its store
        └── examine.<service>        every process of a service: what it finds of itself

A question whose body says a workspace is answered on `<address>.<workspace>` too, and there for that workspace alone.
A question that cannot be answered is replied to with `QueryFailed`, told apart by its `error`.
"""

from collections.abc import Iterable
from typing import ClassVar, Literal, Self, TypeVar

from pydantic import AwareDatetime, Field, FiniteFloat, JsonValue

from shared.naming import DEFAULT_WORKSPACE, Digest
from shared.templates import Template
from shared.values import DeploymentMode, Edge, File, Grant, Reason, Restriction, Value
from shared.version_facts import VersionFacts

Fitted = TypeVar("Fitted", bound=Value)

PAGE = 100
MOST_SKIPPED = 10_000
# A reply must fit into one message of 1 MiB, also after it was put together with its page.
LARGEST_REPLY_BYTES = 768 * 1024
# Of a file's bytes, one reply holds so many: with its headers it fits into one message of 1 MiB.
LARGEST_READ_BYTES = 512 * 1024
# Stands on a reply that is a QueryFailed, with its `error`.
ERROR_HEADER = "modelkin-error"
SERVICES = ("importer", "versioning", "registry")
Status = Literal["published", "quarantined", "deleted"]


class Query(Value):
    """A question, one JSON object, with the subject it is asked on."""

    address: ClassVar[str]
    reply: ClassVar[type[Value]]


def is_of_workspace(query: type[Query]) -> bool:
    """Whether it may also be asked on `<address>.<workspace>`, where the broker can hold the asker to that workspace."""
    return "workspace" in query.model_fields


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


class Filters(Query):
    """Which of many are wanted, and in which order. Each filter that is left out lets all pass."""

    workspace: str = DEFAULT_WORKSPACE
    name: str | None = Field(default=None, description="of the model, exactly")
    name_part: str | None = Field(default=None, description="somewhere in the name of the model, in any case")
    status: Status | None = Field(default=None, description="left out: all but the deleted")
    engine: str | None = None
    not_engine: str | None = None
    label: str | None = None
    description: str | None = Field(default=None, description="somewhere in the description, in any case")
    metrics: tuple[str, ...] = Field(default=(), description="conditions such as f1>=0.9")
    created_from: AwareDatetime | None = Field(default=None, description="registered then or later")
    created_before: AwareDatetime | None = None
    descending: bool | None = Field(
        default=None, description="left out: names and numbers ascend, times and sizes descend"
    )
    after: str | None = Field(default=None, description="`next` of the page before")
    offset: int = Field(default=0, ge=0, le=MOST_SKIPPED, description="leave out so many; further on, use `after`")
    limit: int = Field(default=PAGE, ge=1, le=1000)


class Page(Value):
    next: str | None = Field(default=None, description="ask again with this as `after`; null on the last page")
    total: int | None = Field(default=None, description="how many there are on all pages")
    total_is_exact: bool = Field(
        default=True, description="false: there are at least `total`, they were not counted on"
    )


class ModelSummary(Value):
    """A model, listed by its highest version that is not deleted."""

    workspace: str
    model: str
    versions: int = Field(description="how many it has had")
    deleted: int = Field(default=0, description="how many of them were deleted")
    latest: str = Field(description="the highest number of those that are left; of all, where none is")
    created_at: AwareDatetime
    updated_at: AwareDatetime
    engine: str | None = None
    size_bytes: int = 0
    labels: tuple[str, ...] = ()
    description: str = ""
    metrics: dict[str, FiniteFloat] = Field(default_factory=dict)


class ModelPage(Page):
    models: tuple[ModelSummary, ...]


class ListModels(Filters):
    """Models, filtered and sorted by what their highest version is."""

    address: ClassVar[str] = "modelkin.qry.v1.model.list"
    reply: ClassVar[type[Value]] = ModelPage

    sort: Literal["name", "created", "updated", "size"] = "name"


class GetModel(Query):
    address: ClassVar[str] = "modelkin.qry.v1.model.get"
    reply: ClassVar[type[Value]] = ModelSummary

    workspace: str = DEFAULT_WORKSPACE
    model: str


class VersionSummary(Value):
    model: str = ""
    version: str
    registered_at: AwareDatetime
    package_digest: str
    size_bytes: int
    metrics: dict[str, FiniteFloat]
    job: str | None = None
    method: str = "training-job"
    engine: str | None = None
    labels: tuple[str, ...] = ()
    description: str = ""
    restrictions: tuple[Restriction, ...] = ()
    status: Status = "published"


class VersionPage(Page):
    versions: tuple[VersionSummary, ...]


class ListVersions(Filters):
    """Versions: of one model, where it is named, else of the whole workspace."""

    address: ClassVar[str] = "modelkin.qry.v1.version.list"
    reply: ClassVar[type[Value]] = VersionPage

    model: str | None = None
    sort: Literal["number", "created", "size"] | None = Field(
        default=None,
        description="left out: number for one model, else created; numbers can only be sorted within a model",
    )


class RankedVersion(Value):
    version: str
    value: FiniteFloat
    registered_at: AwareDatetime
    labels: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


class BestVersions(Value):
    metric: str
    goal: Literal["max", "min"]
    versions: tuple[RankedVersion, ...] = Field(
        description="the best one, then the runners-up; of equals the older first"
    )
    matching: int = Field(description="versions that meet the conditions and have the metric")
    without_metric: int = Field(description="versions that meet the conditions and do not have the metric")
    excluded: int = Field(description="versions that do not meet the conditions")


class FindBest(Query):
    """The best versions of a model by a metric, among those that meet every condition and are not deleted."""

    address: ClassVar[str] = "modelkin.qry.v1.version.best"
    reply: ClassVar[type[Value]] = BestVersions

    workspace: str = DEFAULT_WORKSPACE
    model: str
    metric: str
    goal: Literal["max", "min"] = "max"
    where: tuple[str, ...] = Field(default=(), description="conditions such as params.lr<0.01 or label=prod")
    limit: int = Field(default=5, ge=1, le=100)


class Release(Value):
    """How a version came out of quarantine."""

    released_by: str
    why: str
    released_at: AwareDatetime


class Lift(Value):
    """How a version may be downloaded although it descends from a restricted one."""

    lifted_by: str
    why: str
    lifted_at: AwareDatetime


class Deletion(Value):
    deleted_by: str
    why: str
    deleted_at: AwareDatetime


class Deployed(Value):
    """A version in a service."""

    service: str
    mode: DeploymentMode
    version: str
    weight: int = Field(description="percent of the traffic that was asked for")
    state: Literal["requested", "started", "ready", "failed", "stopped"]
    since: AwareDatetime
    message: str = Field(default="", description="what its deployer said last")


class VersionDetails(VersionFacts):
    workspace: str
    model: str
    version: str
    status: Status = "published"
    downloadable: bool = True
    deployable: bool = True
    release: Release | None = None
    restricted_by: tuple[str, ...] = Field(
        default=(), description="the nodes of restricted versions that it descends from"
    )
    lift: Lift | None = None
    deletion: Deletion | None = None
    aliases: tuple[str, ...] = ()
    services: tuple[Deployed, ...] = ()
    import_id: str
    requested_by: str = Field(description="who sent the request: the actor of a command, the `ce-source` of an event")
    imported_at: AwareDatetime
    registered_at: AwareDatetime


class GetVersion(Query):
    """One version; the highest that is not deleted where none is named."""

    address: ClassVar[str] = "modelkin.qry.v1.version.get"
    reply: ClassVar[type[Value]] = VersionDetails

    workspace: str = DEFAULT_WORKSPACE
    model: str
    version: str | None = Field(default=None, description="a number or an alias")
    at: AwareDatetime | None = Field(default=None, description="as the registry stood then; left out: now")


class AliasState(Value):
    alias: str
    version: str
    moved_by: str
    moved_at: AwareDatetime
    why: str = ""


class AliasPage(Value):
    aliases: tuple[AliasState, ...]


class ListAliases(Query):
    """Where the aliases of a model point, by name."""

    address: ClassVar[str] = "modelkin.qry.v1.alias.list"
    reply: ClassVar[type[Value]] = AliasPage

    workspace: str = DEFAULT_WORKSPACE
    model: str


class HistoryEntry(Value):
    at: AwareDatetime
    event: str = Field(description="which event, such as alias.moved")
    event_id: str
    cause_id: str | None = None
    version: str | None = None
    by: str = Field(description="who caused it")
    why: str = ""
    facts: dict[str, JsonValue] = Field(default_factory=dict, description="what the event says beside that")


class HistoryPage(Value):
    changes: tuple[HistoryEntry, ...]
    next: str | None = Field(default=None, description="ask again with this as `after`; null on the last page")


class GetHistory(Query):
    """Everything that changed about a model, oldest first: versions, aliases, notes, restrictions, deployments, downloads."""

    address: ClassVar[str] = "modelkin.qry.v1.history.get"
    reply: ClassVar[type[Value]] = HistoryPage

    workspace: str = DEFAULT_WORKSPACE
    model: str
    version: str | None = Field(default=None, description="a number: only what is about this version")
    after: str | None = None
    limit: int = Field(default=PAGE, ge=1, le=1000)


class ServiceDetails(Value):
    workspace: str
    service: str
    model: str
    mode: DeploymentMode
    versions: tuple[Deployed, ...]


class GetService(Query):
    """What a service serves."""

    address: ClassVar[str] = "modelkin.qry.v1.deployment.get"
    reply: ClassVar[type[Value]] = ServiceDetails

    workspace: str = DEFAULT_WORKSPACE
    service: str


class GrantDetails(Grant):
    workspace: str
    model: str
    version: str


class GetGrant(Query):
    """A grant that may still be used. The importer asks before it gives bytes out."""

    address: ClassVar[str] = "modelkin.qry.v1.grant.get"
    reply: ClassVar[type[Value]] = GrantDetails

    grant: str = Field(description="its id")


class ImportStatus(Value):
    """What became of an import that reached the registry."""

    import_id: str
    workspace: str
    model: str
    status: Literal["publishing", "published", "failed", "deleted"]
    version: str | None = None
    reason: Reason | None = None
    message: str | None = None


class GetImport(Query):
    address: ClassVar[str] = "modelkin.qry.v1.import.get"
    reply: ClassVar[type[Value]] = ImportStatus

    workspace: str | None = Field(default=None, description="only if it is of this workspace")
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


class FilePage(Value):
    files: tuple[File, ...]
    next: str | None = Field(default=None, description="ask again with this as `after`; null on the last page")


class ListFiles(Query):
    """Every file of a package, by path."""

    address: ClassVar[str] = "modelkin.qry.v1.file.list"
    reply: ClassVar[type[Value]] = FilePage

    package_digest: Digest
    after: str | None = Field(default=None, description="a path")
    limit: int = Field(default=1000, ge=1, le=5000)


class FileBytes(Value):
    """The bytes themselves: the body of this reply is no JSON. A QueryFailed has the header `modelkin-error`."""


class ReadBytes(Query):
    """Some bytes of a file of a package, or of its manifest. Asked on `<address>.<workspace>.<reader>`.

    The reader is the service that the grant is bound to, and `~` for a download by a person: so
    the broker can say by subject who may read as which service.
    """

    address: ClassVar[str] = "modelkin.qry.v1.file.read"
    reply: ClassVar[type[Value]] = FileBytes

    grant: str = Field(description="its id")
    digest: Digest
    offset: int = Field(default=0, ge=0)
    size_bytes: int = Field(ge=1, le=LARGEST_READ_BYTES)


class LineageVersion(Value):
    """A version in a lineage graph, and what it was made with."""

    node: str
    workspace: str
    model: str
    version: str
    assigned_at: AwareDatetime
    parameters: dict[str, JsonValue]
    metrics: dict[str, FiniteFloat]
    steps: int = Field(
        default=0, description="from the root: above it positive, below it negative, of several ways the shortest"
    )
    deleted: bool = False


class LineageGraph(Value):
    """The versions above and below the root, and every edge that leaves one of them."""

    root: str
    versions: tuple[LineageVersion, ...] = Field(
        description="the root, then those above, then those below, nearest first"
    )
    edges: tuple[Edge, ...]
    truncated: bool = Field(description="there is more than depth or size allowed")
    next: str | None = Field(default=None, description="ask again with this as `after`; null on the last page")

    def seen_from(self, workspace: str) -> Self:
        """Without what versions of other workspaces were made with: that they are there is part of the lineage."""
        unseen = {"parameters": {}, "metrics": {}}
        seen = (one if one.workspace == workspace else one.model_copy(update=unseen) for one in self.versions)
        return self.model_copy(update={"versions": tuple(seen)})


class GetLineage(Query):
    address: ClassVar[str] = "modelkin.qry.v1.lineage.get"
    reply: ClassVar[type[Value]] = LineageGraph

    workspace: str = DEFAULT_WORKSPACE
    model: str
    version: str
    direction: Literal["both", "up", "down"] = "both"
    depth: int = Field(default=10, ge=0, le=1000, description="steps of derived-from, each way")
    after: str | None = None


class AffectedVersion(Value):
    node: str
    workspace: str
    model: str
    version: str
    distance: int = Field(description="steps of lineage; 0: the version that was asked about")
    via: str = Field(description="the node one step nearer; of several the first by name")
    services: tuple[str, ...] = ()
    deleted: bool = False


class AffectedPage(Value):
    root: str = Field(description="the node of what was asked about")
    versions: tuple[AffectedVersion, ...] = Field(description="nearest first")
    total: int
    next: str | None = Field(default=None, description="ask again with this as `after`; null on the last page")

    def seen_from(self, workspace: str) -> Self:
        """Without what versions of other workspaces are deployed as."""
        seen = (one if one.workspace == workspace else one.model_copy(update={"services": ()}) for one in self.versions)
        return self.model_copy(update={"versions": tuple(seen)})


class GetAffected(Query):
    """Every version that hangs on a dataset, a job or a version, at any distance. Names one of the three."""

    address: ClassVar[str] = "modelkin.qry.v1.lineage.affected"
    reply: ClassVar[type[Value]] = AffectedPage

    workspace: str = DEFAULT_WORKSPACE
    dataset: str | None = None
    dataset_version: str | None = Field(default=None, description="its version or digest; left out: all of them")
    job: str | None = None
    job_version: str | None = Field(default=None, description="left out: all of them")
    model: str | None = None
    version: str | None = None
    after: str | None = None
    limit: int = Field(default=PAGE, ge=1, le=1000)


class Pong(Value):
    service: str
    version: str


class Ping(Query):
    """Is the service there, and does it reach its store? Asked on `<address>.<service>`."""

    address: ClassVar[str] = "modelkin.qry.v1.service.ping"
    reply: ClassVar[type[Value]] = Pong


class Finding(Value):
    """One thing that was looked at."""

    check: str = Field(description="what was looked at, in a word or two: store, indexes, artifacts, oldest import")
    level: Literal["ok", "warning", "wrong"] = "ok"
    message: str
    remedy: str = Field(default="", description="what to do about it")


class Examination(Value):
    """What one process of a service finds of itself and of what it needs."""

    service: str
    version: str
    instance: str = Field(description="tells processes of one service apart: host and process id")
    time: AwareDatetime = Field(description="by its own clock")
    findings: tuple[Finding, ...]


class Examine(Query):
    """How are you? Asked on `<address>.<service>`; every process of the service answers."""

    address: ClassVar[str] = "modelkin.qry.v1.service.examine"
    reply: ClassVar[type[Value]] = Examination


QUERIES: tuple[type[Query], ...] = (
    ListModels,
    GetModel,
    ListVersions,
    GetVersion,
    FindBest,
    ListAliases,
    GetHistory,
    GetService,
    GetGrant,
    GetImport,
    ListJobVersions,
    ListTemplates,
    GetTemplate,
    ListFiles,
    ReadBytes,
    GetLineage,
    GetAffected,
    Ping,
    Examine,
)
