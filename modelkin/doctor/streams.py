"""What NATS says of the system: streams, consumers and their lag, dead letters, imports under way, garbage."""

from datetime import UTC, datetime

from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, ConsumerInfo, DeliverPolicy
from nats.js.errors import NotFoundError

from deploy.topology import Step, apply
from modelkin.dead_letter_views import age
from modelkin.wording import counted, size, some_of
from shared.event_log import EventsMissing, last_in
from shared.messages import GarbageCollected, ImportRefused, VersionDeleted, VersionRefused
from shared.queries import Finding
from shared.reading import read_stored
from shared.subjects import (
    CONSUMERS,
    DEAD_LETTERS_STREAM,
    EVENTS_STREAM,
    IMPORTER_ON_AUTO_LEARNING_DEPLOYED,
    IMPORTER_ON_IMPORT_MODEL,
    IMPORTER_ON_TRAINING_SUCCEEDED,
    Consumer,
    all_of,
)

MAKE = "python -m deploy.topology"
# The largest packages take minutes to copy.
LONG_IMPORT_S = 3600.0
REQUESTS = (IMPORTER_ON_TRAINING_SUCCEEDED, IMPORTER_ON_AUTO_LEARNING_DEPLOYED, IMPORTER_ON_IMPORT_MODEL)
# Each may leave the bytes of one package behind.
LEAVING = (VersionDeleted, VersionRefused, ImportRefused)


async def streams(jetstream: JetStreamContext) -> list[Finding]:
    replicas = await _replicas(jetstream)
    steps = [step async for step in apply(jetstream, plan=True, replicas=replicas) if step.what.startswith("stream ")]
    return [one for step in steps for one in _differences(step) or [await _stream(jetstream, step.what)]]


async def _replicas(jetstream: JetStreamContext) -> int:
    """On how many nodes EVENTS is kept: the other streams are to be too."""
    try:
        return (await jetstream.stream_info(EVENTS_STREAM)).config.num_replicas or 1
    except NotFoundError:
        return 1


def _differences(step: Step) -> list[Finding]:
    """What is not as this version of Modelkin would make it."""
    found = []
    if step.done == "created":
        found.append(Finding(check=step.what, level="wrong", message="is missing", remedy=f"{MAKE} makes it"))
    if step.done == "extended":
        message = f"lacks {some_of(step.lacked)}"
        found.append(Finding(check=step.what, level="wrong", message=message, remedy=f"{MAKE} adds what is lacking"))
    if step.forgets:
        message = f"events will be lost: {', '.join(map(str, step.forgets))}"
        remedy = "no database can be made anew without them: nats stream edit EVENTS, before the oldest go"
        return [*found, Finding(check=step.what, level="wrong", message=message, remedy=remedy)]
    if step.remarks:
        remedy = f"if nobody meant that: nats {step.what.partition(' ')[0]} edit"
        found.append(Finding(check=step.what, level="warning", message=", ".join(step.remarks), remedy=remedy))
    return found


async def _stream(jetstream: JetStreamContext, what: str) -> Finding:
    info = await jetstream.stream_info(what.removeprefix("stream "))
    try:
        if info.config.name == EVENTS_STREAM:
            last_in(info)
    except EventsMissing as missing:
        remedy = "no database can be made anew without them: modelkin restore, of the newest backup that has them"
        return Finding(check=what, level="wrong", message=str(missing), remedy=remedy)
    return Finding(check=what, message=f"{counted(info.state.messages, 'message')}, {size(info.state.bytes)}")


async def consumers(jetstream: JetStreamContext, most_waiting: int) -> list[Finding]:
    """Two findings of a consumer that is not as it should be and lags: the second matters while the first is mended."""
    found: list[Finding] = []
    steps = {step.what: step async for step in apply(jetstream, plan=True)}
    for consumer in CONSUMERS:
        what = f"consumer {consumer.durable}"
        difference = _differences(steps[what])
        found += difference
        if steps[what].done != "created":
            lag = _lag(what, await jetstream.consumer_info(consumer.stream, consumer.durable), most_waiting)
            found += [] if difference and lag.level == "ok" else [lag]
    return found


def _lag(what: str, info: ConsumerInfo, most_waiting: int) -> Finding:
    waiting, in_hand, again = info.num_pending or 0, info.num_ack_pending or 0, info.num_redelivered or 0
    message = f"{waiting} waiting, {in_hand} in hand" + (f", {again} of them delivered again" if again else "")
    if info.paused:
        remedy = "a rebuild ends its pause by itself, in seconds; if there is none: nats consumer resume"
        return Finding(check=what, level="warning", message=f"{message}; it is paused", remedy=remedy)
    if waiting >= most_waiting or in_hand >= (info.config.max_ack_pending or in_hand + 1):
        remedy = "is its service running, and fast enough? Any number of processes may share the work"
        return Finding(check=what, level="warning", message=message, remedy=remedy)
    if again:
        remedy = "something failed and is tried again: the log of its service says what"
        return Finding(check=what, level="warning", message=message, remedy=remedy)
    return Finding(check=what, message=message)


async def dead_letters(jetstream: JetStreamContext) -> list[Finding]:
    check = "dead letters"
    try:
        state = (await jetstream.stream_info(DEAD_LETTERS_STREAM)).state
        if not state.messages:
            return [Finding(check=check, message="none")]
        oldest = (await jetstream.get_msg(DEAD_LETTERS_STREAM, state.first_seq)).time
    except NotFoundError:
        return []  # the stream is missing, which is said of it
    since = f", the oldest {age(oldest, datetime.now(UTC))} old" if oldest else ""
    remedy = "modelkin dead list; then redrive or drop them"
    return [Finding(check=check, level="warning", message=f"{state.messages}{since}", remedy=remedy)]


async def oldest_import(jetstream: JetStreamContext) -> list[Finding]:
    """The oldest request that the importer has not acknowledged, whether it waits or is under way."""
    check = "oldest import"
    times = [time for consumer in REQUESTS for time in [await _oldest(jetstream, consumer)] if time is not None]
    if not times:
        return [Finding(check=check, message="every request for an import has been worked off")]
    now = datetime.now(UTC)
    message = f"the oldest request that is not worked off is {age(min(times), now)} old"
    if (now - min(times)).total_seconds() < LONG_IMPORT_S:
        return [Finding(check=check, message=message)]
    remedy = "the log of the importer says what it is at, or why it tries again"
    return [Finding(check=check, level="warning", message=message, remedy=remedy)]


async def _oldest(jetstream: JetStreamContext, consumer: Consumer) -> datetime | None:
    try:
        info = await jetstream.consumer_info(consumer.stream, consumer.durable)
        if not (info.num_pending or info.num_ack_pending):
            return None
    except NotFoundError:
        return None
    after = info.ack_floor.stream_seq if info.ack_floor else 0
    times = [await _next_time(jetstream, consumer.stream, after, subject) for subject in consumer.filter_subjects]
    return min((time for time in times if time is not None), default=None)


async def _next_time(jetstream: JetStreamContext, stream: str, after: int, subject: str) -> datetime | None:
    try:
        return (await jetstream.get_msg(stream, after + 1, subject, next=True)).time
    except NotFoundError:
        return None


async def garbage(jetstream: JetStreamContext) -> list[Finding]:
    """A bound that costs little: what may have left bytes behind since they were collected last."""
    try:
        collected = await _last_collected(jetstream)
        since = 0 if collected is None else collected[0]
        packages = await _count_after(jetstream, since)
    except NotFoundError:
        return []
    when = "so far" if collected is None else f"since {collected[1]}"
    if not packages:
        return [Finding(check="orphaned bytes", message=f"{when} nothing was deleted or refused")]
    message = f"of at most {counted(packages, 'package')}, deleted or refused {when}"
    return [Finding(check="orphaned bytes", message=message, remedy="modelkin gc --dry-run says how many")]


async def _last_collected(jetstream: JetStreamContext) -> tuple[int, str] | None:
    """Where in the stream that was said, and when; a dry run collects nothing."""
    try:
        last = await jetstream.get_last_msg(EVENTS_STREAM, all_of(GarbageCollected))
    except NotFoundError:
        return None
    said = read_stored(GarbageCollected, EVENTS_STREAM, last)
    when = f"{said.envelope.time:%Y-%m-%d %H:%MZ}"
    return None if said.dry_run or last.seq is None else (last.seq, f"they were collected, {when}")


async def _count_after(jetstream: JetStreamContext, sequence: int) -> int:
    """How many events that leave bytes behind came after a place in the stream: counted by a consumer that reads none."""
    counting = await jetstream.add_consumer(
        EVENTS_STREAM,
        ConsumerConfig(
            filter_subjects=[all_of(kind) for kind in LEAVING],
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=sequence + 1,
            inactive_threshold=10.0,
            mem_storage=True,
        ),
    )
    await jetstream.delete_consumer(EVENTS_STREAM, counting.name)
    return counting.num_pending or 0
