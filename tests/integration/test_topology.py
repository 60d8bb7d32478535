"""Streams and consumers are made where they lack, and left as an operator made them."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator

import nats
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy, StorageType, StreamConfig

from deploy.differences import covers
from deploy.topology import Step, apply, consumer_config
from modelkin.processes import Server
from shared.messages import COMMANDS, EVENTS, LIVE, Message
from shared.store import connect
from shared.subjects import (
    COMMAND_SUBJECTS,
    COMMANDS_STREAM,
    CONSUMERS,
    DEAD_LETTERS_STREAM,
    EVENT_SUBJECTS,
    EVENTS_STREAM,
    REGISTRY_ON_COMMANDS,
    REGISTRY_ON_REPORTS,
    Consumer,
)
from tests.integration.system import System

# What the release before this one knew.
OLD_SUBJECTS = [
    f"modelkin.evt.v1.{kind}.*.*"
    for kind in (
        "training.succeeded",
        "model.imported",
        "import.refused",
        "version.assigned",
        "version.refused",
        "model.registered",
    )
]


@pytest.fixture
async def client(nats_server: Server) -> AsyncIterator[Client]:
    client = await nats.connect(nats_server.url)
    yield client
    await client.close()


@pytest.fixture
def jetstream(client: Client) -> JetStreamContext:
    return client.jetstream()


async def applied(jetstream: JetStreamContext, *, plan: bool = False) -> list[Step]:
    return [step async for step in apply(jetstream, plan=plan)]


async def state(jetstream: JetStreamContext) -> dict[str, object]:
    """Every setting of every stream and consumer."""
    streams = {stream.config.name or "": stream.config for stream in await jetstream.streams_info()}
    consumers = {
        f"{name}/{consumer.name}": consumer.config
        for name in streams
        for consumer in await jetstream.consumers_info(name)
    }
    return {**streams, **consumers}


async def test_all_is_made_on_an_empty_server(jetstream: JetStreamContext):
    steps = await applied(jetstream)

    assert {step.done for step in steps} == {"created"}
    assert set(await state(jetstream)) == {
        EVENTS_STREAM,
        COMMANDS_STREAM,
        DEAD_LETTERS_STREAM,
        *(f"{consumer.stream}/{consumer.durable}" for consumer in CONSUMERS),
    }


async def test_each_stream_takes_its_own_subjects_and_keeps_them_for_ever(jetstream: JetStreamContext):
    await applied(jetstream)

    streams = {stream.config.name: stream.config for stream in await jetstream.streams_info()}
    assert {name: set(config.subjects or []) for name, config in streams.items()} == {
        "EVENTS": {*EVENT_SUBJECTS},
        "COMMANDS": {*COMMAND_SUBJECTS},
        "DEAD_LETTERS": {"modelkin.dlq.*"},
    }
    assert [(config.max_age, config.max_msgs, config.max_bytes) for config in streams.values()] == [(0.0, -1, -1)] * 3


@pytest.mark.parametrize("consumer", CONSUMERS, ids=lambda consumer: consumer.durable)
async def test_each_consumer_hears_its_kinds_of_message_until_they_are_acknowledged(
    jetstream: JetStreamContext, consumer: Consumer
):
    await applied(jetstream)

    config = (await jetstream.consumer_info(consumer.stream, consumer.durable)).config
    heard = config.filter_subjects or [config.filter_subject]
    tails = ("*.*", "*.*.*") if consumer.stream == COMMANDS_STREAM else ("*.*",)
    assert heard == [f"{kind.address}.{tail}" for kind in consumer.kinds for tail in tails]
    assert (config.max_deliver, config.ack_wait, config.ack_policy) == (-1, 30.0, "explicit")


async def test_applying_twice_changes_nothing_and_has_nothing_to_tell(jetstream: JetStreamContext):
    await applied(jetstream)
    before = await state(jetstream)
    steps = await applied(jetstream)

    assert [(step.done, step.note, step.remarks) for step in steps] == [("kept", "", ())] * len(steps)
    assert await state(jetstream) == before


async def test_a_changed_max_age_survives_and_is_told(jetstream: JetStreamContext):
    await applied(jetstream)
    config = (await jetstream.stream_info(EVENTS_STREAM)).config
    await jetstream.update_stream(config.evolve(max_age=86400.0))
    steps = await applied(jetstream)

    assert (await jetstream.stream_info(EVENTS_STREAM)).config.max_age == 86400.0
    told = next(step for step in steps if step.what == f"stream {EVENTS_STREAM}")
    assert told.done == "kept"
    assert str(told) == "kept     stream EVENTS\n         max_age is 24 hours (a new one has no limit)"


@pytest.mark.parametrize("consumer", [CONSUMERS[0], REGISTRY_ON_COMMANDS])
async def test_a_changed_consumer_survives_and_is_told(jetstream: JetStreamContext, consumer: Consumer):
    await applied(jetstream)
    stream, durable = consumer.stream, consumer.durable
    config = (await jetstream.consumer_info(stream, durable)).config
    await jetstream.add_consumer(stream, config.evolve(max_ack_pending=7, ack_wait=90.0))
    steps = await applied(jetstream)

    kept = (await jetstream.consumer_info(stream, durable)).config
    assert (kept.max_ack_pending, kept.ack_wait) == (7, 90.0)
    told = next(step for step in steps if step.what == f"consumer {durable}")
    assert told.done == "kept"
    assert told.remarks == (
        "ack_wait is 90 s (a new one has 30 s)",
        "max_ack_pending is 7 (a new one has 1000)",
    )


async def test_a_consumer_that_lacks_a_subject_gets_it_and_keeps_its_place(jetstream: JetStreamContext):
    await applied(jetstream)
    stream, durable = REGISTRY_ON_REPORTS.stream, REGISTRY_ON_REPORTS.durable
    config = (await jetstream.consumer_info(stream, durable)).config
    first, *rest = REGISTRY_ON_REPORTS.filter_subjects
    older = config.evolve(filter_subject=first, filter_subjects=None, max_ack_pending=7)
    await jetstream.add_consumer(stream, older)
    await jetstream.publish("modelkin.evt.v1.deployment.started.0.resnet", b"{}")
    heard = await jetstream.pull_subscribe(first, durable=durable, stream=stream)
    for message in await heard.fetch(1, timeout=60):
        await message.ack_sync()
    planned = await applied(jetstream, plan=True)
    steps = await applied(jetstream)

    info = await jetstream.consumer_info(stream, durable)
    told = next(step for step in steps if step.what == f"consumer {durable}")
    assert next(step for step in planned if step.what == f"consumer {durable}") == told
    assert told.remarks == ("max_ack_pending is 7 (a new one has 1000)",)
    assert (told.done, told.note) == ("extended", f"hears {', '.join(rest)} too")
    assert info.config.filter_subjects == [first, *rest]
    assert info.config.max_ack_pending == 7
    assert info.num_pending == 0


async def test_a_stream_that_lacks_a_subject_gets_it_and_keeps_the_rest(jetstream: JetStreamContext):
    old = [EVENT_SUBJECTS[0], "modelkin.evt.v1.of.long.ago"]
    await jetstream.add_stream(StreamConfig(name=EVENTS_STREAM, subjects=old, max_age=3600.0))
    steps = await applied(jetstream)

    config = (await jetstream.stream_info(EVENTS_STREAM)).config
    assert set(config.subjects or []) == {*EVENT_SUBJECTS, "modelkin.evt.v1.of.long.ago"}
    assert config.max_age == 3600.0
    told = next(step for step in steps if step.what == f"stream {EVENTS_STREAM}")
    assert told.done == "extended"
    assert EVENT_SUBJECTS[1] in told.note


async def test_a_stream_made_by_hand_in_another_way_is_told_line_by_line(jetstream: JetStreamContext):
    made = StreamConfig(
        name=EVENTS_STREAM,
        subjects=["modelkin.evt.>"],
        max_age=30 * 86400.0,
        max_bytes=10 * 2**30,
        storage=StorageType.MEMORY,
        retention=RetentionPolicy.INTEREST,
        duplicate_window=3600.0,
    )
    await jetstream.add_stream(made)
    before = await state(jetstream)
    planned = await applied(jetstream, plan=True)

    assert await state(jetstream) == before
    assert str(planned[0]).splitlines() == [
        "kept     stream EVENTS",
        "         max_age is 30 days (a new one has no limit)",
        "         max_bytes is 10.0 GB (a new one has no limit)",
        "         storage is memory (a new one has file)",
        "         duplicate_window is 60 minutes (a new one has 2 minutes)",
        "         retention is interest (a new one has limits)",
        "         carries modelkin.evt.> (a new one carries known subjects alone)",
    ]


async def test_a_stream_of_somebody_else_that_has_the_subjects_is_told(
    nats_server: Server, jetstream: JetStreamContext
):
    await jetstream.add_stream(StreamConfig(name="OTHERS", subjects=["modelkin.evt.>"]))

    made = _command("--nats-url", nats_server.url)

    assert made.returncode == 1
    assert made.stderr.startswith("topology: stream EVENTS cannot be made as it must be: subjects overlap")
    assert len(made.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("pattern", "subject", "covered"),
    [
        ("a.b.*", "a.b.*", True),
        ("a.>", "a.b.*", True),
        ("a.*.*", "a.b.*", True),
        (">", "a.b", True),
        ("a.b.*", "a.b.c", True),
        ("a.b.c", "a.b.*", False),
        ("a.b.*", "a.b.>", False),
        ("a.b.>", "a.b", False),
        ("a.b", "a.b.c", False),
        ("a.b.c", "a.b", False),
    ],
)
def test_a_subject_is_carried_where_a_wider_one_is(pattern: str, subject: str, covered: bool):
    assert covers(pattern, subject) is covered


async def test_a_server_of_the_release_before_gets_what_is_new_and_keeps_what_it_has(jetstream: JetStreamContext):
    await jetstream.add_stream(StreamConfig(name=EVENTS_STREAM, subjects=OLD_SUBJECTS, allow_direct=True))
    await jetstream.publish("modelkin.evt.v1.training.succeeded.0.resnet50", b"{}")
    old = next(consumer for consumer in CONSUMERS if consumer.durable == "importer-on-training-succeeded")
    await jetstream.add_consumer(EVENTS_STREAM, consumer_config(old))

    steps = {step.what: step.done for step in await applied(jetstream)}

    assert steps["stream EVENTS"] == "extended"
    assert steps["stream COMMANDS"] == "created"
    assert steps["consumer importer-on-training-succeeded"] == "kept"
    assert steps["consumer importer-on-auto-learning-deployed"] == "created"
    assert (await jetstream.stream_info(EVENTS_STREAM)).state.messages == 1
    assert {step.done for step in await applied(jetstream)} == {"kept"}


async def test_a_plan_says_what_it_would_do_and_does_nothing(jetstream: JetStreamContext):
    planned = await applied(jetstream, plan=True)
    assert await state(jetstream) == {}
    made = await applied(jetstream)

    assert planned == made


async def test_a_plan_of_an_extension_does_nothing(jetstream: JetStreamContext):
    await jetstream.add_stream(StreamConfig(name=EVENTS_STREAM, subjects=[EVENT_SUBJECTS[0]]))
    before = await state(jetstream)
    steps = await applied(jetstream, plan=True)

    assert steps[0].done == "extended"
    assert await state(jetstream) == before


def _command(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.topology", *arguments]
    environment = {**os.environ, **settings}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


async def test_the_command_plans_then_makes_then_keeps(nats_server: Server, jetstream: JetStreamContext):
    planned = _command("--plan", "--nats-url", nats_server.url)
    before = await state(jetstream)
    made = _command("--nats-url", nats_server.url)
    kept = _command("--nats-url", nats_server.url)

    assert before == {}
    assert [planned.returncode, made.returncode, kept.returncode] == [0, 0, 0]
    assert planned.stdout == made.stdout
    assert made.stdout.splitlines()[0] == "created  stream EVENTS"
    assert kept.stdout.splitlines()[0] == "kept     stream EVENTS"


@pytest.mark.parametrize(
    ("kinds", "stream"), [(EVENTS, EVENTS_STREAM), (COMMANDS, COMMANDS_STREAM)], ids=["events", "commands"]
)
async def test_every_message_has_its_place(jetstream: JetStreamContext, kinds: tuple[type[Message], ...], stream: str):
    await applied(jetstream)

    for kind in kinds:
        assert (await jetstream.publish(f"{kind.address}.0.resnet50", b"{}")).stream == stream
        assert (await jetstream.publish(f"{kind.address}.视觉.~", b"{}")).stream == stream


async def test_what_is_heard_live_has_no_place(jetstream: JetStreamContext):
    await applied(jetstream)

    for kind in LIVE:
        with pytest.raises(nats.js.errors.NoStreamResponseError):
            await jetstream.publish(f"{kind.address}.0.resnet50", b"{}")


@pytest.mark.parametrize(
    "subject",
    [
        "modelkin.evt.v1.training.suceeded.0.resnet50",
        "modelkin.evt.v1.training.succeeded.resnet50",
        "modelkin.evt.v1.training.succeeded.0.resnet50.x",
        "modelkin.evt.v2.training.succeeded.0.resnet50",
        "modelkin.evt.v1.model.import.0.resnet50",
        "modelkin.cmd.v1.model.imports.0.resnet50",
        "modelkin.cmd.v1.model.import.resnet50",
        "modelkin.cmd.v1.model.import.0.resnet50.x.y",
        "modelkin.cmd.v2.model.import.0.resnet50",
        "modelkin.cmd.v1.training.succeeded.0.resnet50",
    ],
)
async def test_a_misspelt_subject_is_an_error_at_its_publisher(jetstream: JetStreamContext, subject: str):
    await applied(jetstream)

    with pytest.raises(nats.js.errors.NoStreamResponseError):
        await jetstream.publish(subject, b"{}")


async def test_indexes_are_planned_then_made_then_kept_and_foreign_ones_told(bare_system: System):
    settings = {
        "MODELKIN_NATS_URL": bare_system.nats_url,
        "MODELKIN_MONGO_URI": bare_system.mongo_uri,
        "MODELKIN_MONGO_DATABASE": bare_system.database,
    }
    store = connect(bare_system.mongo_uri)
    imports = store[f"{bare_system.database}_importer"]["imports"]
    planned = _command("--plan", **settings).stdout.splitlines()
    before = await imports.index_information()
    made = _command(**settings).stdout.splitlines()
    await imports.create_index("by_hand")
    kept = _command(**settings).stdout.splitlines()
    store.close()

    assert planned == made
    assert "created  importer: index imports.claims_1" in made
    assert "left     registry: the service makes its database from EVENTS when it starts" in made
    assert "claims_1" not in before
    assert "foreign  importer: index imports.by_hand_1: no service made it, and it costs at every write" in kept
    assert not any(line.startswith("created") for line in kept)


async def test_indexes_of_a_generation_in_use_are_made_again(bare_system: System):
    await bare_system.start("registry")
    await bare_system.stop("registry")
    store = connect(bare_system.mongo_uri)
    versions = store[f"{bare_system.database}_registry"]["versions"]
    await versions.drop_index("import_id_1")
    said = _command(
        MODELKIN_NATS_URL=bare_system.nats_url,
        MODELKIN_MONGO_URI=bare_system.mongo_uri,
        MODELKIN_MONGO_DATABASE=bare_system.database,
    ).stdout.splitlines()
    after = await versions.index_information()
    store.close()

    assert "created  registry: index versions.import_id_1" in said
    assert "import_id_1" in after


async def test_where_mongodb_is_away_the_streams_are_made_all_the_same(nats_server: Server):
    made = _command(
        "--nats-url", nats_server.url, MODELKIN_MONGO_URI="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"
    )

    assert made.returncode == 0
    assert made.stdout.splitlines()[0] == "created  stream EVENTS"
    last = made.stdout.splitlines()[-1]
    assert last.startswith("left     registry: indexes are made when the service starts: MongoDB is away: 127.0.0.1:1")
