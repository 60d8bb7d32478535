"""Wiring of versioning: the only module that knows every part."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from faststream import FastStream

from services.versioning import handlers
from services.versioning.cursors import Walks
from services.versioning.graph.store import MongoLineageStore
from services.versioning.rebuilding import VersioningReplay, VersioningStores
from services.versioning.recalls.store import MongoRecallStore
from services.versioning.store import MongoVersionStore
from services.versioning.telling import InOrder
from shared.delivery import StreamedEvents, consume, event_router
from shared.examining import examine_handler, kept_checks
from shared.health import ping_handler
from shared.queries import Examine, GetAffected, GetLineage, Ping
from shared.rebuilding import Opened, Projection, rebuild_handler
from shared.replies import query_router, reply
from shared.service import make_app, make_broker, run, utc_now
from shared.settings import ServiceSettings
from shared.store import Database, connect, ping
from shared.subjects import (
    VERSIONING_ON_CHANGES,
    VERSIONING_ON_DATASET_RECALLED,
    VERSIONING_ON_MODEL_IMPORTED,
    VERSIONING_ON_REBUILD,
    VERSIONING_ON_RECALL_VERSION,
    Consumer,
)

CONSUMED: dict[Consumer, tuple[Callable[..., Any], int]] = {
    # So many messages are handled at once, and share their round trips to the store.
    VERSIONING_ON_MODEL_IMPORTED: (handlers.on_model_imported, 32),
    VERSIONING_ON_CHANGES: (handlers.on_change, 8),
    VERSIONING_ON_RECALL_VERSION: (handlers.on_recall_version, 2),
    VERSIONING_ON_DATASET_RECALLED: (handlers.on_dataset_recalled, 2),
}


# To be raised with every change of documents or indexes: the database is made anew when the service starts.
LAYOUT = 1


def open_generation(database: Database) -> Opened:
    """The parts that read and write one generation of versioning's collections."""
    lineage, recalls = MongoLineageStore(database), MongoRecallStore(database)
    store = MongoVersionStore(database, lineage)
    parts = {"store": store, "lineage": lineage, "recalls": recalls, "graphs": Walks(), "traces": Walks()}
    return Opened(parts, (store.prepare, lineage.prepare, recalls.prepare))


def replay_into(database: Database) -> VersioningReplay:
    opened = open_generation(database)
    stores = VersioningStores(opened.parts["store"], opened.parts["lineage"], opened.parts["recalls"])
    return VersioningReplay(stores, opened.prepare, lambda other: open_generation(other).parts["store"])


PROJECTION = Projection("versioning", LAYOUT, tuple(CONSUMED), open_generation, replay_into)


def build_app(settings: ServiceSettings, now: Callable[[], datetime] = utc_now) -> FastStream:
    broker = make_broker(settings)
    database = connect(settings.mongo_uri, settings.mongo_login)[f"{settings.mongo_database}_versioning"]

    said = StreamedEvents(broker)

    events, queries = event_router(), query_router()
    for consumer, (handler, lanes) in CONSUMED.items():
        consume(events, consumer, handler, lanes=lanes)
    consume(events, VERSIONING_ON_REBUILD, rebuild_handler("versioning"), lanes=1)
    reply(queries, GetLineage, handlers.on_get_lineage, queue="versioning")
    reply(queries, GetAffected, handlers.on_get_affected, queue="versioning")
    reply(queries, Ping, ping_handler("versioning"), queue="versioning", to="versioning")
    reply(queries, Examine, examine_handler("versioning", kept_checks(database, PROJECTION)), queue="", to="versioning")
    broker.include_routers(events, queries)
    return make_app(
        broker,
        settings,
        consumers=(*CONSUMED, VERSIONING_ON_REBUILD),
        prepare={"MongoDB": lambda: ping(database)},
        database=database,
        parts={"events": said, "in_order": InOrder(said), "now": now},
        memory=PROJECTION,
    )


def main() -> None:
    run("versioning", ServiceSettings, build_app)
