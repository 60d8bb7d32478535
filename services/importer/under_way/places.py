"""How many imports of one workspace may be under way at once, over all processes.

A request keeps its place while it waits to be delivered again: what was let in is not turned away later, and where its
process died, the next delivery finds its place. A place that nobody works on lapses (a stream that was purged, say).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from services.importer.domain import Unacceptable
from services.importer.under_way.ports import UnderWayStore
from shared.errors import Transient
from shared.texts import shown
from shared.values import Reason

log = structlog.get_logger()

# Of each of the three consumers that carry requests, the stream gives out a thousand at once (deploy/topology.py).
MOST_GIVEN_OUT: Final = 3000
# Above the longest pause before a message is delivered again, with room for clocks that differ.
LAPSES_AFTER: Final = timedelta(minutes=5)
RENEWED_EVERY_S: Final = 60.0


class Places:
    """The places of every workspace. A limit of as many as the stream gives out is never reached, so it costs no write."""

    def __init__(self, store: UnderWayStore, limit: int, now: Callable[[], datetime]) -> None:
        self._store = store
        self._limit = limit
        self._now = now

    @contextlib.asynccontextmanager
    async def place(self, workspace: str, request_id: str) -> AsyncIterator[None]:
        """The request is under way for the time of this block, and after it where that ends by Transient.

        Raises:
            Unacceptable: as many as may be are under way.
            Transient: the store is away.
        """
        if self._limit >= MOST_GIVEN_OUT:
            yield
            return
        await self._enter(workspace, request_id)
        renewing = asyncio.create_task(self._renew_now_and_then(workspace, request_id))
        try:
            yield
        except (Transient, asyncio.CancelledError):
            raise  # it is delivered again
        except BaseException:
            await self._leave(workspace, request_id)
            raise
        else:
            await self._leave(workspace, request_id)
        finally:
            renewing.cancel()

    async def _enter(self, workspace: str, request_id: str) -> None:
        now = self._now()
        others = await self._store.enter(workspace, request_id, self._limit, now, now + LAPSES_AFTER)
        if others is not None:
            raise Unacceptable(
                Reason.TOO_MANY_IMPORTS,
                f"imports of workspace {shown(workspace)} under way: {others}; expected at most {self._limit} at once"
                " (MODELKIN_MAX_IMPORTS_PER_WORKSPACE); ask again under a new id when some are done",
            )

    async def _leave(self, workspace: str, request_id: str) -> None:
        """Where the store is away, the place lapses: the import itself is done."""
        try:
            await self._store.leave(workspace, request_id)
        except Transient as error:
            log.warning("an import that is done is counted for some minutes more", error=str(error))

    async def _renew_now_and_then(self, workspace: str, request_id: str) -> None:
        while True:
            await asyncio.sleep(RENEWED_EVERY_S)
            with contextlib.suppress(Transient, Unacceptable):
                await self._enter(workspace, request_id)
