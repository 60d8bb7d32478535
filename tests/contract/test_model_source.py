"""The ModelSource: the files of a package, by path. In memory, in folders, in a bucket, in archives, from a web server."""

import functools
import io
import json
import pickle
import tarfile
import threading
import zipfile
from collections.abc import Callable, Mapping, Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from services.importer.domain import Unacceptable
from services.importer.ports import FoundFile, ModelSource
from services.importer.secrets import Secrets
from services.importer.sources.limits import Limits
from services.importer.sources.routing import Sources
from shared.values import Reason
from tests.fakes import InMemoryModelSource
from tests.s3 import S3Server

PACKAGES: Mapping[str, Mapping[str, bytes]] = {
    "run-7": {"model/weights.pt": b"weights", "Notes": b"", "model/config.json": b"{}", "模型.txt": b"ab"},
    "run-8": {},
}


class Shelf(NamedTuple):
    """A source, and where its packages are."""

    source: ModelSource
    location: Callable[[str], str]


def sources(tmp_path: Path) -> Sources:
    secrets = Secrets(tmp_path / "secrets", {})
    limits = Limits(max_files=10, max_package_bytes=1000)
    return Sources([tmp_path], ["127.0.0.1"], secrets, limits, tmp_path / "spool")


def in_memory(tmp_path: Path, request: pytest.FixtureRequest) -> Shelf:
    return Shelf(
        InMemoryModelSource({f"memory:///{run}": files for run, files in PACKAGES.items()}), "memory:///{}".format
    )


def in_folders(tmp_path: Path, request: pytest.FixtureRequest) -> Shelf:
    for run, files in PACKAGES.items():
        (tmp_path / run / "model").mkdir(parents=True)
        for path, content in files.items():
            (tmp_path / run / path).write_bytes(content)
    return Shelf(sources(tmp_path), lambda run: (tmp_path / run).as_uri())


def in_a_bucket(tmp_path: Path, request: pytest.FixtureRequest) -> Shelf:
    server: S3Server = request.getfixturevalue("s3_server")
    bucket = server.bucket(
        {f"{run}/{path}": content for run, files in PACKAGES.items() for path, content in files.items()}
    )
    # As a console makes a folder: an empty object whose key ends with '/'.
    for marker in ("run-8/", "run-7/", "run-7/model/", "run-7/void/"):
        server.put_marker(bucket, marker)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "0.json").write_text(json.dumps({"stores": {f"s3://{bucket}": server.secret()}}))
    return Shelf(sources(tmp_path), f"s3://{bucket}/{{}}".format)


def zipped(path: Path, files: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def tarred(mode: str, path: Path, files: Mapping[str, bytes]) -> None:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


ARCHIVERS: Mapping[str, Callable[[Path, Mapping[str, bytes]], None]] = {
    ".zip": zipped,
    ".tar": functools.partial(tarred, "w:"),
    ".tar.gz": functools.partial(tarred, "w:gz"),
    ".tgz": functools.partial(tarred, "w:gz"),
}


def in_archives(suffix: str, tmp_path: Path, request: pytest.FixtureRequest) -> Shelf:
    for run, files in PACKAGES.items():
        ARCHIVERS[suffix](tmp_path / f"{run}{suffix}", files)
    return Shelf(sources(tmp_path), lambda run: (tmp_path / f"{run}{suffix}").as_uri())


def in_archives_of_a_bucket(suffix: str, tmp_path: Path, request: pytest.FixtureRequest) -> Shelf:
    in_archives(suffix, tmp_path, request)
    server: S3Server = request.getfixturevalue("s3_server")
    bucket = server.bucket({f"{run}{suffix}": (tmp_path / f"{run}{suffix}").read_bytes() for run in PACKAGES})
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "0.json").write_text(json.dumps({"stores": {f"s3://{bucket}": server.secret()}}))
    return Shelf(sources(tmp_path), lambda run: f"s3://{bucket}/{run}{suffix}")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def on_the_web(suffix: str, tmp_path: Path, request: pytest.FixtureRequest) -> Shelf:
    in_archives(suffix, tmp_path, request)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    serving = threading.Thread(target=server.serve_forever, args=(0.01,))
    serving.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        serving.join()

    request.addfinalizer(stop)
    return Shelf(sources(tmp_path), lambda run: f"http://127.0.0.1:{server.server_port}/{run}{suffix}")


SHELVES: Mapping[str, Callable[[Path, pytest.FixtureRequest], Shelf]] = {
    "fake": in_memory,
    "folders": in_folders,
    "bucket": in_a_bucket,
    **{f"file{suffix}": functools.partial(in_archives, suffix) for suffix in ARCHIVERS},
    **{f"bucket{suffix}": functools.partial(in_archives_of_a_bucket, suffix) for suffix in (".zip", ".tgz")},
    **{f"web{suffix}": functools.partial(on_the_web, suffix) for suffix in (".zip", ".tar.gz")},
}


@pytest.fixture(params=SHELVES)
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    return SHELVES[request.param](tmp_path, request)


async def test_the_files_of_a_package_are_found_by_path_with_their_sizes(shelf: Shelf):
    async with shelf.source.found(shelf.location("run-7"), "0") as found:
        assert [(file.path, file.size_bytes) for file in found] == [
            ("Notes", 0),
            ("model/config.json", 2),
            ("model/weights.pt", 7),
            ("模型.txt", 2),
        ]


def contents(files: Sequence[FoundFile]) -> dict[str, bytes]:
    held = {}
    for file in files:
        with file.open() as content:
            held[file.path] = content.read()
    return held


async def test_each_file_gives_its_bytes_as_often_as_it_is_opened(shelf: Shelf):
    async with shelf.source.found(shelf.location("run-7"), "0") as found:
        assert contents(found) == PACKAGES["run-7"]
        assert contents(found) == PACKAGES["run-7"]


async def test_a_file_can_be_read_from_anywhere_into_a_buffer(shelf: Shelf):
    buffer = bytearray(3)
    async with shelf.source.found(shelf.location("run-7"), "0") as found:
        with found[2].open() as content:
            content.seek(-3, io.SEEK_END)
            content.readinto(buffer)  # type: ignore[attr-defined]  # an Opener's files have it
            assert (bytes(buffer), content.tell()) == (b"hts", 7)
            content.seek(1)
            content.readinto(buffer)  # type: ignore[attr-defined]
            assert (bytes(buffer), content.tell()) == (b"eig", 4)
            assert content.seek(-1, io.SEEK_CUR) == 3
            assert content.read() == b"ghts"
            assert content.read() == b""


async def test_how_to_open_a_file_can_be_sent_to_another_process(shelf: Shelf):
    async with shelf.source.found(shelf.location("run-7"), "0") as found:
        sent = pickle.loads(pickle.dumps(found[2].open))
        with sent() as content:
            assert content.read() == b"weights"


async def test_states_are_the_same_as_long_as_nothing_changes(shelf: Shelf):
    async with shelf.source.found(shelf.location("run-7"), "0") as found:
        first = [file.state for file in found]
    async with shelf.source.found(shelf.location("run-7"), "0") as found:
        second = [file.state for file in found]
    known = [state for state in first if state is not None]

    assert first == second
    assert len(set(known)) == len(known)


async def test_the_folders_right_below_a_location_are_named(shelf: Shelf):
    assert [name for name in await shelf.source.folders(shelf.location("run-7"), "0") if name != "void"] == ["model"]


@pytest.mark.parametrize(("run", "reason"), [("run-8", Reason.LOCATION_EMPTY), ("run-9", Reason.LOCATION_NOT_FOUND)])
async def test_a_place_without_a_package_is_refused(shelf: Shelf, run: str, reason: Reason):
    with pytest.raises(Unacceptable) as caught:
        async with shelf.source.found(shelf.location(run), "0"):
            pass

    assert caught.value.refusal.reason is reason


async def test_nothing_is_left_in_the_spool(shelf: Shelf, tmp_path: Path):
    async with shelf.source.found(shelf.location("run-7"), "0") as found:
        contents(found)

    assert not [*(tmp_path / "spool").glob("*")]
