"""Of one version: everything; and of its model: where aliases point, what changed and who did it."""

from typing import ClassVar, Literal

from pydantic import AwareDatetime, Field, JsonValue

from shared.naming import DEFAULT_WORKSPACE
from shared.queries.base import PAGE, Query
from shared.queries.listing import Status
from shared.values import DeploymentMode, Value
from shared.version_facts import VersionFacts


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
