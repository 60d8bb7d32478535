"""The importer's memory in MongoDB: what was decided on each request.

imports
    _id      the id of the request
    outcome  the id of the outcome
    claims   what the outcome stands for: message:<the request's id> and, where it succeeded, import:<the import's id>
    address  which event the outcome is
    body     … its JSON
    envelope … and its envelope, so that it is said again exactly as it was
blobs
    _id      SHA-256 of the state in which a place was read
    digest, size_bytes    … of the bytes that were there
    at       when; a document goes some weeks after
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo.errors import BulkWriteError

from services.importer.ports import Blob, Outcome
from shared.coalesce import Coalescer
from shared.envelope import Envelope
from shared.errors import Transient
from shared.messages import ImportRefused, ImportRequest, ModelImported, VersionRefused
from shared.store import Document, only_duplicates, ping, translated

# From "may still be asked for": a place that was not read for so long is read again.
REMEMBERED_S = 30 * 24 * 3600


class _Decision(NamedTuple):
    request: ImportRequest
    outcome: Outcome


class MongoImportStore:
    """The ImportStore in one collection. A unique index on `claims` lets one outcome stand for an import."""

    def __init__(self, database: AsyncIOMotorDatabase[Document]) -> None:
        self._database = database
        self._imports = database["imports"]
        self._blobs = database["blobs"]
        self._find_together: Coalescer[ImportRequest, Outcome | None] = Coalescer(self._find)
        self._decide_together: Coalescer[_Decision, Outcome] = Coalescer(self._decide)

    async def prepare(self) -> None:
        """Make the indexes; a no-op where they are."""
        with translated():
            await self._imports.create_index("claims", unique=True)
            await self._blobs.create_index("at", expireAfterSeconds=REMEMBERED_S)

    async def ping(self) -> None:
        await ping(self._database)

    async def outcome_of(self, request: ImportRequest) -> Outcome | None:
        return await self._find_together(request)

    async def decide(self, request: ImportRequest, outcome: Outcome) -> Outcome:
        return await self._decide_together(_Decision(request, outcome))

    async def release(self, refused: VersionRefused) -> None:
        with translated():
            await self._imports.update_one(
                {"claims": _import_claim(refused), "outcome": refused.envelope.cause_id},
                {"$pull": {"claims": _import_claim(refused)}},
            )

    async def imported(self, import_ids: Sequence[str]) -> set[str]:
        claims = [f"import:{import_id}" for import_id in import_ids]
        with translated():
            standing = [document async for document in self._imports.find({"claims": {"$in": claims}}, {"claims": 1})]
        held = {claim for document in standing for claim in document["claims"]}
        return {import_id for import_id in import_ids if f"import:{import_id}" in held}

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
        return [_choose(by_claim, request) for request in requests]

    async def _decide(self, decisions: Sequence[_Decision]) -> list[Outcome]:
        documents = {decision.request.envelope.id: _document(decision) for decision in decisions}
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


def _document(decision: _Decision) -> Document:
    request, outcome = decision
    stands_for = [_message_claim(request)]
    if isinstance(outcome, ModelImported):
        stands_for.append(_import_claim(request))
    return {
        "_id": request.envelope.id,
        "outcome": outcome.envelope.id,
        "claims": stands_for,
        "address": outcome.address,
        "body": outcome.body(),
        "envelope": outcome.envelope.model_dump_json(),
    }


def _blob_id(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()


def _message_claim(request: ImportRequest) -> str:
    return f"message:{request.envelope.id}"


def _import_claim(about: ImportRequest | VersionRefused) -> str:
    return f"import:{about.import_id}"


def _choose(by_claim: dict[str, Document], request: ImportRequest) -> Outcome | None:
    document = by_claim.get(_message_claim(request)) or by_claim.get(_import_claim(request))
    if document is None:
        return None
    kind = ModelImported if document["address"] == ModelImported.address else ImportRefused
    return kind.read(document["body"], Envelope.model_validate_json(document["envelope"]))
