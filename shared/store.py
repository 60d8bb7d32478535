"""What every store needs of MongoDB: a client, faults in our own terms, and a check that it is there."""

import contextlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo import monitoring
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    PyMongoError,
    ServerSelectionTimeoutError,
    WTimeoutError,
)
from pymongo.topology_description import TopologyDescription

from shared.errors import Transient
from shared.login import CA_VARIABLE, EXPIRED, NOBODY, Login, mongo_options

Document = dict[str, Any]
Database = AsyncIOMotorDatabase[Document]
Collection = AsyncIOMotorCollection[Document]
DUPLICATE_KEY = 11000
# Also these pass, once an operator has mended them: no message is to blame.
_NOT_ALLOWED = {
    13: "does not allow it: is MODELKIN_MONGO_USER set, and has that user the role readWrite on this service's database?",
    18: "does not accept MODELKIN_MONGO_USER with its password: is it the one that the user was made with?",
}
_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
# Losing a race, a primary that steps down, a server that shuts down, a write concern that was not met in time.
_PASSING = {91, 112, 189, 11600, 11602, 10107, 13435, 64}


def connect(uri: str, login: Login = NOBODY) -> AsyncIOMotorClient[Document]:
    """A client that connects on first use.

    Writes are acknowledged once a majority has them in its journal, whatever the URI
    says: an event is published on the strength of a write, which must outlive a crash.

    Raises:
        ValueError: the URI cannot be understood, or names a file that cannot be read.
    """
    try:
        return AsyncIOMotorClient(
            uri,
            w="majority",
            journal=True,
            tz_aware=True,
            serverSelectionTimeoutMS=3000,
            appname="modelkin",
            **mongo_options(login),
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
        Transient: it gives none; says where one was looked for, and what to do.
    """
    try:
        with translated():
            await database.command("ping")
    except Transient as error:
        if isinstance(error.__cause__, ConnectionFailure):
            raise Transient(_why_away(database.client.delegate.topology_description, error)) from error
        raise


def _why_away(seen: TopologyDescription, error: Transient) -> str:
    if _UNTRUSTED in str(error):
        remedy = EXPIRED if "expired" in str(error) else f"is its certificate of the CA in {CA_VARIABLE}?"
        return f"{error} (MODELKIN_MONGO_URI): {remedy}"
    if seen.replica_set_name is None or not isinstance(error.__cause__, ServerSelectionTimeoutError):
        return f"{error} (MODELKIN_MONGO_URI)"
    name = seen.replica_set_name
    message = f"no member of the replica set {name!r}, which MODELKIN_MONGO_URI names, answers: expected a MongoDB"
    return f"{message} that was started with --replSet {name} and initiated"


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn driver errors that will pass into `Transient`; leave those that are our own fault."""
    try:
        yield
    except (ConnectionFailure, ExecutionTimeout, WTimeoutError) as error:
        raise Transient(f"MongoDB is away: {in_short(error)}") from error
    except BulkWriteError as error:
        details = error.details or {}
        codes = {fault["code"] for fault in details.get("writeErrors", [])}
        if details.get("writeConcernErrors") or codes & _PASSING:
            raise Transient(f"MongoDB asks to try again: {codes or 'write concern'}") from error
        raise
    except PyMongoError as error:
        if getattr(error, "code", None) in _NOT_ALLOWED:
            raise Transient(f"MongoDB {_NOT_ALLOWED[error.code]} ({in_short(error)})") from error  # type: ignore[attr-defined]
        if getattr(error, "code", None) in _PASSING:
            raise Transient(f"MongoDB asks to try again: {error}") from error
        raise


def only_duplicates(error: BulkWriteError) -> bool:
    """Whether every write that failed met a document that is there already."""
    details = error.details or {}
    faults = details.get("writeErrors", [])
    return not details.get("writeConcernErrors") and all(fault["code"] == DUPLICATE_KEY for fault in faults)


def in_short(error: PyMongoError) -> str:
    """Its first part: the driver adds all that it knows of every server."""
    return str(error).partition(", Timeout: ")[0].partition(" (configured timeouts: ")[0].partition(", full error: ")[0]


class _Timing(monitoring.CommandListener):
    def __init__(self, told: list[Callable[[str, float], None]]) -> None:
        self._told = told

    def started(self, event: monitoring.CommandStartedEvent) -> None: ...

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self._tell(event)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self._tell(event)

    def _tell(self, event: monitoring.CommandSucceededEvent | monitoring.CommandFailedEvent) -> None:
        for tell in self._told:
            tell(event.command_name, event.duration_micros / 1e6)


@cache
def timed_commands() -> list[Callable[[str, float], None]]:
    """Who is told of each round trip of this process, and its seconds.

    Clients that were made before the first call of this tell nobody: the driver asks when it makes one.
    """
    told: list[Callable[[str, float], None]] = []
    monitoring.register(_Timing(told))
    return told
