"""Models in buckets of a real S3 server: many, large, changing, refused, cut off; and what is never said."""

import asyncio
import contextlib
import functools
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import traceback
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import obstore
import pytest

from services.importer.artifacts.objects import ObjectArtifacts
from services.importer.artifacts.opening import open_artifacts
from services.importer.domain import Unacceptable
from services.importer.ports import ArtifactStore, Blob, FoundFile
from services.importer.secrets import Secrets
from services.importer.sources.limits import Limits
from services.importer.sources.routing import Sources
from shared.errors import Transient
from shared.values import Reason
from tests.s3 import KEY_ID, LISTER_KEY_ID, LISTER_SECRET, SECRET, S3Server, environment_of, start_s3

MB = 1024 * 1024
REPOSITORY = Path(__file__).parents[2]


def put_down(tmp_path: Path, stores: dict[str, dict[str, str]]) -> None:
    (tmp_path / "secrets").mkdir(exist_ok=True)
    (tmp_path / "secrets" / "0.json").write_text(json.dumps({"stores": stores}))


def sources(tmp_path: Path, artifacts: str = "", limits: Limits | None = None) -> Sources:
    """Everything is allowed."""
    limits = limits or Limits(max_files=10_000, max_package_bytes=1_000 * MB)
    hosts = ["*", "127.0.0.0/8"]
    return Sources([tmp_path], hosts, Secrets(tmp_path / "secrets", {}), limits, tmp_path / "spool", artifacts)


async def refusal(source: Sources, location: str, workspace: str = "0") -> Unacceptable:
    with pytest.raises(Unacceptable) as caught:
        async with source.found(location, workspace):
            pass
    return caught.value


async def quiet(_: int) -> None:
    """Nobody listens."""


async def copied(artifacts: ArtifactStore, files: Sequence[FoundFile], workers: int = 8) -> dict[str, Blob]:
    """As an import copies: some at once."""
    room = asyncio.Semaphore(workers)

    async def copy(file: FoundFile) -> Blob:
        async with room:
            content = await asyncio.to_thread(file.open)
            with contextlib.closing(content):
                return await artifacts.put(content, quiet)

    blobs = await asyncio.gather(*(copy(file) for file in files))
    return {file.path: blob for file, blob in zip(files, blobs, strict=True)}


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def test_3000_small_objects_are_found_and_kept(s3_server: S3Server, tmp_path: Path):
    files = {f"run/model/part-{number:04}": b"%d" % number for number in range(3000)}
    bucket = s3_server.bucket({"run/model/config.json": b"{}"})
    store = s3_server.store(bucket)
    for batch in range(0, 3000, 100):
        await asyncio.gather(*(obstore.put_async(store, key, files[key]) for key in [*files][batch : batch + 100]))
    put_down(tmp_path, {f"s3://{bucket}": s3_server.secret()})
    artifacts = open_artifacts(f"s3://{bucket}/kept", tmp_path / "spool", environment_of(s3_server))
    await artifacts.prepare()

    async with sources(tmp_path).found(f"s3://{bucket}/run", "0") as found:
        blobs = await copied(artifacts, found)

    assert len(found) == 3001
    assert blobs["model/part-2999"] == Blob(digest_of(b"2999"), 4)
    assert await artifacts.holds([blob.digest for blob in blobs.values()]) == {blob.digest for blob in blobs.values()}


LARGE = """
import asyncio, json, resource, sys
from pathlib import Path
from services.importer.artifacts.opening import open_artifacts
from services.importer.secrets import Secrets
from services.importer.sources.limits import Limits
from services.importer.sources.routing import Sources

async def main(location, kept, folder):
    environment = json.loads(sys.stdin.read())
    sources = Sources([], [], Secrets(None, environment), Limits(10, 10**10), folder / "spool")
    artifacts = open_artifacts(kept, folder / "spool", environment)
    await artifacts.prepare()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = []
    async def progress(more_bytes): told.append(more_bytes)
    async with sources.found(location, "0") as [file]:
        with file.open() as content:
            blob = await artifacts.put(content, progress)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([blob.digest, sum(told), (peak - before) * 1024]))

asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
"""


async def test_an_object_of_300_mb_goes_from_bucket_to_bucket_in_little_memory(s3_server: S3Server, tmp_path: Path):
    piece = os.urandom(MB)
    bucket = s3_server.bucket()
    digest = hashlib.sha256()
    for _ in range(300):
        digest.update(piece)
    obstore.put(s3_server.store(bucket), "run/large.bin", (piece for _ in range(300)))
    arguments = [f"s3://{bucket}/run/large.bin", f"s3://{bucket}/kept", str(tmp_path)]

    done = await asyncio.to_thread(
        functools.partial(
            subprocess.run,
            [sys.executable, "-c", LARGE, *arguments],
            input=json.dumps(environment_of(s3_server)),
            env={**os.environ, **environment_of(s3_server)},
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            check=True,
        )
    )
    name, told_bytes, memory_bytes = json.loads(done.stdout)

    assert name == f"sha256:{digest.hexdigest()}"
    assert told_bytes == 300 * MB
    assert memory_bytes < 150 * MB
    hex_digest = digest.hexdigest()
    kept = obstore.head(s3_server.store(bucket), f"kept/blobs/sha256/{hex_digest[:2]}/{hex_digest}")
    assert kept["size"] == 300 * MB


@pytest.fixture
def shelf(s3_server: S3Server, tmp_path: Path) -> tuple[str, Sources]:
    """A bucket with a package of one object, and a source that reads it."""
    bucket = s3_server.bucket({"run/model/weights.pt": b"weights" * 1000})
    put_down(tmp_path, {f"s3://{bucket}": s3_server.secret()})
    return bucket, sources(tmp_path)


async def test_an_object_that_changed_since_it_was_listed_is_refused(s3_server: S3Server, shelf: tuple[str, Sources]):
    bucket, source = shelf
    async with source.found(f"s3://{bucket}/run", "0") as [file]:
        obstore.put(s3_server.store(bucket), "run/model/weights.pt", b"WEIGHTS" * 1000)
        with file.open() as content, pytest.raises(Unacceptable) as caught:
            content.read()
    async with source.found(f"s3://{bucket}/run", "0") as [changed]:
        pass

    assert caught.value.refusal[:2] == (Reason.FILE_CHANGED, "'run/model/weights.pt' changed while it was read")
    assert file.state != changed.state


async def test_a_large_object_can_be_read_from_anywhere(s3_server: S3Server, tmp_path: Path):
    content = os.urandom(6 * MB)
    bucket = s3_server.bucket({"run/large": content})
    put_down(tmp_path, {f"s3://{bucket}": s3_server.secret()})
    chance = random.Random(7)

    async with sources(tmp_path).found(f"s3://{bucket}/run", "0") as [file]:
        with file.open() as opened:
            for _ in range(60):
                start, count = chance.randrange(7 * MB), chance.choice([1, 100, 300_000, 3 * MB])
                assert opened.seek(start) == start
                assert at_most(opened, count) == content[start : start + count]


def at_most(opened: BinaryIO, count: int) -> bytes:
    read = b""
    while len(read) < count and (more := opened.read(count - len(read))):
        read += more
    return read


async def test_an_object_that_is_gone_when_it_is_read_is_not_found(s3_server: S3Server, shelf: tuple[str, Sources]):
    bucket, source = shelf
    async with source.found(f"s3://{bucket}/run", "0") as [file]:
        obstore.delete(s3_server.store(bucket), "run/model/weights.pt")
        with file.open() as content, pytest.raises(Unacceptable) as caught:
            content.read()

    assert caught.value.refusal.reason is Reason.LOCATION_NOT_FOUND


async def test_one_object_is_a_package_of_itself(shelf: tuple[str, Sources]):
    bucket, source = shelf
    async with source.found(f"s3://{bucket}/run/model/weights.pt", "0") as [file]:
        assert (file.path, file.size_bytes) == ("weights.pt", 7000)
    assert await source.folders(f"s3://{bucket}/run/model/weights.pt", "0") == []


async def test_a_name_that_begins_like_a_folder_is_another(shelf: tuple[str, Sources]):
    bucket, source = shelf

    assert (await refusal(source, f"s3://{bucket}/ru")).refusal.reason is Reason.LOCATION_NOT_FOUND
    assert (await refusal(source, f"s3://{bucket}/run/model/weights.pt/")).refusal.reason is Reason.LOCATION_NOT_FOUND


async def test_the_folders_below_a_location_are_named_whatever_is_in_them(s3_server: S3Server, tmp_path: Path):
    keys = [f"job/V001/{number}" for number in range(1100)] + ["job/V002/模", "job/V002a/x", "job/log", "job/z/y/x"]
    bucket = s3_server.bucket({"job/V001/model/w": b"w"})
    store = s3_server.store(bucket)
    await asyncio.gather(*(obstore.put_async(store, key, b"x") for key in keys))
    put_down(tmp_path, {f"s3://{bucket}": s3_server.secret()})

    assert await sources(tmp_path).folders(f"s3://{bucket}/job", "0") == ["V001", "V002", "V002a", "z"]
    assert await sources(tmp_path).folders(f"s3://{bucket}", "0") == ["job"]


async def test_too_many_objects_are_not_listed_to_the_end(
    shelf: tuple[str, Sources], s3_server: S3Server, tmp_path: Path
):
    bucket, _ = shelf
    for number in range(5):
        obstore.put(s3_server.store(bucket), f"run/{number}", b"x")

    refused = await refusal(sources(tmp_path, limits=Limits(4, MB)), f"s3://{bucket}/run")

    assert refused.refusal[:2] == (Reason.TOO_MANY_FILES, "the folder holds more than 4 files (MODELKIN_MAX_FILES)")


async def test_objects_larger_together_than_a_package_may_be_are_refused(shelf: tuple[str, Sources], tmp_path: Path):
    bucket, _ = shelf

    refused = await refusal(sources(tmp_path, limits=Limits(4, 6999)), f"s3://{bucket}/run")

    assert refused.refusal.reason is Reason.PACKAGE_TOO_LARGE


@pytest.mark.parametrize(
    ("key_id", "secret"),
    [(KEY_ID, "secret-that-is-wrong"), ("AKIDNOBODY", "secret-that-is-wrong")],
    ids=["secret", "user"],
)
@pytest.mark.parametrize("path", ["run", "run/model/weights.pt", "", "model.zip"])
async def test_wrong_credentials_are_no_authority(
    s3_server: S3Server, shelf: tuple[str, Sources], tmp_path: Path, key_id: str, secret: str, path: str
):
    bucket, _ = shelf
    put_down(tmp_path, {f"s3://{bucket}": s3_server.secret(key_id, secret)})

    refused = await refusal(sources(tmp_path), f"s3://{bucket}/{path}")

    assert refused.refusal.reason is Reason.NOT_AUTHORIZED
    assert_says_nothing(refused, secret, key_id)


async def test_who_may_list_and_not_read_is_refused_when_reading(
    s3_server: S3Server, shelf: tuple[str, Sources], tmp_path: Path
):
    bucket, owner = shelf
    async with owner.found(f"s3://{bucket}/run", "0") as [read]:
        pass
    put_down(tmp_path, {f"s3://{bucket}": s3_server.secret(LISTER_KEY_ID, LISTER_SECRET)})
    async with sources(tmp_path).found(f"s3://{bucket}/run", "0") as [listed]:
        with listed.open() as content, pytest.raises(Unacceptable) as caught:
            content.read()

    assert caught.value.refusal.reason is Reason.NOT_AUTHORIZED
    assert_says_nothing(caught.value, LISTER_SECRET, LISTER_KEY_ID)
    assert listed.state != read.state


async def test_a_bucket_that_is_not_there_is_not_found(s3_server: S3Server, tmp_path: Path):
    put_down(tmp_path, {"s3://no-such-bucket": s3_server.secret()})

    for path in ("", "run", "run/", "model.zip"):
        refused = await refusal(sources(tmp_path), f"s3://no-such-bucket/{path}")
        assert refused.refusal.reason is Reason.LOCATION_NOT_FOUND
        assert_says_nothing(refused, SECRET, KEY_ID, s3_server.endpoint)


async def test_another_workspace_does_not_have_the_credentials(shelf: tuple[str, Sources]):
    bucket, source = shelf

    refused = await refusal(source, f"s3://{bucket}/run", "1")

    assert refused.refusal.reason is Reason.UNSUPPORTED_SCHEME


async def test_nobody_imports_from_where_artifacts_are_kept(shelf: tuple[str, Sources], tmp_path: Path):
    bucket, _ = shelf
    source = sources(tmp_path, artifacts=f"s3://{bucket}/kept")

    for location in (f"s3://{bucket}", f"s3://{bucket}/kept/blobs", f"s3://{bucket}/kept/", f"obs://{bucket}/kept"):
        assert (await refusal(source, location)).refusal.reason is Reason.LOCATION_NOT_ALLOWED
    async with source.found(f"s3://{bucket}/run", "0") as found:
        assert len(found) == 1


def assert_says_nothing(error: BaseException, *secrets: str) -> None:
    """Not in its text, nor in what a log would print of it."""
    printed = "".join(traceback.format_exception(error)) + repr(error)
    assert not [secret for secret in secrets if secret in printed]


async def test_a_server_that_goes_away_is_waited_for(tmp_path: Path):
    server = await start_s3(tmp_path / "s3")
    bucket = server.bucket({"run/a": b"a", "run/large": os.urandom(60 * MB)})
    put_down(tmp_path, {f"s3://{bucket}": server.secret()})
    source = sources(tmp_path)
    artifacts = open_artifacts(f"s3://{bucket}/kept", tmp_path / "spool", environment_of(server))
    await artifacts.prepare()
    try:
        async with source.found(f"s3://{bucket}/run", "0") as [small, large]:
            content = large.open()
            assert content.read(10 * MB)
            server.process.kill()
            for away in (small.open().read, functools.partial(read_all, content)):
                with pytest.raises(Transient) as caught:
                    await asyncio.to_thread(away)
                assert_says_nothing(caught.value, SECRET, KEY_ID, server.endpoint)
        with pytest.raises(Transient) as caught:
            async with source.found(f"s3://{bucket}/run", "0"):
                pass
        assert_says_nothing(caught.value, SECRET, KEY_ID, server.endpoint)
        with pytest.raises(Transient, match=r"^the artifact store is away$"):
            await artifacts.put(io.BytesIO(b"hello"), quiet)
        with pytest.raises(Transient, match=r"^the artifact store is away$"):
            await artifacts.prepare()
    finally:
        server.process.kill()


def read_all(content: io.RawIOBase) -> None:
    while content.read(MB):
        pass


async def test_a_store_that_refuses_the_importer_is_transient(s3_server: S3Server, tmp_path: Path):
    environment = {**environment_of(s3_server), "AWS_SECRET_ACCESS_KEY": "secret-that-is-wrong"}
    artifacts = open_artifacts(f"s3://{s3_server.bucket()}/kept", tmp_path / "spool", environment)

    with pytest.raises(Transient, match=r"does not take the importer's credentials") as caught:
        await artifacts.put(io.BytesIO(b"hello"), quiet)

    assert_says_nothing(caught.value, "secret-that-is-wrong", KEY_ID, s3_server.endpoint)


@pytest.mark.parametrize("place", ["s3://bucket/kept", "ftp://host/kept", "s3://", "file://host/kept"])
def test_a_place_that_names_no_store_is_an_error_at_the_start(place: str, tmp_path: Path):
    with pytest.raises(ValueError, match=r"^the artifact store: "):
        open_artifacts(place, tmp_path, {})


class Endless(io.RawIOBase):
    """Gives bytes for ever."""

    def readinto(self, buffer: memoryview) -> int:
        return len(buffer)


async def test_an_upload_that_is_cancelled_leaves_nothing(s3_server: S3Server, tmp_path: Path):
    bucket = s3_server.bucket()
    artifacts = open_artifacts(f"s3://{bucket}/kept", tmp_path / "spool", environment_of(s3_server))
    assert isinstance(artifacts, ObjectArtifacts)
    await artifacts.prepare()

    for wait_s in (0.05, 0.3, 0.6):
        copying = asyncio.create_task(artifacts.put(Endless(), quiet))
        await asyncio.sleep(wait_s)
        copying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await copying

    assert obstore.list(s3_server.store(bucket)).collect() == []
    assert uploads_of(s3_server, bucket) == []
    assert [*(tmp_path / "spool").iterdir()] == []


def uploads_of(server: S3Server, bucket: str) -> list[str]:
    """Multipart uploads that nobody completed or aborted."""
    answer = server.asked("GET", f"/{bucket}", "uploads=")
    return [part.partition("<")[0] for part in answer.split("<UploadId>")[1:]]


async def test_an_upload_that_nobody_finished_would_be_seen(s3_server: S3Server):
    bucket = s3_server.bucket()
    s3_server.asked("POST", f"/{bucket}/left", "uploads=")

    assert len(uploads_of(s3_server, bucket)) == 1


async def test_a_presigned_url_is_read_as_it_is_and_not_said_back(s3_server: S3Server, tmp_path: Path):
    bucket = s3_server.bucket({"run 7/config.json": b"{}"})
    signed = obstore.sign(s3_server.store(bucket), "GET", "run 7/config.json", timedelta(minutes=5))
    forged = signed[:-4] + ("0000" if signed[-4:] != "0000" else "1111")
    source = sources(tmp_path)

    async with source.found(signed, "0") as [file]:
        with file.open() as content:
            assert (file.path, content.read()) == ("config.json", b"{}")
    refused = await refusal(source, forged)

    assert refused.refusal[:2] == (
        Reason.NOT_AUTHORIZED,
        "the web server does not give 'config.json': status 403",
    )
    assert_says_nothing(refused, "X-Amz-Signature", KEY_ID)


@pytest.mark.parametrize(
    "location", ["ftp://user:secret@host/x", "/models/run-7", "run-7", "", "C:\\models", "S3://b/x"]
)
async def test_a_scheme_that_nobody_knows_is_refused_with_the_known_ones(tmp_path: Path, location: str):
    refused = await refusal(sources(tmp_path), location)

    assert refused.refusal.reason is Reason.UNSUPPORTED_SCHEME
    assert str(refused).endswith("expected one of file://, s3://, obs://, gs://, az://, http://, https://")
    assert "secret" not in str(refused)


async def test_a_spool_that_cannot_be_written_is_transient_at_the_start(tmp_path: Path):
    (tmp_path / "spool").write_bytes(b"a file is in the way")

    with pytest.raises(Transient, match=r"^the importer's spool cannot be written: "):
        await sources(tmp_path).prepare()


async def test_what_a_process_that_died_left_in_the_spool_is_removed(tmp_path: Path):
    source = sources(tmp_path)
    await source.prepare()
    for name in ("old.spool", "young.spool"):
        (tmp_path / "spool" / name).write_bytes(b"x")
    os.utime(tmp_path / "spool" / "old.spool", (0, 0))

    await source.prepare()

    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["young.spool"]
