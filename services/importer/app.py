"""Wiring of the importer: the only module that knows every part."""

from collections.abc import Callable
from datetime import datetime

from faststream import FastStream

from services.importer.artifacts import ArtifactFolder
from services.importer.handlers import on_training_succeeded, on_version_refused
from services.importer.importing import Importing
from services.importer.settings import ImporterSettings
from services.importer.source import LocalFolders
from services.importer.store import MongoImportStore
from shared.delivery import StreamedEvents, consume, event_router
from shared.health import ping_handler
from shared.queries import Ping
from shared.replies import query_router, reply
from shared.service import make_app, make_broker, run, utc_now
from shared.store import connect
from shared.subjects import IMPORTER_ON_TRAINING_SUCCEEDED, IMPORTER_ON_VERSION_REFUSED


def build_app(settings: ImporterSettings, now: Callable[[], datetime] = utc_now) -> FastStream:
    broker = make_broker(settings)
    events = StreamedEvents(broker)
    store = MongoImportStore(connect(settings.mongo_uri)[f"{settings.mongo_database}_importer"])
    artifacts = ArtifactFolder(settings.artifacts)
    source = LocalFolders(settings.allowed_roots, settings.max_files)

    handlers, queries = event_router(), query_router()
    consume(handlers, IMPORTER_ON_TRAINING_SUCCEEDED, on_training_succeeded, lanes=settings.concurrent_imports)
    consume(handlers, IMPORTER_ON_VERSION_REFUSED, on_version_refused, lanes=1)
    reply(queries, Ping, ping_handler("importer"), queue="importer", to="importer")
    broker.include_routers(handlers, queries)
    return make_app(
        broker,
        settings,
        consumers=(IMPORTER_ON_TRAINING_SUCCEEDED, IMPORTER_ON_VERSION_REFUSED),
        prepare={"MongoDB": store.prepare, "the artifact store": artifacts.prepare},
        parts={"store": store, "importing": Importing(source, artifacts, events, now), "events": events},
    )


def main() -> None:
    run("importer", ImporterSettings, build_app)
