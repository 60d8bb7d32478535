"""The listings in MongoDB: small documents that lists, counts and the best versions are made of.

The layout is in documents.py. Everything in it comes from the states of versions that `refresh` is given, which it takes
in any order, repeatedly, from any number of processes; made anew from the same states it is equal field by field.
"""

from collections.abc import Sequence
from typing import NamedTuple

from motor.motor_asyncio import AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo import IndexModel, InsertOne, UpdateOne
from pymongo.errors import BulkWriteError

from services.registry.domain import RegisteredVersion
from services.registry.listing.documents import (
    Addition,
    Document,
    additions_to_models,
    head_of_model,
    is_live,
    listed_version,
    model_id,
    name_of_model,
    number_of_head,
    place_of,
    ranked,
    read_model,
    version_id,
    with_its_head,
)
from services.registry.listing.terms import term
from services.registry.listing.walking import Path, Shelf
from shared.errors import Transient
from shared.naming import VersionNumber
from shared.parts import parts
from shared.queries import ModelSummary
from shared.store import only_duplicates, translated

Collection = AsyncIOMotorCollection[Document]
Write = InsertOne[Document] | UpdateOne
# Numbers, below a deleted one, among which the next highest is looked for first.
FIRST_WINDOW = 64
WIDER = 8
# Each turn but the last was lost to another process that changed the same model in between.
MOST_TURNS = 20
KNOWN_NAMES = 10_000
# More than a path that is read has almost ever: the whole of it comes in one reply.
A_READ = 2000
SHOWN = ("summary", "by_number", "by_created", "by_size")
MODEL_SHOWN = ("summary", "place", "versions", "deleted", "by_name", "by_created", "by_updated", "by_size")
OF_THE_HEAD = ("summary", "place", "scopes", "terms", "by_size")
_MODEL_FIELDS = [f"head.{name}" if name in OF_THE_HEAD else name for name in MODEL_SHOWN]


class Listings:
    """What there is to list."""

    def __init__(self, database: AsyncIOMotorDatabase[Document]) -> None:
        self._listings: Collection = database["listings"]
        self._models: Collection = database["models"]
        self._names: Collection = database["names"]
        self.listings: Shelf = MongoShelf(self._listings, (*SHOWN, "parameters"))
        self.models: Shelf = MongoShelf(self._models, MODEL_SHOWN, OF_THE_HEAD)
        self.names: Shelf = MongoShelf(self._names, ())
        # Names that this process has written: they need not be written with every version again.
        self._written_names: set[str] = set()

    async def prepare(self) -> None:
        """Make the indexes; a no-op where they are."""
        with translated():
            await self._listings.create_indexes(
                [
                    IndexModel([("scopes", 1), ("by_number", 1)]),
                    IndexModel([("terms", 1), ("by_created", 1)]),
                    IndexModel([("terms", 1), ("by_size", 1)]),
                    IndexModel([("times", 1), ("by_size", 1)]),
                    IndexModel([("words", 1), ("by_created", 1)]),
                ]
            )
            await self._models.create_indexes(
                [
                    *(
                        IndexModel([("head.scopes", 1), (key, 1)])
                        for key in ("by_name", "by_created", "by_updated", "head.by_size")
                    ),
                    IndexModel([("head.terms", 1), ("by_name", 1)]),
                ]
            )
            await self._names.create_indexes([IndexModel([("terms", 1), ("by_name", 1)])])

    # Writing

    async def refresh(self, versions: Sequence[RegisteredVersion]) -> None:
        """Let lists show these versions as they are now; what they show in a newer state stays.

        Raises:
            Transient: the store is away, or other processes changed the same models again and again.
        """
        if not versions:
            return
        listed = {
            one["_id"]: one for one in sorted(map(listed_version, versions), key=lambda one: int(one["revision"]))
        }
        with translated():
            additions = additions_to_models(versions)
            await self._write_names([one.model_id for one in additions if one.model_id not in self._written_names])
            await _written(self._listings, [_listing_write(one) for one in listed.values()])
            await self._write_models(additions)
            # Between the two writes another process may have deleted one of these: its model must not stay listed by it.
            for one in await self._found(list(listed)):
                if not one["live"]:
                    await self._settle(one)

    async def _write_names(self, model_ids: Sequence[str]) -> None:
        if not model_ids:
            return
        await _written(self._names, [InsertOne(name_of_model(one)) for one in model_ids])
        if len(self._written_names) > KNOWN_NAMES:
            self._written_names.clear()
        self._written_names.update(model_ids)

    async def _write_models(self, additions: Sequence[Addition]) -> None:
        written = await _written(self._models, [_model_write(one) for one in additions])
        # Two processes wrote the first version of a model at once: now it is there.
        left = [_model_write(additions[index]) for index in written.met]
        if left and (await _written(self._models, left)).met:
            raise Transient("a model is made again and again")
        # Known names are not written again; but where the model is new, so is the database that they were written to.
        await self._write_names([additions[index].model_id for index in written.made])

    async def _settle(self, gone: Document) -> None:
        """Where a model is listed by a version that is deleted, list it by the highest that is left.

        Looks again after each write until nothing is to do: whoever adds a version writes its listing before the
        model, so either it is seen here, or its own write finds the model as it was left here.
        """
        key = gone["_id"].partition("@")[0]
        for _ in range(MOST_TURNS):
            model = await self._model(key)
            if model is None or (is_live(model) and number_of_head(model).rank > int(gone["by_number"])):
                return
            head = await self._highest_live(key, int(gone["by_number"])) or await self._highest_of_all(model)
            if model["place"] == place_of(head):
                return
            where = {"_id": key, "head.place": model["place"]}
            await self._models.update_one(where, {"$set": {"head": head_of_model(head)}})
        raise Transient(f"{key} is changed again and again")

    async def _highest_live(self, key: str, below: int) -> Document | None:
        width, high = FIRST_WINDOW, below
        workspace, _, model = key.partition("/")
        while high > 0:
            low = max(0, high - width)
            window = {
                "scopes": term("L", workspace, "m", model),
                "by_number": {"$gte": ranked(low), "$lt": ranked(high)},
            }
            found = await self._listings.find(window).to_list(None)
            if found:
                return max(found, key=lambda one: str(one["by_number"]))
            width, high = width * WIDER, low
        return None

    async def _highest_of_all(self, model: Document) -> Document:
        workspace, _, name = model["_id"].partition("/")
        highest = await self._listings.find_one({"_id": version_id(workspace, name, model["highest"])})
        if highest is None:
            raise Transient(f"the highest version of {model['_id']} is not listed yet")
        return highest

    async def _found(self, ids: Sequence[str]) -> list[Document]:
        found: list[Document] = []
        for some in parts(ids):
            wanted = {"_id": {"$in": some}}
            found += await self._listings.find(wanted, {"live": 1, "by_number": 1}).to_list(None)
        return found

    # Reading

    async def model(self, workspace: str, model: str) -> ModelSummary | None:
        with translated():
            document = await self._model(model_id(workspace, model))
        return read_model(document) if document else None

    async def latest(self, workspace: str, model: str) -> VersionNumber | None:
        """The highest number that is not deleted."""
        with translated():
            document = await self._model(model_id(workspace, model), ["head.place"])
        return number_of_head(document) if document and is_live(document) else None

    async def models_named(self, workspace: str, names: Sequence[str]) -> list[Document]:
        """The models of these names, at most 100."""
        ids = [model_id(workspace, name) for name in names]
        with translated():
            found = await self._models.find({"_id": {"$in": ids}}, _MODEL_FIELDS).to_list(None)
        return list(map(with_its_head, found))

    async def _model(self, key: str, fields: Sequence[str] | None = None) -> Document | None:
        document = await self._models.find_one({"_id": key}, fields)
        return with_its_head(document) if document else None

    async def versions_of(self, terms: Sequence[str]) -> list[Document]:
        """All versions of models, at most 100, by their terms."""
        with translated():
            return await self._listings.find({"scopes": {"$in": list(terms)}}, SHOWN).to_list(None)


class MongoShelf:
    """A collection, read along one of its indexes."""

    def __init__(self, collection: Collection, fields: Sequence[str], of_the_head: Sequence[str] = ()) -> None:
        """Read these fields; those `of_the_head` stand in a document within."""
        self._collection = collection
        self._fields = fields
        self._of_the_head = of_the_head

    async def read(self, path: Path, *, keys_only: bool = False) -> list[Document]:
        span = path.span
        bounds = {"$gte" if span.with_low else "$gt": span.low, "$lte" if span.with_high else "$lt": span.high}
        field, key = self._named(path.field), self._named(path.key)
        fields = {key, *(() if keys_only else map(self._named, self._fields))}
        with translated():
            # The term and one range: what the index answers by itself, with nothing left to compare.
            found = self._collection.find({field: path.term, key: bounds}, dict.fromkeys(fields, 1), batch_size=A_READ)
            return list(map(with_its_head, await found.to_list(None)))

    def _named(self, name: str) -> str:
        return f"head.{name}" if name in self._of_the_head else name


def _listing_write(listed: Document) -> Write:
    """Insert what was never changed; a document that is there is at least as new."""
    if listed["revision"] == 0:
        return InsertOne(listed)
    facts = {name: value for name, value in listed.items() if name != "_id"}
    return UpdateOne({"_id": listed["_id"], "revision": {"$lt": listed["revision"]}}, {"$set": facts}, upsert=True)


def _model_write(addition: Addition) -> UpdateOne:
    what = {"$max": addition.most, "$min": addition.least, "$setOnInsert": addition.once}
    return UpdateOne({"_id": addition.model_id}, what, upsert=True)


class _Written(NamedTuple):
    """What became of writes, by their places."""

    met: Sequence[int]
    """Those that met a document that is there, and changed nothing."""
    made: Sequence[int]
    """Updates that made a document."""


async def _written(collection: Collection, writes: Sequence[Write]) -> _Written:
    """Write what can be written."""
    try:
        done = await collection.bulk_write(list(writes), ordered=False)
    except BulkWriteError as error:
        if not only_duplicates(error):
            raise
        details = error.details or {}
        return _Written(_places(details["writeErrors"]), _places(details["upserted"]))
    return _Written((), tuple(done.upserted_ids or ()))


def _places(entries: Sequence[Document]) -> tuple[int, ...]:
    return tuple(entry["index"] for entry in entries)
