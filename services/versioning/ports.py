"""What versioning needs of the outside."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.versioning.domain import Decision, Kin, ModelKey
from shared.messages import (
    CommandRefused,
    DeploymentReport,
    DeploymentRequested,
    LineageExtended,
    ModelImported,
    RecallTraced,
    RolloutRequested,
    VersionAffected,
    VersionAssigned,
    VersionDeleted,
    VersionRestricted,
)
from shared.naming import is_name, is_number
from shared.ports import Events, Pingable
from shared.values import Edge

Late = LineageExtended | VersionRestricted
RecallAnswer = RecallTraced | CommandRefused
DeploymentRequest = DeploymentRequested | RolloutRequested


@dataclass(frozen=True, slots=True)
class Decided:
    """An import and what became of it."""

    decision: Decision
    kin: Kin | None = None
    """The version that was made; None where it was refused."""
    met: frozenset[str] = frozenset()
    """Of the digests that it holds or names, those that another version holds or waits for."""
    again: bool = False
    """Whether it was decided before: what follows from it may be written down, and said, in part."""


@dataclass(frozen=True, slots=True)
class Taken:
    """An import, and a decision that is taken over as it was said."""

    imported: ModelImported
    decision: Decision


@dataclass(frozen=True, slots=True)
class Held:
    """By which version some bytes are known."""

    node: str | None
    """None: nobody holds them, somebody waits for them."""
    before: frozenset[str] = frozenset()
    """The versions by which they were known before."""
    awaited: bool = False
    """Whether a version named them as its base when nobody held them."""


@dataclass(frozen=True, slots=True)
class Relative:
    """A version, as far as a walk needs to know it."""

    node: str
    parents: frozenset[str]
    restricted_by: frozenset[str] = frozenset()
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """A version with all that is known of it now."""

    assigned: VersionAssigned
    late: tuple[Edge, ...] = ()
    """What it came from that was imported after it."""
    services: tuple[str, ...] = ()
    """What it is deployed as."""
    deleted: bool = False


class AssignedEvents(Events, Protocol):
    """Where versions are said, and how far they were."""

    async def last_assigned(self, workspace: str, model: str) -> int:
        """The ordinal that the newest VersionAssigned of a model says, 0 where there is none.

        Raises:
            Transient: the stream is away.
        """
        ...


class VersionStore(Pingable, Protocol):
    async def decide(self, imported: ModelImported, time: datetime) -> Decided:
        """Give an import its version by the rules of domain.decide, and record it; once.

        A repeat gets the decision that stands. Versions of one model are decided one after
        the other, whoever decides them: each on exactly the versions before it.

        Raises:
            Transient: the store is away.
        """
        ...

    async def adopt(self, taken: Sequence[Taken]) -> list[Decided]:
        """Take over decisions that were made before, after those that they were made on: of a model, lowest ordinal first.

        A repeat changes nothing. Only for a store that nobody decides in.
        """
        ...

    async def decisions(self, import_ids: Iterable[str]) -> dict[str, Decision]:
        """Those of the imports that are decided."""
        ...

    async def assigned_between(self, model: ModelKey, after: int, before: int) -> list[VersionAssigned]:
        """The versions of a model between two ordinals, in their order; neither of the two."""
        ...

    async def ordinals(self, models: Iterable[ModelKey]) -> dict[ModelKey, int]:
        """How many versions each of the models has had."""
        ...

    async def claim(self, kin: Kin, digests: Iterable[str]) -> Mapping[str, Held]:
        """Of these digests, let the version be known by those that nobody holds and it does, and say who holds each."""
        ...

    async def take_over(self, kin: Kin, digests: Mapping[str, str]) -> None:
        """Let digests be known by this version instead of that one; nothing where another came first."""
        ...


class LineageStore(Protocol):
    """The graph. What is written down here is written once, whoever does it."""

    async def kin(self, nodes: Iterable[str]) -> dict[str, Kin]:
        """Those of the nodes that exist."""
        ...

    async def relatives(self, nodes: Iterable[str]) -> list[Relative]:
        """Those of the nodes that exist."""
        ...

    async def children(self, nodes: Iterable[str]) -> list[Relative]:
        """Every version that was made from one of the nodes."""
        ...

    async def versions(self, nodes: Iterable[str]) -> dict[str, Recorded]:
        """Those of the nodes that exist, with what they are deployed as."""
        ...

    async def has_model(self, workspace: str, model: str) -> bool: ...

    def containing(self, workspace: str, digest: str) -> AsyncIterator[Kin]:
        """The versions with these weights."""
        ...

    def waiting(self, workspace: str, digest: str) -> AsyncIterator[Kin]:
        """The versions that were said to have these bytes as a base when nobody held them."""
        ...

    def made_with(self, origin: str) -> AsyncIterator[Relative]:
        """The versions that came from a dataset or a job: `edges.origin` names it."""
        ...

    async def record(self, found: Sequence[Late]) -> None:
        """Write down what was found of older versions: the event under a key of what it says, then in the version.

        What is written down already, by whomever, stays: each edge and each restriction is said by one cause.
        """
        ...

    def recorded(self, cause_id: str) -> AsyncIterator[Sequence[Late]]:
        """What was written down because of an import, page by page."""
        ...

    async def delete(self, deleted: VersionDeleted) -> None:
        """Mark the node of a version.

        Raises:
            Transient: the version is not there yet.
        """
        ...

    async def request(self, requested: DeploymentRequest) -> None:
        """Keep that a service is to serve versions: what a deployer reports counts for these alone."""
        ...

    async def report(self, report: DeploymentReport) -> None:
        """Keep what a deployer says of a version in a service, unless something newer is known."""
        ...


@dataclass(frozen=True, slots=True)
class RecallPage:
    """Some of the versions that a recall affects."""

    number: int
    """From 0; each page is written once."""
    nodes: tuple[str, ...]
    """None on the last page: nobody else is told."""
    services: tuple[str, ...]
    events: tuple[VersionAffected, ...]
    """What is still to be said of them."""


class RecallStore(Protocol):
    """How far each recall has come."""

    async def answer(self, cause_id: str) -> RecallAnswer | None:
        """How a recall ended; None where it has not."""
        ...

    def pages(self, cause_id: str) -> AsyncIterator[RecallPage]:
        """What was written down of a recall, in order."""
        ...

    async def write(self, cause_id: str, page: RecallPage) -> None:
        """Write down what is about to be said.

        Raises:
            Transient: another process wrote this page, or ended the recall.
        """
        ...

    async def said(self, cause_id: str, number: int) -> None:
        """All events of a page were said: they are forgotten, the nodes are kept."""
        ...

    async def close(self, answer: RecallAnswer) -> RecallAnswer:
        """Keep how a recall ended, and forget whom it told; returns how it ended for whoever came first."""
        ...


def requested_versions(requested: DeploymentRequest) -> tuple[str, ...]:
    """The versions that a service was asked to serve."""
    if isinstance(requested, RolloutRequested):
        return tuple(target.version for target in requested.targets)
    return (requested.version,)


def can_exist(report: DeploymentReport) -> bool:
    """Whether there can be a version and a service of these names."""
    return all(map(is_name, (report.workspace, report.model, report.service))) and is_number(report.version)
