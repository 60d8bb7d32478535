"""Which generation of its collections a service reads and writes, and who is making the next one.

A database made anew is made beside the one in use: generation 3 are the collections `g3.<name>`; 0 has no prefix.

generations    one document
    _id           "current"
    generation    the one in use; missing where there is none yet
    layout        of its documents and indexes
    newest        the highest number that was given to any
    building      who makes the next one: generation, by, and a beat that changes for as long as that goes on
    fence         somebody is about to switch; whoever handles a message takes it away, and then nobody switches
    rebuilt       the last answers to commands: cause, body, envelope

suspects    what suspects.py keeps; no part of a generation

Every change of the first is one compare-and-set. A number is given once: what a process writes that was taken for dead stays
in a generation that nobody reads.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from shared.envelope import Envelope
from shared.errors import Transient
from shared.messages import ProjectionRebuilt
from shared.store import Collection, Database, Document, PrefixedDatabase, insert_once, translated

COLLECTION: Final = "generations"
SUSPECTS: Final = "suspects"
_CURRENT: Final = {"_id": "current"}
_PREFIXED: Final = re.compile(r"g(\d+)\.")
BEAT_EVERY_S: Final = 3.0
# Without a beat for so long, whoever makes the next generation is taken for dead.
DEAD_AFTER_S: Final = 15.0
KEPT_ANSWERS: Final = 20


@dataclass(frozen=True, slots=True)
class Standing:
    """The document, as it was when it was read."""

    generation: int | None
    layout: int | None
    newest: int
    builder: tuple[str, str] | None
    """Who makes the next generation, and its last beat."""
    fenced: bool
    rebuilt: tuple[ProjectionRebuilt, ...]

    def answer_to(self, command_id: str) -> ProjectionRebuilt | None:
        return next((one for one in self.rebuilt if one.envelope.cause_id == command_id), None)


class Busy(Transient):
    """Another process makes the next generation."""


class Generations:
    """The generations of one database."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._seen: tuple[tuple[str, str], float] | None = None
        """A builder's last beat, and since when it is the last."""

    @property
    def _kept(self) -> Collection:
        return self._database[COLLECTION]

    def of(self, number: int) -> Database:
        """The collections of a generation."""
        return PrefixedDatabase(self._database, f"g{number}.") if number else self._database

    async def standing(self) -> Standing | None:
        """None in a database that nobody ever used, or that was lost."""
        with translated():
            document = await self._kept.find_one(_CURRENT)
        return _standing(document) if document else None

    async def found(self, layout: int) -> bool:
        """Begin with generation 0, where there is nothing at all; False where there is something."""
        if await self._numbers():
            return False
        return await insert_once(self._kept, {**_CURRENT, "generation": 0, "layout": layout, "newest": 0})

    async def begin(self, by: str) -> int:
        """Be the one who makes the next generation. What was left of others that never came into use is dropped.

        Raises:
            Transient: another process is at it.
        """
        standing = await self._standing_or_first()
        if standing.builder is not None and not self._is_dead(standing.builder):
            raise Busy("it is being made anew by another process")
        number = standing.newest + 1
        building = {"generation": number, "by": by, "beat": uuid4().hex}
        with translated():
            begun = await self._kept.update_one(
                {**_CURRENT, "newest": standing.newest},
                {"$set": {"newest": number, "building": building}, "$unset": {"fence": ""}},
            )
        if not begun.matched_count:
            raise Busy("another process began to make it anew")
        in_use = -1 if standing.generation is None else standing.generation
        await self._drop(lambda one: one > in_use)
        return number

    async def beat(self, by: str) -> None:
        """Say that it goes on.

        Raises:
            Transient: another process took over.
        """
        await self._as_builder(by, {"$set": {"building.beat": uuid4().hex}})

    async def fence(self, by: str) -> str:
        """From now on, `switch` works only if nobody handles a message before."""
        fence = uuid4().hex
        await self._as_builder(by, {"$set": {"fence": fence}})
        return fence

    async def take_fence_away(self) -> None:
        with translated():
            await self._kept.update_one({**_CURRENT, "fence": {"$exists": True}}, {"$unset": {"fence": ""}})

    async def switch(self, by: str, fence: str, layout: int, answer: ProjectionRebuilt | None) -> bool:
        """Let the generation that was made be the one in use; False where the fence is gone."""
        standing = await self._standing_or_first()
        rebuilt = (*standing.rebuilt, *([answer] if answer else []))[-KEPT_ANSWERS:]
        with translated():
            # The number that was given last is that of the builder, or another took over and `by` differs.
            used = {"generation": standing.newest, "layout": layout, "rebuilt": [_written(one) for one in rebuilt]}
            switched = await self._kept.update_one(
                {**_CURRENT, "building.by": by, "building.generation": standing.newest, "fence": fence},
                {"$set": used, "$unset": {"building": "", "fence": ""}},
            )
        return bool(switched.matched_count)

    async def abandon(self, by: str) -> None:
        """Let others try; a no-op for whoever has switched, or was superseded."""
        with translated():
            await self._kept.update_one({**_CURRENT, "building.by": by}, {"$unset": {"building": "", "fence": ""}})

    async def drop_before(self, number: int) -> bool:
        """Drop every generation older than this one; False where there was none."""
        return await self._drop(lambda one: one < number)

    async def _as_builder(self, by: str, update: Document) -> None:
        with translated():
            done = await self._kept.update_one({**_CURRENT, "building.by": by}, update)
        if not done.matched_count:
            raise Transient("another process makes it anew by now")

    async def _standing_or_first(self) -> Standing:
        standing = await self.standing()
        if standing is not None:
            return standing
        # What is there without this document is older than it, and not to be trusted.
        newest = max(await self._numbers(), default=-1)
        await insert_once(self._kept, {**_CURRENT, "newest": newest})
        return await self.standing() or Standing(None, None, newest, None, fenced=False, rebuilt=())

    def _is_dead(self, builder: tuple[str, str]) -> bool:
        """By the time since this process first saw its last beat: clocks of processes differ."""
        if self._seen is None or self._seen[0] != builder:
            self._seen = builder, self._clock()
        return self._clock() - self._seen[1] >= DEAD_AFTER_S

    async def _numbers(self) -> dict[int, list[str]]:
        """The collections of each generation."""
        found: dict[int, list[str]] = {}
        with translated():
            names = await self._database.list_collection_names()
        for name in names:
            if name not in (COLLECTION, SUSPECTS) and not name.startswith("system."):
                prefix = _PREFIXED.match(name)
                found.setdefault(int(prefix[1]) if prefix else 0, []).append(name)
        return found

    async def _drop(self, unwanted: Callable[[int], bool]) -> bool:
        """Returns whether there was something to drop."""
        found = [name for number, names in (await self._numbers()).items() if unwanted(number) for name in names]
        for name in found:
            with translated():
                await self._database.drop_collection(name)
        return bool(found)


def _standing(document: Document) -> Standing:
    building = document.get("building")
    return Standing(
        generation=document.get("generation"),
        layout=document.get("layout"),
        newest=document["newest"],
        builder=(building["by"], building["beat"]) if building else None,
        fenced="fence" in document,
        rebuilt=tuple(_read(one) for one in document.get("rebuilt", ())),
    )


def _written(answer: ProjectionRebuilt) -> Document:
    return {"body": answer.body(), "envelope": answer.envelope.model_dump_json()}


def _read(document: Document) -> ProjectionRebuilt:
    return ProjectionRebuilt.read(document["body"], Envelope.model_validate_json(document["envelope"]))
