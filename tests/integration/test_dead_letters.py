"""Dead letters: that each is an event, and what an operator can do with them."""

import asyncio
import json
import re
import subprocess

import nats.js.errors
import pytest

import shared.delivery
from modelkin.client import Client
from modelkin.letters import Letters, Stored
from services.importer.store import MongoImportStore
from services.registry.store import MongoModelStore
from shared.messages import (
    DeadLetterAdded,
    DeadLetterDropped,
    DeadLetterRedriven,
    ImportRefused,
    ModelImported,
    ModelRegistered,
    VersionAssigned,
)
from shared.subjects import COMMANDS_STREAM, DEAD_LETTERS_STREAM, EVENTS_STREAM
from tests.e2e.conftest import MODELKIN, command
from tests.integration.system import PATIENCE_S, System, eventually

SUCCEEDED = "modelkin.evt.v1.training.succeeded.0.resnet50"
DELAY_S = 0.05
WINDOW_S = 2.0


class Killed(BaseException):
    """As if the process ended here."""


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.delivery, "retry_delay_s", lambda _: DELAY_S)


async def dead(system: System, *words: str) -> subprocess.CompletedProcess[str]:
    """The command as an operator types it."""
    return await asyncio.to_thread(command, "dead", *words, nats_url=system.nats_url)


async def remember_for(system: System, window_s: float, stream: str = EVENTS_STREAM) -> None:
    """How long the stream knows the id of a message."""
    jetstream = system.client.jetstream()
    config = (await jetstream.stream_info(stream)).config
    await jetstream.update_stream(config.evolve(duplicate_window=window_s))


async def letter_count(system: System) -> int:
    return (await system.client.jetstream().stream_info(DEAD_LETTERS_STREAM)).state.messages


async def test_a_new_letter_is_an_event(system: System):
    cause = await system.publish(b"not JSON", subject=SUCCEEDED)

    added = await system.hear(DeadLetterAdded)
    letter, said = await system.dead_letter()
    assert (added.workspace, added.model) == ("0", "resnet50")
    assert (added.letter, added.durable, added.message_id) == (said.sequence, "importer-on-training-succeeded", cause)
    assert (added.reason, added.message, added.attempts) == ("malformed", letter.message, 1)
    assert (added.original_subject, added.stream, added.sequence) == (SUCCEEDED, EVENTS_STREAM, 1)
    assert (added.envelope.cause_id, added.envelope.source) == (cause, "modelkin/importer")


async def test_a_letter_with_a_subject_that_names_no_model_and_headers_that_are_wrong_is_an_event_too(system: System):
    await system.publish(
        b"not JSON", subject="modelkin.evt.v1.training.succeeded.a!b.(c)", headers={"ce-id": "x" * 300}
    )

    added = await system.hear(DeadLetterAdded)
    assert (added.workspace, added.model) == ("a!b", "(c)")
    assert added.subject.endswith(".~.~")
    assert added.envelope.cause_id == "EVENTS-1"
    await system.quiet()
    assert len(await system.all_of(DeadLetterAdded)) == 1


async def test_while_the_event_cannot_be_said_the_letter_is_kept_once(system: System, monkeypatch: pytest.MonkeyPatch):
    jetstream = system.client.jetstream()
    config = (await jetstream.stream_info(EVENTS_STREAM)).config
    without = [subject for subject in config.subjects or [] if ".letter.added." not in subject]
    await jetstream.update_stream(config.evolve(subjects=without))
    letters = (await jetstream.stream_info(DEAD_LETTERS_STREAM)).config
    await jetstream.update_stream(letters.evolve(duplicate_window=0.2))
    await system.publish(b"not JSON", subject=SUCCEEDED)
    await eventually(lambda: letter_count(system))
    await asyncio.sleep(1)  # many deliveries, and ids forgotten several times
    await jetstream.update_stream(config)

    await system.hear(DeadLetterAdded)
    await system.quiet()
    assert await letter_count(system) == 1
    assert len(await system.all_of(DeadLetterAdded)) == 1


async def test_a_message_with_headers_that_no_client_would_write_is_set_aside(system: System):
    headers = b"NATS/1.0\r\na name: x\r\nce-source: \xe6\xa8\xa1\xff\r\nNats-Msg-Id: odd\r\n\r\n"
    body = b"not JSON"
    sizes = f"{len(headers)} {len(headers) + len(body)}".encode()
    host, _, port = system.nats_url.removeprefix("nats://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    await reader.readline()
    writer.write(b'CONNECT {"headers":true,"verbose":false}\r\n')
    writer.write(b"HPUB " + SUCCEEDED.encode() + b" " + sizes + b"\r\n" + headers + body + b"\r\n")
    await writer.drain()

    letter, said = await system.dead_letter()
    assert (letter.message_id, said.body) == ("odd", b"not JSON")
    assert "a name" not in said.headers
    writer.close()
    await writer.wait_closed()
    shown = await dead(system, "show", str(said.sequence))
    assert shown.returncode == 0, shown.stderr
    assert "模" in shown.stdout


async def test_letters_are_listed_the_newest_last(system: System):
    await system.publish(b"1", subject=SUCCEEDED, id="first")
    await eventually(lambda: _there(system, 1))
    await system.publish(b"2", subject="modelkin.cmd.v1.model.import.0.resnet50", id="second")
    await eventually(lambda: _there(system, 2))

    listed = (await dead(system, "list")).stdout.splitlines()
    assert listed[0].split() == ["NUMBER", "AGE", "CONSUMER", "REASON", "WHAT"]
    assert [line.split()[0] for line in listed[1:]] == ["1", "2"]
    of_one = json.loads((await dead(system, "list", "--consumer", "importer-on-import-model", "--json")).stdout)
    assert [(one["letter"], one["message_id"]) for one in of_one] == [(2, "second")]
    assert json.loads((await dead(system, "list", "--reason", "failed", "--json")).stdout) == []
    newest = await dead(system, "list", "--limit", "1")
    assert newest.stdout.splitlines()[1].split()[0] == "2"
    assert "1 of 2" in newest.stderr


async def test_a_letter_is_shown_with_the_message_as_it_was(system: System):
    await system.publish(b'{"model": 7}', subject=SUCCEEDED, id="first", headers={"x-team": "vision"})
    await eventually(lambda: _there(system, 1))
    await system.publish(b"\xff\x00\x01", subject=SUCCEEDED)
    await eventually(lambda: _there(system, 2))

    shown = json.loads((await dead(system, "show", "1", "--json")).stdout)
    assert (shown["body"], shown["attempts"], shown["subject"]) == ('{"model": 7}', 1, SUCCEEDED)
    assert (shown["headers"]["x-team"], shown["headers"]["Nats-Msg-Id"]) == ("vision", "first")
    told = (await dead(system, "show", "1")).stdout
    assert '"model": 7' in told
    assert "x-team" in told
    assert await asyncio.to_thread(_raw, system, "2") == b"\xff\x00\x01"


async def _there(system: System, count: int) -> bool:
    return await letter_count(system) == count


def _raw(system: System, number: str) -> bytes:
    words = [MODELKIN, "dead", "show", number, "--raw", "--nats", system.nats_url]
    return subprocess.run(words, capture_output=True, timeout=PATIENCE_S, check=True).stdout


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """The registry fails on imports for no known reason until "now" is false."""
    fails = {"now": True}
    record = MongoModelStore.record_import

    async def fail(self: MongoModelStore, *arguments: object) -> object:
        if fails["now"]:
            raise ZeroDivisionError
        return await record(self, *arguments)

    monkeypatch.setattr(MongoModelStore, "record_import", fail)
    return fails


async def test_a_redriven_event_is_heard_by_all_and_makes_exactly_one_version(system: System, failing: dict[str, bool]):
    await remember_for(system, WINDOW_S)
    await system.publish(system.training("resnet50"))
    await system.dead_letter()
    failing["now"] = False
    done = await dead(system, "redrive", "1", "--why", "the bug is mended", "--json")

    assert done.returncode == 0, done.stderr
    registered = await system.hear(ModelRegistered)
    redriven = await system.hear(DeadLetterRedriven)
    await system.quiet()
    assert (redriven.letter, redriven.durable, redriven.why) == (1, "registry-on-model-imported", "the bug is mended")
    assert json.loads(done.stdout)["letter"] == 1
    assert registered.version == "0.0.1"
    assert await system.versions("resnet50") == ["0.0.1"]
    imported = await system.all_of(ModelImported)
    assert len({one.envelope.id for one in imported}) == 1
    assert len({one.envelope.id for one in await system.all_of(VersionAssigned)}) == 1
    assert len({one.envelope.id for one in await system.all_of(ModelRegistered)}) == 1
    assert await letter_count(system) == 0


async def test_a_training_event_that_one_consumer_failed_on_is_redriven_and_ends_in_one_version(
    system: System, monkeypatch: pytest.MonkeyPatch
):
    async def fail(*_: object) -> object:
        raise ZeroDivisionError

    await remember_for(system, WINDOW_S)
    with monkeypatch.context() as broken:
        broken.setattr(MongoImportStore, "outcome_of", fail)
        await system.publish(system.training("resnet50"), id="train-1")
        letter, _ = await system.dead_letter()
    waited = await dead(system, "redrive", "1")

    assert letter.message_id == "train-1"
    assert waited.returncode == 0, waited.stderr
    await system.hear(ModelRegistered)
    await system.quiet()
    assert await system.versions("resnet50") == ["0.0.1"]
    sent = [one for one in await system.said() if one.subject == SUCCEEDED]
    assert [one.headers["Nats-Msg-Id"] for one in sent] == ["train-1", "train-1"]
    assert sent[0].body == sent[1].body


async def test_how_long_the_stream_remembers_an_id_is_said(system: System):
    await system.publish(b"not JSON", subject=SUCCEEDED)
    await system.dead_letter()
    said = await dead(system, "redrive", "1", "--no-wait")

    assert said.returncode == 1
    [left_s] = re.findall(r"the stream EVENTS still remembers its id for (\d+) s and would drop it", said.stderr)
    assert 0 < int(left_s) <= 120
    assert await letter_count(system) == 1
    assert await system.all_of(DeadLetterRedriven) == []


async def test_an_id_that_the_stream_remembers_is_waited_for(system: System):
    await remember_for(system, 12)
    await system.publish(b"not JSON", subject=SUCCEEDED)
    await system.dead_letter()
    waited = await dead(system, "redrive", "1")

    assert "waiting" in waited.stderr
    assert waited.returncode == 0, waited.stderr
    assert waited.stdout == f"1 redriven: {SUCCEEDED}\n"
    await system.hear(DeadLetterAdded, count=2)
    assert [letter["letter"] for letter in json.loads((await dead(system, "list", "--json")).stdout)] == [2]


async def test_a_letter_that_is_dropped_while_its_redrive_waits_is_not_redriven(system: System):
    await system.publish(b"not JSON", subject=SUCCEEDED)
    await system.dead_letter()
    words = [MODELKIN, "dead", "redrive", "1", "--nats", system.nats_url]
    pipe = asyncio.subprocess.PIPE
    redrive = await asyncio.create_subprocess_exec(*words, stdout=pipe, stderr=pipe)
    assert redrive.stderr is not None
    first = await redrive.stderr.readline()
    dropped = await dead(system, "drop", "1", "--why", "meanwhile")
    output, errors = await redrive.communicate()

    assert b"waiting" in first
    assert dropped.returncode == 0, dropped.stderr
    assert (redrive.returncode, output) == (1, b"")
    assert b"there is no dead letter 1" in errors
    assert len([one for one in await system.said() if one.subject == SUCCEEDED]) == 1


async def test_an_event_that_nobody_can_read_hides_no_other(system: System):
    await system.publish(b"not JSON", subject=SUCCEEDED)
    await system.hear(DeadLetterAdded)
    model = SUCCEEDED.rpartition(".")[2]
    told = await asyncio.to_thread(command, "events", model, nats_url=system.nats_url)

    assert told.returncode == 0
    assert f"event 1 on {SUCCEEDED} cannot be read: the body is not JSON" in told.stderr
    assert "DeadLetterAdded" in told.stdout


async def test_a_redrive_that_was_killed_before_the_letter_was_removed_is_repeated_at_once(system: System):
    await remember_for(system, WINDOW_S)
    message_id = await system.publish(b"not JSON", subject=SUCCEEDED)
    await system.dead_letter()
    jetstream = system.client.jetstream()

    async def published_again() -> bool:
        headers = {"Nats-Msg-Id": message_id, "ce-id": message_id}
        return not (await jetstream.publish(SUCCEEDED, b"not JSON", headers=headers)).duplicate

    await eventually(published_again, "a stream that no longer knows the id")
    await remember_for(system, 600)
    done = await dead(system, "redrive", "1", "--no-wait")

    assert done.returncode == 0, done.stderr
    await system.hear(DeadLetterRedriven)
    assert len([one for one in await system.said() if one.subject == SUCCEEDED]) == 2
    with pytest.raises(nats.js.errors.NotFoundError):
        await jetstream.get_msg(DEAD_LETTERS_STREAM, 1)


async def published_again(letters: Letters, stored: Stored) -> bool:
    return await letters.publish_again(stored) is None


async def test_a_redrive_that_was_killed_before_the_letter_was_removed_says_no_second_event(
    system: System, monkeypatch: pytest.MonkeyPatch
):
    await remember_for(system, WINDOW_S)
    await system.publish(b"not JSON", subject=SUCCEEDED)
    await system.dead_letter()
    async with Client.connected(system.nats_url) as client:
        letters = Letters(client)
        stored = await letters.get(1)
        await eventually(lambda: published_again(letters, stored), "a stream that no longer knows the id")
        await remember_for(system, 600)

        async def killed(*_: object) -> bool:
            raise Killed

        monkeypatch.setattr(client.jetstream, "delete_msg", killed)
        with pytest.raises(Killed):
            await letters.settle(stored, DeadLetterRedriven, "operator", "")
    again = await dead(system, "redrive", "1", "--no-wait")

    assert again.returncode == 0, again.stderr
    assert len(await system.all_of(DeadLetterRedriven)) == 1
    assert len([one for one in await system.said() if one.subject == SUCCEEDED]) == 2


async def test_a_letter_that_somebody_else_removed_meanwhile_is_done_and_one_that_stays_is_said(system: System):
    jetstream = system.client.jetstream()
    await system.publish(b"1", subject=SUCCEEDED)
    await system.publish(b"2", subject=SUCCEEDED)
    await eventually(lambda: _there(system, 2))
    async with Client.connected(system.nats_url) as client:
        letters = Letters(client)
        stored = await letters.get(1)
        await jetstream.delete_msg(DEAD_LETTERS_STREAM, 1)
        await letters.settle(stored, DeadLetterDropped, "operator", "a test")
    config = (await jetstream.stream_info(DEAD_LETTERS_STREAM)).config
    await jetstream.delete_stream(DEAD_LETTERS_STREAM)
    await jetstream.add_stream(config.evolve(deny_delete=True))
    await system.publish(b"3", subject=SUCCEEDED)
    await eventually(lambda: _there(system, 1))
    kept = await dead(system, "drop", "1", "--why", "a test")

    assert kept.returncode == 1
    assert "dead letter 1 could not be removed" in kept.stderr


async def test_a_message_without_an_id_keeps_the_one_it_was_known_by(system: System, monkeypatch: pytest.MonkeyPatch):
    body = json.dumps(system.training("resnet50", location="ftp://host/model")).encode()

    async def fail(*_: object) -> object:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(MongoImportStore, "outcome_of", fail)
        await system.client.jetstream().publish(SUCCEEDED, body)
        await system.dead_letter()
    done = await dead(system, "redrive", "1")

    assert done.returncode == 0, done.stderr
    refused = await system.hear(ImportRefused)
    assert refused.envelope.cause_id == "EVENTS-1"


async def test_a_message_too_large_for_its_letter_is_redriven_from_its_stream(system: System):
    room = system.client.max_payload
    body = b"[" + b" " * (room - 400) + b"]"
    await remember_for(system, WINDOW_S)
    await system.publish(body, subject=SUCCEEDED, id="large")
    _, said = await system.dead_letter()
    shown = json.loads((await dead(system, "show", "1", "--json")).stdout)
    done = await dead(system, "redrive", "1")

    assert said.body == b""
    assert shown["body"] == body.decode()
    assert done.returncode == 0, done.stderr
    await system.hear(DeadLetterAdded, count=2)


async def test_a_message_that_is_nowhere_any_more_is_not_redriven(system: System):
    body = b"[" + b" " * (system.client.max_payload - 400) + b"]"
    await system.publish(body, subject=SUCCEEDED, id="large")
    await system.dead_letter()
    await system.quiet()
    await system.client.jetstream().delete_msg(EVENTS_STREAM, 1)
    shown = await dead(system, "show", "1")
    done = await dead(system, "redrive", "1")

    assert shown.returncode == 0
    assert "larger" in shown.stdout or "bytes" in shown.stdout
    assert "no longer in the stream EVENTS" in shown.stderr
    assert done.returncode == 1
    assert "no longer in the stream EVENTS" in done.stderr
    assert await letter_count(system) == 1


async def test_all_letters_of_a_consumer_are_dropped_with_a_reason_after_a_question(system: System):
    await system.publish(b"1", subject=SUCCEEDED)
    await system.publish(b"2", subject=SUCCEEDED)
    await system.publish(b"3", subject="modelkin.cmd.v1.model.import.0.resnet50")
    await eventually(lambda: _there(system, 3))
    words = ("drop", "--all", "--consumer", "importer-on-training-succeeded", "--why", "a test")
    unsure = await dead(system, *words)
    sure = await dead(system, *words, "--yes")

    assert (unsure.returncode, sure.returncode) == (1, 0)
    assert "drop 2 dead letters?" in unsure.stderr
    assert "--yes" in unsure.stderr
    dropped = await system.hear(DeadLetterDropped, count=2)
    assert (dropped.why, dropped.durable) == ("a test", "importer-on-training-succeeded")
    left = json.loads((await dead(system, "list", "--json")).stdout)
    assert [one["durable"] for one in left] == ["importer-on-import-model"]


async def test_mistakes_are_said(bare_system: System):
    said = [
        await dead(bare_system, *words)
        for words in (("list",), ("redrive", "7", "8"), ("redrive", "7", "--all"), ("list", "--consumer", ">"))
    ]

    assert [one.returncode for one in said] == [0, 1, 1, 1]
    none, unknown, both, wild = said
    assert none.stdout == "no dead letters\n"
    assert [line.partition(": 'modelkin")[0] for line in unknown.stderr.splitlines()] == [
        "modelkin: 7: there is no dead letter 7",
        "modelkin: 8: there is no dead letter 8",
    ]
    assert both.stderr == "modelkin: expected the numbers of letters, or --all\n"
    assert "registry-on-changes" in wild.stderr


async def test_what_somebody_else_published_among_letters_can_be_seen_and_dropped(system: System):
    await system.client.jetstream().publish("modelkin.dlq.by-hand", b"hello")
    listed = await dead(system, "list")
    redriven = await dead(system, "redrive", "1")
    dropped = await dead(system, "drop", "1", "--why", "not ours")

    assert "it was not written by Modelkin" in listed.stdout
    assert "nothing says where it belongs" in redriven.stderr
    assert dropped.returncode == 0, dropped.stderr
    assert await letter_count(system) == 0


async def test_a_command_is_redriven_to_its_stream(system: System):
    await remember_for(system, WINDOW_S, COMMANDS_STREAM)
    subject = "modelkin.cmd.v1.model.import.0.resnet50"
    await system.publish(b"not JSON", subject=subject)
    await system.dead_letter()
    done = await dead(system, "redrive", "1")

    assert done.returncode == 0, done.stderr
    await system.hear(DeadLetterAdded, count=2)
    assert (await system.client.jetstream().stream_info(COMMANDS_STREAM)).state.messages == 2
