"""The versions of a model are said in the order of their ordinals, whichever processes decided them."""

from collections.abc import Sequence
from typing import Final

from services.versioning.domain import ModelKey
from services.versioning.ports import AssignedEvents, VersionStore
from shared.messages import VersionAssigned
from shared.turns import Turns

# So many imports are under way at most (`max_ack_pending` of the consumer): what lies further back was said.
MOST_UNSAID: Final = 1000
# Models of which it is remembered how far they were said, about 100 bytes each.
REMEMBERED: Final = 50_000


class InOrder:
    """Says what was decided before first: another process that decided it may be slow, or dead."""

    def __init__(self, events: AssignedEvents) -> None:
        self._events = events
        self._turns = Turns()
        self._said: dict[ModelKey, int] = {}

    async def say(self, assigned: VersionAssigned, store: VersionStore) -> None:
        """Say a version; when this returns, it and all before it are kept.

        Raises:
            Transient: the stream or the store is away.
        """
        model = assigned.workspace, assigned.model
        async with self._turns.of(*model):
            for one in (*await self._unsaid_before(assigned, model, store), assigned):
                await self._events.publish(one)
            self._remember(model, assigned.ordinal)

    async def _unsaid_before(
        self, assigned: VersionAssigned, model: ModelKey, store: VersionStore
    ) -> Sequence[VersionAssigned]:
        before = assigned.ordinal - 1
        if before <= self._said.get(model, 0):
            return ()
        last = await self._events.last_assigned(*model)
        if last >= before:
            return ()
        return await store.assigned_between(model, max(last, before - MOST_UNSAID), assigned.ordinal)

    def _remember(self, model: ModelKey, ordinal: int) -> None:
        if len(self._said) >= REMEMBERED:
            self._said.clear()
        self._said[model] = max(self._said.get(model, 0), ordinal)
