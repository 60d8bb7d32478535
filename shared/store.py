"""What every store needs of MongoDB: a client, faults in our own terms, and a check that it is there."""

import contextlib
from collections.abc import Iterator
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    PyMongoError,
    ServerSelectionTimeoutError,
    WTimeoutError,
)

from shared.errors import Transient

Document = dict[str, Any]
Database = AsyncIOMotorDatabase[Document]
Collection = AsyncIOMotorCollection[Document]
DUPLICATE_KEY = 11000
# Losing a race, a primary that steps down, a server that shuts down, a write concern that was not met in time.
_PASSING = {91, 112, 189, 11600, 11602, 10107, 13435, 64}


def connect(uri: str) -> AsyncIOMotorClient[Document]:
    """A client that connects on first use.

    Writes are acknowledged once a majority has them in its journal, whatever the URI
    says: an event is published on the strength of a write, which must outlive a crash.

    Raises:
        ValueError: the URI cannot be understood, or names a file that cannot be read.
    """
    try:
        return AsyncIOMotorClient(
            uri, w="majority", journal=True, tz_aware=True, serverSelectionTimeoutMS=3000, appname="modelkin"
        )
    except (PyMongoError, ValueError, OSError) as error:
        raise ValueError(f"MODELKIN_MONGO_URI: {error}") from error


class PrefixedDatabase(AsyncIOMotorDatabase[Document]):
    """Those collections of a database whose names begin with a prefix, by the rest of their names."""

    def __init__(self, database: Database, prefix: str) -> None:
        super().__init__(database.client, database.name)
        self._name_prefix = prefix

    def __getitem__(self, name: str) -> Collection:
        return super().__getitem__(f"{self._name_prefix}{name}")


async def insert_once(collection: Collection, document: Document) -> bool:
    """Insert a document; False where there is one of this key already, which stays as it is."""
    try:
        with translated():
            await collection.insert_one(document)
    except DuplicateKeyError:
        return False
    return True


async def ping(database: AsyncIOMotorDatabase[Document]) -> None:
    """Ask the server for a sign of life.

    Raises:
        Transient: it gives none.
    """
    try:
        with translated():
            await database.command("ping")
    except Transient as error:
        name = database.client.delegate.topology_description.replica_set_name
        if name is None or not isinstance(error.__cause__, ServerSelectionTimeoutError):
            raise
        message = f"no member of the replica set {name!r}, which MODELKIN_MONGO_URI names, answers: expected a MongoDB"
        raise Transient(f"{message} that was started with --replSet {name} and initiated") from error


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn driver errors that will pass into `Transient`; leave those that are our own fault."""
    try:
        yield
    except (ConnectionFailure, ExecutionTimeout, WTimeoutError) as error:
        # What stands behind it is a description of every server that was tried.
        raise Transient(f"MongoDB is away: {str(error).partition(', Timeout: ')[0]}") from error
    except BulkWriteError as error:
        details = error.details or {}
        codes = {fault["code"] for fault in details.get("writeErrors", [])}
        if details.get("writeConcernErrors") or codes & _PASSING:
            raise Transient(f"MongoDB asks to try again: {codes or 'write concern'}") from error
        raise
    except PyMongoError as error:
        if getattr(error, "code", None) in _PASSING:
            raise Transient(f"MongoDB asks to try again: {error}") from error
        raise


def only_duplicates(error: BulkWriteError) -> bool:
    """Whether every write that failed met a document that is there already."""
    details = error.details or {}
    faults = details.get("writeErrors", [])
    return not details.get("writeConcernErrors") and all(fault["code"] == DUPLICATE_KEY for fault in faults)
