"""What a version came from, and what hangs on something."""

from typing import ClassVar, Literal, Self

from pydantic import AwareDatetime, Field, FiniteFloat, JsonValue

from shared.naming import DEFAULT_WORKSPACE
from shared.queries.base import PAGE, Query
from shared.values import Edge, Value


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
        unseen: dict[str, object] = {"parameters": {}, "metrics": {}}
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
