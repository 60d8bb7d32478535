"""What becomes of an imported model: its number, its lineage, its place in the registry."""

from typing import ClassVar

from pydantic import Field, FiniteFloat

from shared.messages.base import ModelMessage
from shared.naming import Digest, Name, Number
from shared.values import Edge, Parameters, Reason


class VersionAssigned(ModelMessage):
    """The number of a version, and everything it came from."""

    address: ClassVar[str] = "modelkin.evt.v1.version.assigned"
    said_by: ClassVar[str] = "modelkin/versioning"

    workspace: Name
    model: Name
    import_id: str
    version: Number
    ordinal: int = Field(ge=1, description="how many versions the model has had, this one included")
    package_digest: Digest
    parameters: Parameters = Field(default_factory=dict)
    metrics: dict[str, FiniteFloat] = Field(default_factory=dict)
    edges: tuple[Edge, ...] = ()
    restricted_by: tuple[str, ...] = Field(
        default=(), description="the nodes of versions made by automatic learning that it descends from"
    )


class VersionRefused(ModelMessage):
    """The model was imported, but gets no version. Asked again under a new id, it is tried again."""

    address: ClassVar[str] = "modelkin.evt.v1.version.refused"
    said_by: ClassVar[str] = "modelkin/versioning"

    import_id: str
    reason: Reason
    message: str


class ModelRegistered(ModelMessage):
    """The version can be queried from now on."""

    address: ClassVar[str] = "modelkin.evt.v1.model.registered"
    said_by: ClassVar[str] = "modelkin/registry"

    workspace: Name
    model: Name
    import_id: str
    version: Number
    package_digest: Digest
    size_bytes: int = Field(ge=0)


class VersionRestricted(ModelMessage):
    """The version was found to descend from restricted ones after its number was assigned."""

    address: ClassVar[str] = "modelkin.evt.v1.version.restricted"
    said_by: ClassVar[str] = "modelkin/versioning"

    workspace: Name
    model: Name
    version: Number
    restricted_by: tuple[str, ...] = Field(description="the nodes of those that automatic learning made")


class LineageExtended(ModelMessage):
    """More of what a version came from is known: a base was imported after it."""

    address: ClassVar[str] = "modelkin.evt.v1.lineage.extended"
    said_by: ClassVar[str] = "modelkin/versioning"

    workspace: Name
    model: Name
    version: Number
    edges: tuple[Edge, ...]
