"""What services serve, and whether bytes may be read."""

from typing import ClassVar

from pydantic import Field

from shared.naming import DEFAULT_WORKSPACE
from shared.queries.base import Query
from shared.queries.versions import Deployed
from shared.values import DeploymentMode, Grant, Value


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
