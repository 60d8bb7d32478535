"""Archives as packages: what is in them is found, and what would do harm is refused. No archive is unpacked to disk."""

import contextlib
import gzip
import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.importer.domain import Unacceptable
from services.importer.ports import FoundFile
from services.importer.sources.folders import LocalFolders
from services.importer.sources.limits import Limits
from services.importer.sources.spool import Spool
from shared.values import Reason

MB = 1024 * 1024
LIMITS = Limits(max_files=20, max_package_bytes=200 * MB)


@pytest.fixture
def source(tmp_path: Path) -> LocalFolders:
    return LocalFolders([tmp_path], LIMITS, Spool(tmp_path / "spool"))


async def bytes_in(source: LocalFolders, archive: Path) -> dict[str, bytes]:
    async with source.found(archive.as_uri(), "0") as files:
        return {file.path: read(file) for file in files}


def read(file: FoundFile) -> bytes:
    with file.open() as content:
        return content.read()


async def refusal(source: LocalFolders, archive: Path) -> Unacceptable:
    with pytest.raises(Unacceptable) as caught:
        await bytes_in(source, archive)
    return caught.value


def a_zip(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return path


def a_tar(path: Path, members: Sequence[tarfile.TarInfo], kind: int = tarfile.PAX_FORMAT) -> Path:
    """Regular members hold as many 'x' as they have bytes."""
    with tarfile.open(path, "w", format=kind) as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size) if member.isreg() else None)
    return path


def a_member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
async def test_members_of_a_zip_give_their_bytes(source: LocalFolders, tmp_path: Path, method: int):
    files = {"model/weights.pt": bytes(range(256)) * 8192, "model/config.json": b"{}", "empty": b"", "模型": b"m"}

    assert await bytes_in(source, a_zip(tmp_path / "a.zip", files, method)) == files


async def test_a_deflated_member_can_be_read_from_anywhere(source: LocalFolders, tmp_path: Path):
    content = bytes(range(256)) * 8192
    async with source.found(a_zip(tmp_path / "a.zip", {"a": content}).as_uri(), "0") as [file]:
        with file.open() as opened:
            for position in (2_000_000, 5, 1_000_000, len(content) - 3, 0):
                assert opened.seek(position) == position
                assert opened.read(100) == content[position : position + 100]
            assert opened.seek(10, io.SEEK_END) == len(content) + 10
            assert opened.read() == b""
            with pytest.raises(ValueError, match="negative"):
                opened.seek(-1)


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
async def test_members_of_every_kind_of_tar_are_found(source: LocalFolders, tmp_path: Path, kind: int):
    long = "model/" + "d" * 90 + "/" + "n" * 90
    members = [a_member("./model", kind=tarfile.DIRTYPE), a_member("./model/w.pt", 1000), a_member(long, 3)]

    found = await bytes_in(source, a_tar(tmp_path / "a.tar", members, kind))

    assert found == {long: b"xxx", "model/w.pt": b"x" * 1000}


async def test_a_name_that_is_not_ascii_may_be_long(source: LocalFolders, tmp_path: Path):
    found = await bytes_in(source, a_tar(tmp_path / "a.tar", [a_member("模" * 100, 1)]))

    assert found == {"模" * 100: b"x"}


async def test_a_size_in_an_extended_header_holds(source: LocalFolders, tmp_path: Path):
    first = a_member("a", 600)
    first.pax_headers = {"size": "600"}

    assert await bytes_in(source, a_tar(tmp_path / "a.tar", [first, a_member("b", 1)])) == {"a": b"x" * 600, "b": b"x"}


async def test_gzip_files_one_after_the_other_are_one(source: LocalFolders, tmp_path: Path):
    whole = a_tar(tmp_path / "a.tar", [a_member("a", 700)]).read_bytes()
    (tmp_path / "a.tgz").write_bytes(gzip.compress(whole[:1000]) + gzip.compress(whole[1000:]) + bytes(100))

    assert await bytes_in(source, tmp_path / "a.tgz") == {"a": b"x" * 700}


async def test_gzip_streams_without_end_are_refused(source: LocalFolders, tmp_path: Path):
    (tmp_path / "a.tgz").write_bytes(gzip.compress(b"") * 20_000)

    refused = await refusal(source, tmp_path / "a.tgz")

    assert str(refused) == "the archive is not safe: it is made of too many gzip streams"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["run-7/model/w.pt", "run-7/README"], ["README", "model/w.pt"]),
        (["model/w.pt", "model/config.json"], ["model/config.json", "model/w.pt"]),
        (["run-7/w.pt", "README"], ["README", "run-7/w.pt"]),
        (["./run-7/model/w.pt", "__MACOSX/run-7/model/._w.pt"], ["model/w.pt"]),
        (["outer/run-7/model/w.pt"], ["run-7/model/w.pt"]),
    ],
)
async def test_a_folder_around_everything_is_left_out_unless_it_is_model(
    source: LocalFolders, tmp_path: Path, names: list[str], found: list[str]
):
    zipped = a_zip(tmp_path / "a.zip", dict.fromkeys(names, b"x"))
    tarred = a_tar(tmp_path / "a.tar", [a_member(name, 1) for name in names])

    assert sorted(await bytes_in(source, zipped)) == found
    assert sorted(await bytes_in(source, tarred)) == found


HOSTILE_NAMES = ["../up", "model/../../up", "/etc/passwd", "C:/x", "c:x", "a\\b", "a//b", "two\nlines", "bell\x07"]


@pytest.mark.parametrize("name", [*HOSTILE_NAMES, "x" * 1025, "a/.."])
async def test_a_name_that_leads_out_or_cannot_be_printed_is_refused(source: LocalFolders, tmp_path: Path, name: str):
    zipped = await refusal(source, a_zip(tmp_path / "a.zip", {"model/w.pt": b"x", name: b"x"}))
    tarred = await refusal(source, a_tar(tmp_path / "a.tar", [a_member("model/w.pt"), a_member(name)]))

    assert zipped.refusal.reason is Reason.UNSAFE_ARCHIVE
    assert tarred.refusal.reason is Reason.UNSAFE_ARCHIVE
    assert str(zipped).isprintable()


async def test_names_of_folders_are_judged_too(source: LocalFolders, tmp_path: Path):
    zipped = a_zip(tmp_path / "a.zip", {"../up/": b"", "w.pt": b"x"})
    tarred = a_tar(tmp_path / "a.tar", [a_member("../up", kind=tarfile.DIRTYPE), a_member("w.pt")])

    assert (await refusal(source, zipped)).refusal.reason is Reason.UNSAFE_ARCHIVE
    assert (await refusal(source, tarred)).refusal.reason is Reason.UNSAFE_ARCHIVE


async def test_a_name_that_is_not_utf_8_is_refused(source: LocalFolders, tmp_path: Path):
    archive = a_zip(tmp_path / "a.zip", {"ab": b"x"})
    archive.write_bytes(archive.read_bytes().replace(b"ab", b"\xff\xfe"))

    refused = await refusal(source, archive)

    assert str(refused) == r"the archive is not safe: the name '\\xff\\xfe' is not UTF-8"


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.GNUTYPE_SPARSE,
        b"Z",
    ],
)
async def test_members_of_a_tar_that_are_no_files_are_refused(source: LocalFolders, tmp_path: Path, kind: bytes):
    archive = a_tar(tmp_path / "a.tar", [a_member("w.pt", 1), a_member("other", kind=kind, link="/etc/passwd")])

    assert (await refusal(source, archive)).refusal.reason is Reason.UNSAFE_ARCHIVE


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
async def test_members_of_a_zip_that_are_no_files_are_refused(source: LocalFolders, tmp_path: Path, kind: int):
    info = zipfile.ZipInfo("other")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")

    refused = await refusal(source, tmp_path / "a.zip")

    assert str(refused) == "the archive is not safe: 'other' is a link or a device: expected a regular file"


async def test_the_same_name_twice_is_refused(source: LocalFolders, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("w.pt", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("w.pt", b"2")
    tarred = a_tar(tmp_path / "a.tar", [a_member("w.pt"), a_member("./w.pt")])

    assert "'w.pt' is there twice" in str(await refusal(source, tmp_path / "a.zip"))
    assert "'w.pt' is there twice" in str(await refusal(source, tarred))


async def test_a_name_for_a_file_and_a_folder_is_refused(source: LocalFolders, tmp_path: Path):
    refused = await refusal(source, a_zip(tmp_path / "a.zip", {"model": b"x", "model/w.pt": b"x"}))

    assert str(refused) == "the archive is not safe: 'model' is both a file and a folder"


async def test_an_encrypted_member_is_refused(source: LocalFolders, tmp_path: Path):
    archive = a_zip(tmp_path / "a.zip", {"w.pt": b"x"})
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(data)

    assert str(await refusal(source, archive)) == "the archive is not safe: 'w.pt' is encrypted"


async def test_a_method_that_is_not_known_is_not_supported(source: LocalFolders, tmp_path: Path):
    refused = await refusal(source, a_zip(tmp_path / "a.zip", {"w.pt": b"x"}, zipfile.ZIP_LZMA))

    assert refused.refusal[:2] == (
        Reason.UNSUPPORTED_ARCHIVE,
        "'w.pt' is packed by method 14: expected stored or deflated",
    )


async def test_a_bomb_is_refused_before_it_is_inflated(source: LocalFolders, tmp_path: Path):
    zipped = await refusal(source, a_zip(tmp_path / "a.zip", {"w.pt": bytes(65 * MB)}))
    with gzip.open(tmp_path / "a.tgz", "wb", 9) as packed:
        packed.write(bytes(100 * MB))
    tarred = await refusal(source, tmp_path / "a.tgz")

    for refused in (zipped, tarred):
        assert refused.refusal[:2] == (
            Reason.UNSAFE_ARCHIVE,
            "the archive is not safe: it unpacks to more than 200 times its size",
        )
    assert not [*(tmp_path / "spool").iterdir()]


async def test_a_member_larger_than_it_says_is_not_read_on(source: LocalFolders, tmp_path: Path):
    archive = a_zip(tmp_path / "a.zip", {"w.pt": bytes(1000)})
    data = archive.read_bytes()
    entry = data.index(b"PK\1\2")
    lying = data[: entry + 16] + struct.pack("<L", zlib.crc32(bytes(10))) + data[entry + 20 : entry + 24]
    archive.write_bytes(lying + struct.pack("<L", 10) + data[entry + 28 :])

    refused = await refusal(source, archive)

    assert refused.refusal[:2] == (Reason.UNSAFE_ARCHIVE, "a member of the archive holds more bytes than it says")


async def test_members_that_share_bytes_are_refused(source: LocalFolders, tmp_path: Path):
    archive = a_zip(tmp_path / "a.zip", {"a": b"x" * 100, "b": b"x" * 100}, zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    second = data.rindex(b"PK\1\2")
    data[second + 42 : second + 46] = bytes(4)
    archive.write_bytes(data)

    assert str(await refusal(source, archive)) == "the archive is not safe: members overlap"


async def test_a_checksum_that_is_another_is_noticed(source: LocalFolders, tmp_path: Path):
    archive = a_zip(tmp_path / "a.zip", {"a": b"x" * 100}, zipfile.ZIP_STORED)
    archive.write_bytes(archive.read_bytes().replace(b"xxx", b"xyx", 1))

    refused = await refusal(source, archive)

    assert refused.refusal[:2] == (
        Reason.UNSUPPORTED_ARCHIVE,
        "the archive is damaged: the checksum of a member is another",
    )


async def test_as_many_members_as_allowed_are_found_and_one_more_is_too_many(source: LocalFolders, tmp_path: Path):
    twenty = {f"model/{number}": b"x" for number in range(20)}

    assert len(await bytes_in(source, a_zip(tmp_path / "20.zip", twenty))) == 20
    refused = await refusal(source, a_zip(tmp_path / "21.zip", {**twenty, "model/more": b"x"}))
    assert refused.refusal[:2] == (
        Reason.TOO_MANY_FILES,
        "the archive holds more than 20 files (MODELKIN_MAX_FILES)",
    )


async def test_members_larger_together_than_a_package_may_be_are_refused(tmp_path: Path):
    source = LocalFolders([tmp_path], Limits(20, 100), Spool(tmp_path / "spool"))
    zipped = a_zip(tmp_path / "a.zip", {"a": bytes(60), "b": bytes(60)})
    tarred = a_tar(tmp_path / "a.tar", [a_member("a", 60), a_member("b", 60)])
    (tmp_path / "a.tgz").write_bytes(gzip.compress(tarred.read_bytes()))

    for archive in (zipped, tarred, tmp_path / "a.tgz"):
        assert (await refusal(source, archive)).refusal.reason is Reason.PACKAGE_TOO_LARGE


async def test_folders_without_end_in_a_tar_are_too_many(tmp_path: Path):
    source = LocalFolders([tmp_path], Limits(1, 1000), Spool(tmp_path / "spool"))
    folders = [a_member(f"d{number}", kind=tarfile.DIRTYPE) for number in range(1100)]

    assert (await refusal(source, a_tar(tmp_path / "a.tar", folders))).refusal.reason is Reason.TOO_MANY_FILES


async def test_an_extended_header_of_any_length_is_not_taken_into_memory(source: LocalFolders, tmp_path: Path):
    member = a_member("w.pt")
    member.pax_headers = {"comment": "x" * 100_000}

    refused = await refusal(source, a_tar(tmp_path / "a.tar", [member]))

    assert str(refused).startswith("the archive is not safe: a header has 100")


@pytest.mark.parametrize("cut", [0, 10, 600, -1, -1500])
async def test_what_is_cut_off_is_damaged(source: LocalFolders, tmp_path: Path, cut: int):
    tarred = a_tar(tmp_path / "whole.tar", [a_member("a", 9000)]).read_bytes()
    zipped = a_zip(tmp_path / "whole.zip", {"a": bytes(9000)}, zipfile.ZIP_STORED).read_bytes()
    # Headers, the data in whole blocks, and one byte of the end.
    (tmp_path / "a.tar").write_bytes(tarred[: 512 + 9216 + 1][:cut])
    (tmp_path / "a.zip").write_bytes(zipped[:cut])
    (tmp_path / "a.tgz").write_bytes(gzip.compress(tarred, 0)[:cut])

    for name in ("a.tar", "a.zip", "a.tgz"):
        assert (await refusal(source, tmp_path / name)).refusal.reason is Reason.UNSUPPORTED_ARCHIVE


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "A.ZIP"])
async def test_what_is_only_called_an_archive_is_not_supported(source: LocalFolders, tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"weights" * 200)

    assert (await refusal(source, tmp_path / name)).refusal.reason is Reason.UNSUPPORTED_ARCHIVE


async def test_an_archive_that_changes_while_it_is_read_is_refused(source: LocalFolders, tmp_path: Path):
    archive = a_zip(tmp_path / "a.zip", {"a": b"first"})
    async with source.found(archive.as_uri(), "0") as [file]:
        a_zip(archive, {"a": b"other"})
        with pytest.raises(Unacceptable) as caught:
            file.open()

    assert caught.value.refusal.reason is Reason.FILE_CHANGED


async def test_an_entry_of_64_bits_is_read(source: LocalFolders, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, archive.open("w.pt", "w", force_zip64=True) as member:
        member.write(b"weights")

    assert await bytes_in(source, tmp_path / "a.zip") == {"w.pt": b"weights"}


MUTATED: Sequence[tuple[str, Callable[[Path], Path]]] = [
    ("a.zip", lambda path: a_zip(path, {"model/w.pt": b"weights" * 30, "b": b"x"})),
    ("a.tar", lambda path: a_tar(path, [a_member("model/w.pt", 700), a_member("模" * 60, 3)])),
]


@pytest.mark.parametrize(("name", "make"), MUTATED, ids=["zip", "tar"])
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=8))
async def test_whatever_is_changed_in_an_archive_it_is_read_or_refused(
    source: LocalFolders, tmp_path: Path, name: str, make: Callable[[Path], Path], changes: list[tuple[int, int]]
):
    data = bytearray(make(tmp_path / name).read_bytes())
    for position, value in changes:
        data[position % len(data)] = value
    (tmp_path / name).write_bytes(data)

    found: dict[str, bytes] = {}
    with contextlib.suppress(Unacceptable):
        found = await bytes_in(source, tmp_path / name)

    assert not [path for path in found if path.startswith(("/", "..")) or "\\" in path or not path.isprintable()]
    assert sum(map(len, found.values())) < 10_000


async def test_3000_members_are_opened_without_reading_the_directory_again(tmp_path: Path):
    source = LocalFolders([tmp_path], Limits(5000, 10 * MB), Spool(tmp_path / "spool"))
    files = {f"model/{number}": b"%d" % number for number in range(3000)}

    assert await bytes_in(source, a_zip(tmp_path / "a.zip", files)) == files
