"""What one import leaves in the databases, and copies of it: as if so many other models had been imported."""

import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bson import ObjectId
from motor.motor_asyncio import AsyncIOMotorClient

Document = dict[str, Any]

BATCH = 200
OWN = ("admin", "config", "local")
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{32}\b")


class Place(NamedTuple):
    """A collection."""

    database: str
    collection: str


Left = Mapping[Place, Sequence[Document]]


async def everything(client: AsyncIOMotorClient[Document]) -> dict[Place, list[Document]]:
    """Every document that there is; for databases of a few documents."""
    found: dict[Place, list[Document]] = {}
    for database in await client.list_database_names():
        if database not in OWN:
            for collection in await client[database].list_collection_names():
                found[Place(database, collection)] = [one async for one in client[database][collection].find()]
    return found


def added(before: Left, after: Left) -> Left:
    """The documents that are there after, and were not before."""
    known = {place: {repr(one["_id"]) for one in documents} for place, documents in before.items()}
    return {
        place: new
        for place, documents in after.items()
        if (new := [one for one in documents if repr(one["_id"]) not in known.get(place, ())])
    }


async def insert_copies(client: AsyncIOMotorClient[Document], left: Left, model: str, first: int, count: int) -> None:
    """Insert what the imports `first`, `first` + 1, … would have left, in journaled batches.

    Args:
        client: of the store.
        left: what one import of `model` left.
        model: its name, which stands in the documents.
        first: number of the first copy; copies of one number are alike.
        count: how many.
    """
    for start in range(first, first + count, BATCH):
        numbers = range(start, min(start + BATCH, first + count))
        for place, documents in left.items():
            copies = [_copy(document, model, number) for number in numbers for document in documents]
            await client[place.database][place.collection].insert_many(copies, ordered=False)


def _copy(value: Any, model: str, number: int) -> Any:
    match value:
        case dict():
            return {_text(name, model, number): _copy(inner, model, number) for name, inner in value.items()}
        case list():
            return [_copy(inner, model, number) for inner in value]
        case str():
            return _text(value, model, number)
        case ObjectId():
            return ObjectId()
        case _:
            return value


def _text(text: str, model: str, number: int) -> str:
    text = _DIGEST.sub(lambda found: hashlib.sha256(f"{found[0]}{number}".encode()).hexdigest(), text)
    text = _UUID.sub(lambda found: str(uuid.uuid5(uuid.NAMESPACE_OID, f"{found[0]}{number}")), text)
    return text.replace(model, f"{model}-{number:06}")
