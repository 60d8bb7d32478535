"""Of the services themselves: whether they are there, and how they are."""

from typing import ClassVar, Literal

from pydantic import AwareDatetime, Field

from shared.queries.base import Query
from shared.values import Value

SERVICES = ("importer", "versioning", "registry")


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
