"""Wiring of the registry: the only module that knows every part."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from faststream import FastStream

from services.registry import handlers
from services.registry.changes.store import MongoChangeStore
from services.registry.listing import handlers as listing
from services.registry.listing.store import Listings
from services.registry.past.store import MongoPast
from services.registry.reading import handlers as reading
from services.registry.reading.store import MongoReadings
from services.registry.rebuilding import RegistryReplay
from services.registry.rules.known import Moment
from services.registry.settings import RegistrySettings
from services.registry.store import MongoModelStore
from shared.delivery import StreamedEvents, consume, event_router
from shared.examining import examine_handler, kept_checks
from shared.health import ping_handler
from shared.queries import (
    Examine,
    FindBest,
    GetGrant,
    GetHistory,
    GetImport,
    GetModel,
    GetService,
    GetVersion,
    ListAliases,
    ListModels,
    ListVersions,
    Ping,
    Query,
)
from shared.rebuilding import Opened, Projection, rebuild_handler
from shared.replies import query_router, reply
from shared.service import make_app, make_broker, run, utc_now
from shared.store import Database, connect, ping
from shared.subjects import (
    REGISTRY_ON_ANSWERS,
    REGISTRY_ON_CHANGES,
    REGISTRY_ON_COMMANDS,
    REGISTRY_ON_MODEL_IMPORTED,
    REGISTRY_ON_REBUILD,
    REGISTRY_ON_REPORTS,
    REGISTRY_ON_VERSION_ASSIGNED,
    REGISTRY_ON_VERSION_REFUSED,
    Consumer,
)
from shared.turns import Turns

Handler = Callable[..., Any]

# To be raised with every change of documents or indexes: the database is made anew when the service starts.
LAYOUT = 2

CONSUMED: dict[Consumer, Handler] = {
    REGISTRY_ON_MODEL_IMPORTED: handlers.on_model_imported,
    REGISTRY_ON_VERSION_ASSIGNED: handlers.on_version_assigned,
    REGISTRY_ON_VERSION_REFUSED: handlers.on_version_refused,
    REGISTRY_ON_CHANGES: handlers.on_change,
    REGISTRY_ON_ANSWERS: handlers.on_answer,
    REGISTRY_ON_REPORTS: handlers.on_report,
    REGISTRY_ON_COMMANDS: handlers.on_command,
}
# So many messages of a consumer are handled at once. Halves share their round trips to the store; what else there is comes
# seldom, commands on one model one after the other however many lanes there are, and changes are read again in their order.
LANES = {
    REGISTRY_ON_MODEL_IMPORTED: 32,
    REGISTRY_ON_VERSION_ASSIGNED: 32,
    REGISTRY_ON_VERSION_REFUSED: 8,
    REGISTRY_ON_CHANGES: 1,
    REGISTRY_ON_ANSWERS: 8,
    REGISTRY_ON_REPORTS: 1,
    REGISTRY_ON_COMMANDS: 8,
}
ANSWERED: dict[type[Query], Handler] = {
    ListModels: listing.on_list_models,
    GetModel: listing.on_get_model,
    ListVersions: listing.on_list_versions,
    FindBest: listing.on_find_best,
    GetVersion: reading.on_get_version,
    ListAliases: reading.on_list_aliases,
    GetHistory: reading.on_get_history,
    GetService: reading.on_get_service,
    GetGrant: reading.on_get_grant,
    GetImport: handlers.on_get_import,
}


def open_generation(database: Database) -> Opened:
    """The parts that read and write one generation of the registry's collections."""
    listings = Listings(database)
    store = MongoModelStore(database, listings)
    changes = MongoChangeStore(database, store, listings)
    parts = {
        "store": store,
        "listings": listings,
        "changes": changes,
        "readings": MongoReadings(database, changes, store),
        "past": MongoPast(database, store),
    }
    return Opened(parts, (store.prepare, listings.prepare, changes.prepare))


def replay_into(database: Database) -> RegistryReplay:
    opened = open_generation(database)
    return RegistryReplay(opened.parts["store"], opened.parts["changes"], opened.prepare)


PROJECTION = Projection("registry", LAYOUT, tuple(CONSUMED), open_generation, replay_into)


def build_app(
    settings: RegistrySettings,
    now: Callable[[], datetime] = utc_now,
    new_id: Callable[[], str] = lambda: uuid4().hex,
) -> FastStream:
    broker = make_broker(settings)
    database = connect(settings.mongo_uri, settings.mongo_login)[f"{settings.mongo_database}_registry"]

    def moment() -> Moment:
        return Moment(now(), new_id, timedelta(seconds=settings.grant_lifetime_s))

    events, queries = event_router(), query_router()
    for consumer, handler in CONSUMED.items():
        consume(events, consumer, handler, lanes=LANES[consumer])
    consume(events, REGISTRY_ON_REBUILD, rebuild_handler("registry"), lanes=1)
    for query, answer in ANSWERED.items():
        reply(queries, query, answer, queue="registry")
    reply(queries, Ping, ping_handler("registry"), queue="registry", to="registry")
    reply(queries, Examine, examine_handler("registry", kept_checks(database, PROJECTION)), queue="", to="registry")
    broker.include_routers(events, queries)
    return make_app(
        broker,
        settings,
        consumers=(*CONSUMED, REGISTRY_ON_REBUILD),
        prepare={"MongoDB": lambda: ping(database)},
        database=database,
        parts={"turns": Turns(), "events": StreamedEvents(broker), "now": now, "moment": moment},
        memory=PROJECTION,
    )


def main() -> None:
    run("registry", RegistrySettings, build_app)
