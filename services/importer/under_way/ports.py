"""Where the imports of a workspace that are under way are counted, over all processes."""

from datetime import datetime
from typing import Protocol


class UnderWayStore(Protocol):
    async def enter(self, workspace: str, request_id: str, limit: int, now: datetime, until: datetime) -> int | None:
        """Count a request as under way until then. One that is counted already is so once, until the later time.

        Returns:
            None: it is counted. A number: so many others are, which leaves no place for it.

        Raises:
            Transient: the store is away, or the count changed too fast.
        """
        ...

    async def leave(self, workspace: str, request_id: str) -> None:
        """Count it no longer; a no-op where it is not."""
        ...
