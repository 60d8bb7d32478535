"""What a good event leads to: said once, often, side by side, and with its halves out of order."""

import json

import pytest

from modelkin.client import Client
from shared.messages import (
    ImportRefused,
    Message,
    ModelImported,
    ModelRegistered,
    TrainingSucceeded,
    VersionAssigned,
    VersionRefused,
)
from shared.queries import ImportStatus
from shared.subjects import EVENTS_STREAM
from shared.values import Reason
from tests.integration.system import PATIENCE_S, SERVICES, System, digest_of, eventually
from tests.samples import a_request


async def test_a_training_event_is_imported_then_versioned_then_registered(system: System):
    await system.publish(system.training("resnet50"))

    await system.hear(ModelRegistered)
    assert [said.subject for said in await system.said()] == [
        "modelkin.evt.v1.training.succeeded.0.resnet50",
        "modelkin.evt.v1.import.started.0.resnet50",
        "modelkin.evt.v1.model.imported.0.resnet50",
        "modelkin.evt.v1.version.assigned.0.resnet50",
        "modelkin.evt.v1.model.registered.0.resnet50",
    ]


async def test_who_follows_an_import_that_is_registered_in_an_instant_is_not_told_that_it_was_there_before(
    system: System, monkeypatch: pytest.MonkeyPatch
):
    request = a_request(location=system.model_folder("run-7"))
    async with Client.connected(system.nats_url) as client:
        publish = client.publish

        async def publish_slowly(message: Message) -> None:
            await publish(message)
            await system.hear(ModelRegistered)

        monkeypatch.setattr(client, "publish", publish_slowly)
        first = [said async for said in client.import_and_follow(request)]
        again = [said async for said in client.import_and_follow(request)]

    assert isinstance(first[-1], ModelRegistered)
    assert [type(said) for said in again] == [ImportStatus]


async def test_every_answer_names_its_cause_and_the_request_that_began_it(system: System):
    await system.publish(system.training("resnet50"), id="request-1", headers={"ce-source": "trainer/7"})

    await system.hear(ModelRegistered)
    request, started, *answers = [said.headers for said in await system.said()]
    ids = [request["ce-id"], *(answer["ce-id"] for answer in answers)]
    assert len({*ids, started["ce-id"]}) == 5
    assert started["ce-causationid"] == request["ce-id"]
    assert [answer["ce-causationid"] for answer in answers] == ids[:-1]
    assert {answer["ce-correlationid"] for answer in answers} == {"request-1"}
    assert [answer["Nats-Msg-Id"] for answer in answers] == ids[1:]
    assert [answer["ce-type"] for answer in answers] == [
        "modelkin.evt.v1.model.imported",
        "modelkin.evt.v1.version.assigned",
        "modelkin.evt.v1.model.registered",
    ]
    assert [answer["ce-source"] for answer in answers] == [
        "modelkin/importer",
        "modelkin/versioning",
        "modelkin/registry",
    ]
    assert {(answer["ce-specversion"], answer["ce-subject"]) for answer in answers} == {("1.0", "0/resnet50")}


async def test_a_correlation_id_of_the_publisher_goes_through_to_the_end(system: System):
    await system.publish(system.training("resnet50"), headers={"ce-correlationid": "pipeline 7 / größe"})

    registered = await system.hear(ModelRegistered)
    assert registered.envelope.correlation_id == "pipeline 7 / größe"


async def test_an_event_without_any_header_is_imported_too(system: System):
    body = json.dumps(system.training("resnet50")).encode()
    await system.client.publish("modelkin.evt.v1.training.succeeded.0.resnet50", body)

    imported = await system.hear(ModelImported)
    assert imported.envelope.cause_id == f"{EVENTS_STREAM}-1"
    assert imported.requested_by == "unknown"
    assert (await system.hear(ModelRegistered)).version == "0.0.1"


async def test_who_heard_that_a_model_is_registered_can_query_it_at_once(system: System):
    heard = await system.client.subscribe("modelkin.evt.v1.model.registered.>")
    for n in range(30):
        await system.publish(system.training(f"model-{n % 3}", job=f"job-{n}"))

    for _ in range(30):
        registered = json.loads((await heard.next_msg(timeout=PATIENCE_S)).data)
        question = {"model": registered["model"], "version": registered["version"]}
        details = await system.ask("modelkin.qry.v1.version.get", question)
        assert details["package"]["digest"] == registered["package_digest"]
        assert registered["version"] in await system.versions(registered["model"])
        status = await system.ask("modelkin.qry.v1.import.get", {"import_id": registered["import_id"]})
        assert (status["status"], status["version"]) == ("published", registered["version"])


async def test_the_bytes_are_in_the_artifact_folder_under_their_digest(system: System):
    weights, settings = bytes(range(256)) * 5000, b'{"model_type": "ONNX"}'
    location = system.model_folder("big", {"model/weights.onnx": weights, "model/config.json": settings, "empty": b""})
    await system.publish(system.training("resnet50", location=location))

    imported = await system.hear(ModelImported)
    assert {file.path: (file.digest, file.size_bytes) for file in imported.package.files} == {
        "empty": (digest_of(b""), 0),
        "model/config.json": (digest_of(settings), len(settings)),
        "model/weights.onnx": (digest_of(weights), len(weights)),
    }
    assert [system.blob(digest_of(content)) for content in (weights, settings, b"")] == [weights, settings, b""]
    manifest = system.blob(imported.package.digest)
    assert digest_of(manifest) == imported.package.digest
    assert json.loads(manifest)["files"][0] == {"path": "empty", "digest": digest_of(b""), "size_bytes": 0}
    assert system.half_copied() == []


async def test_equal_bytes_are_stored_once_and_known_as_the_same(system: System):
    for job in ("job-1", "job-2"):
        location = system.model_folder(job, {"model.bin": b"the same weights"})
        await system.publish(system.training("resnet50", job=job, location=location))

    await system.hear(VersionAssigned, count=2)
    second = (await system.all_of(VersionAssigned))[1]
    assert "same-bytes-as" in {edge.kind for edge in second.edges}
    blobs = [path for path in (system.artifacts / "blobs").rglob("*") if path.is_file()]
    assert len(blobs) == 2  # the weights and the manifest


async def test_a_resumed_checkpoint_is_found_by_its_digest(system: System):
    first = system.model_folder("first", {"weights.pt": b"learned", "config.json": b"{}"})
    await system.publish(system.training("base", location=first))
    await system.hear(ModelRegistered, "base")
    second = system.model_folder("second", {"start.pt": b"learned", "weights.pt": b"learned more"})
    await system.publish(system.training("tuned", location=second))

    await system.hear(ModelRegistered, "tuned")
    lineage = await system.ask("modelkin.qry.v1.lineage.get", {"model": "tuned", "version": "0.0.1"})
    descent = [edge for edge in lineage["edges"] if edge["kind"] == "derived-from"]
    assert [(edge["source"], edge["target"]) for edge in descent] == [("version:0/tuned@0.0.1", "version:0/base@0.0.1")]


async def test_an_event_published_ten_times_under_ten_ids_makes_one_version(system: System):
    await system.redeliver_after(1)
    body = system.training("resnet50")
    for n in range(10):
        await system.publish(body, id=f"try-{n}")
        await system.restart(SERVICES[n % 3])

    await system.hear(ModelRegistered)
    await system.quiet()
    assert len(await system.all_of(TrainingSucceeded)) == 10
    assert await system.versions("resnet50") == ["0.0.1"]
    assert {event.version for event in await system.all_of(VersionAssigned)} == {"0.0.1"}
    assert await system.dead_letters() == []


@pytest.mark.parametrize("header", ["Nats-Msg-Id", "ce-id"])
async def test_an_event_published_ten_times_under_one_id_makes_one_version(system: System, header: str):
    await system.redeliver_after(1)
    body = json.dumps(system.training("resnet50")).encode()
    jetstream = system.client.jetstream()
    for n in range(10):
        await jetstream.publish("modelkin.evt.v1.training.succeeded.0.resnet50", body, headers={header: "the-one"})
        await system.restart(SERVICES[n % 3])

    await system.hear(ModelRegistered)
    await system.quiet()
    # The stream knows a repeated Nats-Msg-Id; with ce-id alone all ten come through to the importer.
    assert len(await system.all_of(TrainingSucceeded)) == {"Nats-Msg-Id": 1, "ce-id": 10}[header]
    assert await system.versions("resnet50") == ["0.0.1"]
    assert await system.dead_letters() == []


async def test_repeats_after_the_streams_memory_of_ids_repeat_the_same_answers(system: System):
    jetstream = system.client.jetstream()
    config = (await jetstream.stream_info(EVENTS_STREAM)).config
    await jetstream.update_stream(config.evolve(duplicate_window=0.1))
    body = system.training("resnet50")
    await system.publish(body, id="the-one")
    first = [await system.hear(kind) for kind in (ModelImported, VersionAssigned, ModelRegistered)]

    async def repeated() -> bool:
        await system.publish(body, id="the-one")
        return len(await system.all_of(ModelRegistered)) > 3

    await eventually(repeated)
    await system.quiet()
    for event in first:
        assert {again.model_dump_json() for again in await system.all_of(type(event))} == {event.model_dump_json()}
        assert {again.envelope for again in await system.all_of(type(event))} == {event.envelope}
    assert await system.versions("resnet50") == ["0.0.1"]
    assert len(await system.all_of(ModelImported)) > 3


async def test_another_run_or_another_model_of_the_same_job_is_another_import(system: System):
    await system.publish(system.training("resnet50", run="V001"))
    await system.publish(system.training("resnet50", run="V002"))
    await system.publish(system.training("resnet18", run="V001"))

    await system.hear(ModelRegistered, count=3)
    assert sorted(await system.versions("resnet50")) == ["0.0.1", "0.0.2"]
    assert await system.versions("resnet18") == ["0.0.1"]


async def test_workspaces_do_not_see_each_other(system: System):
    for workspace in ("vision", "audio"):
        await system.publish(system.training("best", workspace=workspace))

    await system.hear(ModelRegistered, count=2)
    page = await system.ask("modelkin.qry.v1.model.list", {"workspace": "vision"})
    assert [(model["workspace"], model["model"], model["versions"]) for model in page["models"]] == [
        ("vision", "best", 1)
    ]


async def test_a_model_may_have_a_name_in_any_script(system: System):
    await system.publish(system.training("图像分类-v2", location=system.model_folder("图像 分类")))

    registered = await system.hear(ModelRegistered)
    assert (registered.model, registered.version) == ("图像分类-v2", "0.0.1")
    assert await system.versions("图像分类-v2") == ["0.0.1"]


async def test_a_requested_number_is_given_as_it_is(system: System):
    await system.publish(system.training("resnet50", job="a", version="3.2.99"))
    await system.hear(ModelRegistered)
    await system.publish(system.training("resnet50", job="b"))

    await system.hear(ModelRegistered, count=2)
    assert await system.versions("resnet50") == ["3.2.99", "3.3.0"]


async def test_a_refused_import_may_be_tried_again_under_a_new_id(system: System):
    body = system.training("resnet50", location=system.location("late"))
    await system.publish(body)
    refused = await system.hear(ImportRefused)
    system.model_folder("late")
    await system.publish(body)

    registered = await system.hear(ModelRegistered)
    assert refused.reason is Reason.LOCATION_NOT_FOUND
    assert registered.import_id == refused.import_id


async def test_a_refused_import_stays_refused_under_its_own_id(system: System):
    body = system.training("resnet50", location=system.location("late"))
    await system.publish(body, headers={"Nats-Msg-Id": "send-1"}, id="request")
    refused = await system.hear(ImportRefused)
    system.model_folder("late")
    await system.publish(body, headers={"Nats-Msg-Id": "send-2"}, id="request")

    await system.quiet()
    assert len(await system.all_of(TrainingSucceeded)) == 2
    assert {event.envelope.id for event in await system.all_of(ImportRefused)} == {refused.envelope.id}
    assert await system.all_of(ModelImported) == []


@pytest.mark.parametrize("headers", [{}, {"ce-correlationid": "pipeline-7"}], ids=["alone", "in a pipeline"])
async def test_a_job_version_refused_a_number_may_be_imported_under_another(system: System, headers: dict[str, str]):
    await system.publish(system.training("resnet50", job="first", version="1.0.0"))
    await system.hear(ModelRegistered)
    await system.publish(system.training("resnet50", job="second", version="1.0.0"), headers=headers)
    refused = await system.hear(VersionRefused)
    await system.quiet()
    await system.publish(system.training("resnet50", job="second", version="1.0.1"), headers=headers)

    registered = await system.hear(ModelRegistered, count=2)
    assert refused.reason is Reason.VERSION_EXISTS
    assert (registered.version, registered.import_id) == ("1.0.1", refused.import_id)


async def test_a_job_version_refused_its_base_may_be_imported_when_the_base_is_there(system: System):
    tuned = system.training("tuned", bases=[{"model": "base", "version": "0.0.1", "relation": "fine-tuned"}])
    await system.publish(tuned)
    refused = await system.hear(VersionRefused)
    await system.publish(system.training("base"))
    await system.hear(ModelRegistered, "base")
    await system.quiet()
    await system.publish(tuned)

    registered = await system.hear(ModelRegistered, "tuned")
    assert refused.reason is Reason.BASE_NOT_FOUND
    assert registered.import_id == refused.import_id
