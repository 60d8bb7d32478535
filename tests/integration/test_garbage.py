"""Garbage on real stores: what versions share stays, what none needs goes, while others import."""

import asyncio
import uuid

import obstore
import pytest

import deploy.topology
from shared.messages import CommandRefused, GarbageCollected, ModelRegistered, PackageVerified, VersionDeleted
from shared.store import connect
from tests.integration.system import System, digest_of, eventually
from tests.s3 import S3Server, environment_of

SHARED, OWN, OTHER = b"shared" * 1000, b"own" * 1000, b"other" * 1000


async def a_version(system: System, model: str, run: str = "V001", **files: bytes) -> str:
    """Returns its number."""
    location = system.model_folder(f"{model}-{run}", files)
    before = len(await system.all_of(ModelRegistered, model))
    await system.publish(system.training(model, run=run, location=location))
    return (await system.hear(ModelRegistered, model, count=before + 1)).version


async def delete(system: System, model: str, version: str = "0.0.1") -> None:
    before = len(await system.all_of(VersionDeleted, model))
    await system.publish({"model": model, "version": version}, subject=f"modelkin.cmd.v1.version.delete.0.{model}")
    await system.hear(VersionDeleted, model, count=before + 1)
    await system.quiet()


async def collect(system: System, *, id_: str | None = None, dry_run: bool = False) -> GarbageCollected:
    id_ = id_ or uuid.uuid4().hex
    subject = "modelkin.cmd.v1.garbage.collect.0.artifacts"
    await system.publish({"dry_run": dry_run}, subject=subject, id=id_)

    async def answer() -> list[GarbageCollected]:
        return [one for one in await system.all_of(GarbageCollected) if one.envelope.cause_id == id_]

    return (await eventually(answer, "the garbage to be collected", 60))[0]


async def kept(system: System, server: S3Server | None, bucket: str) -> set[str]:
    if server is not None:
        listed = await obstore.list(server.store(bucket)).collect_async()
        return {f"sha256:{one['path'].rpartition('/')[2]}" for one in listed}
    return {f"sha256:{path.name}" for path in (system.artifacts / "blobs").rglob("*") if path.is_file()}


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest) -> tuple[S3Server | None, str]:
    """Made outside of any event loop: the server of the run is started in one of its own."""
    if request.param == "folder":
        return None, ""
    server: S3Server = request.getfixturevalue("s3_server")
    return server, server.bucket()


async def test_what_a_living_version_shares_with_a_deleted_one_stays_and_the_rest_goes(
    bare_system: System, place: tuple[S3Server | None, str], monkeypatch: pytest.MonkeyPatch
):
    system, (server, bucket) = bare_system, place
    for name, value in (environment_of(server) if server else {}).items():
        monkeypatch.setenv(name, value)
    await system.start("importer", **({"artifacts": f"s3://{bucket}"} if server else {}))
    await system.start("versioning", "registry")
    await a_version(system, "living", shared=SHARED, own=OWN)
    await a_version(system, "dying", shared=SHARED, other=OTHER)
    await delete(system, "dying")
    before = await kept(system, server, bucket)
    tried = await collect(system, dry_run=True)

    assert await kept(system, server, bucket) == before
    assert (tried.removed_files, tried.kept_files) == (2, 3)
    id_ = uuid.uuid4().hex
    collected = await collect(system, id_=id_)
    left = await kept(system, server, bucket)
    assert (collected.removed_files, collected.removed_bytes) == (2, tried.removed_bytes)
    assert {digest_of(SHARED), digest_of(OWN)} < left
    assert digest_of(OTHER) not in left
    assert len(left) == 3

    # Delivered again, it is answered the same, and removes nothing though there is something.
    await delete(system, "living")
    await system.stop("importer")
    await system.client.jetstream().delete_consumer("COMMANDS", "importer-on-collect-garbage")
    async for _ in deploy.topology.apply(system.client.jetstream()):
        pass
    await system.start("importer", **({"artifacts": f"s3://{bucket}"} if server else {}))
    await system.quiet()
    assert await system.all_of(GarbageCollected) == [tried, collected]
    assert await kept(system, server, bucket) == left


async def test_a_job_version_can_be_imported_again_after_its_version_was_deleted_and_collected(system: System):
    files = {f"file{number}": str(number).encode() for number in range(80)}  # so many that their states are remembered
    assert await a_version(system, "resnet", **files) == "0.0.1"
    await delete(system, "resnet")
    (system.artifacts / "partial" / "left").write_bytes(b"half a copy")
    await collect(system)
    assert await kept(system, None, "") == set()
    assert system.half_copied() == []

    assert await a_version(system, "resnet", **files) == "0.0.2"

    assert len(await kept(system, None, "")) == 81


async def test_a_command_with_a_damaged_manifest_is_refused_and_removes_nothing(system: System):
    await a_version(system, "resnet", own=OWN)
    package_digest = (await system.hear(ModelRegistered, "resnet")).package_digest
    name = package_digest.removeprefix("sha256:")
    (system.artifacts / "blobs" / "sha256" / name[:2] / name).unlink()
    await system.publish({}, subject="modelkin.cmd.v1.garbage.collect.0.artifacts")

    refused = await system.hear(CommandRefused)

    assert (refused.reason, refused.model) == ("package-not-found", "artifacts")
    assert await kept(system, None, "") == {digest_of(OWN)}


async def test_an_importer_that_lost_its_database_removes_nothing(system: System):
    await a_version(system, "resnet", weights=OWN)
    await system.quiet()
    store = connect(system.mongo_uri)
    await store[f"{system.database}_importer"]["imports"].delete_many({})
    await system.publish({}, subject="modelkin.cmd.v1.garbage.collect.0.artifacts", id="gc")
    refused = await system.hear(CommandRefused)
    store.close()

    assert refused.reason == "imports-forgotten"
    assert "resnet of " in refused.message
    assert (refused.command, refused.envelope.source) == ("modelkin.cmd.v1.garbage.collect", "modelkin/importer")
    assert digest_of(OWN) in await kept(system, None, "")


async def test_no_bytes_of_a_living_version_go_while_many_import_delete_and_collect(system: System):
    """Two importers; every model has the same few files in other combinations."""
    await system.start("importer")
    contents = [f"content {number}".encode() * 100 for number in range(6)]

    async def collect_on_and_on() -> None:
        while True:
            await system.publish({}, subject="modelkin.cmd.v1.garbage.collect.0.artifacts")
            await asyncio.sleep(1)

    collecting = asyncio.create_task(collect_on_and_on())
    for run in range(3):
        for number in range(4):
            files = {f"file{one}": contents[(number + run + one) % 6] for one in range(3)}
            location = system.model_folder(f"model-{number}-{run}", files)
            await system.publish(system.training(f"model-{number}", run=f"V{run:03}", location=location))
        for number in range(4):
            version = (await system.hear(ModelRegistered, f"model-{number}", count=run + 1, timeout_s=60)).version
            if run < 2:
                command = {"model": f"model-{number}", "version": version}
                await system.publish(command, subject=f"modelkin.cmd.v1.version.delete.0.model-{number}")
    collecting.cancel()
    await system.quiet(60)
    await collect(system)

    last = [(await system.hear(ModelRegistered, f"model-{number}", count=3)) for number in range(4)]
    for one in last:
        command = {"model": one.model, "version": one.version, "package_digest": one.package_digest}
        await system.publish(command, subject=f"modelkin.cmd.v1.package.verify.0.{one.model}")
    await system.hear(PackageVerified, count=4)
    assert [one.corrupted for one in await system.all_of(PackageVerified)] == [0] * 4
    assert await system.dead_letters() == []
    assert len(await kept(system, None, "")) == 10  # six contents, four manifests
