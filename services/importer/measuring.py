"""What the importer counts of imports: how many by method and end, how long, how many bytes, and what waits longest."""

import functools
import shutil
import time
from collections import OrderedDict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import nats.js.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from services.importer.threads import to_its_end
from shared.errors import Malformed, Transient
from shared.messages import ImportRefused, ImportRequest, Message, ModelImported, ModelRegistered, kind_of
from shared.observing.asking import Ask
from shared.observing.measures import Measures
from shared.reading import read_message
from shared.subjects import Consumer, all_of
from shared.values import FromAutoLearning, FromImage, FromJob, FromStorage, FromTemplate, Reason

if TYPE_CHECKING:  # where nobody asks for metrics, their library is not loaded
    from shared.observing.handling import Handling
    from shared.observing.metrics import Metrics

# A package belongs to the first class that holds it.
SIZES: Final = (("1MB", 1024**2), ("100MB", 100 * 1024**2), ("1GB", 1024**3), ("10GB", 10 * 1024**3))
LARGER: Final = "larger"
# Far more than are on their way through versioning and registry at once; of others it is not known how long they took.
MOST_AWAITED: Final = 10_000
_CORRELATION = "ce-correlationid"


class ImportMeasures:
    """Counted where an outcome is new to the stream, so that a redelivery counts nothing twice."""

    def __init__(self, metrics: "Metrics") -> None:
        self._imports = metrics.counter(
            "imports_total", "Requests that were decided: imported, refused", "method", "outcome"
        )
        self._refusals = metrics.counter("import_refusals_total", "Refused requests", "reason")
        self._seconds = metrics.histogram(
            "import_seconds", "How long imports took that succeeded, by size of package (up to)", "size"
        )
        self._stages = metrics.histogram("import_stage_seconds", "How long stages of imports took", "stage")
        self._bytes = metrics.counter("imported_bytes_total", "Bytes of imported packages that are kept")
        self._registration = metrics.histogram(
            "registration_seconds", "From when the stream had a request until its version could be queried"
        )
        self._awaited: OrderedDict[str, float] = OrderedDict()
        self._begin_at_zero()

    def published(self, event: Message, handling: "Handling") -> None:
        match event:
            case ModelImported():
                self._imports.labels(event.source.method, "imported").inc()
                self._seconds.labels(size_class(event.package.size_bytes)).observe(handling.took_s)
                if not event.package.in_place:
                    self._bytes.inc(event.package.size_bytes)
                self._await(event.envelope.correlation_id, handling.message.metadata.timestamp)
            case ImportRefused():
                self._imports.labels(_method(handling.message), "refused").inc()
                self._refusals.labels(event.reason).inc()

    def staged(self, name: str, took_s: float) -> None:
        self._stages.labels(name).observe(took_s)

    def registered(self, message: Msg) -> None:
        """A version of any importer can be queried."""
        asked_at = self._awaited.pop((message.headers or {}).get(_CORRELATION, ""), None)
        if asked_at is not None:
            self._registration.observe(max(0.0, time.time() - asked_at))

    def _begin_at_zero(self) -> None:
        """Prometheus sees no rise in a number that was not there before: the first refusal would be missed."""
        for reason in Reason:
            self._refusals.labels(reason)
        for origin in (FromJob, FromStorage, FromTemplate, FromImage, FromAutoLearning):
            for outcome in ("imported", "refused"):
                self._imports.labels(origin.model_fields["method"].default, outcome)

    def _await(self, request_id: str, asked_at: datetime) -> None:
        self._awaited[request_id] = asked_at.timestamp()
        if len(self._awaited) > MOST_AWAITED:
            self._awaited.popitem(last=False)


def import_measures(metrics: "Metrics", requests: tuple[Consumer, ...], folder: Path | None) -> Measures:
    """All of them.

    Args:
        metrics: where they are told.
        requests: the consumers that carry requests.
        folder: that of the artifact store, where it is one.
    """
    measures = ImportMeasures(metrics)
    asks = (_oldest_import(metrics, requests), *((_free_bytes(metrics, folder),) if folder else ()))
    return Measures(measures.published, measures.staged, asks, {all_of(ModelRegistered): measures.registered})


def size_class(size_bytes: int) -> str:
    return next((name for name, most_bytes in SIZES if size_bytes <= most_bytes), LARGER)


def _method(message: Msg) -> str:
    """Of the request that a refusal answers."""
    try:
        request = read_message(kind_of(message.subject), message)
    except Malformed:
        return "unknown"
    return request.origin.method if isinstance(request, ImportRequest) else "unknown"


def _oldest_import(metrics: "Metrics", requests: tuple[Consumer, ...]) -> Ask:
    age = metrics.gauge(
        "oldest_import_seconds",
        "Age of the oldest request that is not worked off, waiting or under way; 0: there is none",
    )

    async def look(jetstream: JetStreamContext) -> None:
        found = [time for consumer in requests for time in [await _oldest(jetstream, consumer)] if time is not None]
        age.set(max(0.0, (datetime.now(UTC) - min(found)).total_seconds()) if found else 0)

    return Ask(look, functools.partial(age.set, float("nan")))


async def _oldest(jetstream: JetStreamContext, consumer: Consumer) -> datetime | None:
    try:
        info = await jetstream.consumer_info(consumer.stream, consumer.durable)
        if not (info.num_pending or info.num_ack_pending):
            return None
        floor = info.ack_floor.stream_seq if info.ack_floor else 0
        return (await jetstream.get_msg(consumer.stream, floor + 1, consumer.filter_subjects[0], next=True)).time
    except nats.js.errors.NotFoundError:
        return None


def _free_bytes(metrics: "Metrics", folder: Path) -> Ask:
    free = metrics.gauge("artifact_free_bytes", "Bytes that are free where the artifact store is, if it is a folder")

    async def look(_: JetStreamContext) -> None:
        try:
            free.set((await to_its_end(functools.partial(shutil.disk_usage, folder))).free)
        except OSError as error:
            raise Transient(f"the artifact store does not say what is free: {error.strerror}") from error

    return Ask(look, functools.partial(free.set, float("nan")))
