"""Whatever a training system sends gets an answer or is set aside, and the next good event goes through."""

import contextlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelkin.processes import Server
from shared.messages import ImportRefused, ModelImported, ModelRegistered, VersionRefused
from shared.subjects import DEAD_LETTERS_STREAM, EVENTS_STREAM
from tests.integration.system import SERVICES, Spawn, System, drop, make_system

SUBJECT = "modelkin.evt.v1.training.succeeded.0.resnet50"
NOBODY = 65534

Body = dict[str, Any]


@pytest.fixture
async def importing(bare_system: System) -> System:
    """Only the importer runs: it is the one that reads what training systems send."""
    await bare_system.start("importer")
    return bare_system


async def a_good_event_is_imported(system: System) -> None:
    await system.publish(system.training("good", job="a-good-one"))
    await system.hear(ModelImported, "good")


async def a_good_event_goes_through(system: System) -> None:
    await a_good_event_is_imported(system)
    await system.hear(ModelRegistered, "good")


def good(**changes: object) -> Body:
    """A body that is right but for the changes."""
    body = {"model": "resnet50", "job": {"id": "job-1", "version": "V001"}, "location": "file:///models/a"}
    return {**body, **changes}


def without(field: str) -> Body:
    return {name: value for name, value in good().items() if name != field}


MALFORMED = {
    "not JSON": (b"{'model': 'resnet50'}", "the body is not JSON"),
    "nothing": (b"", "the body is not JSON"),
    "not UTF-8": (b'{"model": "\xff\xfe"}', "the body is not JSON"),
    "cut off": (json.dumps(good()).encode()[:-5], "the body is not JSON"),
    "an array": (json.dumps([good()]).encode(), "the body is a JSON list: expected an object"),
    "a text": (b'"resnet50"', "the body is a JSON str: expected an object"),
    "too deep": (b'{"model":' * 5000 + b"1" + b"}" * 5000, "the body is not JSON"),
    "no model": (json.dumps(without("model")).encode(), "model: Field required"),
    "no job": (json.dumps(without("job")).encode(), "job: Field required"),
    "no location": (json.dumps(without("location")).encode(), "location: Field required"),
    "model null": (json.dumps(good(model=None)).encode(), "model: Input should be a valid string"),
    "job a text": (json.dumps(good(job="job-1")).encode(), "job: Input should be"),
    "metrics with text": (json.dumps(good(metrics={"f1": "high"})).encode(), "metrics.f1: Input should be"),
    "metrics a list": (json.dumps(good(metrics=[0.9])).encode(), "metrics: Input should be"),
    "NaN": (json.dumps(good(metrics={"f1": float("nan")})).encode(), "the body is not JSON"),
    "infinity": (b'{"metrics": {"f1": 1e999}}', "metrics.f1: Input should be a finite number"),
    "a base that names nothing": (json.dumps(good(bases=[{}])).encode(), "a base is either a model with a version"),
}


async def test_what_cannot_be_read_is_set_aside_as_it_was(importing: System):
    for case, (body, _) in MALFORMED.items():
        await importing.publish(body, subject=SUBJECT, id=case, headers={"ce-source": "trainer", "X-Own": "kept"})

    await importing.quiet()
    letters = {said.headers["ce-id"]: (letter, said) for letter, said in await importing.dead_letters()}
    assert letters.keys() == MALFORMED.keys()
    assert len(await importing.dead_letters()) == len(MALFORMED)
    for case, (body, message) in MALFORMED.items():
        letter, said = letters[case]
        assert message in letter.message, case
        assert (letter.reason, letter.durable) == ("malformed", "importer-on-training-succeeded"), case
        assert (letter.attempts, letter.subject, letter.stream) == (1, SUBJECT, EVENTS_STREAM), case
        original = await importing.client.jetstream().get_msg(EVENTS_STREAM, letter.sequence)
        assert (original.data or b"") == body, case
        assert (said.subject, said.body) == ("modelkin.dlq.importer-on-training-succeeded", body), case
        assert (said.headers["ce-source"], said.headers["X-Own"]) == ("trainer", "kept"), case
    await a_good_event_is_imported(importing)
    assert await importing.all_of(ImportRefused) == []


async def test_an_event_of_2_mb_is_set_aside_whole(importing: System):
    body = json.dumps(good(parameters={"notes": "x" * 2 * 1024 * 1024})).encode()
    await importing.publish(body, subject=SUBJECT)

    letter, said = await importing.dead_letter()
    assert letter.message == f"the body has {len(body)} bytes: expected at most 1048576"
    assert said.body == body
    await a_good_event_is_imported(importing)


@pytest.mark.parametrize("spare_bytes", [0, 400], ids=["nothing to spare", "400 bytes to spare"])
async def test_an_event_that_fills_a_message_is_set_aside_by_naming_its_place(
    bare_system: System, spawn: Spawn, spare_bytes: int
):
    system = bare_system
    spawn("importer")  # a process of its own: NATS cuts off who sends too much
    frame = json.dumps(good(parameters={"notes": ""})).encode()
    body = frame.replace(b'"notes": "', b'"notes": "' + b"x" * (system.client.max_payload - len(frame) - spare_bytes))
    await system.client.jetstream().publish(SUBJECT, body)

    letter, said = await system.dead_letter()
    original = await system.client.jetstream().get_msg(letter.stream, letter.sequence)
    assert (letter.reason, letter.attempts) == ("malformed", 1)
    assert said.body in {b"", body}
    assert original.data == body
    await a_good_event_is_imported(system)


async def test_a_body_may_not_speak_for_a_model_that_its_subject_does_not_name(importing: System):
    body = importing.training("resnet18")
    await importing.publish(body, subject=SUBJECT)

    letter, said = await importing.dead_letter()
    assert letter.message == f"the body belongs on {SUBJECT[:-2]}18, it came on {SUBJECT}"
    assert said.json == body
    await a_good_event_is_imported(importing)
    assert await importing.all_of(ModelImported, "resnet18") == []


WRONG_ENVELOPES = {
    "long id": ({"ce-id": "x" * 201}, "id: String should have at most 200 characters"),
    "long source": ({"ce-source": "x" * 201}, "source: String should have at most 200 characters"),
    "no time": ({"ce-time": "yesterday"}, "time: Input should be a valid datetime"),
    "no time zone": ({"ce-time": "2026-01-01T00:00:00"}, "time: Input should have timezone info"),
}


async def test_a_wrong_envelope_is_set_aside(importing: System):
    body = importing.training("resnet50")
    for case, (headers, _) in WRONG_ENVELOPES.items():
        await importing.publish(body, headers={"X-Case": case, **headers})

    await importing.quiet()
    letters = {said.headers["X-Case"]: (letter, said) for letter, said in await importing.dead_letters()}
    assert letters.keys() == WRONG_ENVELOPES.keys()
    for case, (headers, message) in WRONG_ENVELOPES.items():
        letter, said = letters[case]
        assert message in letter.message, case
        assert said.json == body, case
        assert headers.items() <= said.headers.items(), case
    await a_good_event_is_imported(importing)


@pytest.mark.parametrize(
    "condition",
    ["Nats-Expected-Last-Sequence", "Nats-Expected-Last-Subject-Sequence"],
)
async def test_a_condition_of_the_publisher_does_not_keep_an_event_from_the_dead_letters(
    system: System, condition: str
):
    await system.publish(system.training("resnet50"))
    await system.hear(ModelRegistered)
    last = {"Nats-Expected-Last-Sequence": 5, "Nats-Expected-Last-Subject-Sequence": 1}[condition]
    await system.publish(b"not JSON", subject=SUBJECT, headers={condition: str(last)})

    letter, said = await system.dead_letter()
    assert (letter.attempts, said.body) == (1, b"not JSON")


@pytest.mark.parametrize("body", [b"not JSON", None], ids=["a bad event", "a good event"])
async def test_a_header_that_asks_for_a_reply_makes_no_service_publish_anywhere(system: System, body: bytes | None):
    wherever = await system.client.subscribe("somewhere.>")
    others = await system.client.subscribe("modelkin.evt.v1.deployment.>")
    for n, place in enumerate(["somewhere.else", "modelkin.evt.v1.deployment.started.0.resnet50"]):
        headers = {"reply_to": place, "Reply-To": place, "correlation_id": "1"}
        await system.publish(body or system.training("resnet50", f"job-{n}"), subject=SUBJECT, headers=headers)

    await a_good_event_goes_through(system)
    await system.quiet()
    await system.client.flush()
    assert (wherever.pending_msgs, others.pending_msgs) == (0, 0)
    assert len(await system.dead_letters()) == (2 if body else 0)


# What can be read, but not imported: a body, and the reason.
REFUSED: dict[str, tuple[Body, str]] = {
    "name with a dot": (good(model="res.net"), "invalid-name"),
    "name with a space": (good(model="res net"), "invalid-name"),
    "name with a wildcard": (good(model=">"), "invalid-name"),
    "name of 65 characters": (good(model="r" * 65), "invalid-name"),
    "no name": (good(model=""), "invalid-name"),
    "name of 100,000 characters": (good(model="r" * 100_000), "invalid-name"),
    "workspace with a star": (good(workspace="*"), "invalid-workspace"),
    "version of two numbers": (good(version="1.0"), "invalid-version"),
    "version with a leading zero": (good(version="01.0.0"), "invalid-version"),
    "version above 99": (good(version="1.0.100"), "invalid-version"),
    "no version": (good(version=""), "invalid-version"),
    "no job id": (good(job={"id": "", "version": "V001"}), "invalid-job"),
    "job version with a line break": (good(job={"id": "a", "version": "V\n1"}), "invalid-job"),
    "base with a dot": (good(bases=[{"model": "a.b", "version": "0.0.1"}]), "invalid-base"),
    "scheme ftp": (good(location="ftp://host/model"), "unsupported-scheme"),
    "no scheme": (good(location="/models/a"), "unsupported-scheme"),
    "no location": (good(location=""), "unsupported-scheme"),
    "another host": (good(location="file://host/models/a"), "invalid-location"),
    "no URL": (good(location="file://[/a"), "invalid-location"),
    "zero byte": (good(location="file:///models/a%00b"), "invalid-location"),
    "outside the roots": (good(location="file:///etc"), "location-not-allowed"),
    "outside the roots and not there": (good(location="file:///nothing/here"), "location-not-allowed"),
}


def subject_of(body: Body, reason: str) -> str:
    """Where a name is no subject token, the publisher puts "~"."""
    workspace = "~" if reason == "invalid-workspace" else body.get("workspace", "0")
    model = "~" if reason == "invalid-name" else body["model"]
    return f"modelkin.evt.v1.training.succeeded.{workspace}.{model}"


async def test_a_request_that_breaks_a_rule_is_refused_with_the_reason(importing: System):
    for case, (body, reason) in REFUSED.items():
        await importing.publish(body, subject=subject_of(body, reason), id=case)

    await importing.quiet()
    refused = await importing.all_of(ImportRefused)
    assert {one.envelope.cause_id: one.reason.value for one in refused} == {
        case: reason for case, (_, reason) in REFUSED.items()
    }
    assert len(refused) == len(REFUSED)
    assert max(len(one.message) for one in refused) < 500
    await a_good_event_is_imported(importing)
    assert await importing.dead_letters() == []


async def test_a_name_that_is_too_long_is_refused_on_its_own_subject_too(importing: System):
    await importing.publish(good(model="r" * 65))

    refused = await importing.hear(ImportRefused)
    assert (refused.reason.value, refused.subject) == ("invalid-name", "modelkin.evt.v1.import.refused.0.~")


def nothing_there(system: System) -> str:
    return system.location("nowhere")


def a_folder_behind_a_file(system: System) -> str:
    return system.model_folder("behind") + "/model.bin/model"


def an_empty_folder(system: System) -> str:
    (system.models / "empty" / "also empty").mkdir(parents=True)
    return system.location("empty")


def dots_out_of_the_roots(system: System) -> str:
    return system.location("../secret")


def escaped_dots_out_of_the_roots(system: System) -> str:
    return system.location("%2e%2e/secret")


def a_link_out_of_the_roots(system: System) -> str:
    (system.models / "out").symlink_to(system.folder / "secret")
    return system.location("out")


def a_link_inside_that_leaves_the_folder(system: System) -> str:
    location = system.model_folder("leaving")
    (system.models / "leaving" / "passwd").symlink_to("/etc/passwd")
    return location


def a_link_to_a_neighbouring_model(system: System) -> str:
    location = system.model_folder("neighbour")
    (system.models / "neighbour" / "also").symlink_to("../file/model.bin")
    return location


def a_link_to_a_folder_inside(system: System) -> str:
    location = system.model_folder("inside", {"sub/model.bin": b"1"})
    (system.models / "inside" / "again").symlink_to("sub")
    return location


def a_link_in_a_circle(system: System) -> str:
    location = system.model_folder("circle")
    (system.models / "circle" / "round").symlink_to("round")
    return location


def a_fifo(system: System) -> str:
    location = system.model_folder("fifo")
    os.mkfifo(system.models / "fifo" / "pipe")
    return location


PLACES: dict[Callable[[System], str], str] = {
    nothing_there: "location-not-found",
    a_folder_behind_a_file: "location-not-found",
    an_empty_folder: "location-empty",
    dots_out_of_the_roots: "location-not-allowed",
    escaped_dots_out_of_the_roots: "location-not-allowed",
    a_link_out_of_the_roots: "location-not-allowed",
    a_link_inside_that_leaves_the_folder: "link-leaves-folder",
    a_link_to_a_neighbouring_model: "link-leaves-folder",
    a_link_to_a_folder_inside: "unsupported-file",
    a_link_in_a_circle: "location-unreadable",
    a_fifo: "unsupported-file",
}


async def test_a_place_that_holds_no_proper_model_is_refused_with_the_reason(importing: System):
    (importing.folder / "secret").mkdir()
    (importing.folder / "secret" / "key").write_text("private")
    for place in PLACES:
        name = place.__name__
        await importing.publish(importing.training("resnet50", job=name, location=place(importing)), id=name)

    await importing.quiet()
    refused = await importing.all_of(ImportRefused)
    assert {one.envelope.cause_id: one.reason.value for one in refused} == {
        place.__name__: reason for place, reason in PLACES.items()
    }
    await a_good_event_is_imported(importing)
    assert importing.half_copied() == []
    assert await importing.dead_letters() == []


async def test_more_files_than_allowed_are_refused(bare_system: System):
    await bare_system.start("importer", max_files=3)
    four = bare_system.model_folder("four", {str(n): b"" for n in range(4)})
    three = bare_system.model_folder("three", {str(n): b"" for n in range(3)})
    await bare_system.publish(bare_system.training("four", location=four))
    await bare_system.publish(bare_system.training("three", location=three))

    assert (await bare_system.hear(ImportRefused)).reason.value == "too-many-files"
    assert (await bare_system.hear(ModelImported)).model == "three"


@contextlib.contextmanager
def an_ordinary_user(folder: Path) -> Iterator[None]:
    """Root may read everything, so root's rights are laid down; all threads of the process take part."""
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, -1)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
async def open_system(nats_server: Server, mongo_uri: str, database_name: str) -> AsyncIterator[System]:
    """A system whose folders another user can reach: pytest's own folders are closed to all others."""
    folder = Path(tempfile.mkdtemp())
    system = await make_system(nats_server.url, mongo_uri, database_name, folder)
    await system.start(*SERVICES)
    yield system
    await drop(system)
    for path in (system.models / "closed", *(system.models / "closed").rglob("*")):
        path.chmod(stat.S_IRWXU)
    shutil.rmtree(folder)


@pytest.mark.parametrize("what", ["", "sub", "sub/model.bin"], ids=["the folder", "a folder inside", "a file inside"])
async def test_what_may_not_be_read_is_refused(open_system: System, what: str):
    system = open_system
    request = system.training("resnet50", location=system.model_folder("closed", {"sub/model.bin": b"1"}))
    # What is no model needs no process to inspect it, and this one may start none then.
    fine = system.training("good", location=system.model_folder("good", {"labels.txt": b"good"}))
    (system.models / "closed" / what).chmod(0)
    with an_ordinary_user(system.folder):
        await system.publish(request)
        refused = await system.hear(ImportRefused)
        await system.publish(fine)
        await system.hear(ModelRegistered, "good")

    assert refused.reason.value == "location-unreadable"
    assert "Permission denied" in refused.message
    assert system.half_copied() == []


async def test_a_version_that_exists_is_refused_by_its_name(system: System):
    await system.publish(system.training("resnet50", job="first", version="1.0.0"))
    holder = (await system.hear(ModelRegistered)).import_id
    await system.publish(system.training("resnet50", job="second", version="1.0.0"), id="again")

    refused = await system.hear(VersionRefused)
    assert refused.reason.value == "version-exists"
    assert (
        refused.message == f"resnet50 has a version 1.0.0 already, of import {holder}: expected a number that is free"
    )
    assert refused.envelope.correlation_id == "again"
    await a_good_event_goes_through(system)
    status = await system.ask("modelkin.qry.v1.import.get", {"import_id": refused.import_id})
    assert (status["status"], status["reason"]) == ("failed", "version-exists")
    assert await system.versions("resnet50") == ["1.0.0"]


async def test_a_base_that_is_not_registered_is_refused_by_its_name(system: System):
    await system.publish(system.training("tuned", bases=[{"model": "nobody", "version": "9.9.9"}]))

    refused = await system.hear(VersionRefused)
    assert refused.reason.value == "base-not-found"
    assert "0/nobody@9.9.9" in refused.message
    await a_good_event_goes_through(system)


async def test_every_consumer_sets_aside_what_it_cannot_read(system: System):
    for what in ("model.imported", "version.assigned", "version.refused"):
        await system.publish(b"not JSON", subject=f"modelkin.evt.v1.{what}.0.resnet50")

    await system.quiet()
    letters = await system.dead_letters()
    assert {letter.durable for letter, _ in letters} == {
        "versioning-on-model-imported",
        "registry-on-model-imported",
        "registry-on-version-assigned",
        "registry-on-version-refused",
        "importer-on-version-refused",
    }
    assert {(letter.reason, letter.attempts, said.body) for letter, said in letters} == {("malformed", 1, b"not JSON")}
    await a_good_event_goes_through(system)


async def test_the_same_event_is_set_aside_once_for_each_consumer_however_often_it_is_tried(system: System):
    await system.publish(b"not JSON", subject="modelkin.evt.v1.model.imported.0.resnet50")

    await system.quiet()
    stream = await system.client.jetstream().stream_info(DEAD_LETTERS_STREAM)
    assert stream.state.messages == 2
    assert {letter.id for letter, _ in await system.dead_letters()} == {
        f"versioning-on-model-imported:{EVENTS_STREAM}:1",
        f"registry-on-model-imported:{EVENTS_STREAM}:1",
    }
