"""Imports from real places, whole: S3 as source and as artifact store, secrets, image registries; and what is not read twice."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import obstore
import pytest

from services.importer.sources import reader
from shared.messages import ImportRefused, ModelImported, ModelRegistered, VersionAssigned
from shared.store import connect
from shared.values import Reason
from tests import oci, s3
from tests.integration.system import System, digest_of, eventually
from tests.integration.test_methods import ask, details
from tests.packages import valid_config, valid_package

PACKAGE = valid_package("ONNX")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, s3_server: s3.S3Server) -> None:
    for name, value in s3.environment_of(s3_server).items():
        monkeypatch.setenv(name, value)


class CountedGets:
    """obstore as the importer reads with it: notes whose bytes are asked for, and can take its time for what comes late."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.quick = 1_000_000
        """So many are given at once; each further one takes a second."""

    @property
    def count(self) -> int:
        return len(self.paths)

    def get(self, store: Any, path: str, **options: Any) -> Any:
        self.paths.append(path)
        if self.count > self.quick:
            time.sleep(1)
        return obstore.get(store, path, **options)


@pytest.fixture
def gets(monkeypatch: pytest.MonkeyPatch) -> CountedGets:
    counted = CountedGets()
    monkeypatch.setattr(reader, "obstore", counted)
    return counted


async def start(system: System, **settings: Any) -> None:
    await system.start("versioning", "registry")
    await system.start("importer", **settings)


async def test_from_bucket_to_bucket(bare_system: System, s3_server: s3.S3Server, environment: None):
    system, artifacts = bare_system, s3_server.bucket()
    source = s3_server.bucket({f"teams/vision/{path}": content for path, content in PACKAGE.items()})
    await start(system, artifacts=f"s3://{artifacts}/registry")
    await ask(system, {"method": "object-storage", "location": f"s3://{source}/teams/vision"})

    imported = await system.hear(ModelImported)
    await system.hear(ModelRegistered)
    kept = {item["path"] for page in obstore.list(s3_server.store(artifacts)) for item in page}
    digests = [imported.package.digest, *(file.digest for file in imported.package.files)]
    assert kept == {f"registry/blobs/sha256/{hexes[:2]}/{hexes}" for hexes in (one[7:] for one in digests)}
    assert {file.path: file.digest for file in imported.package.files} == {
        path: digest_of(content) for path, content in PACKAGE.items()
    }
    manifest = obstore.get(
        s3_server.store(artifacts), f"registry/blobs/sha256/{digests[0][7:9]}/{digests[0][7:]}"
    ).bytes()
    assert hashlib.sha256(manifest).hexdigest() == digests[0][7:]


async def test_a_workspace_reads_with_its_own_secrets_and_another_without_them_does_not(
    bare_system: System, s3_server: s3.S3Server, tmp_path: Path
):
    system, bucket = bare_system, s3_server.bucket(PACKAGE)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "lab.json").write_text(json.dumps({"stores": {f"s3://{bucket}": s3_server.secret()}}))
    wrong = s3_server.secret(secret="sesame-wrong-secret")
    (secrets / "guest.json").write_text(json.dumps({"stores": {f"s3://{bucket}": wrong}}))
    await start(system, secrets=secrets)
    source = {"method": "object-storage", "location": f"s3://{bucket}"}
    for workspace in ("guest", "nobody", "lab"):
        await ask(system, source, workspace=workspace)

    registered = await system.hear(ModelRegistered)
    await system.hear(ImportRefused, count=2)
    reasons = {one.workspace: one.reason for one in await system.all_of(ImportRefused)}
    assert registered.workspace == "lab"
    assert reasons == {"guest": Reason.NOT_AUTHORIZED, "nobody": Reason.UNSUPPORTED_SCHEME}
    everything = (
        b"".join(one.body for one in await system.said()) + str([one.headers for one in await system.said()]).encode()
    )
    assert b"sesame" not in everything
    assert s3.SECRET.encode() not in everything


async def test_a_second_import_of_the_same_place_reads_and_moves_nothing(
    bare_system: System, s3_server: s3.S3Server, environment: None, gets: CountedGets
):
    system = bare_system
    objects = {f"data/{number:03}.txt": str(number).encode() for number in range(100)}
    bucket = s3_server.bucket(objects)
    await start(system)
    event = system.training("resnet50", location=f"s3://{bucket}")
    await system.publish(event)
    await system.hear(ModelRegistered)
    first = gets.count
    await system.publish({**event, "job": {"id": "job-2", "version": "V001"}})
    await system.hear(ModelRegistered, count=2)

    assert (first, gets.count) == (100, 100)
    one, two = await system.all_of(ModelImported)
    assert one.package == two.package


async def test_an_import_that_was_cut_off_goes_on_where_it_was(
    bare_system: System, s3_server: s3.S3Server, environment: None, gets: CountedGets
):
    system, gets.quick = bare_system, 300
    bucket = s3_server.bucket({f"data/{number:03}.txt": str(number).encode() for number in range(500)})
    await start(system, stop_timeout_s=0.1)
    await system.publish(system.training("resnet50", location=f"s3://{bucket}"))
    store = connect(system.mongo_uri)
    written = store[f"{system.database}_importer"]["blobs"]
    await eventually(lambda: written.count_documents({}), "what was read to be written down")
    store.close()
    await system.stop("importer")
    await system.redeliver_after(2)
    before, gets.quick = gets.count, 1_000_000
    await system.start("importer")

    imported = await system.hear(ModelImported, timeout_s=60)
    assert imported.package.file_count == 500
    assert before < 500
    # Each once: a thread of the process that stopped may still ask for the one it was at.
    assert len(set(gets.paths[before:])) <= 300


async def test_an_image_is_pinned_and_another_image_is_another_package(system: System, image_registry: oci.Registry):
    for tag in ("one", "two"):
        image_registry.push("vision/resnet", tag, oci.small_image(config={"Labels": {"tag": tag}}))
    config = valid_config("Image", swr_location=None, apis=[{"url": "/a"}, {"url": "/b"}])
    for tag in ("one", "two"):
        source = {"method": "container-image", "image": f"{image_registry.host}/vision/resnet:{tag}", "config": config}
        await ask(system, source)

    await system.hear(ModelRegistered, count=2)
    first, second = [await details(system, "detector", version) for version in ("0.0.1", "0.0.2")]
    assert {first["image"]["labels"]["tag"], second["image"]["labels"]["tag"]} == {"one", "two"}
    assert first["image"]["digest"] != second["image"]["digest"]
    assert first["package"]["digest"] != second["package"]["digest"]
    files = {file["path"]: file["digest"] for file in first["package"]["files"]}
    assert files["image/manifest.json"] == first["image"]["digest"]
    assert first["engine"] == "Image"
    [edge, *_] = [edge for edge in (await system.hear(VersionAssigned)).edges if edge.kind == "packaged-as"]
    assert edge.target in {f"image:{first['image']['digest']}", f"image:{second['image']['digest']}"}


async def test_a_package_of_an_image_pins_the_image_that_it_names(system: System, image_registry: oci.Registry):
    digest = image_registry.push("vision/stored", "1", oci.small_image(text="stored"))
    for name, tag in (("there", "1"), ("gone", "2")):
        config = valid_config("Image", swr_location=f"{image_registry.host}/vision/stored:{tag}")
        location = system.model_folder(name, {"model/config.json": json.dumps(config).encode()})
        await ask(system, {"method": "object-storage", "location": location}, model=name)

    await system.hear(ModelRegistered, "there")
    version = await details(system, "there")
    assert version["image"]["digest"] == digest
    assert {file["path"] for file in version["package"]["files"]} == {
        "model/config.json",
        "image/manifest.json",
        "image/config.json",
    }
    assert (await system.hear(ImportRefused, "gone")).reason is Reason.IMAGE_NOT_FOUND


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("vision/nothing:1", Reason.IMAGE_NOT_FOUND),
        ("vision/resnet:none", Reason.IMAGE_NOT_FOUND),
        ("Vision/Resnet:1", Reason.INVALID_IMAGE),
    ],
)
async def test_an_image_that_is_not_there_is_refused(
    system: System, image_registry: oci.Registry, image: str, reason: Reason
):
    config = valid_config("Image", swr_location=None)
    await ask(system, {"method": "container-image", "image": f"{image_registry.host}/{image}", "config": config})

    assert (await system.hear(ImportRefused)).reason is reason
