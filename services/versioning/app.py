"""Wiring of versioning: the only module that knows every part."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from faststream import FastStream

from services.versioning import handlers
from services.versioning.cursors import Walks
from services.versioning.graph.store import MongoLineageStore
from services.versioning.recalls.store import MongoRecallStore
from services.versioning.store import MongoVersionStore
from shared.delivery import StreamedEvents, consume, event_router
from shared.health import ping_handler
from shared.queries import GetAffected, GetLineage, Ping
from shared.replies import query_router, reply
from shared.service import make_app, make_broker, run, utc_now
from shared.settings import ServiceSettings
from shared.store import connect
from shared.subjects import (
    VERSIONING_ON_CHANGES,
    VERSIONING_ON_DATASET_RECALLED,
    VERSIONING_ON_MODEL_IMPORTED,
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


def build_app(settings: ServiceSettings, now: Callable[[], datetime] = utc_now) -> FastStream:
    broker = make_broker(settings)
    database = connect(settings.mongo_uri)[f"{settings.mongo_database}_versioning"]
    lineage, recalls = MongoLineageStore(database), MongoRecallStore(database)
    store = MongoVersionStore(database, lineage)

    events, queries = event_router(), query_router()
    for consumer, (handler, lanes) in CONSUMED.items():
        consume(events, consumer, handler, lanes=lanes)
    reply(queries, GetLineage, handlers.on_get_lineage, queue="versioning")
    reply(queries, GetAffected, handlers.on_get_affected, queue="versioning")
    reply(queries, Ping, ping_handler("versioning"), queue="versioning", to="versioning")
    broker.include_routers(events, queries)
    return make_app(
        broker,
        settings,
        consumers=CONSUMED,
        prepare={
            "MongoDB": store.prepare,
            "the indexes of lineage": lineage.prepare,
            "the indexes of recalls": recalls.prepare,
        },
        parts={
            "store": store,
            "lineage": lineage,
            "recalls": recalls,
            "graphs": Walks(),
            "traces": Walks(),
            "events": StreamedEvents(broker),
            "now": now,
        },
    )


def main() -> None:
    run("versioning", ServiceSettings, build_app)
