"""Version numbers and lineage in MongoDB.

    versions, one document a decision
        _id        the id of the ModelImported that was decided
        workspace, model
        ordinal    how many versions the model has had; unique within the model
        number     rank of the version number; unique within the model
        highest    rank of the highest number of the model so far
        node       version:<workspace>/<model>@<number>
        parents    the versions that it was made from
        address, body, envelope    the decision as it was said
      A refusal holds no number: its own id stands in `ordinal` and `number`, so that no
      two are alike, and comparisons with numbers pass it by.
    heads    _id <workspace>/<model>; the ordinal and highest number of a version not far from the newest
    holders  _id <workspace>/<digest>; the node that held these bytes first

Versions of a model form a chain: the document of ordinal n can be inserted once, by a
process that decided on all before it. So numbers are gapless and unique without a lock.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo import IndexModel, UpdateOne
from pymongo.errors import BulkWriteError

from services.versioning.domain import (
    Decision,
    Head,
    Known,
    ModelKey,
    advanced,
    decide,
    digests_asked_for,
    digests_held,
    node_of,
    nodes_asked_for,
    parents_of,
)
from shared.coalesce import Coalescer
from shared.envelope import Envelope
from shared.messages import ModelImported, VersionAssigned, VersionRefused
from shared.naming import VersionNumber
from shared.store import Document, only_duplicates, ping, translated

# A head is written down every so many versions: whoever starts reads at most this many documents to find the newest.
HEAD_EVERY = 64
# Heads kept in memory, about 200 bytes each.
KNOWN_HEADS = 50_000


class _Request(NamedTuple):
    imported: ModelImported
    time: datetime


class MongoVersionStore:
    """The VersionStore. Concurrent calls share their round trips."""

    def __init__(self, database: AsyncIOMotorDatabase[Document]) -> None:
        self._database = database
        self._versions = database["versions"]
        self._heads = database["heads"]
        self._holders = database["holders"]
        self._known_heads: dict[ModelKey, Head] = {}
        self._decide_together: Coalescer[_Request, Decision] = Coalescer(self._decide)

    async def prepare(self) -> None:
        """Make the indexes; a no-op where they are."""
        with translated():
            await self._versions.create_indexes(
                [
                    IndexModel([("workspace", 1), ("model", 1), ("ordinal", 1)], unique=True),
                    IndexModel([("workspace", 1), ("model", 1), ("number", 1)], unique=True),
                    IndexModel([("node", 1)], sparse=True),
                    IndexModel([("parents", 1)]),
                ]
            )

    async def ping(self) -> None:
        await ping(self._database)

    async def decide(self, imported: ModelImported, time: datetime) -> Decision:
        return await self._decide_together(_Request(imported, time))

    async def version(self, node: str) -> VersionAssigned | None:
        return next(iter(await self.versions([node])), None)

    async def versions(self, nodes: Sequence[str]) -> list[VersionAssigned]:
        with translated():
            return [_assigned(document) async for document in self._versions.find({"node": {"$in": list(nodes)}})]

    async def children(self, nodes: Sequence[str], limit: int) -> list[VersionAssigned]:
        with translated():
            found = self._versions.find({"parents": {"$in": list(nodes)}}).limit(limit)
            return [_assigned(document) async for document in found]

    async def _decide(self, requests: Sequence[_Request]) -> list[Decision]:
        """Decide a batch. An insert stops at the first document that another process came before; the rest is tried anew."""
        decided: dict[str, Decision] = {}
        while waiting := _undecided(requests, decided):
            # Heads before decisions: a repeat that was decided after this look at the heads makes the insert stop, not skip.
            heads = await self._heads_of({_model_of(request.imported) for request in waiting})
            decided |= await self._standing([request.imported for request in waiting])
            if fresh := _undecided(requests, decided):
                known = await self._known([one.imported for one in fresh], heads)
                decided |= await self._record(fresh, heads, known)
        return [decided[request.imported.envelope.id] for request in requests]

    async def _record(
        self, requests: Sequence[_Request], heads: dict[ModelKey, Head], known: Known
    ) -> dict[str, Decision]:
        """Decide in turn, insert in order; returns what was inserted before another came first."""
        documents: list[Document] = []
        decisions: list[tuple[ModelImported, Decision]] = []
        for imported, time in requests:
            model = _model_of(imported)
            decision = decide(imported, heads[model], known, time)
            if isinstance(decision, VersionAssigned):
                heads[model] = advanced(heads[model], decision)
                known.learn(imported, decision)
            documents.append(_document(imported, decision, heads[model]))
            decisions.append((imported, decision))
        inserted = decisions[: await self._insert(documents)]
        complete = len(inserted) == len(decisions)
        for model, head in heads.items():
            if complete:
                self._known_heads[model] = head
            else:
                self._known_heads.pop(model, None)
        await self._remember(inserted, heads if complete else {})
        return {imported.envelope.id: decision for imported, decision in inserted}

    async def _insert(self, documents: Sequence[Document]) -> int:
        """Insert in order; returns how many went in before one met a document that is there already."""
        try:
            with translated():
                await self._versions.insert_many(documents, ordered=True)
        except BulkWriteError as error:
            if not only_duplicates(error):
                raise
            return int((error.details or {})["nInserted"])
        return len(documents)

    async def _standing(self, imports: Sequence[ModelImported]) -> dict[str, Decision]:
        """Decisions made before. What a process that died may have left undone after them is done again."""
        by_id = {imported.envelope.id: imported for imported in imports}
        with translated():
            found = [document async for document in self._versions.find({"_id": {"$in": list(by_id)}})]
        decided = {document["_id"]: _read(document) for document in found}
        await self._remember([(by_id[key], decision) for key, decision in decided.items()], {})
        return decided

    async def _heads_of(self, models: Iterable[ModelKey]) -> dict[ModelKey, Head]:
        if len(self._known_heads) > KNOWN_HEADS:
            self._known_heads.clear()
        unknown = [model for model in models if model not in self._known_heads]
        with translated():
            saved = (
                {
                    document["_id"]: document
                    async for document in self._heads.find({"_id": {"$in": [_head_id(model) for model in unknown]}})
                }
                if unknown
                else {}
            )
            read = await asyncio.gather(*(self._read_head(model, saved.get(_head_id(model))) for model in unknown))
        self._known_heads.update(zip(unknown, read, strict=True))
        return {model: self._known_heads[model] for model in models}

    async def _read_head(self, model: ModelKey, saved: Document | None) -> Head:
        workspace, name = model
        since = saved["ordinal"] if saved else 0
        later = self._versions.find(
            {"workspace": workspace, "model": name, "ordinal": {"$gt": since}}, {"ordinal": 1, "highest": 1}
        )
        newest = max([document async for document in later], key=lambda one: one["ordinal"], default=saved)
        return Head(newest["ordinal"], VersionNumber.from_rank(newest["highest"])) if newest else Head()

    async def _known(self, imports: Sequence[ModelImported], heads: dict[ModelKey, Head]) -> Known:
        nodes = {node for imported in imports for node in nodes_asked_for(imported)}
        holders = {
            _holder_id(imported.workspace, digest) for imported in imports for digest in digests_asked_for(imported)
        }
        known = Known()
        with translated():
            if nodes:
                found = self._versions.find({"node": {"$in": list(nodes)}}, {"node": 1})
                known.nodes.update([document["node"] async for document in found])
            async for document in self._holders.find({"_id": {"$in": list(holders)}}):
                workspace, _, digest = document["_id"].partition("/")
                known.holders[workspace, digest] = document["node"]
            for imported in imports:
                head = heads[_model_of(imported)]
                if imported.requested_version is not None and head.highest is not None:
                    known.numbers.setdefault(_model_of(imported), set()).add(head.highest)
                if _asks_below(imported, head):
                    known.numbers[_model_of(imported)].update(await self._number_below(imported))
        return known

    async def _number_below(self, imported: ModelImported) -> list[VersionNumber]:
        """The highest number below the one asked for."""
        asked = VersionNumber.parse(imported.requested_version or "")
        below = {"workspace": imported.workspace, "model": imported.model, "number": {"$lt": asked.rank}}
        found = self._versions.find(below, {"number": 1}).sort("number", -1).limit(1)
        return [VersionNumber.from_rank(document["number"]) async for document in found]

    async def _remember(self, decisions: Sequence[tuple[ModelImported, Decision]], heads: dict[ModelKey, Head]) -> None:
        """Write down who holds which bytes, and now and then how far a model has come."""
        holders: dict[str, Document] = {}
        for imported, decision in decisions:
            if isinstance(decision, VersionAssigned):
                for digest in digests_held(imported):
                    key = _holder_id(imported.workspace, digest)
                    holders.setdefault(key, {"_id": key, "node": node_of(decision)})
        passed = {
            _model_of(one)
            for one, said in decisions
            if isinstance(said, VersionAssigned) and said.ordinal % HEAD_EVERY == 0
        }
        writes = [_head_write(model, head) for model, head in heads.items() if model in passed]
        try:
            with translated():
                if writes:
                    await self._heads.bulk_write(writes, ordered=False)
                if holders:
                    await self._holders.insert_many(list(holders.values()), ordered=False)
        except BulkWriteError as error:
            if not only_duplicates(error):
                raise


def _undecided(requests: Sequence[_Request], decided: dict[str, Decision]) -> list[_Request]:
    """Those without a decision, each import once."""
    waiting = {one.imported.envelope.id: one for one in requests if one.imported.envelope.id not in decided}
    return list(waiting.values())


def _asks_below(imported: ModelImported, head: Head) -> bool:
    asked = imported.requested_version
    return asked is not None and head.highest is not None and VersionNumber.parse(asked) < head.highest


def _model_of(imported: ModelImported) -> ModelKey:
    return imported.workspace, imported.model


def _head_id(model: ModelKey) -> str:
    return "/".join(model)


def _holder_id(workspace: str, digest: str) -> str:
    return f"{workspace}/{digest}"


def _head_write(model: ModelKey, head: Head) -> UpdateOne:
    highest = head.highest.rank if head.highest else 0
    return UpdateOne({"_id": _head_id(model)}, {"$max": {"ordinal": head.ordinal, "highest": highest}}, upsert=True)


def _document(imported: ModelImported, decision: Decision, head: Head) -> Document:
    """`head` is that after the decision."""
    document: Document = {
        "_id": imported.envelope.id,
        "workspace": imported.workspace,
        "model": imported.model,
        "address": decision.address,
        "body": decision.body(),
        "envelope": decision.envelope.model_dump_json(),
    }
    match decision:
        case VersionRefused():
            return {**document, "ordinal": imported.envelope.id, "number": imported.envelope.id}
        case VersionAssigned():
            return {
                **document,
                "ordinal": decision.ordinal,
                "number": VersionNumber.parse(decision.version).rank,
                "highest": head.highest.rank if head.highest else None,
                "node": node_of(decision),
                "parents": sorted(parents_of(decision)),
            }


def _read(document: Document) -> Decision:
    kind = VersionAssigned if document["address"] == VersionAssigned.address else VersionRefused
    return kind.read(document["body"], Envelope.model_validate_json(document["envelope"]))


def _assigned(document: Document) -> VersionAssigned:
    return VersionAssigned.read(document["body"], Envelope.model_validate_json(document["envelope"]))
