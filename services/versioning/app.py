"""Wiring of versioning: the only module that knows every part."""

from collections.abc import Callable
from datetime import datetime

from faststream import FastStream

from services.versioning.handlers import on_get_lineage, on_model_imported
from services.versioning.store import MongoVersionStore
from shared.delivery import StreamedEvents, consume, event_router
from shared.health import ping_handler
from shared.queries import GetLineage, Ping
from shared.replies import query_router, reply
from shared.service import make_app, make_broker, run, utc_now
from shared.settings import ServiceSettings
from shared.store import connect
from shared.subjects import VERSIONING_ON_MODEL_IMPORTED

# So many messages are handled at once, and share their round trips to the store.
LANES = 32


def build_app(settings: ServiceSettings, now: Callable[[], datetime] = utc_now) -> FastStream:
    broker = make_broker(settings)
    store = MongoVersionStore(connect(settings.mongo_uri)[f"{settings.mongo_database}_versioning"])

    handlers, queries = event_router(), query_router()
    consume(handlers, VERSIONING_ON_MODEL_IMPORTED, on_model_imported, lanes=LANES)
    reply(queries, GetLineage, on_get_lineage, queue="versioning")
    reply(queries, Ping, ping_handler("versioning"), queue="versioning", to="versioning")
    broker.include_routers(handlers, queries)
    return make_app(
        broker,
        settings,
        consumers=(VERSIONING_ON_MODEL_IMPORTED,),
        prepare={"MongoDB": store.prepare},
        parts={"store": store, "events": StreamedEvents(broker), "now": now},
    )


def main() -> None:
    run("versioning", ServiceSettings, build_app)
