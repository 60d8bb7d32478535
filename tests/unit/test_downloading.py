"""Downloading into a folder: digests, what is there already, what was begun, paths that lead out, grants that end."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import nats.errors
import pytest

from modelkin import fetching
from modelkin.downloading import Downloaded, download
from modelkin.errors import ModelkinError
from modelkin.fetching import Fetching
from modelkin.placing import places_of
from shared.queries import ERROR_HEADER, LARGEST_READ_BYTES, QueryFailed
from shared.values import File, Grant
from tests.samples import at, digest


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def listed(contents: Mapping[str, bytes]) -> list[File]:
    return [File(path=path, digest=digest_of(one), size_bytes=len(one)) for path, one in contents.items()]


class Source:
    """Gives the bytes of files, ten at a time; may stop in the middle."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._by_digest = {digest_of(one): one for one in contents.values()}
        self.asked: list[tuple[str, int]] = []
        self.stops_after: int | None = None

    async def parts(self, file: File, offset: int) -> AsyncIterator[bytes]:
        self.asked.append((file.path, offset))
        for start in range(offset, file.size_bytes, 10):
            if self.stops_after == 0:
                raise ModelkinError("nobody answers")
            if self.stops_after is not None:
                self.stops_after -= 1
            yield self._by_digest[file.digest][start : min(start + 10, file.size_bytes)]


async def fetch(
    folder: Path, contents: Mapping[str, bytes], source: Source | None = None, *, force: bool = False
) -> Downloaded:
    return await download(listed(contents), folder, source or Source(contents), lambda _: None, force=force)


def found(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


WEIGHTS = bytes(range(100))
PACKAGE = {"model/weights.bin": WEIGHTS, "model/config.json": b"{}", "model/empty": b""}


async def test_all_files_come_into_the_folder(tmp_path: Path):
    done = await fetch(tmp_path / "new" / "folder", PACKAGE)

    assert found(tmp_path / "new" / "folder") == PACKAGE
    assert done == Downloaded(files=3, size_bytes=102, read_bytes=102, resumed=0, skipped=0)


async def test_progress_adds_up_to_all_bytes_whether_they_were_there_or_not(tmp_path: Path):
    told: list[int] = []
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_bytes(b"{}")
    (tmp_path / "model" / "weights.bin.part").write_bytes(WEIGHTS[:35])

    await download(listed(PACKAGE), tmp_path, Source(PACKAGE), told.append, force=False)

    assert sum(told) == 102


async def test_what_is_there_is_not_read_again(tmp_path: Path):
    await fetch(tmp_path, PACKAGE)
    source = Source(PACKAGE)
    done = await fetch(tmp_path, PACKAGE, source)

    assert source.asked == []
    assert done == Downloaded(files=3, size_bytes=102, read_bytes=0, resumed=0, skipped=3)


async def test_what_was_begun_goes_on_from_there(tmp_path: Path):
    source = Source({"weights.bin": WEIGHTS})
    source.stops_after = 4
    with pytest.raises(ModelkinError, match="nobody answers"):
        await fetch(tmp_path, {"weights.bin": WEIGHTS}, source)
    assert found(tmp_path) == {"weights.bin.part": WEIGHTS[:40]}
    source.stops_after = None

    done = await fetch(tmp_path, {"weights.bin": WEIGHTS}, source)

    assert source.asked == [("weights.bin", 0), ("weights.bin", 40)]
    assert found(tmp_path) == {"weights.bin": WEIGHTS}
    assert (done.read_bytes, done.resumed) == (60, 1)


@pytest.mark.parametrize("left", [b"something else", b"x" * 100, b"x" * 1000], ids=["shorter", "as long", "longer"])
async def test_what_another_version_had_begun_is_begun_anew(tmp_path: Path, left: bytes):
    (tmp_path / "weights.bin.part").write_bytes(left)

    done = await fetch(tmp_path, {"weights.bin": WEIGHTS})

    assert found(tmp_path) == {"weights.bin": WEIGHTS}
    assert done.resumed == 0


async def test_bytes_of_another_digest_are_refused_by_name_and_not_kept(tmp_path: Path):
    source = Source({"weights.bin": WEIGHTS})
    source._by_digest[digest_of(WEIGHTS)] = b"X" + WEIGHTS[1:]

    with pytest.raises(ModelkinError, match=r"'weights\.bin': the bytes that came are sha256:"):
        await fetch(tmp_path, {"weights.bin": WEIGHTS}, source)

    assert found(tmp_path) == {}


async def test_a_different_file_is_not_overwritten_and_nothing_is_read(tmp_path: Path):
    (tmp_path / "b.txt").write_bytes(b"mine")
    source = Source({"a.txt": b"theirs", "b.txt": b"theirs too"})

    with pytest.raises(ModelkinError, match=r"'b\.txt' with other content: --force overwrites"):
        await fetch(tmp_path, {"a.txt": b"theirs", "b.txt": b"theirs too"}, source)

    assert source.asked == []
    assert found(tmp_path) == {"b.txt": b"mine"}


async def test_a_different_file_is_overwritten_where_that_is_asked_for(tmp_path: Path):
    (tmp_path / "b.txt").write_bytes(b"mine")

    await fetch(tmp_path, {"b.txt": b"theirs"}, force=True)

    assert found(tmp_path) == {"b.txt": b"theirs"}


@pytest.mark.parametrize(
    "path",
    ["../out", "/etc/passwd", "a/../../out", "a//b", "./a", "..", "", "a/", "a\0b"],
)
async def test_a_path_that_leads_out_of_the_folder_is_refused(tmp_path: Path, path: str):
    folder = tmp_path / "folder"

    with pytest.raises(ModelkinError, match="stays inside the folder"):
        await fetch(folder, {path: b"evil"})

    assert found(tmp_path) == {}


async def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path):
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir()
    folder.mkdir()
    (folder / "model").symlink_to(outside)

    with pytest.raises(ModelkinError, match="leads out of"):
        await fetch(folder, {"model/deep/weights.bin": WEIGHTS})

    assert list(outside.iterdir()) == []


async def test_a_link_that_stays_in_the_folder_is_followed(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "model").symlink_to("real")

    await fetch(tmp_path, {"model/weights.bin": WEIGHTS})

    assert (tmp_path / "real" / "weights.bin").read_bytes() == WEIGHTS


async def test_a_link_in_the_place_of_a_file_is_replaced_not_written_through(tmp_path: Path):
    outside, folder = tmp_path / "outside.bin", tmp_path / "folder"
    outside.write_bytes(b"mine")
    folder.mkdir()
    (folder / "weights.bin").symlink_to(outside)

    with pytest.raises(ModelkinError, match="--force"):
        await fetch(folder, {"weights.bin": WEIGHTS})
    await fetch(folder, {"weights.bin": WEIGHTS}, force=True)

    assert outside.read_bytes() == b"mine"
    assert (folder / "weights.bin").read_bytes() == WEIGHTS
    assert not (folder / "weights.bin").is_symlink()


async def test_a_link_in_the_place_of_a_part_is_not_written_through(tmp_path: Path):
    outside, folder = tmp_path / "outside.bin", tmp_path / "folder"
    outside.write_bytes(b"mine")
    folder.mkdir()
    (folder / "weights.bin.part").symlink_to(outside)

    with pytest.raises(ModelkinError, match="cannot be written"):
        await fetch(folder, {"weights.bin": WEIGHTS})

    assert outside.read_bytes() == b"mine"


async def test_a_folder_in_the_place_of_a_file_is_an_error(tmp_path: Path):
    (tmp_path / "weights.bin").mkdir()

    with pytest.raises(ModelkinError, match="cannot be written"):
        await fetch(tmp_path, {"weights.bin": WEIGHTS}, force=True)


async def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path):
    (tmp_path / "model").write_bytes(b"a file")

    with pytest.raises(ModelkinError, match="cannot be made"):
        await fetch(tmp_path, {"model/weights.bin": WEIGHTS})


async def test_files_that_are_named_like_parts_do_not_meet_them(tmp_path: Path):
    package = {"a": b"first", "a.part": b"second", "a.part.part": b"third", "n" * 255: b"long"}

    await fetch(tmp_path, package)

    assert found(tmp_path) == package


async def test_many_files_come(tmp_path: Path):
    package = {f"folder{number % 7}/file{number}": str(number).encode() * 5 for number in range(300)}

    await fetch(tmp_path, package)

    assert found(tmp_path) == package


def test_a_path_that_is_listed_twice_is_refused(tmp_path: Path):
    with pytest.raises(ModelkinError, match="twice"):
        places_of([*listed({"a": b"1"}), *listed({"a": b"2"})], tmp_path)


# Bytes with a grant.


def a_grant(name: str, letter: str = "a") -> Grant:
    return Grant(id=name, package_digest=digest(letter), expires_at=at(900))


class Importer:
    """Answers as the importer would. Each fault is met once."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.faults: list[str | Exception] = []
        self.grants: list[str] = []
        self.subjects: set[str] = set()
        self.ended: set[str] = set()

    async def request(self, subject: str, payload: bytes, *, timeout: float) -> SimpleNamespace:  # noqa: ARG002, ASYNC109 - nats-py's
        await asyncio.sleep(0)
        query = json.loads(payload)
        self.subjects.add(subject)
        self.grants.append(query["grant"])
        if query["grant"] in self.ended:
            self.faults.insert(0, "grant-expired")
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, Exception):
                raise fault
            failure = QueryFailed(error=fault, message=f"it is {fault}")
            return SimpleNamespace(headers={ERROR_HEADER: fault}, data=failure.model_dump_json().encode())
        data = self.content[query["offset"] : query["offset"] + query["size_bytes"]]
        return SimpleNamespace(headers=None, data=data)


@pytest.fixture(autouse=True)
def _retries_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "RETRY_EVERY_S", 0.001)


async def read_all(importer: Importer, *, patience_s: float = 10, offset: int = 0) -> bytes:
    renewed = iter(range(100))

    async def renew() -> Grant:
        return a_grant(f"renewed-{next(renewed)}")

    source = Fetching(importer, "0", a_grant("first"), renew, patience_s)
    [file] = listed({"weights.bin": importer.content})
    return b"".join([part async for part in source.parts(file, offset)])


LARGE = bytes(range(256)) * 9000


async def test_parts_come_in_order_whatever_their_size():
    importer = Importer(LARGE)

    assert await read_all(importer) == LARGE
    assert len(importer.grants) == -(-len(LARGE) // LARGEST_READ_BYTES)
    assert importer.subjects == {"modelkin.qry.v1.file.read.0.~"}


async def test_reading_begins_where_it_is_told_to():
    assert await read_all(Importer(LARGE), offset=1_000_000) == LARGE[1_000_000:]


async def test_a_grant_that_ended_is_renewed_once_for_all_parts():
    importer = Importer(LARGE)
    importer.ended = {"first"}

    assert await read_all(importer) == LARGE
    assert {*importer.grants} == {"first", "renewed-0"}


async def test_grants_that_never_hold_are_given_up():
    importer = Importer(WEIGHTS)
    importer.faults = ["grant-expired"] * 100

    with pytest.raises(ModelkinError, match="no grant holds"):
        await read_all(importer)


@pytest.mark.parametrize(
    "fault", ["unavailable", nats.errors.NoRespondersError(), nats.errors.TimeoutError(), ConnectionResetError()]
)
async def test_who_does_not_answer_is_asked_again(fault: str | Exception):
    importer = Importer(WEIGHTS)
    importer.faults = [fault] * 5

    assert await read_all(importer) == WEIGHTS


async def test_who_never_answers_is_given_up_after_a_while():
    importer = Importer(WEIGHTS)
    importer.faults = [nats.errors.NoRespondersError()] * 10_000

    with pytest.raises(ModelkinError, match=r"the importer does not run.*goes on from here"):
        await read_all(importer, patience_s=0.05)


@pytest.mark.parametrize("code", ["version-restricted", "version-deleted", "not-in-package", "artifact-corrupted"])
async def test_what_no_repeat_mends_is_told_at_once(code: str):
    importer = Importer(WEIGHTS)
    importer.faults = [code]

    with pytest.raises(ModelkinError, match=rf"'weights\.bin' \({code}\): it is {code}"):
        await read_all(importer)


async def test_fewer_bytes_than_were_asked_for_are_an_error():
    importer = Importer(WEIGHTS)
    [file] = listed({"weights.bin": WEIGHTS + b"more"})
    source = Fetching(importer, "0", a_grant("first"), lambda: None, 1)

    with pytest.raises(ModelkinError, match="100 bytes came where 104 were asked for"):
        [part async for part in source.parts(file, 0)]


async def test_a_version_that_holds_another_package_suddenly_is_an_error():
    importer = Importer(WEIGHTS)
    importer.faults = ["grant-expired"]

    async def renew() -> Grant:
        return a_grant("other", "b")

    [file] = listed({"weights.bin": WEIGHTS})
    with pytest.raises(ModelkinError, match="another package"):
        [part async for part in Fetching(importer, "0", a_grant("first"), renew, 1).parts(file, 0)]
