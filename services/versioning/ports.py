"""What versioning needs of the outside."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from services.versioning.domain import Decision
from shared.messages import ModelImported, VersionAssigned
from shared.ports import Pingable


class VersionStore(Pingable, Protocol):
    async def decide(self, imported: ModelImported, time: datetime) -> Decision:
        """Give an import its version by the rules of domain.decide, and record it; once.

        A repeat gets the decision that stands. Versions of one model are decided one after
        the other, whoever decides them: each on exactly the versions before it.

        Raises:
            Transient: the store is away.
        """
        ...

    async def version(self, node: str) -> VersionAssigned | None:
        """The version of a node; None where there is none."""
        ...

    async def versions(self, nodes: Sequence[str]) -> Sequence[VersionAssigned]:
        """The versions of those nodes that exist."""
        ...

    async def children(self, nodes: Sequence[str], limit: int) -> Sequence[VersionAssigned]:
        """At most `limit` of the versions that were made from one of the nodes: `domain.parents_of` names it."""
        ...
