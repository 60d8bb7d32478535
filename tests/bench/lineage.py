"""Part `lineage`: ancestors and descendants in a graph of 100,000 versions with chains 1,000 deep.

Documents and round trips are counted at the driver and hold anywhere. The graph is written
straight into the store, as versioning would have left it. The same questions are asked of a
graph of 1,000 versions, one such chain, so that only the size differs.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo import monitoring

from modelkin.processes import start_mongo
from services.versioning.cursors import Walks
from services.versioning.domain import Kin
from services.versioning.graph.store import MongoLineageStore, kin_fields
from services.versioning.lineage import graph_around
from shared.messages import VersionAssigned
from shared.queries import GetLineage
from shared.store import Document
from shared.values import Edge
from tests.bench.tables import ratio, say_note, say_table, say_title
from tests.samples import NOON, digest, said

SMALL, LARGE = 1_000, 100_000
CHAIN = 1_000
BATCH = 2_000
# Near the top, the middle and the end of a chain.
PLACES = (10, 500, 990)
REPEATS = 3


class Cost(NamedTuple):
    versions: int
    round_trips: int
    documents: int
    seconds: float


class Tally(monitoring.CommandListener):
    """Reads, and the documents that came back."""

    def __init__(self) -> None:
        self.round_trips = self.documents = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.round_trips += event.command_name in {"find", "getMore"}

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        cursor = event.reply.get("cursor", {})
        self.documents += len(cursor.get("firstBatch", ())) + len(cursor.get("nextBatch", ()))

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


def measure(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(_measure(folder))


async def _measure(folder: Path) -> None:
    server = await start_mongo(folder / "data", folder / "mongo.log")
    try:
        costs = {size: await _of_graph(server.url, size) for size in (SMALL, LARGE)}
    finally:
        server.process.stop()
    _show(costs)


async def _of_graph(url: str, size: int) -> dict[tuple[str, int, int], Cost]:
    tally = Tally()
    client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(url, event_listeners=[tally])
    database = client[f"graph_{size}"]
    lineage = MongoLineageStore(database)
    await lineage.prepare()
    await _write(database, size)
    costs = {
        (direction, depth, place): await _cost(lineage, tally, direction, depth, place)
        for direction in ("up", "down", "both")
        for depth in (10, 1000)
        for place in PLACES
    }
    client.close()
    return costs


async def _cost(lineage: MongoLineageStore, tally: Tally, direction: str, depth: int, place: int) -> Cost:
    """The fastest of several; the counts are the same each time."""
    best = []
    for _ in range(REPEATS):
        tally.round_trips = tally.documents = 0
        started = time.perf_counter()
        versions = 0
        async for count in _pages(lineage, direction, depth, place):
            versions += count
        best.append(Cost(versions, tally.round_trips, tally.documents, time.perf_counter() - started))
    return min(best, key=lambda cost: cost.seconds)


async def _pages(lineage: MongoLineageStore, direction: Any, depth: int, place: int) -> AsyncIterator[int]:
    walks, after = Walks[Any](), None
    while True:
        query = GetLineage(model=_model(place), version="0.0.1", direction=direction, depth=depth, after=after)
        graph = await graph_around(query, lineage, walks)
        yield len(graph.versions)
        if (after := graph.next) is None:
            return


async def _write(database: AsyncIOMotorDatabase[Document], size: int) -> None:
    """Chains side by side."""
    for start in range(0, size, BATCH):
        await database["versions"].insert_many(
            [_document(number) for number in range(start, min(start + BATCH, size))], ordered=False
        )


def _document(number: int) -> Document:
    node, parents = _node(number), _parents(number)
    assigned = VersionAssigned(
        envelope=said(f"assigned-{number}"),
        workspace="0",
        model=_model(number),
        import_id=f"import-{number}",
        version="0.0.1",
        ordinal=1,
        package_digest=digest("a"),
        parameters={"lr": 0.1, "epochs": 10},
        metrics={"f1": 0.9},
        edges=tuple(Edge(source=node, kind="derived-from", target=one, how="fine-tuned") for one in parents),
    )
    kin = Kin(node=node, import_id=assigned.import_id, at=NOON.isoformat(), parents=frozenset(parents))
    return {
        "_id": f"imported-{number}",
        "workspace": "0",
        "model": assigned.model,
        "ordinal": 1,
        "number": 1,
        "address": assigned.address,
        "body": assigned.body(),
        "envelope": assigned.envelope.model_dump_json(),
        **kin_fields("0", kin),
    }


def _parents(number: int) -> list[str]:
    return [_node(number - 1)] if number % CHAIN else []


def _model(number: int) -> str:
    return f"model-{number}"


def _node(number: int) -> str:
    return f"version:0/{_model(number)}@0.0.1"


def _show(costs: dict[int, dict[tuple[str, int, int], Cost]]) -> None:
    say_title(f"Lineage of versions in graphs of {SMALL:,} and {LARGE:,}, chains {CHAIN:,} deep")
    rows = [
        (
            f"{direction}, depth {depth}, from place {place}",
            f"{cost.versions:,}",
            f"{cost.round_trips / cost.versions:.2f}",
            f"{cost.documents / cost.versions:.2f}",
            f"{cost.seconds / cost.versions * 1000:.1f}",
            ratio((cost.seconds / cost.versions) / (small.seconds / small.versions)),
        )
        for (direction, depth, place), cost in costs[LARGE].items()
        for small in [costs[SMALL][direction, depth, place]]
    ]
    say_table(
        (f"of {LARGE:,}", "versions", "round trips each", "documents each", "ms each", f"time to that of {SMALL:,}"),
        rows,
    )
    say_note(
        f"Fastest of {REPEATS}. Two documents a version: one to walk, one to show. In a chain each version is a level, and"
        " a level is a round trip: nothing is dearer."
    )
