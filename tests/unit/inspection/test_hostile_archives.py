"""Archives among the files of a package that would do harm when they are unpacked, and configurations with code."""

import gzip
import io
import json
import stat
import struct
import tarfile
import zipfile

import pytest

from services.importer.inspection import inspect
from tests.unit.inspection.files import OS_SYSTEM, only_unsafe, tarred, unsafe, verdict, zipped


def special(kind: bytes, name: str = "a") -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return tarred((member, b""))


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/a", "C:\\a", "..\\a", "a\\..\\..\\b"])
def test_a_member_that_leaves_the_folder_is_dangerous(name: str):
    judged = only_unsafe("a.zip", zipped({name: b"x"}))

    assert judged.verdict == "dangerous"
    assert judged.message.endswith("its path leaves the folder it is unpacked to")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (tarfile.SYMTYPE, "member 'a': it is a link"),
        (tarfile.LNKTYPE, "member 'a': it is a hard link"),
        (tarfile.CHRTYPE, "member 'a': it is a device"),
        (tarfile.BLKTYPE, "member 'a': it is a device"),
        (tarfile.FIFOTYPE, "member 'a': it is a pipe"),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_links_and_devices_of_a_tar_are_dangerous(kind: bytes, message: str, compressed: bool):
    content = special(kind)

    judged = only_unsafe("a.tar", gzip.compress(content) if compressed else content)

    assert (judged.verdict, judged.message) == ("dangerous", message)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_member_that_leaves_the_folder_is_dangerous(form: int):
    short = tarred((tarfile.TarInfo("../a"), b"x"), form=form)

    assert unsafe("a.tar", short) == [("a.tar!/../a", "dangerous")]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_long_name_of_a_tar_member_is_read(form: int):
    name = "a/" * 100 + "../" * 110 + "x"

    [(_, found)] = unsafe("a.tar", tarred((tarfile.TarInfo(name), b"x"), form=form))

    assert found == "dangerous"


def test_a_symbolic_link_in_a_zip_is_dangerous():
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "/etc/passwd")

    assert only_unsafe("a.zip", buffer.getvalue()).message == "member 'link': it is a link"


def test_a_zip_bomb_is_dangerous():
    content = bytearray(zipped({"a": bytes(1000)}, zipfile.ZIP_DEFLATED))
    directory = content.rfind(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = struct.pack("<I", 2**32 - 2)

    assert only_unsafe("a.zip", bytes(content)).message.startswith("member 'a': it is a zip bomb: ")


def test_members_that_share_their_bytes_are_dangerous():
    content = zipped({"a": bytes(1000), "b": bytes(1000)})
    second = content.rfind(b"PK\x01\x02")
    overlapping = bytearray(content)
    overlapping[second + 42 : second + 46] = struct.pack("<I", 0)

    assert "shares its bytes" in only_unsafe("a.zip", bytes(overlapping)).message


def test_a_member_that_unpacks_to_more_than_it_says_is_cut_off_by_the_budget(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inspect, "_UNPACKED_BYTES", 1_000_000)
    pickle = b"\x80\x04B" + struct.pack("<I", 50_000_000) + bytes(50_000_000) + b"."

    assert only_unsafe("m.pkl", gzip.compress(pickle)).message == (
        "a pickle that unpacks to more bytes than may be read: expected a whole one"
    )


def test_more_members_than_the_budget_cannot_be_judged(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inspect, "_MEMBERS", 10)

    assert verdict("a.zip", zipped({str(number): b"x" for number in range(11)})) == "unreadable"


def test_a_zip_with_a_broken_directory_cannot_be_judged():
    content = bytearray(zipped({"m.pkl": OS_SYSTEM}))
    content[content.rfind(b"PK\x01\x02")] = 0

    assert verdict("a.zip", bytes(content)) == "unreadable"


def test_a_zip_without_a_directory_cannot_be_judged():
    assert verdict("a.zip", zipped({"m.pkl": OS_SYSTEM})[:60]) == "unreadable"


def test_a_zip_with_two_directories_cannot_be_judged():
    content = zipped({"a": b"x"})
    inner = bytearray(zipped({"m.pkl": OS_SYSTEM}))
    end = inner.rfind(b"PK\x05\x06")
    directory = content.rfind(b"PK\x01\x02")
    inner[end + 16 : end + 20] = struct.pack("<I", directory)

    assert verdict("a.zip", content + bytes(inner)) == "unreadable"


def test_a_zip_that_counts_more_members_than_it_has_cannot_be_judged():
    content = bytearray(zipped({"a": b"x"}))
    end = content.rfind(b"PK\x05\x06")
    content[end + 8 : end + 12] = b"\xff\xff\xff\xff"

    assert verdict("a.zip", bytes(content)) == "unreadable"


def keras(*layers: object) -> bytes:
    config = json.dumps({"class_name": "Sequential", "module": "keras", "config": {"layers": layers}})
    return zipped({"config.json": config.encode(), "metadata.json": b'{"keras_version": "3.9.0"}'})


@pytest.mark.parametrize(
    "layer",
    [
        {"class_name": "Lambda", "module": "keras.layers", "config": {}},
        {"class_name": "Activation", "config": {"function": {"class_name": "__lambda__", "config": {"code": "x"}}}},
        {"class_name": "function", "module": "os", "config": "system"},
        {"class_name": "Popen", "module": "subprocess", "config": {}},
        {"class_name": "keras>Lambda", "config": {}},
        {"class_name": "TorchModuleWrapper", "module": "keras.layers", "config": {}},
    ],
)
def test_a_layer_of_keras_that_runs_code_is_dangerous(layer: object):
    assert unsafe("m.keras", keras(layer)) == [("m.keras!/config.json", "dangerous")]


@pytest.mark.parametrize(
    "layer",
    [
        {"class_name": "Mine", "module": "my.layers", "config": {}},
        {"class_name": "function", "module": "builtins", "config": "mine"},
        {"class_name": "function", "module": "keras.utils", "config": "get_file"},
    ],
)
def test_a_layer_of_keras_that_nobody_knows_is_unknown(layer: object):
    assert unsafe("m.keras", keras(layer)) == [("m.keras!/config.json", "unknown")]


def test_a_lambda_of_keras_in_hdf5_is_dangerous_wherever_it_stands():
    content = b"\x89HDF\r\n\x1a\n" + bytes(5_000_000) + b'{"class_name": "Lambda", "config": {}}' + bytes(100)

    assert verdict("m.h5", content) == "dangerous"


def test_a_lambda_between_two_parts_of_hdf5_is_found():
    needle = b'{"class_name": "Lambda", "config": {}}'
    content = (b"\x89HDF\r\n\x1a\n" + bytes(4 * 1024 * 1024 - 20)) + needle + bytes(100)

    assert verdict("m.h5", content) == "dangerous"


def test_hidden_letters_in_hdf5_are_unknown():
    content = (
        b"\x89HDF\r\n\x1a\n" + bytes(99) + b'{"layers": [], "name": "x", "class_name": "\\u004cambda", "config": {}}'
    )

    assert verdict("m.h5", content) == "unknown"


def test_a_pax_header_cannot_hide_a_path_behind_a_comment():
    member = tarfile.TarInfo("a")
    member.pax_headers = {"comment": "9 path=b", "path": "../a"}

    assert unsafe("a.tar", tarred((member, b"x"))) == [("a.tar!/../a", "dangerous")]


def test_a_pax_header_with_another_size_cannot_be_judged():
    member = tarfile.TarInfo("a")
    member.pax_headers = {"size": "3"}

    assert verdict("a.tar", tarred((member, b"x"))) == "unreadable"
