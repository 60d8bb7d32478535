"""What a process of a service finds of itself and of what it needs, when it is asked."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, cast

from shared.errors import Transient
from shared.generations import Generations
from shared.queries import Examination, Examine, Finding
from shared.rebuilding import Projection
from shared.store import Database, ping, translated

# Together with its way there and back it fits into what an asker waits.
CHECK_TIMEOUT_S = 1.5
SLOW_STORE_S = 0.25
Check = Callable[[], Awaitable[Finding]]
Checks = Mapping[str, Check]
Prepares = Sequence[Callable[[], Awaitable[None]]]


def examine_handler(
    service: str, checks: Checks, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Callable[[Examine], Awaitable[Examination]]:
    """The handler of `Examine` for one process; every check has a name, a time limit, and is wrong where it raises."""
    instance = f"{socket.gethostname()}:{os.getpid()}"

    async def on_examine(_: Examine) -> Examination:
        findings = await asyncio.gather(*(_examined(name, check) for name, check in checks.items()))
        return Examination(
            service=service, version=version("modelkin"), instance=instance, time=now(), findings=tuple(findings)
        )

    return on_examine


async def _examined(name: str, check: Check) -> Finding:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await check()
    except TimeoutError:
        message = f"no answer in {CHECK_TIMEOUT_S:g} s"
    except Transient as error:
        message = str(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was found
        message = f"it could not be looked at: {error!r}"
    return Finding(check=name, level="wrong", message=message, remedy=f"look at the {name} and at this service's log")


def store_check(database: Database) -> Check:
    """Whether MongoDB answers, and how fast."""

    async def check() -> Finding:
        begun = time.perf_counter()
        await ping(database)
        took_s = time.perf_counter() - begun
        message = f"MongoDB answers in {took_s * 1000:.1f} ms"
        if took_s > SLOW_STORE_S:
            return Finding(check="store", level="warning", message=message, remedy="look at MongoDB's load")
        return Finding(check="store", message=message)

    return check


def kept_checks(database: Database, projection: Projection) -> Checks:
    """Those of a service that keeps what EVENTS says."""
    generations = Generations(database)

    async def in_use() -> Database:
        standing = await generations.standing()
        if standing is None or standing.generation is None:
            raise Transient("the database is gone, or is being made anew")
        return generations.of(standing.generation)

    def stores(one: Database) -> Prepares:
        return projection.open(one).prepare

    return {"store": store_check(database), "indexes": index_check(in_use, stores)}


def index_check(in_use: Callable[[], Awaitable[Database]], stores: Callable[[Database], Prepares]) -> Check:
    """Whether the indexes of a database are those that its stores make.

    Args:
        in_use: gives the database.
        stores: opens stores on a database, and gives what prepares them.
    """

    async def check() -> Finding:
        wanted = await wanted_indexes(stores)
        with translated():
            database = await in_use()
            there = {name: set(await database[name].index_information()) - {"_id_"} for name in wanted}
        missing = [f"{name}.{index}" for name in sorted(wanted) for index in sorted(wanted[name] - there[name])]
        extra = [f"{name}.{index}" for name in sorted(wanted) for index in sorted(there[name] - wanted[name])]
        if missing:
            return Finding(
                check="indexes",
                level="wrong",
                message=f"missing: {', '.join(missing)}",
                remedy="start the service anew: it makes them",
            )
        if extra:
            return Finding(
                check="indexes",
                level="warning",
                message=f"this service did not make {', '.join(extra)}: each costs at every write",
                remedy="drop them in MongoDB, if nobody else wants them",
            )
        return Finding(check="indexes", message=f"all {sum(map(len, wanted.values()))} are there")

    return check


async def wanted_indexes(stores: Callable[[Database], Prepares]) -> dict[str, set[str]]:
    """The names of the indexes that stores make, by collection; nothing is made."""
    recorder = _Recorder()
    for prepare in stores(cast("Database", recorder)):
        await prepare()
    return {name: collection.indexes for name, collection in recorder.collections.items() if collection.indexes}


class _Recorder:
    """In the place of a database: takes down which indexes are asked for."""

    def __init__(self) -> None:
        self.collections: dict[str, _RecordedCollection] = {}

    def __getitem__(self, name: str) -> "_RecordedCollection":
        return self.collections.setdefault(name, _RecordedCollection())


class _RecordedCollection:
    """Whatever else a store does while it prepares finds an empty collection, and changes nothing."""

    def __init__(self) -> None:
        self.indexes: set[str] = set()

    async def create_indexes(self, indexes: list[Any], **_: Any) -> None:
        self.indexes.update(index.document["name"] for index in indexes)

    async def create_index(self, keys: Any, **options: Any) -> None:
        pairs = [(keys, 1)] if isinstance(keys, str) else keys
        self.indexes.add(options.get("name") or "_".join(f"{field}_{order}" for field, order in pairs))

    def __getattr__(self, _: str) -> Callable[..., Awaitable[None]]:
        async def nothing(*_: Any, **__: Any) -> None: ...

        return nothing
