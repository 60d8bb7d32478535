"""What the registry needs of the outside."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from services.registry.domain import RegisteredVersion
from services.registry.rules.known import Asked, Known
from services.registry.rules.placement import Placement, ServiceState
from shared.messages import (
    Change,
    CommandRefused,
    DeletionReported,
    DeploymentReport,
    LineageExtended,
    Message,
    ModelImported,
    VersionAssigned,
    VersionRefused,
    VersionRestricted,
)
from shared.naming import VersionNumber
from shared.ports import Pingable
from shared.queries import AliasState, ImportStatus, ModelSummary
from shared.values import Grant

Answer = CommandRefused | DeletionReported


class ListingStore(Protocol):
    """The small documents that lists are made of."""

    async def refresh(self, versions: Sequence[RegisteredVersion]) -> None:
        """Take over how versions are now; an older state changes nothing."""
        ...

    async def model(self, workspace: str, model: str) -> ModelSummary | None: ...

    async def latest(self, workspace: str, model: str) -> VersionNumber | None:
        """The highest version that is not deleted."""
        ...


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

    async def version(self, workspace: str, model: str, number: VersionNumber) -> RegisteredVersion | None: ...

    async def import_status(self, import_id: str) -> ImportStatus | None:
        """What became of an import; of several attempts the one that worked, else the latest."""
        ...


class ChangeStore(Protocol):
    """The changes of each model, one after the other: each is decided knowing exactly those before it."""

    async def known(self, workspace: str, model: str, asked: Asked) -> Known:
        """The facts after all changes so far."""
        ...

    async def standing(self, command_id: str) -> Sequence[Message]:
        """What a command was answered with: its changes in order, then the answer that ended it, where there is one."""
        ...

    async def append(self, change: Change, *, founds: bool = False) -> bool:
        """Keep the next change of a model, and show it.

        Args:
            change: decided with what was `known`.
            founds: it is the first that names its service, as far as was known.

        Returns:
            False where another came first, and it must be decided anew.
        """
        ...

    async def unsaid_before(self, change: Change) -> Sequence[Change]:
        """The changes before this one of which it is not known that they were said, in order."""
        ...

    async def mark_said(self, change: Change) -> None:
        """A change was said, and so were all before it."""
        ...

    async def record_answer(self, answer: Answer) -> Answer:
        """Keep the answer to a command; where there is one already, that one is returned and holds."""
        ...

    async def lowest_live(self, workspace: str, model: str, limit: int) -> Sequence[str]:
        """Versions of a model that are not deleted, lowest number first."""
        ...

    async def record_change(self, change: Change) -> None:
        """Keep a change that was said, as it was when it was decided; a repeat is a no-op.

        Raises:
            NotYet: what came before it is not there, or its version is not whole.
        """
        ...

    async def record_restriction(self, restricted: VersionRestricted) -> None:
        """Keep that a version descends from restricted ones; a repeat is a no-op.

        Raises:
            NotYet: the version is not whole.
        """
        ...

    async def record_extension(self, extended: LineageExtended) -> None: ...

    async def service(self, workspace: str, service: str) -> ServiceState | None: ...

    async def placements_of(self, workspace: str, model: str, versions: Sequence[str]) -> Sequence[Placement]:
        """Where versions are deployed, by service, then by number."""
        ...

    async def twin(self, version: RegisteredVersion) -> str | None:
        """A version that automatic learning made with some of the guarded bytes of this one, as <model> <number>."""
        ...

    async def record_report(self, report: DeploymentReport) -> bool:
        """Keep what a deployer says; a repeat is a no-op.

        Returns:
            False where that version was never asked for in that service: nothing is kept.
        """
        ...


class Granted(NamedTuple):
    """A grant, and the version whose bytes may be read with it."""

    grant: Grant
    workspace: str
    model: str
    version: str


class Told(NamedTuple):
    """Something that happened to a model."""

    key: str
    """Sorts by time, then by id."""
    event: Message
    by: str


class Readings(Protocol):
    """What queries ask for, beside lists and versions as they are now."""

    async def alias(self, workspace: str, model: str, alias: str) -> str | None:
        """The version that it points to."""
        ...

    async def aliases(self, workspace: str, model: str) -> Sequence[AliasState]:
        """By name."""
        ...

    async def aliases_of(self, workspace: str, model: str, version: str) -> Sequence[str]:
        """By name."""
        ...

    async def placements_in(self, workspace: str, service: str) -> Sequence[Placement]:
        """What a service serves, lowest number first."""
        ...

    async def grant(self, grant_id: str) -> Granted | None: ...

    async def history(self, workspace: str, model: str, version: str | None, after: str, limit: int) -> Sequence[Told]:
        """What happened to a model, or to one version of it, after a key, by time."""
        ...


class Past(Protocol):
    """How things stood at a time. What happened at that very time had happened."""

    async def alias(self, workspace: str, model: str, alias: str, at: datetime) -> str | None: ...

    async def latest(self, workspace: str, model: str, at: datetime) -> str | None:
        """The highest version that was registered and not deleted."""
        ...

    async def version(self, version: RegisteredVersion, at: datetime) -> RegisteredVersion: ...

    async def aliases_of(self, workspace: str, model: str, version: str, at: datetime) -> Sequence[str]: ...

    async def placements_of(self, workspace: str, model: str, version: str, at: datetime) -> Sequence[Placement]: ...
