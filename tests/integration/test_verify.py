"""Stored bytes are read again: what is damaged is told by name, in a folder and in a bucket."""

import uuid
from typing import Any

import obstore
import pytest

from shared.messages import ArtifactCorrupted, CommandRefused, ModelRegistered, PackageVerified
from tests.integration.system import System, digest_of
from tests.s3 import S3Server, environment_of

FILES = {"weights.bin": b"weights" * 1000, "twin.bin": b"weights" * 1000, "labels.txt": b"cat\ndog\n"}


class Store:
    """Where the bytes are, behind the importer's back."""

    def __init__(self, system: System, server: S3Server | None = None, bucket: str = "") -> None:
        self._system = system
        self._client = server.store(bucket) if server is not None else None

    def write(self, digest: str, content: bytes | None) -> None:
        name = digest.removeprefix("sha256:")
        key = f"blobs/sha256/{name[:2]}/{name}"
        if self._client is not None:
            obstore.delete(self._client, key) if content is None else obstore.put(self._client, key, content)
            return
        path = self._system.artifacts / key
        path.chmod(0o644)
        path.unlink() if content is None else path.write_bytes(content)


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest) -> tuple[S3Server | None, str]:
    """Made outside of any event loop: the server of the run is started in one of its own."""
    if request.param == "folder":
        return None, ""
    server: S3Server = request.getfixturevalue("s3_server")
    return server, server.bucket()


@pytest.fixture
async def store(bare_system: System, place: tuple[S3Server | None, str], monkeypatch: pytest.MonkeyPatch) -> Store:
    server, bucket = place
    if server is None:
        await bare_system.start("importer", "versioning", "registry")
        return Store(bare_system)
    for name, value in environment_of(server).items():
        monkeypatch.setenv(name, value)
    await bare_system.start("importer", artifacts=f"s3://{bucket}")
    await bare_system.start("versioning", "registry")
    return Store(bare_system, server, bucket)


async def a_version(system: System, model: str = "resnet", **more: object) -> str:
    """Returns its package digest."""
    location = system.model_folder(model, FILES)
    await system.publish(system.training(model, location=location, **more))
    return (await system.hear(ModelRegistered, model)).package_digest


async def verify(system: System, package_digest: str, model: str = "resnet", **changes: Any) -> str:
    command = {"model": model, "version": "0.0.1", "package_digest": package_digest, **changes}
    return await system.publish(command, subject=f"modelkin.cmd.v1.package.verify.0.{model}", id=changes.get("id"))


async def test_a_package_that_is_as_it_was(bare_system: System, store: Store):
    package_digest = await a_version(bare_system)
    await verify(bare_system, package_digest)

    verified = await bare_system.hear(PackageVerified)

    assert (verified.file_count, verified.size_bytes, verified.corrupted) == (3, 14_008, 0)
    assert (verified.version, verified.package_digest) == ("0.0.1", package_digest)
    assert await bare_system.all_of(ArtifactCorrupted) == []


async def test_a_flipped_byte_is_found_in_each_file_that_has_it(bare_system: System, store: Store):
    package_digest = await a_version(bare_system)
    flipped = b"W" + FILES["weights.bin"][1:]
    store.write(digest_of(FILES["weights.bin"]), flipped)
    await verify(bare_system, package_digest)

    verified = await bare_system.hear(PackageVerified)
    corrupted = await bare_system.all_of(ArtifactCorrupted)

    assert verified.corrupted == 2
    assert sorted(one.path for one in corrupted) == ["twin.bin", "weights.bin"]
    assert {one.found for one in corrupted} == {digest_of(flipped)}
    assert {one.digest for one in corrupted} == {digest_of(FILES["weights.bin"])}
    assert len({one.envelope.id for one in corrupted}) == 2


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "missing"),
        (b"", digest_of(b"")),
        (b"cat\n", digest_of(b"cat\n")),
        (b"cat\ndog\n+", digest_of(b"cat\ndog\n+")),
    ],
    ids=["missing", "empty", "cut off", "longer"],
)
async def test_a_file_that_is_missing_or_of_another_length_is_found(
    bare_system: System, store: Store, content: bytes | None, found: str
):
    package_digest = await a_version(bare_system)
    store.write(digest_of(FILES["labels.txt"]), content)
    await verify(bare_system, package_digest)

    corrupted = await bare_system.hear(ArtifactCorrupted)

    assert (corrupted.path, corrupted.found, corrupted.size_bytes) == ("labels.txt", found, 8)
    assert (await bare_system.hear(PackageVerified)).corrupted == 1


@pytest.mark.parametrize(("content", "found"), [(None, "missing"), (b"x", digest_of(b"x"))], ids=["missing", "other"])
async def test_a_damaged_manifest_is_found(bare_system: System, store: Store, content: bytes | None, found: str):
    package_digest = await a_version(bare_system)
    store.write(package_digest, content)
    await verify(bare_system, package_digest)

    corrupted = await bare_system.hear(ArtifactCorrupted)

    assert (corrupted.path, corrupted.digest, corrupted.found) == ("", package_digest, found)
    assert (await bare_system.hear(PackageVerified)).corrupted == 1


async def test_a_command_that_is_delivered_again_is_answered_the_same_though_the_bytes_changed(system: System):
    package_digest = await a_version(system)
    id_ = uuid.uuid4().hex
    await verify(system, package_digest, id=id_)
    first = await system.hear(PackageVerified)
    Store(system).write(digest_of(FILES["labels.txt"]), b"changed")
    await system.stop("importer")
    await system.client.jetstream().delete_consumer("COMMANDS", "importer-on-verify-package")
    await _made_again(system)
    await system.start("importer")
    await system.quiet()

    assert await system.all_of(PackageVerified) == [first]
    assert await system.all_of(ArtifactCorrupted) == []


async def _made_again(system: System) -> None:
    """The consumer begins at the first command again."""
    import deploy.topology  # noqa: PLC0415 - only here

    async for _ in deploy.topology.apply(system.client.jetstream()):
        pass


async def test_what_cannot_be_verified_is_refused(system: System):
    unknown = "sha256:" + "1" * 64
    await a_version(system, "files")
    await verify(system, unknown, version="1")
    await verify(system, unknown)
    await verify(system, "../../etc/passwd\n")
    await verify(system, "x" * 10_000)
    await verify(system, digest_of(FILES["labels.txt"]))
    await system.publish(
        {"model": "res net", "version": "0.0.1", "package_digest": unknown},
        subject="modelkin.cmd.v1.package.verify.0.~",
    )

    await system.hear(CommandRefused, count=6)
    refused = await system.all_of(CommandRefused)

    assert sorted(one.reason for one in refused) == ["invalid-name", "invalid-version", *["package-not-found"] * 4]
    assert {one.command for one in refused} == {"modelkin.cmd.v1.package.verify"}
    assert all(len(one.message) < 300 for one in refused)
    assert await system.dead_letters() == []


async def test_a_version_that_was_left_in_place_is_refused(system: System):
    package_digest = await a_version(system, reference=True)
    await verify(system, package_digest)

    assert (await system.hear(CommandRefused)).reason == "kept-in-place"
