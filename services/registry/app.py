"""Wiring of the registry: the only module that knows every part."""

from collections.abc import Callable
from typing import Any

from faststream import FastStream

from services.registry import handlers
from services.registry.store import MongoModelStore
from shared.delivery import StreamedEvents, consume, event_router
from shared.health import ping_handler
from shared.queries import GetImport, GetModel, GetVersion, ListModels, ListVersions, Ping, Query
from shared.replies import query_router, reply
from shared.service import make_app, make_broker, run
from shared.settings import ServiceSettings
from shared.store import connect
from shared.subjects import (
    REGISTRY_ON_MODEL_IMPORTED,
    REGISTRY_ON_VERSION_ASSIGNED,
    REGISTRY_ON_VERSION_REFUSED,
    Consumer,
)

Handler = Callable[..., Any]

# So many messages of a consumer are handled at once, and share their round trips to the store.
LANES = 32
CONSUMED: dict[Consumer, Handler] = {
    REGISTRY_ON_MODEL_IMPORTED: handlers.on_model_imported,
    REGISTRY_ON_VERSION_ASSIGNED: handlers.on_version_assigned,
    REGISTRY_ON_VERSION_REFUSED: handlers.on_version_refused,
}
ANSWERED: dict[type[Query], Handler] = {
    ListModels: handlers.on_list_models,
    GetModel: handlers.on_get_model,
    ListVersions: handlers.on_list_versions,
    GetVersion: handlers.on_get_version,
    GetImport: handlers.on_get_import,
}


def build_app(settings: ServiceSettings) -> FastStream:
    broker = make_broker(settings)
    store = MongoModelStore(connect(settings.mongo_uri)[f"{settings.mongo_database}_registry"])

    events, queries = event_router(), query_router()
    for consumer, handler in CONSUMED.items():
        consume(events, consumer, handler, lanes=LANES)
    for query, answer in ANSWERED.items():
        reply(queries, query, answer, queue="registry")
    reply(queries, Ping, ping_handler("registry"), queue="registry", to="registry")
    broker.include_routers(events, queries)
    return make_app(
        broker,
        settings,
        consumers=CONSUMED,
        prepare={"MongoDB": store.prepare},
        parts={"store": store, "events": StreamedEvents(broker)},
    )


def main() -> None:
    run("registry", ServiceSettings, build_app)
