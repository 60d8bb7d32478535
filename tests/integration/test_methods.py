"""Each method of import from its message to the version: what is asked for, what is registered, what is refused."""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import pytest

from shared.messages import (
    CommandRefused,
    ImportRefused,
    ImportStarted,
    ModelImported,
    ModelRegistered,
    VersionAssigned,
    VersionReleased,
)
from shared.values import Reason
from tests.integration.system import System
from tests.packages import valid_config, valid_package

DETECTOR = valid_package("ONNX", metrics={"f1": 0.5, "recall": 0.25})
DANGEROUS = b"\x80\x04\x95\x17\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94."
UNKNOWN = b"\x80\x04\x8c\x08ourstuff\x8c\x05Model\x93)\x81."


async def ask(system: System, source: Mapping[str, Any], model: str = "detector", **more: Any) -> str:
    """Publish an ImportModel, as an operator's program would."""
    body = {"model": model, "source": source, **more}
    return await system.publish(body, subject=f"modelkin.cmd.v1.model.import.{more.get('workspace', '0')}.{model}")


async def details(system: System, model: str = "detector", version: str = "0.0.1") -> dict[str, Any]:
    return await system.ask("modelkin.qry.v1.version.get", {"model": model, "version": version})


async def test_a_package_from_object_storage_is_registered_with_what_its_configuration_says(system: System):
    location = system.model_folder("package", DETECTOR)
    await ask(system, {"method": "object-storage", "location": location}, labels=["vision"], metrics={"f1": 0.75})

    await system.hear(ModelRegistered)
    version = await details(system)
    assert version["source"] == {"method": "object-storage", "location": location}
    assert (version["engine"], version["runtime"]) == ("ONNX", "python3.11")
    assert version["metrics"] == {"f1": 0.75, "recall": 0.25}
    assert version["config"] == json.loads(DETECTOR["model/config.json"])
    assert version["labels"] == ["vision"]
    assert version["deployment_types"] == ["real-time", "batch"]
    assert (version["status"], version["downloadable"], version["deployable"]) == ("published", True, True)
    assert [edge.kind for edge in (await system.hear(VersionAssigned)).edges] == []


async def test_that_an_import_began_is_an_event_with_what_was_found(system: System):
    await ask(system, {"method": "object-storage", "location": system.model_folder("package", DETECTOR)})

    started = await system.hear(ImportStarted)
    assert (started.method, started.engine, started.file_count) == ("object-storage", "ONNX", 2)
    assert started.size_bytes == sum(len(content) for content in DETECTOR.values())


async def test_every_fault_of_a_configuration_is_told_at_once(system: System):
    wrong = valid_package("ONNX", model_algorithm="9 lives", metrics={"f1": "high"}, swr_location="host/name")
    await ask(system, {"method": "object-storage", "location": system.model_folder("wrong", wrong)})

    refused = await system.hear(ImportRefused)
    assert refused.reason is Reason.INVALID_CONFIG
    assert {fault.path for fault in refused.faults} == {"$.model_algorithm", "$.metrics.f1", "$.swr_location"}
    assert [one.event() for one in await system.said() if one.is_a(ImportStarted)] == []
    assert not any(path.is_file() for path in system.artifacts.rglob("*"))


async def test_the_output_of_a_job_whose_algorithm_was_not_built_in_must_be_a_package(system: System):
    bare = system.training("detector", built_in_algorithm=None)
    whole = system.training(
        "detector", run="V002", built_in_algorithm=None, location=system.model_folder("p", DETECTOR)
    )
    await system.publish(bare)
    await system.publish(whole)

    assert (await system.hear(ImportRefused)).reason is Reason.MODEL_FOLDER_MISSING
    assert (await system.hear(ModelRegistered)).version == "0.0.1"


async def test_a_job_version_asked_for_by_command_and_said_by_event_is_one_version(system: System):
    event = system.training("detector")
    source = {"method": "training-job", **{name: event[name] for name in ("job", "location", "built_in_algorithm")}}
    await ask(system, source)
    await system.publish(event)

    await system.hear(ModelRegistered)
    await system.quiet()
    assert await system.versions("detector") == ["0.0.1"]


async def test_the_versions_of_a_job_at_a_location_are_listed_with_those_that_are_there(system: System):
    for name in ("V001/model", "V002/model", "V010/model", "V003/logs", "old/model"):
        system.model_folder(f"train-7/{name}", {"weights.onnx": name.encode()})
    location = system.location("train-7")
    await system.publish(system.training("detector", job="train-7", run="V002", location=f"{location}/V002"))
    await system.hear(ModelRegistered)

    question = {"model": "detector", "job": "train-7", "location": location}
    found = await system.ask("modelkin.qry.v1.job.list", question)
    nowhere = await system.ask("modelkin.qry.v1.job.list", {**question, "location": "file:///etc"})

    assert found["versions"] == [
        {"version": "V001", "location": f"{location}/V001", "imported": False},
        {"version": "V002", "location": f"{location}/V002", "imported": True},
        {"version": "V010", "location": f"{location}/V010", "imported": False},
    ]
    assert nowhere["error"] == "location-not-allowed"


async def test_a_template_brings_the_configuration(system: System):
    location = system.model_folder("bare", {"detector.onnx": b"\x08\x07"})
    template = {"method": "template", "template": "onnx-general"}
    [slot] = (await system.ask("modelkin.qry.v1.template.get", {"template": "onnx-general"}))["inputs"]
    inputs = [{"input_id": slot["input_id"], "location": location}]
    await ask(system, {**template, "inputs": inputs, "mode": "object-detection"})

    await system.hear(ModelRegistered)
    version = await details(system)
    assert version["engine"] == "ONNX"
    assert version["config"]["apis"][0]["request"]["Content-type"] == "multipart/form-data"
    files = {file["path"]: file["digest"] for file in version["package"]["files"]}
    assert set(files) == {"model/config.json", "model/detector.onnx"}
    assert json.loads(system.blob(files["model/config.json"])) == version["config"]
    [edge] = (await system.hear(VersionAssigned)).edges
    assert (edge.kind, edge.target) == ("made-from", "template:onnx-general")


async def test_the_undefined_mode_rules_out_batch(system: System):
    location = system.model_folder("bare", {"detector.onnx": b"\x08\x07"})
    [slot] = (await system.ask("modelkin.qry.v1.template.get", {"template": "onnx-general"}))["inputs"]
    inputs = [{"input_id": slot["input_id"], "location": location}]
    source = {"method": "template", "template": "onnx-general", "inputs": inputs, "mode": "undefined"}
    await ask(system, source)
    await ask(system, source, model="both", deployment_types=["real-time", "batch"])

    await system.hear(ModelRegistered)
    assert (await details(system))["deployment_types"] == ["real-time"]
    assert (await system.hear(ImportRefused)).reason is Reason.INVALID_DEPLOYMENT_TYPES


async def test_a_model_of_automatic_learning_is_imported_by_itself_and_never_downloaded(system: System):
    body = {"project": "flowers", "run": "V001", "location": system.model_folder("auto", {"model.onnx": b"\x08\x07"})}
    for message_id in ("first", "again"):
        await system.publish(body, subject="modelkin.evt.v1.autolearning.deployed.0.flowers", id=message_id)

    registered = await system.hear(ModelRegistered)
    await system.quiet()
    version = await details(system, registered.model)
    assert registered.model.startswith("flowers_")
    assert await system.versions(registered.model) == ["0.0.1"]
    assert (version["downloadable"], version["deployable"]) == (False, True)
    assert version["restrictions"] == ["auto-learning"]
    assert (version["source"]["method"], version["source"]["source_type"]) == ("automatic-learning", "auto")


async def test_a_package_in_place_is_registered_by_its_digests_and_not_copied(system: System):
    location = system.model_folder("package", DETECTOR)
    await ask(system, {"method": "object-storage", "location": location}, reference=True)

    imported = await system.hear(ModelImported)
    await system.hear(ModelRegistered)
    kept = [path.name for path in system.artifacts.rglob("*") if path.is_file()]
    assert (await details(system))["package"]["in_place"] is True
    assert kept == [imported.package.digest.removeprefix("sha256:")]
    assert len(imported.package.files) == 2


async def test_a_file_that_would_run_code_is_refused_and_named(system: System):
    package = {**valid_package("Scikit_Learn"), "model/iris.m": DANGEROUS}
    await ask(system, {"method": "object-storage", "location": system.model_folder("bad", package)})

    refused = await system.hear(ImportRefused)
    assert refused.reason is Reason.UNSAFE_FILE
    [unsafe] = refused.unsafe
    assert (unsafe.path, unsafe.verdict, unsafe.imports) == ("model/iris.m", "dangerous", ("posix.system",))


def zipped(files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        for path, content in files.items():
            members.writestr(path, content)
    return archive.getvalue()


async def test_no_method_brings_in_a_file_that_would_run_code(system: System):
    package = {**valid_package("Scikit_Learn"), "model/iris.m": DANGEROUS}
    folder, bare = system.model_folder("bad", package), system.model_folder("bare", {"iris.m": DANGEROUS})
    archive = f"{system.model_folder('archives', {'bad.zip': zipped(package)})}/bad.zip"
    job = {"method": "training-job", "job": {"id": "job-1", "version": "V001"}, "built_in_algorithm": "svm"}
    inputs = [{"input_id": "model_folder", "location": bare}]

    for location in (folder, archive):
        for reference in (False, True):
            await ask(system, {"method": "object-storage", "location": location}, reference=reference)
    await ask(system, {"method": "template", "template": "scikit-learn-general", "inputs": inputs})
    await ask(system, {**job, "location": bare})
    deployed = {"project": "detector", "run": "V001", "location": bare}
    await system.publish(deployed, subject="modelkin.evt.v1.autolearning.deployed.0.detector")

    await system.hear(ImportRefused, count=7)
    assert {one.reason for one in await system.all_of(ImportRefused)} == {Reason.UNSAFE_FILE}
    assert await system.all_of(ModelImported) == []


async def test_a_job_version_asked_for_many_times_at_two_importers_is_one_version(system: System):
    await system.start("importer")
    location = system.model_folder("detector", {f"{number:02}.bin": bytes([number]) for number in range(50)})
    source = {"method": "training-job", "location": location, "built_in_algorithm": "svm"}
    for _ in range(8):
        await ask(system, {**source, "job": {"id": "job-1", "version": "V001"}})

    await system.hear(ModelRegistered)
    await system.quiet()
    assert await system.versions("detector") == ["0.0.1"]
    assert {one.package.file_count for one in await system.all_of(ModelImported)} == {50}
    assert system.half_copied() == []


async def test_quarantine_ends_with_a_release_that_says_why(bare_system: System):
    system = bare_system
    await system.start("versioning", "registry")
    await system.start("importer", unsafe_files="refuse,lab=quarantine")
    package = {**valid_package("Scikit_Learn"), "model/iris.m": DANGEROUS}
    source = {"method": "object-storage", "location": system.model_folder("bad", package)}
    await ask(system, source, workspace="lab")
    await system.hear(ModelRegistered)

    question = {"workspace": "lab", "model": "detector", "version": "0.0.1"}
    before = await system.ask("modelkin.qry.v1.version.get", question)
    for _ in range(2):
        await system.publish({**question, "why": "read it"}, subject="modelkin.cmd.v1.version.release.lab.detector")
    released = await system.hear(VersionReleased)
    refused = await system.hear(CommandRefused)
    after = await system.ask("modelkin.qry.v1.version.get", question)

    assert (before["status"], before["downloadable"], before["deployable"]) == ("quarantined", False, False)
    assert (released.version, released.why) == ("0.0.1", "read it")
    assert refused.reason is Reason.NOT_QUARANTINED
    assert (after["status"], after["downloadable"], after["deployable"]) == ("published", True, True)
    assert after["release"]["why"] == "read it"
    assert after["contents"]["unsafe"][0]["verdict"] == "dangerous"


async def test_what_is_not_known_to_be_harmless_waits_in_quarantine(system: System):
    package = {**valid_package("Scikit_Learn"), "model/iris.m": UNKNOWN}
    await ask(system, {"method": "object-storage", "location": system.model_folder("own", package)})

    await system.hear(ModelRegistered)
    version = await details(system)
    assert version["restrictions"] == ["quarantine"]
    assert version["contents"]["unsafe"][0]["imports"] == ["ourstuff.Model"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"method": "template", "template": "none", "inputs": [{"input_id": "a", "location": "file:///a"}]}, "template-not-found"),
        ({"method": "container-image", "image": "resnet", "config": valid_config("Image")}, "invalid-image"),
        ({"method": "container-image", "image": "127.0.0.1:1/resnet"}, "config-missing"),
        ({"method": "container-image", "image": "127.0.0.1:1/resnet", "config": {}}, "invalid-config"),
        ({"method": "object-storage", "location": "ftp://host/a"}, "unsupported-scheme"),
        ({"method": "object-storage", "location": ""}, "unsupported-scheme"),
        ({"method": "training-job", "location": "file:///a", "job": {"id": "", "version": "V001"}}, "invalid-job"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_a_wrong_request_is_refused_with_its_reason(system: System, source: dict[str, Any], reason: str):
    await ask(system, source)

    assert (await system.hear(ImportRefused)).reason == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"labels": ["a", "b", "c", "d", "e", "f"]}, "invalid-labels"),
        ({"description": "5 > 4"}, "invalid-description"),
        ({"documents": [{"name": "9", "url": "https://a.example"}]}, "invalid-documents"),
        ({"deployment_types": ["edge"]}, "invalid-deployment-types"),
        ({"minimum_specs": {"cpu": -1}}, "invalid-specs"),
        ({"version": "1.2"}, "invalid-version"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_said_of_a_version_obeys_the_rules(system: System, changes: dict[str, Any], reason: str):
    location = system.model_folder("package", DETECTOR)
    await ask(system, {"method": "object-storage", "location": location}, **changes)

    assert (await system.hear(ImportRefused)).reason == reason


async def test_a_command_of_no_known_method_is_set_aside_and_names_those_there_are(system: System):
    await ask(system, {"method": "carrier-pigeon", "location": "file:///a"})

    letter, _ = await system.dead_letter()
    assert letter.durable == "importer-on-import-model"
    assert "carrier-pigeon" in letter.message
    assert "object-storage" in letter.message
