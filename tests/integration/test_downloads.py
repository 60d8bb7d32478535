"""Bytes leave the artifact store with a grant alone, and as they came in."""

import asyncio
import json
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from modelkin.client import Client
from modelkin.downloading import Downloaded, download, download_version, files_of
from modelkin.errors import ModelkinError
from modelkin.fetching import DownloadRefused, Fetching, lasting_connection
from shared.envelope import Envelope
from shared.messages import (
    DeploymentRequested,
    DeployVersion,
    DownloadGranted,
    DownloadVersion,
    LiftRestriction,
    Message,
    ModelRegistered,
    VersionAssigned,
)
from shared.naming import token
from shared.queries import FilePage, ListFiles
from shared.service import utc_now
from shared.values import Grant
from tests.integration.system import System, digest_of, eventually

LARGE = bytes(range(256)) * 9000  # 2.3 MB: five parts
PACKAGE = {"weights.bin": LARGE, "nested/labels.txt": b"cat\ndog\n", "empty": b""}


def said() -> Envelope:
    return Envelope.of_request(uuid.uuid4().hex, "test", utc_now())


class Bar:
    def __init__(self) -> None:
        self.total_bytes = self.done_bytes = 0
        self.told = asyncio.Event()

    def begin(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes

    def advance(self, more_bytes: int) -> None:
        self.done_bytes += more_bytes
        if self.done_bytes:
            self.told.set()


async def a_version(system: System, model: str, files: dict[str, bytes] | None = None, **more: object) -> None:
    location = system.model_folder(model, files or PACKAGE)
    await system.publish(system.training(model, location=location, **more))
    await system.hear(ModelRegistered, model)


async def an_auto_learning_version(system: System) -> str:
    """Returns the name that it was given."""
    body = {"project": "flowers", "run": "V001", "location": system.model_folder("flowers", PACKAGE)}
    await system.publish(body, subject="modelkin.evt.v1.autolearning.deployed.0.flowers")
    return (await system.hear(ModelRegistered)).model


async def fetch(system: System, model: str, folder: Path, bar: Bar | None = None, patience_s: float = 20) -> Downloaded:
    def command() -> DownloadVersion:
        return DownloadVersion(envelope=said(), model=model, version="0.0.1")

    return await download_version(system.nats_url, command, folder, bar or Bar(), force=False, patience_s=patience_s)


def found(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def carried_out(system: System, command: Message, end: type[Message]) -> Message:
    async with Client.connected(system.nats_url) as client:
        return [event async for event in client.carry_out(command, end)][-1]


async def a_grant(system: System, model: str) -> Grant:
    granted = await carried_out(system, DownloadVersion(envelope=said(), model=model, version="0.0.1"), DownloadGranted)
    assert isinstance(granted, DownloadGranted), granted
    return granted.grant


async def a_service_grant(system: System, model: str, service: str = "shop") -> Grant:
    command = DeployVersion(envelope=said(), model=model, version="0.0.1", service=service, mode="real-time")
    requested = await carried_out(system, command, DeploymentRequested)
    assert isinstance(requested, DeploymentRequested), requested
    return requested.grant


async def read(system: System, grant: str, content: bytes, reader: str = "~", **changes: Any) -> bytes | str:
    """The bytes, or the code of the refusal."""
    query = {"grant": grant, "digest": digest_of(content), "offset": 0, "size_bytes": len(content), **changes}
    workspace = query.pop("workspace", "0")
    subject = f"modelkin.qry.v1.file.read.{workspace}.{reader}"
    reply = await system.client.request(subject, json.dumps(query).encode(), timeout=60)
    error = (reply.headers or {}).get("modelkin-error")
    if error is not None:
        assert json.loads(reply.data)["error"] == error
    return error or reply.data


async def test_a_version_comes_into_a_folder_as_it_was_imported(system: System, tmp_path: Path):
    await a_version(system, "resnet")
    bar = Bar()

    done = await fetch(system, "resnet", tmp_path / "out", bar)

    assert found(tmp_path / "out") == PACKAGE
    assert done == Downloaded(files=3, size_bytes=len(LARGE) + 8, read_bytes=len(LARGE) + 8, resumed=0, skipped=0)
    assert bar.total_bytes == bar.done_bytes == len(LARGE) + 8


async def test_the_files_of_a_package_are_listed_page_by_page(system: System):
    files = {f"file{number:03}": str(number).encode() for number in range(25)}
    await a_version(system, "many", files)
    digest = (await system.hear(VersionAssigned, "many")).package_digest
    async with Client.connected(system.nats_url) as client:
        first = await client.ask(ListFiles(package_digest=digest, limit=10), FilePage)
        last = await client.ask(ListFiles(package_digest=digest, limit=15, after=first.next), FilePage)

    assert [file.path for file in (*first.files, *last.files)] == sorted(files)
    assert (first.next, last.next) == ("file009", None)


@pytest.mark.parametrize("content", [b"no package", b'{"files":["a package?"]}', b'{"files":[]', LARGE])
async def test_what_is_no_package_is_not_listed(system: System, content: bytes):
    await a_version(system, "resnet", {"model.bin": content})

    for digest in (digest_of(content), digest_of(b"unknown")):
        reply = await system.ask("modelkin.qry.v1.file.list", {"package_digest": digest})
        assert reply["error"] == "package-not-found"


async def test_bytes_that_were_changed_in_the_store_are_not_taken(system: System, tmp_path: Path):
    await a_version(system, "resnet")
    name = digest_of(LARGE).removeprefix("sha256:")
    stored = system.artifacts / "blobs" / "sha256" / name[:2] / name
    stored.chmod(0o644)
    stored.write_bytes(b"X" + LARGE[1:])

    with pytest.raises(ModelkinError, match=r"'weights\.bin': the bytes that came are"):
        await fetch(system, "resnet", tmp_path / "out")

    assert not {"weights.bin", "weights.bin.part"} & found(tmp_path / "out").keys()


async def test_bytes_that_are_gone_from_the_store_are_told(system: System, tmp_path: Path):
    await a_version(system, "resnet")
    name = digest_of(LARGE).removeprefix("sha256:")
    (system.artifacts / "blobs" / "sha256" / name[:2] / name).unlink()

    with pytest.raises(ModelkinError, match=r"'weights\.bin' \(artifact-corrupted\)"):
        await fetch(system, "resnet", tmp_path / "out")


async def test_an_importer_that_is_away_in_the_middle_is_waited_for(system: System, tmp_path: Path):
    contents = {f"file{number}": bytes([number]) * 400_000 for number in range(40)}
    await a_version(system, "resnet", contents)
    bar = Bar()
    running = asyncio.ensure_future(fetch(system, "resnet", tmp_path / "out", bar))
    await bar.told.wait()
    await system.restart("importer")

    await running

    assert found(tmp_path / "out") == contents


async def test_an_importer_that_stays_away_is_given_up_and_the_next_run_goes_on(system: System, tmp_path: Path):
    contents = {f"file{number}": bytes([number]) * 400_000 for number in range(40)}
    await a_version(system, "resnet", contents)
    bar = Bar()
    running = asyncio.ensure_future(fetch(system, "resnet", tmp_path / "out", bar, patience_s=1))
    await bar.told.wait()
    await system.stop("importer")
    with pytest.raises(ModelkinError, match="goes on from here"):
        await running
    await system.start("importer")

    done = await fetch(system, "resnet", tmp_path / "out")

    assert found(tmp_path / "out") == contents
    assert done.read_bytes < done.size_bytes


async def test_a_grant_that_ends_in_the_middle_is_renewed(bare_system: System, tmp_path: Path):
    await bare_system.start("importer", "versioning")
    await bare_system.start("registry", grant_lifetime_s=1)
    contents = {f"file{number}": bytes([number]) * 100_000 for number in range(30)}
    await a_version(bare_system, "resnet", contents)

    ended = await a_grant(bare_system, "resnet")
    await eventually(lambda: ended.expires_at + timedelta(seconds=0.1) < utc_now())
    assert await read(bare_system, ended.id, contents["file1"]) == "grant-expired"
    async with lasting_connection(bare_system.nats_url) as connection:
        files = await files_of(Client(connection, bare_system.nats_url), ended.package_digest)
        fetching = Fetching(connection, "0", ended, lambda: a_grant(bare_system, "resnet"), patience_s=20)
        await download(files, tmp_path / "out", fetching, lambda _: None, force=False)

    assert found(tmp_path / "out") == contents


async def test_a_person_reads_with_a_grant_only_what_it_is_for(system: System):
    await a_version(system, "resnet")
    await a_version(system, "other", {"other.bin": b"of another package"})
    grant = await a_grant(system, "resnet")

    assert await read(system, grant.id, b"cat\ndog\n") == b"cat\ndog\n"
    assert await read(system, grant.id, b"cat\ndog\n", offset=4, size_bytes=3) == b"dog"
    assert await read(system, grant.id, b"of another package") == "not-in-package"
    assert await read(system, grant.id, b"cat\ndog\n", size_bytes=9) == "out-of-range"
    assert await read(system, grant.id, b"cat\ndog\n", offset=8, size_bytes=1) == "out-of-range"
    assert await read(system, grant.id, LARGE, size_bytes=512 * 1024 + 1) == "malformed"
    assert await read(system, grant.id, LARGE, offset=-1, size_bytes=10) == "malformed"
    assert await read(system, "nobody's", LARGE, size_bytes=10) == "grant-not-found"
    assert await read(system, "x" * 100_000, LARGE, size_bytes=10) == "grant-not-found"
    assert await read(system, grant.id, LARGE, reader="shop", size_bytes=10) == "grant-of-another-reader"
    assert await read(system, grant.id, LARGE, workspace="1", size_bytes=10) == "grant-of-another-reader"


async def test_the_manifest_itself_can_be_read(system: System):
    await a_version(system, "resnet", {"a": b"a"})
    grant = await a_grant(system, "resnet")
    line = f'{{"digest":"{digest_of(b"a")}","path":"a","size_bytes":1}}'
    manifest = f'{{"files":[{line}],"schema":"modelkin.manifest.v1"}}'.encode()

    assert grant.package_digest == digest_of(manifest)
    assert await read(system, grant.id, manifest) == manifest


async def test_where_the_registry_is_away_it_is_said_so(system: System):
    await a_version(system, "resnet")
    grant = await a_grant(system, "resnet")
    await system.stop("registry")

    assert await read(system, grant.id, b"cat\ndog\n") == "unavailable"


async def test_a_service_reads_as_itself_alone(system: System):
    await a_version(system, "resnet")
    grant = await a_service_grant(system, "resnet")

    assert await read(system, grant.id, b"cat\ndog\n", reader="shop") == b"cat\ndog\n"
    assert await read(system, grant.id, b"cat\ndog\n", reader="other") == "grant-of-another-reader"
    assert await read(system, grant.id, b"cat\ndog\n") == "grant-of-another-reader"
    assert await read(system, grant.id, b"cat\ndog\n", reader="shop", workspace="1") == "grant-of-another-reader"


# The bytes of a model that automatic learning made leave by no download path; deployment is the only way to them.


async def test_an_auto_learning_model_cannot_be_downloaded(system: System, tmp_path: Path):
    model = await an_auto_learning_version(system)

    with pytest.raises(DownloadRefused, match="version-restricted"):
        await fetch(system, model, tmp_path / "out")

    assert not (tmp_path / "out").exists()


async def test_an_auto_learning_model_is_read_with_the_grant_of_a_service_by_that_service_alone(system: System):
    model = await an_auto_learning_version(system)
    grant = await a_service_grant(system, model)

    assert await read(system, grant.id, LARGE, reader="shop", size_bytes=10) == LARGE[:10]
    assert await read(system, grant.id, LARGE, size_bytes=10) == "grant-of-another-reader"


async def test_the_grant_of_another_version_does_not_open_an_auto_learning_model(system: System):
    await an_auto_learning_version(system)
    await a_version(system, "free", {"free.bin": b"free"})
    grant = await a_grant(system, "free")

    assert await read(system, grant.id, LARGE, size_bytes=10) == "not-in-package"


async def test_the_same_bytes_under_another_name_cannot_be_downloaded_either(system: System, tmp_path: Path):
    await an_auto_learning_version(system)
    await a_version(system, "copy")

    with pytest.raises(DownloadRefused, match="version-restricted"):
        await fetch(system, "copy", tmp_path / "out")


async def test_what_descends_from_an_auto_learning_model_is_downloaded_only_once_it_is_lifted(
    system: System, tmp_path: Path
):
    model = await an_auto_learning_version(system)
    tuned = {"tuned.bin": b"tuned"}
    await a_version(system, "tuned", tuned, bases=[{"model": model, "version": "0.0.1"}])

    with pytest.raises(DownloadRefused, match="version-restricted"):
        await fetch(system, "tuned", tmp_path / "out")
    command = LiftRestriction(envelope=said(), model="tuned", version="0.0.1", why="agreed")
    await system.client.jetstream().publish(command.subject, command.body().encode(), headers=command.headers())
    await eventually(lambda: _allowed(system, tmp_path / "out"))

    assert found(tmp_path / "out") == tuned


async def _allowed(system: System, folder: Path) -> bool:
    try:
        await fetch(system, "tuned", folder)
    except DownloadRefused:
        return False
    return True


async def test_a_version_that_is_restricted_after_its_grant_is_read_no_longer_than_the_grant_is_remembered(
    system: System,
):
    """The importer asks the registry anew after ten seconds; here the importer is new, and asks at once."""
    await a_version(system, "resnet")
    grant = await a_grant(system, "resnet")
    assert await read(system, grant.id, b"cat\ndog\n") == b"cat\ndog\n"
    command = {"model": "resnet", "version": "0.0.1", "why": "wrong"}
    await system.publish(command, subject=f"modelkin.cmd.v1.version.delete.0.{token('resnet')}")
    await eventually(lambda: _nothing_left(system))
    await system.restart("importer")

    assert await read(system, grant.id, b"cat\ndog\n") == "version-deleted"


async def _nothing_left(system: System) -> bool:
    return not await system.versions("resnet")


async def test_a_version_in_quarantine_cannot_be_downloaded(bare_system: System, tmp_path: Path):
    await bare_system.start("importer", unsafe_files="quarantine")
    await bare_system.start("versioning", "registry")
    await a_version(bare_system, "resnet", {"evil.pkl": b"cos\nsystem\n(S'true'\ntR."})

    with pytest.raises(DownloadRefused, match="version-quarantined"):
        await fetch(bare_system, "resnet", tmp_path / "out")


async def test_a_version_that_was_left_in_place_cannot_be_downloaded(system: System, tmp_path: Path):
    await a_version(system, "resnet", reference=True)

    with pytest.raises(DownloadRefused, match="kept-in-place"):
        await fetch(system, "resnet", tmp_path / "out")
