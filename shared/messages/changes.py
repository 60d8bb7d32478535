"""What people ask to change about a version, and what was changed."""

from typing import ClassVar

from pydantic import Field

from shared.messages.base import ModelCommand, ModelMessage
from shared.naming import Digest, Name, Number
from shared.values import Document, Grant, NotDeleted, Notes, Reason, Restriction


class ReleaseVersion(ModelCommand):
    """Take a version out of quarantine: somebody looked at its files and answers for them."""

    address: ClassVar[str] = "modelkin.cmd.v1.version.release"

    version: str
    why: str = Field(min_length=1)


class LiftRestriction(ModelCommand):
    """Let a version be downloaded although it descends from one that automatic learning made."""

    address: ClassVar[str] = "modelkin.cmd.v1.version.lift"

    version: str
    why: str = Field(min_length=1)


class MoveAlias(ModelCommand):
    """Let an alias point to a version, whatever it pointed to before."""

    address: ClassVar[str] = "modelkin.cmd.v1.alias.move"

    alias: str
    version: str | None = Field(description="null: the alias goes")


class EditVersion(ModelCommand):
    """Say anew what people say of a version. What is left out stays as it is."""

    address: ClassVar[str] = "modelkin.cmd.v1.version.edit"

    version: str
    labels: tuple[str, ...] | None = None
    description: str | None = None
    documents: tuple[Document, ...] | None = None


class DeleteVersion(ModelCommand):
    """Delete a version; with `cascade`, every version of the model, at most 20 at a time.

    Answered by one VersionDeleted for each and a DeletionReported at the end.
    """

    address: ClassVar[str] = "modelkin.cmd.v1.version.delete"

    version: str | None = Field(default=None, description="may be left out with cascade")
    cascade: bool = False


class DownloadVersion(ModelCommand):
    """Ask for the bytes of a version. Answered by DownloadGranted."""

    address: ClassVar[str] = "modelkin.cmd.v1.version.download"

    version: str


class Change(ModelMessage):
    """What a command changed about a model. Each change was decided knowing exactly those before it."""

    said_by: ClassVar[str] = "modelkin/registry"

    workspace: Name
    model: Name
    ordinal: int = Field(ge=1, description="how many changes the model has had, this one included")
    by: str = Field(description="who sent the command")
    why: str = ""


class VersionReleased(Change):
    """The version is out of quarantine: it may be downloaded and deployed, as far as its other restrictions go."""

    address: ClassVar[str] = "modelkin.evt.v1.version.released"

    version: Number


class RestrictionLifted(Change):
    """The version may be downloaded although it descends from a restricted one."""

    address: ClassVar[str] = "modelkin.evt.v1.restriction.lifted"

    version: Number
    restriction: Restriction


class AliasMoved(Change):
    """The alias points to another version from now on."""

    address: ClassVar[str] = "modelkin.evt.v1.alias.moved"

    alias: Name
    old: Number | None = Field(description="null: there was no such alias")
    new: Number | None = Field(description="null: the alias is gone")


class VersionEdited(Change):
    """What people say of the version is another."""

    address: ClassVar[str] = "modelkin.evt.v1.version.edited"

    version: Number
    before: Notes
    after: Notes


class VersionDeleted(Change):
    """The version is gone: its number is never given again, its place in the lineage stays, marked."""

    address: ClassVar[str] = "modelkin.evt.v1.version.deleted"

    version: Number
    import_id: str
    package_digest: Digest
    deletions: int = Field(ge=1, description="how many versions of the model were deleted, this one included")


class DownloadGranted(Change):
    """Somebody may read the bytes of a version for a short time."""

    address: ClassVar[str] = "modelkin.evt.v1.download.granted"

    version: Number
    grant: Grant


class DeletionReported(ModelMessage):
    """A DeleteVersion is answered: what became of each version."""

    address: ClassVar[str] = "modelkin.evt.v1.deletion.reported"
    said_by: ClassVar[str] = "modelkin/registry"

    deleted: tuple[Number, ...]
    failed: tuple[NotDeleted, ...] = ()
    left: int = Field(ge=0, description="versions of the model that are there still")


class CommandRefused(ModelMessage):
    """A command is answered: nothing was changed."""

    address: ClassVar[str] = "modelkin.evt.v1.command.refused"
    said_by: ClassVar[str] = "modelkin/registry"

    model: str = Field(description="the model that it was about; of a recalled dataset, its name")
    command: str = Field(description="its `ce-type`")
    by: str = Field(default="", description="who sent it; empty in what was said before this was kept")
    reason: Reason
    message: str
