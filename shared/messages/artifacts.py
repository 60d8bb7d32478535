"""What is asked and said of stored bytes."""

from typing import ClassVar

from pydantic import Field

from shared.messages.base import Command, Message, ModelCommand, ModelMessage
from shared.naming import Digest

# The artifact store keeps the bytes of every workspace: what is said of it as a whole has this for a topic.
ARTIFACTS = "artifacts"


class VerifyPackage(ModelCommand):
    """Read the stored bytes of a version again. Answered by PackageVerified, after an ArtifactCorrupted for each damaged file."""

    address: ClassVar[str] = "modelkin.cmd.v1.package.verify"

    version: str
    package_digest: str


class CollectGarbage(Command):
    """Remove bytes that no version needs from the artifact store. Answered by GarbageCollected."""

    address: ClassVar[str] = "modelkin.cmd.v1.garbage.collect"

    dry_run: bool = Field(default=False, description="only say what would be removed")

    @property
    def topic(self) -> str:
        return ARTIFACTS


class ArtifactCorrupted(ModelMessage):
    """Stored bytes are not what they were."""

    address: ClassVar[str] = "modelkin.evt.v1.artifact.corrupted"
    said_by: ClassVar[str] = "modelkin/importer"

    version: str
    package_digest: Digest
    path: str = Field(description="the file inside the package")
    digest: Digest = Field(description="what it should be")
    size_bytes: int = Field(ge=0)
    found: str = Field(description="the digest of what is there, or why it cannot be read")


class PackageVerified(ModelMessage):
    """All stored bytes of a version were read again."""

    address: ClassVar[str] = "modelkin.evt.v1.package.verified"
    said_by: ClassVar[str] = "modelkin/importer"

    version: str
    package_digest: Digest
    file_count: int = Field(ge=0)
    size_bytes: int = Field(ge=0)
    corrupted: int = Field(ge=0, description="how many files are not what they were")


class GarbageCollected(Message):
    """Bytes that no version needs were removed from the artifact store, or would be."""

    address: ClassVar[str] = "modelkin.evt.v1.garbage.collected"
    said_by: ClassVar[str] = "modelkin/importer"

    dry_run: bool
    removed_files: int = Field(ge=0)
    removed_bytes: int = Field(ge=0)
    kept_files: int = Field(ge=0)
    kept_bytes: int = Field(ge=0)

    @property
    def topic(self) -> str:
        return ARTIFACTS
