"""The halves of versions in MongoDB: each is inserted once, by its own event.

imports, one document an import
    _id            the id of its ModelImported
    workspace, model, import_id
    imported       that event: body and envelope
    requested_by   who asked for the import
    restricted_bytes    the digests of its package and its weights, where automatic learning made it
versions, one document for the answer of versioning
    _id            likewise the id of the ModelImported
    workspace, model
    assigned       that event: body and envelope
    number         rank of the version number
    registered     sorts by the time at which the number was assigned
    released, edited, lifted, deleted    what was changed about it: ordinal, body and envelope
    restricted_by  nodes of restricted versions that it was found to descend from later
    refused, import_id    instead of all that, where it got no number
  Only what has both halves is visible. Every field comes from an event, so that a rebuild gives the same again.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from pymongo import IndexModel
from pymongo.errors import BulkWriteError

from services.registry.documents import read, when, written
from services.registry.domain import RegisteredVersion, bytes_of
from services.registry.ports import ListingStore
from shared.coalesce import Coalescer
from shared.envelope import Envelope
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
from shared.store import Collection, Database, Document, insert_once, only_duplicates, ping, translated
from shared.values import Restriction

# What a version is made of, and a list of what happened.
SHOWN: Final = ("imported", "import_id", "requested_by")


class _Half(NamedTuple):
    """What one event says of a version."""

    version_id: str
    of_import: bool
    document: Document


class MongoModelStore:
    """The ModelStore. Concurrent calls share their round trips."""

    def __init__(self, database: Database, listings: ListingStore) -> None:
        self._database = database
        self._imports = database["imports"]
        self._versions = database["versions"]
        self._listings = listings
        self._record_together: Coalescer[_Half, RegisteredVersion | None] = Coalescer(self._record)

    async def prepare(self) -> None:
        """Make the indexes; a no-op where they are."""
        with translated():
            await self._imports.create_indexes(
                [IndexModel([("import_id", 1)]), IndexModel([("restricted_bytes", 1)], sparse=True)]
            )
            await self._versions.create_indexes(
                [
                    IndexModel([("workspace", 1), ("model", 1), ("number", 1)]),
                    IndexModel([("workspace", 1), ("model", 1), ("registered", 1)]),
                    # An ordinal that is missing stands as null: those that are not deleted come together.
                    IndexModel([("workspace", 1), ("model", 1), ("deleted.ordinal", 1), ("number", 1)]),
                    IndexModel([("import_id", 1)], sparse=True),
                ]
            )

    async def ping(self) -> None:
        await ping(self._database)

    async def record_import(self, imported: ModelImported) -> RegisteredVersion | None:
        facts: Document = {"import_id": imported.import_id, "imported": written(imported)}
        facts["requested_by"] = imported.requested_by
        if Restriction.AUTO_LEARNING in imported.restrictions:
            facts["restricted_bytes"] = sorted(bytes_of(imported))
        return await self._record_together(_half(imported.envelope.id, imported, facts))

    async def record_version(self, assigned: VersionAssigned) -> RegisteredVersion | None:
        facts = {
            "number": VersionNumber.parse(assigned.version).rank,
            "registered": when(assigned),
            "assigned": written(assigned),
        }
        return await self._record_together(_half(assigned.envelope.answered_id, assigned, facts))

    async def record_refusal(self, refused: VersionRefused) -> None:
        facts = {"import_id": refused.import_id, "refused": written(refused)}
        await insert_once(self._versions, _half(refused.envelope.answered_id, refused, facts).document)

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
            about = {"workspace": workspace, "model": model, "number": {"$in": ranks}}
            found = await self.whole(await self._versions.find(about).to_list(None))
        versions = map(registered, found)
        return {version.assigned.version: version for version in versions}

    async def whole(self, versions: Sequence[Document], fields: Sequence[str] = SHOWN) -> list[Document]:
        """Those of some documents of `versions` whose other half is there, with these fields of it.

        Raises:
            the errors of pymongo: call it where they are translated.
        """
        imports = await _by_id(self._imports, [one["_id"] for one in versions], fields)
        return [one | imports[one["_id"]] for one in versions if one["_id"] in imports]

    async def import_status(self, import_id: str) -> ImportStatus | None:
        with translated():
            imports = await self._imports.find({"import_id": import_id}).to_list(None)
            answers = await self._versions.find({"import_id": import_id}).to_list(None)
            numbered = await _by_id(self._versions, [one["_id"] for one in imports])
        attempts = {one["_id"]: one for one in answers}
        for one in imports:
            attempts[one["_id"]] = one | numbered.get(one["_id"], {})
        return _status(max(attempts.values(), key=_best)) if attempts else None

    async def _record(self, halves: Sequence[_Half]) -> list[RegisteredVersion | None]:
        """Insert the halves, find those that they belong to: two round trips side by side each, and those of the listings."""
        imports = {half.version_id: half.document for half in halves if half.of_import}
        versions = {half.version_id: half.document for half in halves if not half.of_import}
        with translated():
            await asyncio.gather(_inserted(self._imports, imports), _inserted(self._versions, versions))
            # What was there already may have been changed since.
            more_imports, more_versions = await asyncio.gather(
                _by_id(self._imports, [one for one in versions if one not in imports]),
                _by_id(self._versions, [one for one in imports if one not in versions]),
            )
        imports |= more_imports
        versions |= more_versions
        numbered = [one for one in imports if "assigned" in versions.get(one, ())]
        whole = {one: registered(versions[one] | imports[one]) for one in numbered}
        await self._listings.refresh(list(whole.values()))
        # Where both halves came at once, one of them is enough to announce it; if that fails, its redelivery finds it whole.
        return [whole.pop(half.version_id, None) for half in halves]


def _half(version_id: str, event: Message, facts: Document) -> _Half:
    about = {"_id": version_id, "workspace": event.workspace, "model": event.model_name}
    return _Half(version_id, isinstance(event, ModelImported), about | facts)


async def _inserted(collection: Collection, documents: dict[str, Document]) -> None:
    """Insert what is not there; what is takes the place of what was given."""
    if not documents:
        return
    try:
        await collection.insert_many(list(documents.values()), ordered=False)
    except BulkWriteError as error:
        if not only_duplicates(error):
            raise
        there = [fault["op"]["_id"] for fault in (error.details or {})["writeErrors"]]
        documents |= await _by_id(collection, there)


async def _by_id(
    collection: Collection, ids: Sequence[str], fields: Sequence[str] | None = None
) -> dict[str, Document]:
    found: dict[str, Document] = {}
    for some in parts(ids):
        async for document in collection.find({"_id": {"$in": some}}, fields):
            found[document["_id"]] = document
    return found


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


def _best(attempt: Document) -> tuple[bool, bool, datetime]:
    """The greatest is the one that worked, else the latest."""
    events = [attempt[name] for name in ("imported", "assigned", "refused") if name in attempt]
    latest = max(Envelope.model_validate_json(event["envelope"]).time for event in events)
    return "assigned" in attempt and "deleted" not in attempt, "refused" not in attempt, latest


def _status(attempt: Document) -> ImportStatus:
    about = {name: attempt[name] for name in ("import_id", "workspace", "model")}
    if "refused" in attempt:
        refused = read(VersionRefused, attempt["refused"])
        return ImportStatus(**about, status="failed", reason=refused.reason, message=refused.message)
    if "assigned" in attempt:
        version = str(VersionNumber.from_rank(attempt["number"]))
        return ImportStatus(**about, status="deleted" if "deleted" in attempt else "published", version=version)
    return ImportStatus(**about, status="publishing")
