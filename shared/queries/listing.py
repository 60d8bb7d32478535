"""Lists of models and versions, and the best of them."""

from typing import ClassVar, Literal

from pydantic import AwareDatetime, Field, FiniteFloat

from shared.naming import DEFAULT_WORKSPACE
from shared.queries.base import PAGE, Query
from shared.values import Restriction, Value

MOST_SKIPPED = 10_000
Status = Literal["published", "quarantined", "deleted"]


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
