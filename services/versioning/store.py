"""Version numbers in MongoDB, and by which version bytes are known.

    versions, one document a decision
        _id        the id of the ModelImported that was decided
        workspace, model
        ordinal    how many versions the model has had; unique within the model
        number     rank of the version number; unique within the model
        highest    rank of the highest number of the model so far
        origins    the datasets and the job that it came from, by edges.origin
        address, body, envelope    the decision as it was said
        and of a version what graph/store.py reads
      A refusal holds no number: its own id stands in `ordinal` and `number`, so that no
      two are alike, and comparisons with numbers pass it by.
    heads    _id <workspace>/<model>; the ordinal and highest number of a version not far from the newest
    holders  _id <workspace>/<digest>
        node       by which version these bytes are known; missing where versions only wait for them
        before     by which ones they were known before
        awaited    a version named them as its base when, as far as it knew, nobody held them

Versions of a model form a chain: the document of ordinal n can be inserted once, by a
process that decided on all before it. So numbers are gapless and unique without a lock.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from pymongo import IndexModel, UpdateOne
from pymongo.errors import BulkWriteError

from services.versioning.domain import (
    Decision,
    Head,
    Kin,
    Known,
    ModelKey,
    advanced,
    ancestors_wanted,
    decide,
    kin_of,
    known_then,
)
from services.versioning.edges import (
    digests_asked_for,
    nodes_asked_for,
    origins_of,
    parents_of,
    place_of,
)
from services.versioning.graph.store import MongoLineageStore, held_id, kin_fields, read_kin
from services.versioning.ports import Decided, Held, Taken
from shared.coalesce import Coalescer
from shared.envelope import Envelope
from shared.messages import ModelImported, VersionAssigned, VersionRefused
from shared.naming import VersionNumber
from shared.parts import parts
from shared.store import Collection, Database, Document, only_duplicates, ping, translated

# A head is written down every so many versions: whoever starts reads at most this many documents to find the newest.
HEAD_EVERY = 64
# Heads kept in memory, about 200 bytes each.
KNOWN_HEADS = 50_000


class _Request(NamedTuple):
    imported: ModelImported
    time: datetime


class _Made(NamedTuple):
    """A decision, and the version that it made."""

    imported: ModelImported
    decision: Decision
    kin: Kin | None


class MongoVersionStore:
    """The VersionStore. Concurrent calls share their round trips."""

    def __init__(self, database: Database, lineage: MongoLineageStore) -> None:
        self._database = database
        self._lineage = lineage
        self._versions = database["versions"]
        self._heads = database["heads"]
        self._holders = database["holders"]
        self._known_heads: dict[ModelKey, Head] = {}
        self._decide_together: Coalescer[_Request, Decided] = Coalescer(self._decide)
        self._read_held: Coalescer[frozenset[str], dict[str, Held]] = Coalescer(self._held)

    async def prepare(self) -> None:
        """Make the indexes; a no-op where they are."""
        with translated():
            await self._versions.create_indexes(
                [
                    IndexModel([("workspace", 1), ("model", 1), ("ordinal", 1)], unique=True),
                    IndexModel([("workspace", 1), ("model", 1), ("number", 1)], unique=True),
                ]
            )

    async def ping(self) -> None:
        await ping(self._database)

    async def decide(self, imported: ModelImported, time: datetime) -> Decided:
        return await self._decide_together(_Request(imported, time))

    async def adopt(self, taken: Sequence[Taken]) -> list[Decided]:
        heads = await self._heads_of({_model_of(one.imported) for one in taken})
        bases = await self._lineage.kin({node for one in taken for node in _bases_of(one)})
        made: list[_Made] = []
        documents: list[Document] = []
        for imported, decision in ((one.imported, one.decision) for one in taken):
            kin = None
            model = _model_of(imported)
            if isinstance(decision, VersionAssigned):
                heads[model] = advanced(heads[model], decision)
                kin = kin_of(imported, decision, known_then(imported, decision, bases))
                bases[kin.node] = kin
            made.append(_Made(imported, decision, kin))
            documents.append(_document(made[-1], heads[model]))
        await self._insert_missing(self._versions, documents)
        self._known_heads |= heads
        met = await self._remember(made, documents)
        return [Decided(one.decision, one.kin, met[one.imported.envelope.id]) for one in made]

    async def decisions(self, import_ids: Iterable[str]) -> dict[str, Decision]:
        with translated():
            found = [
                document
                for ids in parts(list(import_ids))
                async for document in self._versions.find(
                    {"_id": {"$in": ids}}, {"address": 1, "body": 1, "envelope": 1}
                )
            ]
        return {document["_id"]: _decision(document) for document in found}

    async def assigned_between(self, model: ModelKey, after: int, before: int) -> list[VersionAssigned]:
        workspace, name = model
        between = {"workspace": workspace, "model": name, "ordinal": {"$gt": after, "$lt": before}}
        with translated():
            found = self._versions.find(between, {"address": 1, "body": 1, "envelope": 1}).sort("ordinal", 1)
            decisions = [_decision(document) async for document in found]
        return [one for one in decisions if isinstance(one, VersionAssigned)]

    async def ordinals(self, models: Iterable[ModelKey]) -> dict[ModelKey, int]:
        return {model: head.ordinal for model, head in (await self._heads_of({*models})).items()}

    async def claim(self, kin: Kin, digests: Iterable[str]) -> dict[str, Held]:
        workspace = place_of(kin.node).workspace
        ids = {held_id(workspace, digest): digest for digest in digests}
        held = await self._read_held(frozenset(ids)) if ids else {}
        free = [key for key, one in held.items() if one.node is None and ids[key] in kin.held]
        if free:
            with translated():
                await self._holders.bulk_write(
                    [UpdateOne({"_id": key, "node": None}, {"$set": {"node": kin.node}}) for key in free], ordered=False
                )
            held |= await self._read_held(frozenset(free))
        return {ids[key]: one for key, one in held.items()}

    async def take_over(self, kin: Kin, digests: Mapping[str, str]) -> None:
        workspace = place_of(kin.node).workspace
        with translated():
            await self._holders.bulk_write(
                [
                    UpdateOne(
                        {"_id": held_id(workspace, digest), "node": node},
                        {"$set": {"node": kin.node}, "$addToSet": {"before": node}},
                    )
                    for digest, node in digests.items()
                ],
                ordered=False,
            )

    async def _held(self, asked: Sequence[frozenset[str]]) -> list[dict[str, Held]]:
        """What concurrent handlers ask for, read at once."""
        found: dict[str, Held] = {}
        with translated():
            for ids in parts(sorted(frozenset().union(*asked))):
                async for document in self._holders.find({"_id": {"$in": ids}}):
                    found[document["_id"]] = _held(document)
        return [{key: found[key] for key in keys if key in found} for keys in asked]

    async def _decide(self, requests: Sequence[_Request]) -> list[Decided]:
        """Decide a batch. An insert stops at the first document that another process came before; the rest is tried anew."""
        decided: dict[str, Decided] = {}
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
    ) -> dict[str, Decided]:
        """Decide in turn, insert in order; returns what was inserted before another came first."""
        documents: list[Document] = []
        made: list[_Made] = []
        for imported, time in requests:
            model = _model_of(imported)
            await self._look_above(imported, known)
            decision = decide(imported, heads[model], known, time)
            kin = None
            if isinstance(decision, VersionAssigned):
                heads[model] = advanced(heads[model], decision)
                kin = kin_of(imported, decision, known)
                known.learn(imported, decision, kin)
            made.append(_Made(imported, decision, kin))
            documents.append(_document(made[-1], heads[model]))
        inserted = made[: await self._insert(documents)]
        complete = len(inserted) == len(made)
        for model, head in heads.items():
            if complete:
                self._known_heads[model] = head
            else:
                self._known_heads.pop(model, None)
        met = await self._remember(inserted, documents[: len(inserted)])
        return {
            one.imported.envelope.id: Decided(one.decision, one.kin, met[one.imported.envelope.id]) for one in inserted
        }

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

    async def _standing(self, imports: Sequence[ModelImported]) -> dict[str, Decided]:
        """Decisions made before. What a process that died may have left undone after them is done again."""
        by_id = {imported.envelope.id: imported for imported in imports}
        with translated():
            found = [
                document for ids in parts(list(by_id)) async for document in self._versions.find({"_id": {"$in": ids}})
            ]
        made = [_made(by_id[document["_id"]], document) for document in found]
        met = await self._remember(made, found)
        return {
            one.imported.envelope.id: Decided(one.decision, one.kin, met[one.imported.envelope.id], again=True)
            for one in made
        }

    async def _heads_of(self, models: Iterable[ModelKey]) -> dict[ModelKey, Head]:
        if len(self._known_heads) > KNOWN_HEADS:
            self._known_heads.clear()
        unknown = [model for model in models if model not in self._known_heads]
        with translated():
            saved = {
                document["_id"]: document
                for ids in parts([_head_id(model) for model in unknown])
                async for document in self._heads.find({"_id": {"$in": ids}})
            }
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
        known = Known()
        keys = {held_id(one.workspace, digest) for one in imports for digest in digests_asked_for(one)}
        for key, held in (await self._held([frozenset(keys)]))[0].items():
            workspace, _, digest = key.partition("/")
            if held.node is None:
                known.awaited.add((workspace, digest))
            else:
                known.holders[workspace, digest] = held.node
        nodes = {node for imported in imports for node in nodes_asked_for(imported)}
        known.kin = await self._lineage.kin(nodes | {*known.holders.values()})
        for imported in imports:
            head = heads[_model_of(imported)]
            if imported.requested_version is not None and head.highest is not None:
                known.numbers.setdefault(_model_of(imported), set()).add(head.highest)
            if _asks_below(imported, head):
                known.numbers[_model_of(imported)].update(await self._number_below(imported))
        return known

    async def _look_above(self, imported: ModelImported, known: Known) -> None:
        """Read the ancestors that the decision depends on: most often none."""
        level = ancestors_wanted(imported, known)
        seen: set[str] = set()
        while level:
            known.kin |= await self._lineage.kin(level - known.kin.keys())
            seen |= level
            level = {parent for node in level if node in known.kin for parent in known.kin[node].parents} - seen

    async def _number_below(self, imported: ModelImported) -> list[VersionNumber]:
        """The highest number below the one asked for."""
        asked = VersionNumber.parse(imported.requested_version or "")
        below = {"workspace": imported.workspace, "model": imported.model, "number": {"$lt": asked.rank}}
        found = self._versions.find(below, {"number": 1}).sort("number", -1).limit(1)
        return [VersionNumber.from_rank(document["number"]) async for document in found]

    async def _remember(self, made: Sequence[_Made], documents: Sequence[Document]) -> dict[str, frozenset[str]]:
        """Write down who holds which bytes and who waits for some, and now and then how far a model has come.

        Returns for each import, by its id, the digests that others hold or wait for.
        """
        writes = [_head_write(one) for one in documents if "highest" in one and one["ordinal"] % HEAD_EVERY == 0]
        holders = _holders_of(made)
        if writes:
            with translated():
                await self._heads.bulk_write(writes, ordered=False)
        there = await self._insert_missing(self._holders, list(holders.values())) if holders else set()
        if joined := [write for key in sorted(there) for write in _joining(holders[key])]:
            with translated():
                await self._holders.bulk_write(joined, ordered=False)
        return {one.imported.envelope.id: frozenset(_met(one, holders, there)) for one in made}

    async def _insert_missing(self, collection: Collection, documents: Sequence[Document]) -> set[str]:
        """Returns the ids of those that were there already."""
        try:
            with translated():
                await collection.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            if not only_duplicates(error):
                raise
            return {documents[fault["index"]]["_id"] for fault in (error.details or {})["writeErrors"]}
        return set()


def _holders_of(made: Sequence[_Made]) -> dict[str, Document]:
    """The first of these that holds some bytes, and whether others wait for them."""
    holders: dict[str, Document] = {}
    for imported, _, kin in made:
        if kin is not None:
            for digest in kin.held:
                key = held_id(imported.workspace, digest)
                holders.setdefault(key, {"_id": key}).setdefault("node", kin.node)
            for digest in kin.waits:
                key = held_id(imported.workspace, digest)
                holders.setdefault(key, {"_id": key})["awaited"] = True
    return holders


def _joining(holder: Document) -> Iterable[UpdateOne]:
    """What a document that was there already is to say too. Here, not later: so the first that was decided is the first."""
    if "node" in holder:
        yield UpdateOne({"_id": holder["_id"], "node": None}, {"$set": {"node": holder["node"]}})
    if "awaited" in holder:
        yield UpdateOne({"_id": holder["_id"]}, {"$set": {"awaited": True}})


def _met(made: _Made, holders: Mapping[str, Document], there: set[str]) -> Iterable[str]:
    if made.kin is None:
        return
    for digest in {*made.kin.held, *made.kin.waits}:
        key = held_id(made.imported.workspace, digest)
        among_these = holders[key].get("node", made.kin.node) != made.kin.node
        if key in there or among_these or (digest in made.kin.held and "awaited" in holders[key]):
            yield digest


def _undecided(requests: Sequence[_Request], decided: dict[str, Decided]) -> list[_Request]:
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


def _head_write(version: Document) -> UpdateOne:
    """At this version, whatever was decided together with it: a database made anew has the same heads."""
    reached = {"ordinal": version["ordinal"], "highest": version["highest"]}
    key = _head_id((version["workspace"], version["model"]))
    return UpdateOne({"_id": key}, {"$max": reached}, upsert=True)


def _bases_of(taken: Taken) -> set[str]:
    """The versions of which it must be known what they hold; most often none."""
    named = any(base.digest is not None for base in taken.imported.bases)
    return parents_of(taken.decision) if named and isinstance(taken.decision, VersionAssigned) else set()


def _document(made: _Made, head: Head) -> Document:
    """`head` is that after the decision."""
    imported, decision, kin = made
    document: Document = {
        "_id": imported.envelope.id,
        "workspace": imported.workspace,
        "model": imported.model,
        "address": decision.address,
        "body": decision.body(),
        "envelope": decision.envelope.model_dump_json(),
    }
    if kin is None or isinstance(decision, VersionRefused):
        return {**document, "ordinal": imported.envelope.id, "number": imported.envelope.id}
    return {
        **document,
        "ordinal": decision.ordinal,
        "number": VersionNumber.parse(decision.version).rank,
        "highest": head.highest.rank if head.highest else None,
        **({"origins": sorted(origins)} if (origins := origins_of(imported)) else {}),
        **kin_fields(imported.workspace, kin),
    }


def _made(imported: ModelImported, document: Document) -> _Made:
    decision = _decision(document)
    return _Made(imported, decision, None if isinstance(decision, VersionRefused) else read_kin(document))


def _decision(document: Document) -> Decision:
    kind = VersionRefused if document["address"] == VersionRefused.address else VersionAssigned
    return kind.read(document["body"], Envelope.model_validate_json(document["envelope"]))


def _held(document: Document) -> Held:
    return Held(
        node=document.get("node"),
        before=frozenset(document.get("before", ())),
        awaited=document.get("awaited", False),
    )
