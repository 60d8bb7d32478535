"""What queries read of aliases, services, grants and history in MongoDB. The layout is drawn in changes/store.py."""

import heapq

from motor.motor_asyncio import AsyncIOMotorCollection, AsyncIOMotorDatabase

from services.registry.changes.documents import alias_id, grants_in, number, rank
from services.registry.changes.store import MongoChangeStore
from services.registry.documents import read, read_any, time_of
from services.registry.ports import Granted, Told
from services.registry.rules.placement import Placement
from services.registry.store import MongoModelStore
from shared.messages import Change, VersionAssigned
from shared.queries import AliasState
from shared.store import Document, translated

Collection = AsyncIOMotorCollection[Document]


class MongoReadings:
    """The Readings."""

    def __init__(
        self, database: AsyncIOMotorDatabase[Document], changes: MongoChangeStore, versions: MongoModelStore
    ) -> None:
        self._whole = versions
        self._changes = changes
        self._versions: Collection = database["versions"]
        self._history: Collection = database["history"]
        self._aliases: Collection = database["aliases"]
        self._deployments: Collection = database["deployments"]

    async def alias(self, workspace: str, model: str, alias: str) -> str | None:
        with translated():
            document = await self._aliases.find_one({"_id": alias_id(workspace, model, alias)})
        return number(document["number"]) if document and document["number"] is not None else None

    async def aliases(self, workspace: str, model: str) -> list[AliasState]:
        with translated():
            pointing = {"workspace": workspace, "model": model, "number": {"$gte": 0}}
            found = await self._aliases.find(pointing).to_list(None)
        return sorted(map(_alias_state, found), key=lambda one: one.alias)

    async def aliases_of(self, workspace: str, model: str, version: str) -> list[str]:
        with translated():
            pointing = {"workspace": workspace, "model": model, "number": rank(version)}
            found = await self._aliases.find(pointing, {"alias": 1}).to_list(None)
        return sorted(document["alias"] for document in found)

    async def placements_in(self, workspace: str, service: str) -> list[Placement]:
        with translated():
            found = await self._deployments.find({"workspace": workspace, "service": service}).to_list(None)
        return list(await self._changes.placements(found))

    async def grant(self, grant_id: str) -> Granted | None:
        with translated():
            document = await self._history.find_one({"grants": grant_id})
        if document is None:
            return None
        change = read_any(document)
        assert isinstance(change, Change)
        granted = ((version, grant) for version, grant in grants_in(change).items() if grant.id == grant_id)
        version, grant = next(granted)
        return Granted(grant, change.workspace, change.model, version)

    async def history(self, workspace: str, model: str, version: str | None, after: str, limit: int) -> list[Told]:
        about: Document = {"workspace": workspace, "model": model}
        happened = {**about, **({"numbers": rank(version)} if version else {}), "when": {"$gt": after}}
        registered = {**about, **({"number": rank(version)} if version else {}), "registered": {"$gt": after}}
        with translated():
            events = await self._history.find(happened).sort("when", 1).limit(limit).to_list(None)
            seen = {"registered": 1, "assigned": 1}
            found = await self._versions.find(registered, seen).sort("registered", 1).limit(limit).to_list(None)
            versions = await self._whole.whole(found, ("requested_by",))
        told = heapq.merge(map(_told, events), map(_registration, versions), key=lambda one: one.key)
        return list(told)[:limit]


def _alias_state(document: Document) -> AliasState:
    return AliasState(
        alias=document["alias"],
        version=number(document["number"]),
        moved_by=document["moved_by"],
        moved_at=time_of(document["moved_at"]),
        why=document["why"],
    )


def _told(document: Document) -> Told:
    event = read_any(document)
    return Told(document["when"], event, event.by if isinstance(event, Change) else event.envelope.source)


def _registration(document: Document) -> Told:
    return Told(document["registered"], read(VersionAssigned, document["assigned"]), document["requested_by"])
