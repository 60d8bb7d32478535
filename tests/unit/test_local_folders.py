"""Models in folders of this machine: real folders, links, pipes and rights."""

import contextlib
import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from services.importer.domain import Unacceptable
from services.importer.ports import FoundFile
from services.importer.sources.folders import LocalFolders
from services.importer.sources.limits import Limits
from services.importer.sources.spool import Spool
from shared.values import Reason

NOBODY = 65534
FIVE_SMALL = Limits(max_files=5, max_package_bytes=1000)


def local(roots: Sequence[Path], now: Callable[[], float] = time.time) -> LocalFolders:
    return LocalFolders(roots, FIVE_SMALL, Spool(Path("/nowhere")), now)


async def files_at(source: LocalFolders, location: str) -> Sequence[FoundFile]:
    async with source.found(location, "0") as files:
        return files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder that the importer may read. Beside it there is room for what it may not."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def run(root: Path) -> Path:
    """A package of one file."""
    folder = root / "run-7"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "weights.pt").write_bytes(b"weights")
    return folder


@pytest.fixture
def source(root: Path) -> LocalFolders:
    return local([root])


async def refusal(source: LocalFolders, location: str | Path) -> Unacceptable:
    with pytest.raises(Unacceptable) as caught:
        await files_at(source, location if isinstance(location, str) else location.as_uri())
    return caught.value


async def reason(source: LocalFolders, location: str | Path) -> Reason:
    return (await refusal(source, location)).refusal.reason


async def test_the_files_of_a_folder_are_found_by_path_with_their_sizes(source: LocalFolders, run: Path):
    (run / "model" / "config.json").write_bytes(b"{}")
    (run / "Notes").write_bytes(b"")
    (run / "模型.txt").write_bytes(b"ab")

    found = await files_at(source, run.as_uri())

    assert [(file.path, file.size_bytes) for file in found] == [
        ("Notes", 0),
        ("model/config.json", 2),
        ("model/weights.pt", 7),
        ("模型.txt", 2),
    ]


async def test_a_found_file_gives_its_bytes(source: LocalFolders, run: Path):
    [file] = await files_at(source, run.as_uri())

    with file.open() as content:
        assert content.read() == b"weights"


async def test_the_root_itself_may_be_a_package(source: LocalFolders, root: Path, run: Path):
    [file] = await files_at(source, root.as_uri())

    assert file.path == "run-7/model/weights.pt"


async def test_a_location_may_have_escapes_a_slash_at_its_end_and_name_this_host(source: LocalFolders, root: Path):
    (root / "run 7 %").mkdir()
    (root / "run 7 %" / "weights.pt").write_bytes(b"w")

    found = await files_at(source, f"file://localhost{root}/run%207%20%25/")

    assert [file.path for file in found] == ["weights.pt"]


async def test_a_folder_that_is_not_there_is_not_found(source: LocalFolders, root: Path):
    refused = await refusal(source, root / "run-8")

    assert refused.refusal.reason is Reason.LOCATION_NOT_FOUND
    assert str(refused).endswith("/run-8' does not exist: expected a folder or a file")


async def test_a_place_below_a_file_is_not_found(source: LocalFolders, run: Path):
    assert await reason(source, run / "model" / "weights.pt" / "x") is Reason.LOCATION_NOT_FOUND


async def test_a_folder_without_a_file_is_empty(source: LocalFolders, root: Path):
    (root / "run-8" / "model").mkdir(parents=True)

    refused = await refusal(source, root / "run-8")

    assert refused.refusal.reason is Reason.LOCATION_EMPTY
    assert str(refused).endswith("/run-8' holds no file: expected a model")


async def test_a_file_is_a_package_of_itself(source: LocalFolders, run: Path):
    [file] = await files_at(source, (run / "model" / "weights.pt").as_uri())

    assert (file.path, file.size_bytes) == ("weights.pt", 7)
    with file.open() as content:
        assert content.read() == b"weights"


async def test_a_pipe_is_no_package(source: LocalFolders, root: Path):
    os.mkfifo(root / "pipe")

    assert await reason(source, root / "pipe") is Reason.UNSUPPORTED_FILE


async def test_a_location_is_said_back_short_and_without_control_characters(source: LocalFolders):
    refused = await refusal(source, f"file:///{'x' * 100}%0a")

    assert str(refused).startswith(f"'…{'x' * 79}\\n' is outside")


async def test_files_larger_together_than_a_package_may_be_are_refused(source: LocalFolders, run: Path):
    (run / "large.bin").write_bytes(bytes(994))

    refused = await refusal(source, run)

    expected = "expected at most 1000 bytes (MODELKIN_MAX_PACKAGE_BYTES)"
    assert refused.refusal[:2] == (Reason.PACKAGE_TOO_LARGE, f"the package holds 1001 bytes: {expected}")


async def test_the_folders_right_below_a_location_are_named(source: LocalFolders, run: Path, tmp_path: Path):
    (run / "V002" / "model").mkdir(parents=True)
    (run / "V001").mkdir()
    (run / "V003").symlink_to(tmp_path)

    assert await source.folders(run.as_uri(), "0") == ["V001", "V002", "model"]


async def test_a_file_holds_no_folders(source: LocalFolders, run: Path):
    assert await source.folders((run / "model" / "weights.pt").as_uri(), "0") == []


def hours_later() -> float:
    return time.time() + 7200


async def test_a_file_that_settled_has_a_state_that_changes_with_it(root: Path, run: Path):
    source = local([root], hours_later)
    [first] = await files_at(source, run.as_uri())
    [again] = await files_at(source, run.as_uri())
    (run / "model" / "weights.pt").write_bytes(b"WEIGHTS")
    [changed] = await files_at(source, run.as_uri())

    assert first.state is not None
    assert first.state == again.state
    assert first.state != changed.state


async def test_a_file_that_was_just_written_has_no_state(source: LocalFolders, run: Path):
    [file] = await files_at(source, run.as_uri())

    assert file.state is None


async def test_a_file_that_changed_since_it_was_found_is_refused(source: LocalFolders, run: Path):
    [file] = await files_at(source, run.as_uri())
    (run / "model" / "weights.pt").write_bytes(b"other bytes")

    with pytest.raises(Unacceptable) as caught:
        file.open()

    assert caught.value.refusal[:2] == (Reason.FILE_CHANGED, "'model/weights.pt' changed while it was read")


async def test_a_file_that_grows_while_it_is_read_is_refused(source: LocalFolders, run: Path):
    [file] = await files_at(source, run.as_uri())

    with file.open() as content:
        assert content.readinto(bytearray(5)) == 5  # type: ignore[attr-defined]  # an Opener's files have it
        with (run / "model" / "weights.pt").open("ab") as growing:
            growing.write(b"more")
        assert content.readinto(bytearray(20)) == 6  # type: ignore[attr-defined]
        with pytest.raises(Unacceptable) as caught:
            content.readinto(bytearray(20))  # type: ignore[attr-defined]

    assert caught.value.refusal.reason is Reason.FILE_CHANGED


async def test_how_to_open_a_file_can_be_sent_to_another_process(source: LocalFolders, run: Path):
    [file] = await files_at(source, run.as_uri())

    with pickle.loads(pickle.dumps(file.open))() as content:
        assert content.read() == b"weights"


@pytest.mark.parametrize("way_out", ["..", "run-7/../..", "run-7/../../secret", "%2e%2e/secret"])
async def test_no_path_leads_out_of_the_roots(
    source: LocalFolders, run: Path, root: Path, tmp_path: Path, way_out: str
):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_bytes(b"key")

    refused = await refusal(source, f"file://{root}/{way_out}")

    assert refused.refusal.reason is Reason.LOCATION_NOT_ALLOWED
    assert "MODELKIN_ALLOWED_ROOTS" in str(refused)


async def test_a_folder_whose_name_begins_like_a_root_is_outside_it(source: LocalFolders, root: Path):
    beside = root.with_name("models-of-others")
    beside.mkdir()

    assert await reason(source, beside) is Reason.LOCATION_NOT_ALLOWED


async def test_outside_the_roots_nothing_is_said_of_what_exists(source: LocalFolders, tmp_path: Path):
    (tmp_path / "there").mkdir()

    there, absent = await refusal(source, tmp_path / "there"), await refusal(source, tmp_path / "gone")

    assert str(there).replace("there", "gone") == str(absent)


async def test_without_roots_every_location_is_refused(run: Path):
    assert await reason(local([]), run) is Reason.LOCATION_NOT_ALLOWED


async def test_a_link_among_the_roots_that_leads_out_is_not_followed(source: LocalFolders, root: Path, tmp_path: Path):
    (tmp_path / "secret").mkdir()
    (root / "run-9").symlink_to(tmp_path / "secret")

    assert await reason(source, root / "run-9") is Reason.LOCATION_NOT_ALLOWED


async def test_a_link_to_another_run_of_the_roots_is_that_run(source: LocalFolders, root: Path, run: Path):
    (root / "best").symlink_to(run)

    [file] = await files_at(source, (root / "best").as_uri())

    assert file.path == "model/weights.pt"


async def test_a_root_may_be_a_link(root: Path, run: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(root)
    source = local([tmp_path / "link"])

    assert len(await files_at(source, (tmp_path / "link" / "run-7").as_uri())) == 1


async def test_a_link_out_of_the_folder_is_refused(source: LocalFolders, run: Path, tmp_path: Path):
    (tmp_path / "key").write_bytes(b"key")
    (run / "model" / "key.pt").symlink_to(tmp_path / "key")

    refused = await refusal(source, run)

    assert refused.refusal[:2] == (Reason.LINK_LEAVES_FOLDER, "'model/key.pt' is a link that leaves the folder")


async def test_a_link_to_another_run_is_refused_though_the_root_holds_both(source: LocalFolders, root: Path, run: Path):
    (root / "run-6").mkdir()
    (root / "run-6" / "weights.pt").write_bytes(b"other")
    (run / "model" / "base.pt").symlink_to("../../run-6/weights.pt")

    assert await reason(source, run) is Reason.LINK_LEAVES_FOLDER


async def test_a_link_inside_the_folder_is_a_file_like_its_target(source: LocalFolders, run: Path):
    (run / "model" / "best.pt").symlink_to("weights.pt")

    best, weights = await files_at(source, run.as_uri())

    assert (best.path, best.size_bytes) == ("model/best.pt", 7)
    with best.open() as content:
        assert content.read() == b"weights"
    assert weights.path == "model/weights.pt"


async def test_a_dangling_link_cannot_be_read(source: LocalFolders, run: Path):
    (run / "model" / "best.pt").symlink_to("gone.pt")

    refused = await refusal(source, run)

    assert refused.refusal.reason is Reason.LOCATION_UNREADABLE
    assert str(refused).endswith("cannot be read: No such file or directory")


async def test_a_link_to_itself_cannot_be_read(source: LocalFolders, run: Path):
    (run / "model" / "best.pt").symlink_to("best.pt")

    assert await reason(source, run) is Reason.LOCATION_UNREADABLE


async def test_a_link_to_a_folder_is_no_regular_file(source: LocalFolders, run: Path):
    (run / "again").symlink_to("model")

    refused = await refusal(source, run)

    assert refused.refusal[:2] == (Reason.UNSUPPORTED_FILE, "'again' is a link to a folder: expected a regular file")


async def test_a_link_to_a_folder_above_does_not_go_round_for_ever(source: LocalFolders, run: Path):
    (run / "model" / "up").symlink_to("..")

    assert await reason(source, run) is Reason.UNSUPPORTED_FILE


async def test_a_pipe_is_refused_and_not_waited_for(source: LocalFolders, run: Path):
    os.mkfifo(run / "model" / "pipe.pt")

    refused = await refusal(source, run)

    assert refused.refusal[:2] == (
        Reason.UNSUPPORTED_FILE,
        "'model/pipe.pt' is a pipe or socket: expected a regular file",
    )


async def test_as_many_files_as_allowed_are_found_and_one_more_is_too_many(source: LocalFolders, root: Path):
    many = root / "many"
    many.mkdir()
    for number in range(5):
        (many / f"shard-{number}").write_bytes(b"x")

    assert len(await files_at(source, many.as_uri())) == 5
    (many / "shard-5").write_bytes(b"x")
    refused = await refusal(source, many)
    assert refused.refusal[:2] == (Reason.TOO_MANY_FILES, "the folder holds more than 5 files (MODELKIN_MAX_FILES)")


@pytest.mark.parametrize("location", ["s3://bucket/run", "http://host/run", "/models/run-7", "run-7", "", "C:\\models"])
async def test_another_scheme_is_not_supported(source: LocalFolders, location: str):
    refused = await refusal(source, location)

    assert refused.refusal.reason is Reason.UNSUPPORTED_SCHEME
    assert str(refused).endswith("expected file://")


@pytest.mark.parametrize(
    "location", ["file://other-host/models/run-7", "file:models/run-7", "file://", "file:///a%00b", "file://[bad/x"]
)
async def test_a_location_is_an_absolute_path_of_this_host(source: LocalFolders, location: str):
    assert await reason(source, location) is Reason.INVALID_LOCATION


async def test_a_path_longer_than_the_system_takes_is_refused(source: LocalFolders, root: Path):
    assert await reason(source, f"file://{root}/{'x' * 5000}") is Reason.LOCATION_UNREADABLE


@pytest.mark.parametrize("name", [b"\xff.pt", b"two\nlines.pt", b"bell\x07.pt"])
async def test_a_name_that_is_no_printable_text_is_refused(source: LocalFolders, run: Path, name: bytes):
    (run / os.fsdecode(name)).write_bytes(b"x")

    refused = await refusal(source, run)

    assert refused.refusal.reason is Reason.UNSUPPORTED_FILE
    assert str(refused) == f"path {os.fsdecode(name)!r}: expected at most 1024 bytes of printable UTF-8"


async def test_the_length_of_a_path_is_counted_in_bytes(source: LocalFolders, run: Path):
    deep = run.joinpath(*["模" * 80] * 5)
    deep.mkdir(parents=True)
    (deep / "w.pt").write_bytes(b"x")

    assert await reason(source, run) is Reason.UNSUPPORTED_FILE


@contextlib.contextmanager
def nested(folder: Path, depth: int, file: str | None = None) -> Iterator[None]:
    """A folder so deep, with a file in the innermost. Made and removed without long paths, which rmtree cannot do."""
    folder.mkdir()
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        here = _moved(here, "d")
    if file:
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY, dir_fd=here))
    try:
        yield
    finally:
        if file:
            os.unlink(file, dir_fd=here)
        for _ in range(depth):
            here = _moved(here, "..")
            os.rmdir("d", dir_fd=here)
        os.close(here)


def _moved(here: int, to: str) -> int:
    there = os.open(to, os.O_RDONLY, dir_fd=here)
    os.close(here)
    return there


async def test_folders_1500_deep_without_a_file_are_empty(source: LocalFolders, root: Path):
    with nested(root / "deep", 1500):
        assert await reason(source, root / "deep") is Reason.LOCATION_EMPTY


async def test_a_file_1500_folders_deep_has_too_long_a_path(source: LocalFolders, root: Path):
    with nested(root / "deep", 1500, "w.pt"):
        refused = await refusal(source, root / "deep")

    assert refused.refusal.reason is Reason.UNSUPPORTED_FILE
    assert str(refused).endswith("expected at most 1024 bytes of printable UTF-8")


async def test_a_file_400_folders_deep_is_found(source: LocalFolders, root: Path):
    with nested(root / "deep", 400, "w.pt"):
        [file] = await files_at(source, (root / "deep").as_uri())

    assert file.path == "d/" * 400 + "w.pt"


async def test_a_file_that_is_gone_when_it_is_opened_cannot_be_read(source: LocalFolders, run: Path):
    [file] = await files_at(source, run.as_uri())
    (run / "model" / "weights.pt").unlink()

    with pytest.raises(Unacceptable) as caught:
        file.open()

    assert caught.value.refusal[:2] == (
        Reason.LOCATION_UNREADABLE,
        "'model/weights.pt' cannot be read: No such file or directory",
    )


async def test_a_link_that_took_the_place_of_a_file_is_not_followed(source: LocalFolders, run: Path, tmp_path: Path):
    [file] = await files_at(source, run.as_uri())
    (tmp_path / "key").write_bytes(b"key")
    (run / "model" / "weights.pt").unlink()
    (run / "model" / "weights.pt").symlink_to(tmp_path / "key")

    with pytest.raises(Unacceptable) as caught:
        file.open()

    assert caught.value.refusal.reason is Reason.LOCATION_UNREADABLE


async def test_a_pipe_that_took_the_place_of_a_file_is_not_waited_for(source: LocalFolders, run: Path):
    [file] = await files_at(source, run.as_uri())
    (run / "model" / "weights.pt").unlink()
    os.mkfifo(run / "model" / "weights.pt")

    with pytest.raises(Unacceptable) as caught:
        file.open()

    assert caught.value.refusal[:2] == (
        Reason.UNSUPPORTED_FILE,
        "'model/weights.pt' changed while it was read: expected a regular file",
    )


@pytest.fixture
def shared_root() -> Iterator[Path]:
    """A root that every user may enter: pytest's own folders are private."""
    folder = Path(tempfile.mkdtemp(prefix="modelkin-"))
    folder.chmod(0o755)
    (folder / "run-7").mkdir()
    (folder / "run-7" / "weights.pt").write_bytes(b"weights")
    yield folder
    (folder / "run-7").chmod(0o755)
    shutil.rmtree(folder)


@contextlib.contextmanager
def without_rights() -> Iterator[None]:
    """As a user who owns nothing: root may read what nobody may."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


async def test_a_folder_of_another_user_cannot_be_read(shared_root: Path):
    (shared_root / "run-7").chmod(0o000)
    with without_rights():
        refused = await refusal(local([shared_root]), shared_root / "run-7")

    assert refused.refusal[:2] == (Reason.LOCATION_UNREADABLE, "'run-7' cannot be read: Permission denied")


async def test_a_folder_behind_another_users_folder_cannot_be_read(shared_root: Path):
    (shared_root / "run-7" / "model").mkdir()
    (shared_root / "run-7").chmod(0o000)
    with without_rights():
        refused = await refusal(local([shared_root]), shared_root / "run-7" / "model")

    assert refused.refusal[:2] == (Reason.LOCATION_UNREADABLE, "'model' cannot be read: Permission denied")


async def test_a_file_of_another_user_cannot_be_read(shared_root: Path):
    (shared_root / "run-7" / "weights.pt").chmod(0o000)
    with without_rights():
        [file] = await files_at(local([shared_root]), (shared_root / "run-7").as_uri())
        with pytest.raises(Unacceptable) as caught:
            file.open()

    assert caught.value.refusal[:2] == (Reason.LOCATION_UNREADABLE, "'weights.pt' cannot be read: Permission denied")
