"""The streams and consumers that Modelkin lives on. Only this module makes them.

    EVENTS         every event, kept for ever: the system's memory
    COMMANDS       what was asked for; the answers are events
    DEAD_LETTERS   what could not be understood or handled
    consumers      one durable for each line of shared.subjects.CONSUMERS

What is missing is made. What is there stays as it is, for an operator may have changed it;
differences are told. One thing is added to a stream or a consumer that exists: subjects it does not carry yet.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

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

from shared.connection import BROKER_AWAY, NotLetIn, connected
from shared.settings import NatsSettings, faults_of
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


class TopologySettings(NatsSettings):
    """What the topology reads."""

    replicas: int = Field(default=1, ge=1, le=5, description="topology: on how many NATS nodes a new stream is kept")


@dataclass(frozen=True, slots=True)
class Step:
    """What was done, or would be, to one stream or consumer."""

    what: str
    done: Literal["created", "extended", "kept"]
    note: str = ""
    lacked: tuple[str, ...] = ()
    """Subjects that were not carried, or not heard."""

    def __str__(self) -> str:
        return f"{self.done:8} {self.what}{f': {self.note}' if self.note else ''}"


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
    """Bring NATS to this topology; with `plan`, only say what that would take. Safe to run at any time, by many."""
    for stream in STREAMS:
        yield await _apply_stream(jetstream, stream.evolve(num_replicas=replicas), plan=plan)
    for consumer in CONSUMERS:
        yield await _apply_consumer(jetstream, consumer, plan=plan)


async def _apply_stream(jetstream: JetStreamContext, wanted: StreamConfig, *, plan: bool) -> Step:
    what = f"stream {wanted.name}"
    try:
        there = (await jetstream.stream_info(wanted.name or "")).config
    except NotFoundError:
        if not plan:
            await jetstream.add_stream(wanted)
        return Step(what, "created")
    subjects = list(there.subjects or [])
    new = [subject for subject in wanted.subjects or [] if subject not in subjects]
    if new:
        if not plan:
            await jetstream.update_stream(there.evolve(subjects=subjects + new))
        return Step(what, "extended", f"carries {', '.join(new)} too", tuple(new))
    fresh = FRESH_STREAM.evolve(num_replicas=wanted.num_replicas)
    return Step(what, "kept", _differences(there, fresh, STREAM_SETTINGS))


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
    new = [subject for subject in consumer.filter_subjects if subject not in subjects]
    if new:
        if not plan:
            both = {"filter_subject": None, "filter_subjects": subjects + new}
            await jetstream.add_consumer(consumer.stream, there.evolve(**both))
        return Step(what, "extended", f"hears {', '.join(new)} too", tuple(new))
    return Step(what, "kept", _differences(there, wanted, CONSUMER_SETTINGS))


def _differences(there: object, wanted: object, settings: tuple[str, ...]) -> str:
    pairs = ((name, getattr(there, name), getattr(wanted, name)) for name in settings)
    return ", ".join(
        f"{name} is {is_!r} (a new one has {new!r})" for name, is_, new in pairs if new is not None and is_ != new
    )


async def _main(settings: TopologySettings, *, plan: bool) -> None:
    async with connected(settings.nats, "modelkin-topology") as connection:
        async for step in apply(connection.jetstream(), plan=plan, replicas=settings.replicas):
            sys.stdout.write(f"{step}\n")


def main() -> None:
    """Make the topology on the NATS server of MODELKIN_NATS_URL."""
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
    except NotLetIn as error:
        sys.exit(f"topology: NATS at {settings.nats_url}: {error}")
    except BROKER_AWAY as error:
        sys.exit(f"topology: no NATS with JetStream at {settings.nats_url}: {error!r}")


if __name__ == "__main__":
    main()
