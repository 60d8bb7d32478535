"""The GarbageStore in MongoDB, and how commands were answered.

watchers
    _id      a process of the importer
    beats    its signs of life
    oldest   the round in which the oldest import under way in it began
collector    one document
    holder   who collects; null: nobody
    beats    its signs of life
    round    … and where collecting stands
    under_way
doomed
    _id      the digest of bytes that may be removed
    size_bytes
    going    whether they are being removed: nobody may rely on them any more
answers
    _id      the id of a command
    address, body, envelope    … of its answer, so that it is said again exactly as it was
    at       when; a document goes some weeks after
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo.errors import BulkWriteError, DuplicateKeyError

from services.importer.garbage.ports import Round, Watcher
from services.importer.ports import Blob
from shared.envelope import Envelope
from shared.errors import Transient
from shared.messages import Message, kind_of
from shared.parts import parts
from shared.store import Document, only_duplicates, translated

ANSWERS_KEPT_S = 30 * 24 * 3600
_ONE = {"_id": "collector"}


class MongoGarbageStore:
    """Each step is one write that says in its filter what it builds on, so any number of processes may try it."""

    def __init__(self, database: AsyncIOMotorDatabase[Document]) -> None:
        self._watchers = database["watchers"]
        self._collector = database["collector"]
        self._doomed = database["doomed"]
        self._answers = database["answers"]

    async def prepare(self) -> None:
        with translated():
            await self._answers.create_index("at", expireAfterSeconds=ANSWERS_KEPT_S)
            await self._doomed.create_index([("going", 1), ("_id", 1)])
            try:
                await self._collector.insert_one({**_ONE, "holder": None, "beats": 0, "round": 0, "under_way": False})
            except DuplicateKeyError:
                return

    async def round(self) -> Round:
        stands = await self._stands()
        return Round(stands["round"], stands["under_way"])

    async def report(self, process: str, oldest_round: int) -> bool:
        with translated():
            change = {"$set": {"oldest": oldest_round}, "$inc": {"beats": 1}}
            written = await self._watchers.update_one({"_id": process}, change, upsert=True)
        return written.matched_count == 1

    async def leave(self, process: str) -> None:
        with translated():
            await self._watchers.delete_one({"_id": process})

    async def watchers(self) -> dict[str, Watcher]:
        with translated():
            return {one["_id"]: Watcher(one["beats"], one["oldest"]) async for one in self._watchers.find({})}

    async def strike_off(self, process: str, beats: int) -> None:
        with translated():
            await self._watchers.delete_one({"_id": process, "beats": beats})

    async def holder(self) -> tuple[str | None, int]:
        stands = await self._stands()
        return stands["holder"], stands["beats"]

    async def take(self, collector: str, seen: tuple[str | None, int]) -> bool:
        holder, beats = seen
        with translated():
            seen_there = {**_ONE, "holder": holder, "beats": beats}
            written = await self._collector.update_one(seen_there, {"$set": {"holder": collector, "beats": beats + 1}})
        return written.matched_count == 1

    async def beat(self, collector: str) -> bool:
        with translated():
            written = await self._collector.update_one({**_ONE, "holder": collector}, {"$inc": {"beats": 1}})
        return written.matched_count == 1

    async def begin_round(self, collector: str) -> int:
        with translated():
            change = {"$inc": {"round": 1}, "$set": {"under_way": True}}
            written = await self._collector.update_one({**_ONE, "holder": collector}, change)
        if written.matched_count == 0:
            raise Transient("another process collects garbage")
        return (await self.round()).number

    async def end(self, collector: str, *, finished: bool) -> None:
        change: Document = {"holder": None, **({"under_way": False} if finished else {})}
        with translated():
            await self._collector.update_one({**_ONE, "holder": collector}, {"$set": change})

    async def _stands(self) -> Document:
        with translated():
            stands = await self._collector.find_one(_ONE)
        if stands is None:
            raise Transient("the importer's database was emptied: start the importer anew")
        return stands

    async def doom(self, blobs: Sequence[Blob]) -> None:
        documents = [{"_id": blob.digest, "size_bytes": blob.size_bytes, "going": False} for blob in blobs]
        try:
            with translated():
                await self._doomed.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            if not only_duplicates(error):
                raise

    async def doomed(self, after: str, limit: int, *, going: bool = False) -> list[Blob]:
        with translated():
            found = self._doomed.find({"going": going, "_id": {"$gt": after}}).sort("_id", 1).limit(limit)
            return [Blob(one["_id"], one["size_bytes"]) async for one in found]

    async def spare(self, digests: Sequence[str]) -> set[str]:
        going: set[str] = set()
        for part in parts(digests):
            some = {"_id": {"$in": list(part)}}
            with translated():
                await self._doomed.delete_many({**some, "going": False})
                going |= {one["_id"] async for one in self._doomed.find(some, {"_id": 1})}
        return going

    async def condemn(self, digests: Sequence[str]) -> set[str]:
        going: set[str] = set()
        for part in parts(digests):
            some = {"_id": {"$in": list(part)}}
            with translated():
                await self._doomed.update_many({**some, "going": False}, {"$set": {"going": True}})
                going |= {one["_id"] async for one in self._doomed.find({**some, "going": True}, {"_id": 1})}
        return going

    async def gone(self, digests: Sequence[str]) -> None:
        for part in parts(digests):
            with translated():
                await self._doomed.delete_many({"_id": {"$in": list(part)}})

    async def answer_of(self, command: Message) -> Message | None:
        with translated():
            standing = await self._answers.find_one({"_id": command.envelope.id})
        return None if standing is None else _read(standing)

    async def keep_answer(self, answer: Message) -> Message:
        document = {
            "_id": answer.envelope.cause_id,
            "address": answer.address,
            "body": answer.body(),
            "envelope": answer.envelope.model_dump_json(),
            "at": datetime.now(UTC),
        }
        with translated():
            try:
                await self._answers.insert_one(document)
            except DuplicateKeyError:
                standing = await self._answers.find_one({"_id": answer.envelope.cause_id})
                return answer if standing is None else _read(standing)
        return answer


def _read(document: Document) -> Message:
    kind = kind_of(f"{document['address']}.")
    return kind.read(document["body"], Envelope.model_validate_json(document["envelope"]))
