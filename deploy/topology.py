"""The streams and consumers that Modelkin lives on. Only this module makes them.

    EVENTS         every event, kept for ever: the system's memory
    COMMANDS       what was asked for; the answers are events
    DEAD_LETTERS   what could not be understood or handled
    consumers      one durable for each line of shared.subjects.CONSUMERS

What is missing is made. What is there stays as it is, for an operator may have changed it;
differences are told. One thing is added to a stream or a consumer that exists: subjects it does not carry yet.
Where MODELKIN_MONGO_URI is set, the indexes that services make at their start are made here before (deploy/indexes.py).
"""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Literal

import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError
from pydantic import Field, ValidationError

from deploy.differences import Difference, covers, differences
from shared.connection import BROKER_AWAY, NotLetIn, connected
from shared.settings import ServiceSettings, faults_of
from shared.subjects import (
    ACK_WAIT_S,
    COMMAND_SUBJECTS,
    COMMANDS_STREAM,
    CONSUMERS,
    DEAD_LETTERS,
    DEAD_LETTERS_STREAM,
    EVENT_SUBJECTS,
    EVENTS_STREAM,
    Consumer,
)
from shared.texts import without_login

STREAMS = (
    StreamConfig(
        name=EVENTS_STREAM, subjects=list(EVENT_SUBJECTS), description="Modelkin: every event", allow_direct=True
    ),
    StreamConfig(
        name=COMMANDS_STREAM, subjects=list(COMMAND_SUBJECTS), description="Modelkin: every command", allow_direct=True
    ),
    StreamConfig(
        name=DEAD_LETTERS_STREAM, subjects=[f"{DEAD_LETTERS}.*"], description="Modelkin: set aside", allow_direct=True
    ),
)
# What an operator may have changed, and is told of.
STREAM_SETTINGS = (
    "max_age",
    "max_bytes",
    "max_msgs",
    "max_msgs_per_subject",
    "max_msg_size",
    "num_replicas",
    "storage",
    "duplicate_window",
    "discard",
    "retention",
    "sealed",
)
FRESH_STREAM = StreamConfig(
    max_age=0.0,
    max_bytes=-1,
    max_msgs=-1,
    max_msgs_per_subject=-1,
    max_msg_size=-1,
    retention=RetentionPolicy.LIMITS,
    sealed=False,
    num_replicas=1,
    storage=StorageType.FILE,
    duplicate_window=120.0,
    discard=DiscardPolicy.OLD,
)
CONSUMER_SETTINGS = ("ack_wait", "max_deliver", "max_ack_pending", "ack_policy")


# Without any of these, events are dropped some day, and a database that is lost cannot be made anew.
MEMORY = frozenset({"max_age", "max_bytes", "max_msgs", "max_msgs_per_subject", "retention", "storage"})


class NotMade(nats.js.errors.Error):
    """NATS does not take a stream or a consumer; says which, and why."""

    __str__ = Exception.__str__


class TopologySettings(ServiceSettings):
    """What the topology reads."""

    replicas: int = Field(default=1, ge=1, le=5, description="on how many NATS nodes a new stream is kept")


@dataclass(frozen=True, slots=True)
class Step:
    """What was done, or would be, to one stream or consumer."""

    what: str
    done: Literal["created", "extended", "kept"]
    note: str = ""
    lacked: tuple[str, ...] = ()
    """Subjects that were not carried, or not heard."""
    differs: tuple[Difference, ...] = ()
    wide: tuple[str, ...] = ()
    """Subjects of a stream that take in known ones and others."""

    @property
    def forgets(self) -> tuple[Difference, ...]:
        """What makes EVENTS forget."""
        return tuple(one for one in self.differs if self.what == f"stream {EVENTS_STREAM}" and one.setting in MEMORY)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Everything in which it is not as this release would make it, one line each."""
        wide = [f"carries {subject} (a new one carries known subjects alone)" for subject in self.wide]
        return (*map(str, self.differs), *wide)

    def __str__(self) -> str:
        first = f"{self.done:8} {self.what}{f': {self.note}' if self.note else ''}"
        return "\n".join((first, *(f"{'':9}{remark}" for remark in self.remarks)))


def consumer_config(consumer: Consumer) -> ConsumerConfig:
    """Delivered until acknowledged: giving up is decided by shared/delivery.py, with a dead letter."""
    return ConsumerConfig(
        durable_name=consumer.durable,
        filter_subjects=list(consumer.filter_subjects),
        ack_policy=AckPolicy.EXPLICIT,
        deliver_policy=DeliverPolicy.ALL,
        ack_wait=ACK_WAIT_S,
        max_deliver=-1,
        max_ack_pending=1000,
    )


async def apply(jetstream: JetStreamContext, *, plan: bool = False, replicas: int = 1) -> AsyncIterator[Step]:
    """Bring NATS to this topology; with `plan`, only say what that would take. Safe to run at any time, by many.

    Raises:
        NotMade: NATS does not take something as it should be; an operator has to look.
    """
    for stream in STREAMS:
        with _named(f"stream {stream.name}"):
            yield await _apply_stream(jetstream, stream.evolve(num_replicas=replicas), plan=plan)
    for consumer in CONSUMERS:
        with _named(f"consumer {consumer.durable}"):
            yield await _apply_consumer(jetstream, consumer, plan=plan)


@contextlib.contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except nats.js.errors.BadRequestError as error:
        raise NotMade(f"{what} cannot be made as it must be: {error.description}") from error


async def _apply_stream(jetstream: JetStreamContext, wanted: StreamConfig, *, plan: bool) -> Step:
    what = f"stream {wanted.name}"
    try:
        there = (await jetstream.stream_info(wanted.name or "")).config
    except NotFoundError:
        if not plan:
            await jetstream.add_stream(wanted)
        return Step(what, "created")
    subjects = list(there.subjects or [])
    new = tuple(subject for subject in wanted.subjects or [] if not any(covers(one, subject) for one in subjects))
    known = frozenset(wanted.subjects or [])
    wide = tuple(one for one in subjects if one not in known and any(covers(one, subject) for subject in known))
    if new and not plan:
        await jetstream.update_stream(there.evolve(subjects=[*subjects, *new]))
    fresh = FRESH_STREAM.evolve(num_replicas=wanted.num_replicas)
    return _step(what, "carries", new, differences(there, fresh, STREAM_SETTINGS), wide)


async def _apply_consumer(jetstream: JetStreamContext, consumer: Consumer, *, plan: bool) -> Step:
    what = f"consumer {consumer.durable}"
    wanted = consumer_config(consumer)
    try:
        there = (await jetstream.consumer_info(consumer.stream, consumer.durable)).config
    except NotFoundError:
        if not plan:
            await jetstream.add_consumer(consumer.stream, wanted)
        return Step(what, "created")
    subjects = there.filter_subjects or [there.filter_subject or ""]
    new = tuple(subject for subject in consumer.filter_subjects if subject not in subjects)
    if new and not plan:
        both = {"filter_subject": None, "filter_subjects": [*subjects, *new]}
        await jetstream.add_consumer(consumer.stream, there.evolve(**both))
    return _step(what, "hears", new, differences(there, wanted, CONSUMER_SETTINGS))


def _step(
    what: str, verb: str, new: tuple[str, ...], differs: tuple[Difference, ...], wide: tuple[str, ...] = ()
) -> Step:
    note = f"{verb} {', '.join(new)} too" if new else ""
    return Step(what, "extended" if new else "kept", note, new, differs, wide)


async def _main(settings: TopologySettings, *, plan: bool) -> None:
    async with connected(settings.nats, "modelkin-topology") as connection:
        async for step in apply(connection.jetstream(), plan=plan, replicas=settings.replicas):
            sys.stdout.write(f"{step}\n")
    if "mongo_uri" in settings.model_fields_set:
        # The services' stores are needed for this alone: who looks at streams does not load them.
        from deploy.indexes import index_lines  # noqa: PLC0415

        async for line in index_lines(settings, plan=plan):
            sys.stdout.write(f"{line}\n")


def main() -> None:
    """Make the topology on the NATS server of MODELKIN_NATS_URL, and indexes in the MongoDB of MODELKIN_MONGO_URI."""
    parser = argparse.ArgumentParser(prog="python -m deploy.topology", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--nats-url", help="default: MODELKIN_NATS_URL")
    parser.add_argument("--plan", action="store_true", help="say what would be done, change nothing")
    given = parser.parse_args()
    try:
        settings = TopologySettings(**({"nats_url": given.nats_url} if given.nats_url else {}))
    except ValidationError as error:
        sys.exit("\n".join(f"topology: {fault}" for fault in faults_of(error)))
    try:
        asyncio.run(_main(settings, plan=given.plan))
    except NotMade as error:
        sys.exit(f"topology: {error}")
    except NotLetIn as error:
        sys.exit(f"topology: NATS at {without_login(settings.nats_url)}: {error}")
    except BROKER_AWAY as error:
        sys.exit(f"topology: no NATS with JetStream at {without_login(settings.nats_url)}: {error!r}")


if __name__ == "__main__":
    main()
