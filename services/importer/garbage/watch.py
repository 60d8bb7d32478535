"""Which imports are under way, told to whoever collects garbage: so that no bytes go that one of them relies on.

Time is counted in rounds of collecting, not by clocks. Every process writes down, now and then, the round in which its
oldest import under way began. collecting.py dooms blobs, lets a new round begin, and removes nothing before every
process has said that all its imports began in that round or later. So

* an import that began before is waited for: whatever it put, or found to be there, its outcome is known when it is
  judged what is needed;
* an import that began in the round takes everything that it relies on out of what is doomed before it looks whether it
  is there (`Shift.keep`). What is going already cannot be taken out: it is tried again once it is gone.

Where nobody collects, an import writes and asks nothing for it. A process that gives no sign of life for DEAD_AFTER_S is
not waited for; it gives up its imports itself when it finds that it could say nothing for half of that time.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence

import structlog

from services.importer.garbage.ports import GarbageStore, Round
from services.importer.ports import ArtifactStore
from shared.errors import Transient

log = structlog.get_logger()

BEAT_EVERY_S = 2.0
DEAD_AFTER_S = 60.0
TRUSTED_FOR_S = DEAD_AFTER_S / 2


class Shift:
    """One import under way."""

    def __init__(self, watch: "Watch", round_: Round) -> None:
        self.round = round_
        self.lost = False
        """Whether the process was taken for dead meanwhile."""
        self._watch = watch

    async def keep(self, digests: Sequence[str]) -> None:
        """Make sure that the bytes of these digests stay for as long as the import is under way, and after if it succeeds.

        Raises:
            Transient: some are being removed, or are gone.
        """
        if self.round.under_way:
            await self._watch.take_out(digests)

    def check(self) -> None:
        """Raises Transient where the bytes that this import relies on may be gone: whoever collects did not wait for it."""
        if self.lost or not self._watch.is_trusted:
            raise Transient("the import was taken for dead: the importer's store could not be told of it in time")


class Watch:
    """The imports of this process."""

    def __init__(
        self, store: GarbageStore, artifacts: ArtifactStore, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._artifacts = artifacts
        self._clock = clock
        self._process = uuid.uuid4().hex
        self._round = Round(0, under_way=False)
        self._shifts: set[Shift] = set()
        self._told_at = 0.0
        self._telling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Say that this process is there, and go on saying it. Raises Transient where the store is away."""
        await self.tell()
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell_now_and_then())

    async def stop(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.wait([self._telling])
        with contextlib.suppress(Transient):
            await self._store.leave(self._process)

    async def tell(self) -> None:
        """One sign of life. An import that begins from now on began in the round that was read here."""
        began_at = self._clock()
        self._round = await self._store.round()
        oldest = min((shift.round.number for shift in self._shifts), default=self._round.number)
        if not await self._store.report(self._process, oldest):
            for shift in self._shifts:
                shift.lost = True
        self._told_at = began_at

    async def _tell_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(BEAT_EVERY_S)
            try:
                await self.tell()
            except Transient as error:
                log.warning("imports under way not told", error=str(error))
            except Exception:  # whatever it is, imports are given up for want of signs of life, and this goes on
                log.exception("imports under way not told")

    @property
    def is_trusted(self) -> bool:
        """Whether the last sign of life is so young that nobody takes this process for dead."""
        return self._clock() - self._told_at < TRUSTED_FOR_S

    @contextlib.asynccontextmanager
    async def shift(self) -> AsyncIterator[Shift]:
        """An import is under way for the time of this block, up to its decision."""
        shift = Shift(self, self._round)
        self._shifts.add(shift)
        try:
            yield shift
        finally:
            self._shifts.discard(shift)

    async def take_out(self, digests: Sequence[str]) -> None:
        """Take digests out of what is doomed, then look whether they are there. Raises as Shift.keep."""
        relied_on = sorted({*digests})
        going = await self._store.spare(relied_on)
        if going:
            raise Transient(f"{min(going)} is being removed: it is copied again once it is gone")
        gone = {*relied_on} - await self._artifacts.holds(relied_on)
        if gone:
            raise Transient(f"{min(gone)} was removed meanwhile: it is copied again")
