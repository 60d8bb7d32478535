"""What is said where a version or a dataset is found to be wrong."""

from typing import ClassVar

from pydantic import Field

from shared.messages.base import Message, ModelCommand, ModelMessage
from shared.naming import Name, Number


class RecallVersion(ModelCommand):
    """Say to everyone who hangs on a version that something is wrong with it.

    Answered by one VersionAffected for each version that does, and a RecallTraced at the end.
    """

    address: ClassVar[str] = "modelkin.cmd.v1.version.recall"

    version: str
    why: str = Field(min_length=1)


class DatasetRecalled(Message):
    """Something is wrong with a dataset. Answered by a VersionAffected for each version that hangs on it, and a RecallTraced."""

    address: ClassVar[str] = "modelkin.evt.v1.dataset.recalled"
    said_by: ClassVar[str] = "data-platform"

    dataset: str = Field(min_length=1, max_length=200)
    version: str | None = Field(
        default=None, max_length=200, description="its version or digest; left out: all of them"
    )
    why: str = Field(min_length=1)

    @property
    def topic(self) -> str:
        return self.dataset


class VersionAffected(ModelMessage):
    """The version hangs on something that was recalled."""

    address: ClassVar[str] = "modelkin.evt.v1.version.affected"
    said_by: ClassVar[str] = "modelkin/versioning"

    workspace: Name
    model: Name
    version: Number
    recalled: str = Field(description="the node of what was recalled")
    distance: int = Field(ge=0, description="steps of lineage from there; 0: the version itself was recalled")
    services: tuple[str, ...] = Field(default=(), description="what it is deployed as")
    by: str = Field(description="who sent the recall: of a dataset's, its `ce-source`")
    why: str


class RecallTraced(ModelMessage):
    """A recall is answered: so many versions and services hang on it, and each was told."""

    address: ClassVar[str] = "modelkin.evt.v1.recall.traced"
    said_by: ClassVar[str] = "modelkin/versioning"

    model: str = Field(description="of the recalled version; else the name of the dataset")
    recalled: str = Field(description="the node of what was recalled")
    versions: int = Field(ge=0)
    services: int = Field(ge=0)
