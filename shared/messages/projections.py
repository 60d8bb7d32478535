"""What is asked and said where a service makes what it knows anew."""

from typing import ClassVar

from pydantic import Field

from shared.messages.base import Command, Message


class RebuildProjection(Command):
    """Make what a service knows anew from EVENTS, while it answers from what it has. Answered by ProjectionRebuilt."""

    service: ClassVar[str]

    @property
    def topic(self) -> str:
        return self.service


class RebuildRegistry(RebuildProjection):
    """Make the registry's database anew."""

    address: ClassVar[str] = "modelkin.cmd.v1.registry.rebuild"
    service: ClassVar[str] = "registry"


class RebuildVersioning(RebuildProjection):
    """Make versioning's database anew."""

    address: ClassVar[str] = "modelkin.cmd.v1.versioning.rebuild"
    service: ClassVar[str] = "versioning"


class ProjectionRebuilt(Message):
    """A service knows again what EVENTS says, and answers from that."""

    address: ClassVar[str] = "modelkin.evt.v1.projection.rebuilt"
    said_by: ClassVar[str] = "modelkin"

    service: str
    events: int = Field(ge=0, description="how many were read")
    seconds: float = Field(ge=0)

    @property
    def topic(self) -> str:
        return self.service


class RebuildProgressed(Message):
    """How far a rebuild has come. Only heard live: it is stored nowhere, and some are missed."""

    address: ClassVar[str] = "modelkin.live.v1.projection.progressed"
    said_by: ClassVar[str] = "modelkin"

    service: str
    events_done: int = Field(ge=0)
    events_total: int = Field(ge=0)

    @property
    def topic(self) -> str:
        return self.service
