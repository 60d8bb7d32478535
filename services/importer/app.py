"""Wiring of the importer: the only module that knows every part."""

import functools
import os
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faststream import FastStream

from services.importer import handlers
from services.importer.artifacts.opening import open_artifacts
from services.importer.copying import Copying
from services.importer.examining import folder_of, importer_checks
from services.importer.garbage.collecting import Collecting
from services.importer.garbage.store import MongoGarbageStore
from services.importer.garbage.watch import Watch
from services.importer.gathering import Gathering
from services.importer.grants import RegistryGrants
from services.importer.images.images import ContainerImages
from services.importer.images.registry import OciRegistry
from services.importer.images.transport import Transport
from services.importer.importing import Importing
from services.importer.inspection.worker import ProcessInspector
from services.importer.large import InspectorApart, LargeImports
from services.importer.manifests import Manifests
from services.importer.measuring import import_measures
from services.importer.reading_out import ReadingOut
from services.importer.relearning import Relearning
from services.importer.secrets import Secrets
from services.importer.settings import ImporterSettings
from services.importer.sources.limits import Limits
from services.importer.sources.routing import Sources
from services.importer.store import MongoImportStore
from services.importer.templates.catalogue import Catalogue
from services.importer.under_way.places import Places
from services.importer.under_way.store import MongoUnderWay
from services.importer.verifying import Verifying
from shared.delivery import StreamedEvents, consume, event_router
from shared.examining import examine_handler
from shared.health import ping_handler
from shared.messages import ModelImported
from shared.queries import Examine, GetTemplate, ListFiles, ListJobVersions, ListTemplates, Ping, Query, ReadBytes
from shared.replies import query_router, reply
from shared.service import make_app, make_broker, run, utc_now, wait_until
from shared.store import connect, ping
from shared.subjects import (
    IMPORTER_ON_AUTO_LEARNING_DEPLOYED,
    IMPORTER_ON_COLLECT_GARBAGE,
    IMPORTER_ON_IMPORT_MODEL,
    IMPORTER_ON_TRAINING_SUCCEEDED,
    IMPORTER_ON_VERIFY_PACKAGE,
    IMPORTER_ON_VERSION_DELETED,
    IMPORTER_ON_VERSION_REFUSED,
    Consumer,
)

if TYPE_CHECKING:
    from services.importer.images.probe import DockerProbe

REQUESTS = (IMPORTER_ON_TRAINING_SUCCEEDED, IMPORTER_ON_AUTO_LEARNING_DEPLOYED, IMPORTER_ON_IMPORT_MODEL)
# With how many lanes: reading a package again takes long, and one process collects garbage.
OTHERS: tuple[tuple[Consumer, Callable[..., Any], int], ...] = (
    (IMPORTER_ON_VERSION_REFUSED, handlers.on_version_refused, 1),
    (IMPORTER_ON_VERSION_DELETED, handlers.on_version_deleted, 1),
    (IMPORTER_ON_VERIFY_PACKAGE, handlers.on_verify_package, 2),
    (IMPORTER_ON_COLLECT_GARBAGE, handlers.on_collect_garbage, 1),
)
# Each holds up to 512 KiB.
READS_AT_ONCE = 32
ANSWERED: dict[type[Query], Callable[..., Any]] = {
    ListFiles: handlers.on_list_files,
    ListJobVersions: handlers.on_list_job_versions,
    ListTemplates: handlers.on_list_templates,
    GetTemplate: handlers.on_get_template,
}


def build_app(settings: ImporterSettings, now: Callable[[], datetime] = utc_now) -> FastStream:
    broker = make_broker(settings)
    events = StreamedEvents(broker)
    secrets = Secrets(settings.secrets)
    secrets.check()
    spool = settings.spool or Path(tempfile.gettempdir()) / "modelkin-spool"
    database = connect(settings.mongo_uri, settings.mongo_login)[f"{settings.mongo_database}_importer"]
    store = MongoImportStore(database)
    artifacts = open_artifacts(settings.artifacts, spool, os.environ)
    large = LargeImports(settings.large_package_bytes, settings.large_at_once)
    limits = Limits(settings.max_files, settings.max_package_bytes, large.check)
    source = Sources(settings.allowed_roots, settings.allowed_hosts, secrets, limits, spool, settings.artifacts)
    catalogue = Catalogue.load(settings.templates)
    importing = Importing(
        gathering=Gathering(source, _images(settings, secrets), catalogue),
        copying=Copying(artifacts, store, settings.concurrent_files),
        artifacts=artifacts,
        inspector=InspectorApart(
            ProcessInspector(timeout_s=settings.inspect_timeout_s),
            ProcessInspector(timeout_s=settings.inspect_timeout_s, processes=1),
        ),
        places=Places(MongoUnderWay(database), settings.max_imports_per_workspace, now),
        large=large,
        max_event_bytes=settings.max_event_bytes,
        policy_of=settings.unsafe_files.of,
        events=events,
        now=now,
    )

    garbage = MongoGarbageStore(database)
    watch = Watch(garbage, artifacts)

    requests, queries = event_router(), query_router()
    for consumer in REQUESTS:
        consume(requests, consumer, handlers.on_import_requested, lanes=settings.concurrent_imports)
    for consumer, handler, lanes in OTHERS:
        consume(requests, consumer, handler, lanes=lanes)
    for query, answer in ANSWERED.items():
        reply(queries, query, answer, queue="importer")
    reply(queries, ReadBytes, handlers.on_read_bytes, queue="importer", to="*.*", at_once=READS_AT_ONCE)
    reply(queries, Ping, ping_handler("importer"), queue="importer", to="importer")
    checks = importer_checks(database, artifacts, settings.artifacts)
    reply(queries, Examine, examine_handler("importer", checks), queue="", to="importer")
    broker.include_routers(requests, queries)
    app = make_app(
        broker,
        settings,
        consumers=(*REQUESTS, *(consumer for consumer, _, _ in OTHERS)),
        prepare={
            "MongoDB": lambda: ping(database),
            "MongoDB, for imports": store.prepare,
            "MongoDB, for garbage": garbage.prepare,
            "the artifact store": artifacts.prepare,
            "the spool": source.prepare,
            "the watch": watch.start,
        },
        database=database,
        parts={
            "store": store,
            "importing": importing,
            "events": events,
            "source": source,
            "catalogue": catalogue,
            "watch": watch,
            "answers": garbage,
            "verifying": Verifying(store, artifacts, events, now),
            "collecting": Collecting(
                store, garbage, artifacts, functools.partial(events.first_and_last, ModelImported), now
            ),
            "reading": ReadingOut(artifacts, Manifests(artifacts), RegistryGrants(broker), now),
        },
        measure=functools.partial(import_measures, requests=REQUESTS, folder=folder_of(settings.artifacts)),
    )
    relearning = Relearning(store, garbage, settings.nats)

    async def relearned() -> None:
        await wait_until(relearning.relearn, "what the events say")

    app.on_startup(relearned)
    app.after_shutdown(watch.stop)
    return app


def _images(settings: ImporterSettings, secrets: Secrets) -> ContainerImages:
    def open_probe() -> "DockerProbe":
        from services.importer.images.probe import DockerProbe  # noqa: PLC0415 - a tenth of a second of each start

        return DockerProbe(secrets.registry_login, settings.docker_host, settings.probe_image)

    transport = Transport(settings.registry_ca, settings.insecure_registries, settings.allowed_registries)
    return ContainerImages(OciRegistry(transport, secrets.registry_login), open_probe)


def main() -> None:
    run("importer", ImporterSettings, build_app)
