"""The imports under way in MongoDB.

under_way
    _id      a workspace
    count    how many imports there are: the limit is checked and a place is taken in one write
    imports  [{id: of the request, until: when it is counted no longer unless somebody still works on it}]
"""

from collections.abc import Sequence
from datetime import datetime

from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo.errors import DuplicateKeyError

from shared.errors import Transient
from shared.store import Document, translated

# Each fails only where another process changed the same workspace in between.
ATTEMPTS = 10


class MongoUnderWay:
    """The UnderWayStore: one document for each workspace, changed by compare-and-set."""

    def __init__(self, database: AsyncIOMotorDatabase[Document]) -> None:
        self._under_way = database["under_way"]

    async def enter(self, workspace: str, request_id: str, limit: int, now: datetime, until: datetime) -> int | None:
        entry = {"id": request_id, "until": until}
        free = {"_id": workspace, "count": {"$lt": limit}, "imports.id": {"$ne": request_id}}
        for _ in range(ATTEMPTS):
            with translated():
                taken = await self._under_way.update_one(free, {"$push": {"imports": entry}, "$inc": {"count": 1}})
                if taken.matched_count or await self._renewed(workspace, entry):
                    return None
                stands = await self._under_way.find_one({"_id": workspace})
                if stands is None:
                    if await self._first(workspace, entry):
                        return None
                    continue
                lapsed = [one for one in stands["imports"] if one["until"] < now]
                await self._drop(workspace, lapsed)
            if not lapsed and stands["count"] >= limit:
                return int(stands["count"])
        raise Transient(f"the imports under way in workspace {workspace!r} change too fast to be counted")

    async def leave(self, workspace: str, request_id: str) -> None:
        gone = {"$pull": {"imports": {"id": request_id}}, "$inc": {"count": -1}}
        with translated():
            await self._under_way.update_one({"_id": workspace, "imports.id": request_id}, gone)

    async def _renewed(self, workspace: str, entry: Document) -> bool:
        counted = {"_id": workspace, "imports.id": entry["id"]}
        written = await self._under_way.update_one(counted, {"$set": {"imports.$.until": entry["until"]}})
        return written.matched_count == 1

    async def _first(self, workspace: str, entry: Document) -> bool:
        try:
            await self._under_way.insert_one({"_id": workspace, "count": 1, "imports": [entry]})
        except DuplicateKeyError:
            return False
        return True

    async def _drop(self, workspace: str, lapsed: Sequence[Document]) -> None:
        """Only as it was seen: somebody may have gone on with it."""
        for entry in lapsed:
            as_seen = {"_id": workspace, "imports": {"$elemMatch": entry}}
            await self._under_way.update_one(as_seen, {"$pull": {"imports": entry}, "$inc": {"count": -1}})
