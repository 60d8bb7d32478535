"""Wiring of the registry: the only module that knows every part."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from faststream import FastStream

from services.registry import handlers
from services.registry.store import MongoModelStore
from shared.delivery import StreamedEvents, consume, event_router
from shared.health import ping_handler
from shared.queries import GetImport, GetModel, GetVersion, ListModels, ListVersions, Ping, Query
from shared.replies import query_router, reply
from shared.service import make_app, make_broker, run, utc_now
from shared.settings import ServiceSettings
from shared.store import connect
from shared.subjects import (
    REGISTRY_ON_MODEL_IMPORTED,
    REGISTRY_ON_RELEASE_VERSION,
    REGISTRY_ON_VERSION_ASSIGNED,
    REGISTRY_ON_VERSION_REFUSED,
    REGISTRY_ON_VERSION_RELEASED,
    Consumer,
)

Handler = Callable[..., Any]

CONSUMED: dict[Consumer, Handler] = {
    REGISTRY_ON_MODEL_IMPORTED: handlers.on_model_imported,
    REGISTRY_ON_VERSION_ASSIGNED: handlers.on_version_assigned,
    REGISTRY_ON_VERSION_REFUSED: handlers.on_version_refused,
    REGISTRY_ON_VERSION_RELEASED: handlers.on_version_released,
    REGISTRY_ON_RELEASE_VERSION: handlers.on_release_version,
}
# So many messages of a consumer are handled at once, and share their round trips to the store.
LANES = dict.fromkeys(CONSUMED, 32) | {REGISTRY_ON_RELEASE_VERSION: 1, REGISTRY_ON_VERSION_RELEASED: 1}
ANSWERED: dict[type[Query], Handler] = {
    ListModels: handlers.on_list_models,
    GetModel: handlers.on_get_model,
    ListVersions: handlers.on_list_versions,
    GetVersion: handlers.on_get_version,
    GetImport: handlers.on_get_import,
}


def build_app(settings: ServiceSettings, now: Callable[[], datetime] = utc_now) -> FastStream:
    broker = make_broker(settings)
    store = MongoModelStore(connect(settings.mongo_uri)[f"{settings.mongo_database}_registry"])

    events, queries = event_router(), query_router()
    for consumer, handler in CONSUMED.items():
        consume(events, consumer, handler, lanes=LANES[consumer])
    for query, answer in ANSWERED.items():
        reply(queries, query, answer, queue="registry")
    reply(queries, Ping, ping_handler("registry"), queue="registry", to="registry")
    broker.include_routers(events, queries)
    return make_app(
        broker,
        settings,
        consumers=CONSUMED,
        prepare={"MongoDB": store.prepare},
        parts={"store": store, "events": StreamedEvents(broker), "now": now},
    )


def main() -> None:
    run("registry", ServiceSettings, build_app)
