"""The halves of versions in MongoDB.

versions, one document an import
    _id            the id of its ModelImported
    workspace, model, import_id
    imported       that event: body and envelope
    requested_by   who asked for the import
    assigned, refused    the answer of versioning, likewise
    number         rank of the version number
    registered     sorts by the time at which the number was assigned
    failed         whether it was refused
    seen_at        time of the newest event on it
    restricted_bytes    the digests of its package and its weights, where automatic learning made it
    released, edited, lifted, deleted    what was changed about it: ordinal, body and envelope
    restricted_by  nodes of restricted versions that it was found to descend from later
  Only what has both halves is visible. Every field comes from an event, so that a rebuild gives the same again.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo import IndexModel, UpdateOne
from pymongo.errors import BulkWriteError

from services.registry.documents import read, when, written
from services.registry.domain import RegisteredVersion, bytes_of
from services.registry.ports import ListingStore
from shared.coalesce import Coalescer
from shared.errors import Transient
from shared.messages import (
    Message,
    ModelImported,
    RestrictionLifted,
    VersionAssigned,
    VersionDeleted,
    VersionEdited,
    VersionRefused,
    VersionReleased,
)
from shared.naming import VersionNumber
from shared.parts import parts
from shared.queries import ImportStatus
from shared.store import Document, only_duplicates, ping, translated
from shared.values import Restriction

WHOLE: Document = {"imported": {"$exists": True}, "assigned": {"$exists": True}}


class _Half(NamedTuple):
    """What one event says of a version."""

    version_id: str
    event: ModelImported | VersionAssigned | VersionRefused
    facts: Document


class MongoModelStore:
    """The ModelStore. Concurrent calls share their round trips."""

    def __init__(self, database: AsyncIOMotorDatabase[Document], listings: ListingStore) -> None:
        self._database = database
        self._versions = database["versions"]
        self._listings = listings
        self._record_together: Coalescer[_Half, RegisteredVersion | None] = Coalescer(self._record)

    async def prepare(self) -> None:
        """Make the indexes; a no-op where they are."""
        with translated():
            await self._versions.create_indexes(
                [
                    IndexModel([("workspace", 1), ("model", 1), ("number", 1)]),
                    IndexModel([("workspace", 1), ("model", 1), ("registered", 1)]),
                    # An ordinal that is missing stands as null: those that are not deleted come together.
                    IndexModel([("workspace", 1), ("model", 1), ("deleted.ordinal", 1), ("number", 1)]),
                    IndexModel([("restricted_bytes", 1)], sparse=True),
                    IndexModel([("import_id", 1)]),
                ]
            )

    async def ping(self) -> None:
        await ping(self._database)

    async def record_import(self, imported: ModelImported) -> RegisteredVersion | None:
        facts: Document = {"import_id": imported.import_id, "imported": written(imported)}
        facts["requested_by"] = imported.requested_by
        if Restriction.AUTO_LEARNING in imported.restrictions:
            facts["restricted_bytes"] = sorted(bytes_of(imported))
        return await self._record_together(_Half(imported.envelope.id, imported, facts))

    async def record_version(self, assigned: VersionAssigned) -> RegisteredVersion | None:
        facts = {
            "number": VersionNumber.parse(assigned.version).rank,
            "registered": when(assigned),
            "assigned": written(assigned),
        }
        return await self._record_together(_Half(_cause(assigned), assigned, facts))

    async def record_refusal(self, refused: VersionRefused) -> None:
        facts = {"import_id": refused.import_id, "refused": written(refused), "failed": True}
        with translated():
            await self._versions.bulk_write([_half_write(_Half(_cause(refused), refused, facts))])

    async def version(self, workspace: str, model: str, number: VersionNumber) -> RegisteredVersion | None:
        return (await self.versions(workspace, model, [number])).get(str(number))

    async def versions(
        self, workspace: str, model: str, numbers: Iterable[VersionNumber]
    ) -> dict[str, RegisteredVersion]:
        """Those of a few versions that are there, by number."""
        ranks = [number.rank for number in numbers]
        if not ranks:
            return {}
        with translated():
            found = self._versions.find({"workspace": workspace, "model": model, "number": {"$in": ranks}, **WHOLE})
            versions = [registered(document) async for document in found]
        return {version.assigned.version: version for version in versions}

    async def import_status(self, import_id: str) -> ImportStatus | None:
        # Descending, a field that is missing comes last, ascending it comes first: not deleted, numbered, not failed, newest.
        best = [("deleted.ordinal", 1), ("number", -1), ("failed", 1), ("seen_at", -1)]
        with translated():
            document = await self._versions.find_one({"import_id": import_id}, sort=best)
        return _status(document) if document else None

    async def _record(self, halves: Sequence[_Half]) -> list[RegisteredVersion | None]:
        """Write the halves, read back what is whole: two round trips, and those of the listings."""
        ids = list({half.version_id for half in halves})
        with translated():
            try:
                await self._versions.bulk_write([_half_write(half) for half in halves], ordered=True)
            except BulkWriteError as error:
                if not only_duplicates(error):
                    raise
                raise Transient("both halves of a version were written first at once") from error
            whole = {document["_id"]: registered(document) for document in await self._whole_among(ids)}
        if whole:
            await self._listings.refresh(list(whole.values()))
        # Where both halves came at once, one of them is enough to announce it; if that fails, its redelivery finds it whole.
        return [whole.pop(half.version_id, None) for half in halves]

    async def _whole_among(self, ids: Sequence[str]) -> list[Document]:
        found: list[Document] = []
        for some in parts(ids):
            found += [document async for document in self._versions.find({"_id": {"$in": some}, **WHOLE})]
        return found


def _half_write(half: _Half) -> UpdateOne:
    about = {"workspace": half.event.workspace, "model": half.event.model}
    said = {"$set": about | half.facts, "$max": {"seen_at": half.event.envelope.time}}
    return UpdateOne({"_id": half.version_id}, said, upsert=True)


def _cause(answer: Message) -> str:
    return answer.envelope.cause_id or answer.envelope.id


def registered(document: Document) -> RegisteredVersion:
    """The version that a document with both halves holds."""
    return RegisteredVersion(
        imported=read(ModelImported, document["imported"]),
        assigned=read(VersionAssigned, document["assigned"]),
        released=read(VersionReleased, document["released"]) if "released" in document else None,
        edited=read(VersionEdited, document["edited"]) if "edited" in document else None,
        lifted=read(RestrictionLifted, document["lifted"]) if "lifted" in document else None,
        deleted=read(VersionDeleted, document["deleted"]) if "deleted" in document else None,
        found_later=tuple(sorted(document.get("restricted_by", ()))),
    )


def _status(document: Document) -> ImportStatus:
    about = {name: document[name] for name in ("import_id", "workspace", "model")}
    if "refused" in document:
        refused = read(VersionRefused, document["refused"])
        return ImportStatus(**about, status="failed", reason=refused.reason, message=refused.message)
    if all(half in document for half in WHOLE):
        version = str(VersionNumber.from_rank(document["number"]))
        return ImportStatus(**about, status="deleted" if "deleted" in document else "published", version=version)
    return ImportStatus(**about, status="publishing")
