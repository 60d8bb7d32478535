"""Many concurrent calls, one round trip: what waits while the store is busy goes out together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from shared.errors import Transient

Item = TypeVar("Item")
Result = TypeVar("Result")

# From the measured flattening of bulk inserts; a document is a few KB, so a batch stays far under a message of 48 MB.
LARGEST_BATCH = 200


class Coalescer(Generic[Item, Result]):
    """A function of one item, made from a function of many.

    A lone call goes out at once. Calls that come while one is under way wait, and go
    out together when it returns. Each gets its own result.
    """

    def __init__(self, flush: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]) -> None:
        """`flush` returns one result an item, in order."""
        self._flush = flush
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._draining: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if self._draining is None or self._draining.done():
            self._draining = asyncio.create_task(self._drain())
        return await result

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:LARGEST_BATCH], self._waiting[LARGEST_BATCH:]
            await self._settle(batch)

    async def _settle(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._flush([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - it is raised again in every call that waits for it
            await self._settle_failed(batch, error)
            return
        for (_, waiting), result in zip(batch, results, strict=True):
            if not waiting.done():
                waiting.set_result(result)

    async def _settle_failed(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]], error: Exception) -> None:
        """An item that no store can take must not fail its neighbours: each is tried alone."""
        if len(batch) > 1 and not isinstance(error, Transient):
            for one in batch:
                await self._settle([one])
            return
        for _, waiting in batch:
            if not waiting.done():
                waiting.set_exception(error)
