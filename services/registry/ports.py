"""What the registry needs of the outside."""

from collections.abc import Sequence
from typing import Protocol

from services.registry.domain import RegisteredVersion
from shared.messages import CommandRefused, ModelImported, VersionAssigned, VersionRefused, VersionReleased
from shared.naming import VersionNumber
from shared.ports import Pingable
from shared.queries import ImportStatus, ModelSummary


class ModelStore(Pingable, Protocol):
    """Versions become visible when both of their halves are there, whichever came first."""

    async def record_import(self, imported: ModelImported) -> RegisteredVersion | None:
        """Keep what was imported; a repeat is a no-op.

        Returns:
            The version, where its number is known too: it can be queried from now on.
        """
        ...

    async def record_version(self, assigned: VersionAssigned) -> RegisteredVersion | None:
        """Keep the number of an import; else as `record_import`."""
        ...

    async def record_refusal(self, refused: VersionRefused) -> None:
        """Keep that an import gets no version; a repeat is a no-op."""
        ...

    async def record_release(self, released: VersionReleased) -> VersionReleased:
        """Keep that a version is out of quarantine; where it was released before, that release is returned and holds.

        Raises:
            Transient: the version is not whole yet.
        """
        ...

    async def refusal_of(self, command_id: str) -> CommandRefused | None:
        """The refusal that stands as the answer to a command."""
        ...

    async def record_command_refusal(self, refused: CommandRefused) -> CommandRefused:
        """Keep the answer to a command; where there is one already, that one is returned and holds."""
        ...

    async def models(self, workspace: str, after: str, limit: int) -> Sequence[ModelSummary]:
        """Models with a name after `after`, by name."""
        ...

    async def model(self, workspace: str, model: str) -> ModelSummary | None: ...

    async def versions(
        self, workspace: str, model: str, after: VersionNumber | None, limit: int
    ) -> Sequence[RegisteredVersion]:
        """Versions with a number above `after`, lowest first."""
        ...

    async def version(self, workspace: str, model: str, number: VersionNumber) -> RegisteredVersion | None: ...

    async def import_status(self, import_id: str) -> ImportStatus | None:
        """What became of an import; of several attempts the one that worked, else the latest."""
        ...
