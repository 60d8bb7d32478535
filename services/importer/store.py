"""The importer's memory in MongoDB: what was decided on each request.

imports
    _id      the id of the request
    outcome  the id of the outcome
    claims   what the outcome stands for: message:<the request's id> and, where it succeeded, import:<the import's id>.
             A request that asked for an import again keeps the outcome that it got, under its own id
    address  which event the outcome is
    body     … its JSON
    envelope … and its envelope, so that it is said again exactly as it was
    package  where it succeeded: the digest of the package
    kept     … and whole or in-place; null once its version was refused or deleted
deletions
    _id      the id of a VersionDeleted
    import   the _id in imports of what it deleted, null where there was none: chosen once, so that a repeat does not
             meet an import that was made anew
memory         one document
    _id      "events"
    whole    whether everything is there that EVENTS says: false while a new database is made from it
blobs
    _id      SHA-256 of the state in which a place was read
    digest, size_bytes    … of the bytes that were there
    at       when; a document goes some weeks after
"""

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo.errors import BulkWriteError, DuplicateKeyError

from services.importer.ports import Blob, Kept, Outcome
from shared.coalesce import Coalescer
from shared.envelope import Envelope
from shared.errors import Transient
from shared.messages import ImportRefused, ImportRequest, ModelImported, VersionDeleted, VersionRefused
from shared.parts import parts
from shared.store import Document, insert_once, only_duplicates, ping, translated

# From "may still be asked for": a place that was not read for so long is read again.
REMEMBERED_S = 30 * 24 * 3600
PACKAGES_AT_ONCE = 200
MESSAGE = "message:"
IMPORT = "import:"


class _Decision(NamedTuple):
    request: ImportRequest
    outcome: Outcome


class MongoImportStore:
    """The ImportStore in one collection. A unique index on `claims` lets one outcome stand for an import."""

    def __init__(self, database: AsyncIOMotorDatabase[Document]) -> None:
        self._database = database
        self._imports = database["imports"]
        self._blobs = database["blobs"]
        self._deletions = database["deletions"]
        self._memory = database["memory"]
        self._find_together: Coalescer[ImportRequest, Outcome | None] = Coalescer(self._find)
        self._decide_together: Coalescer[_Decision, Outcome] = Coalescer(self._decide)

    async def prepare(self) -> None:
        """Make the indexes; a no-op where they are."""
        with translated():
            await self._imports.create_index("claims", unique=True)
            await self._imports.create_index([("package", 1), ("kept", 1)])
            await self._blobs.create_index("at", expireAfterSeconds=REMEMBERED_S)

    async def ping(self) -> None:
        await ping(self._database)

    async def is_whole(self) -> bool:
        marker = {"_id": "events"}
        with translated():
            standing = await self._memory.find_one(marker)
        if standing is None:
            # What an older release made has no such document, and was made as it was said.
            with translated():
                is_old = await self._imports.estimated_document_count() > 0
            await insert_once(self._memory, {**marker, "whole": is_old})
            with translated():
                standing = await self._memory.find_one(marker)
        return bool(standing and standing["whole"])

    async def be_whole(self) -> None:
        with translated():
            await self._memory.update_one({"_id": "events"}, {"$set": {"whole": True}})

    async def learn(self, outcomes: Sequence[Outcome]) -> None:
        known = [outcome for outcome in outcomes if outcome.envelope.cause_id is not None]
        await self._insert([_document(outcome.envelope.cause_id or "", outcome) for outcome in known])

    async def outcome_of(self, request: ImportRequest) -> Outcome | None:
        return await self._find_together(request)

    async def decide(self, request: ImportRequest, outcome: Outcome) -> Outcome:
        return await self._decide_together(_Decision(request, outcome))

    async def release(self, refused: VersionRefused) -> None:
        with translated():
            await self._imports.update_one(
                {"claims": _import_claim(refused), "outcome": refused.envelope.cause_id},
                {"$pull": {"claims": _import_claim(refused)}, "$set": {"kept": None}},
            )

    async def delete(self, deleted: VersionDeleted) -> None:
        claim = _import_claim(deleted)
        with translated():
            target = await self._target_of(deleted, claim)
            if target is not None:
                gone = {"$pull": {"claims": claim}, "$set": {"kept": None}}
                await self._imports.update_one({"_id": target, "claims": claim}, gone)

    async def _target_of(self, deleted: VersionDeleted, claim: str) -> str | None:
        """What a deletion is about. What was chosen first holds, whoever else looks at the same time."""
        deletion = {"_id": deleted.envelope.id}
        standing = await self._deletions.find_one(deletion)
        if standing is None:
            found = await self._imports.find_one({"claims": claim}, {"_id": 1})
            with contextlib.suppress(DuplicateKeyError):
                await self._deletions.insert_one({**deletion, "import": found and found["_id"]})
            standing = await self._deletions.find_one(deletion)
        return None if standing is None else standing["import"]

    async def kept(self, package_digest: str) -> Kept:
        for kept in (Kept.WHOLE, Kept.IN_PLACE):
            with translated():
                if await self._imports.find_one({"package": package_digest, "kept": kept.value}, {"_id": 1}):
                    return kept
        return Kept.UNKNOWN

    async def packages(self) -> AsyncIterator[Sequence[str]]:
        # One cursor: of a page by key, the embedded store reads all that follows, so pages would take quadratic time.
        found = self._imports.find({}, {"claims": 1, "package": 1}, batch_size=PACKAGES_AT_ONCE)
        while True:
            with translated():
                page = await found.to_list(PACKAGES_AT_ONCE)
                old = await self._digests_of([one["_id"] for one in page if "package" not in one])
            if not page:
                return
            standing = [one for one in page if any(claim.startswith(IMPORT) for claim in one["claims"])]
            yield [one.get("package") or old[one["_id"]] for one in standing]

    async def _digests_of(self, ids: Sequence[str]) -> dict[str, str]:
        """The package digests of outcomes of a release that did not write them down, out of their bodies."""
        digests: dict[str, str] = {}
        for some in parts(ids):
            imported = {"_id": {"$in": list(some)}, "address": ModelImported.address}
            async for one in self._imports.find(imported, {"body": 1}):
                digests[one["_id"]] = json.loads(one["body"])["package"]["digest"]
        return digests

    async def decided(self, request_ids: Sequence[str]) -> set[str]:
        with translated():
            found = self._imports.find({"_id": {"$in": list(request_ids)}}, {"_id": 1})
            return {one["_id"] async for one in found}

    async def imported(self, import_ids: Sequence[str]) -> set[str]:
        claims = [f"{IMPORT}{import_id}" for import_id in import_ids]
        with translated():
            standing = [document async for document in self._imports.find({"claims": {"$in": claims}}, {"claims": 1})]
        held = {claim for document in standing for claim in document["claims"]}
        return {import_id for import_id in import_ids if f"{IMPORT}{import_id}" in held}

    async def blobs_of(self, states: Sequence[str]) -> dict[str, Blob]:
        by_id = {_blob_id(state): state for state in states}
        with translated():
            found = self._blobs.find({"_id": {"$in": list(by_id)}})
            return {by_id[one["_id"]]: Blob(one["digest"], one["size_bytes"]) async for one in found}

    async def remember(self, blobs: Mapping[str, Blob]) -> None:
        now = datetime.now(UTC)
        documents = [{"_id": _blob_id(state), **blob._asdict(), "at": now} for state, blob in blobs.items()]
        try:
            with translated():
                await self._blobs.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            if not only_duplicates(error):
                raise

    async def _find(self, requests: Sequence[ImportRequest]) -> list[Outcome | None]:
        claims = {claim for request in requests for claim in (_message_claim(request), _import_claim(request))}
        with translated():
            standing = [document async for document in self._imports.find({"claims": {"$in": list(claims)}})]
        by_claim = {claim: document for document in standing for claim in document["claims"]}
        await self._keep([_repeat(by_claim, request) for request in requests])
        return [_choose(by_claim, request) for request in requests]

    async def _keep(self, repeats: Sequence[Document | None]) -> None:
        """What stands now for a request stands for it also when the import may be made anew."""
        documents = {repeat["_id"]: repeat for repeat in repeats if repeat is not None}
        await self._insert(list(documents.values()))

    async def _insert(self, documents: Sequence[Document]) -> None:
        """What is there already stays as it is."""
        if not documents:
            return
        try:
            with translated():
                await self._imports.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            if not only_duplicates(error):
                raise

    async def _decide(self, decisions: Sequence[_Decision]) -> list[Outcome]:
        documents = {
            decision.request.envelope.id: _document(decision.request.envelope.id, decision.outcome)
            for decision in decisions
        }
        try:
            with translated():
                await self._imports.insert_many(list(documents.values()), ordered=False)
        except BulkWriteError as error:
            if not only_duplicates(error):
                raise
            return self._all_standing(await self._find([decision.request for decision in decisions]))
        if len(documents) < len(decisions):
            return self._all_standing(await self._find([decision.request for decision in decisions]))
        return [decision.outcome for decision in decisions]

    @staticmethod
    def _all_standing(outcomes: Sequence[Outcome | None]) -> list[Outcome]:
        """One that is gone again was released between the two steps: decide anew."""
        if None in outcomes:
            raise Transient("the import was released while it was decided")
        return [outcome for outcome in outcomes if outcome is not None]


def _document(request_id: str, outcome: Outcome) -> Document:
    stands_for = [f"{MESSAGE}{request_id}"]
    package: Document = {"package": None, "kept": None}
    if isinstance(outcome, ModelImported):
        stands_for.append(_import_claim(outcome))
        kept = Kept.IN_PLACE if outcome.package.in_place else Kept.WHOLE
        package = {"package": outcome.package.digest, "kept": kept.value}
    return {
        **package,
        "_id": request_id,
        "outcome": outcome.envelope.id,
        "claims": stands_for,
        "address": outcome.address,
        "body": outcome.body(),
        "envelope": outcome.envelope.model_dump_json(),
    }


def _blob_id(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()


def _message_claim(request: ImportRequest) -> str:
    return f"{MESSAGE}{request.envelope.id}"


def _import_claim(about: ImportRequest | ModelImported | VersionRefused | VersionDeleted) -> str:
    return f"{IMPORT}{about.import_id}"


def _repeat(by_claim: Mapping[str, Document], request: ImportRequest) -> Document | None:
    """What to keep of a request that gets what another got, None where it has an outcome of its own, or none."""
    standing = by_claim.get(_import_claim(request))
    if standing is None or _message_claim(request) in by_claim:
        return None
    its_own = {"_id": request.envelope.id, "claims": [_message_claim(request)], "package": None, "kept": None}
    return {**standing, **its_own}


def _choose(by_claim: dict[str, Document], request: ImportRequest) -> Outcome | None:
    document = by_claim.get(_message_claim(request)) or by_claim.get(_import_claim(request))
    if document is None:
        return None
    kind = ModelImported if document["address"] == ModelImported.address else ImportRefused
    return kind.read(document["body"], Envelope.model_validate_json(document["envelope"]))
