"""Pickles that run code, hidden in archives, compressed, behind other bytes, and between the arrays of other files."""

import bz2
import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib

import pytest

from tests.unit.inspection.files import (
    HARMLESS,
    OS_SYSTEM,
    call,
    npy,
    only_unsafe,
    pickled,
    stack_global,
    tarred,
    text,
    unsafe,
    verdict,
    zipped,
)

TORCH_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
TORCH_ZIP = zipped({"m/data.pkl": OS_SYSTEM, "m/version": b"3\n", "m/data/0": b"1234"})


def wrapper(shape: bytes, dtype: str = "u1", *, aligned: bool = False) -> bytes:
    """The wrapper that joblib puts before the bytes of an array."""
    made = stack_global("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81"
    dtype_made = call(stack_global("numpy", "dtype"), text(dtype), b"\x89", b"\x88")
    items = text("shape") + shape + text("dtype") + dtype_made
    items += text("numpy_array_alignment_bytes") + b"K\x10" if aligned else b""
    return made + b"}(" + items + b"ub"


HIDDEN = {
    ("model.pt", "model.pt!/m/data.pkl"): TORCH_ZIP,
    ("a.zip", "a.zip!/b.zip!/c.zip!/m.pkl"): zipped({"b.zip": zipped({"c.zip": zipped({"m.pkl": OS_SYSTEM})})}),
    ("deflated.zip", "deflated.zip!/b.zip!/m.pkl"): zipped(
        {"b.zip": zipped({"m.pkl": OS_SYSTEM}, zipfile.ZIP_DEFLATED)}, zipfile.ZIP_DEFLATED
    ),
    ("b.zip", "b.zip!/m.pkl"): zipped({"m.pkl": OS_SYSTEM}, zipfile.ZIP_BZIP2),
    ("a.npz", "a.npz!/x.npy"): zipped({"x.npy": npy(OS_SYSTEM)}),
    ("m.pkl.gz", "m.pkl.gz!/m.pkl"): gzip.compress(OS_SYSTEM),
    ("m.joblib", "m.joblib"): zlib.compress(OS_SYSTEM),
    ("n.joblib", "n.joblib"): gzip.compress(OS_SYSTEM),
    ("m.bz2", "m.bz2!/m"): bz2.compress(OS_SYSTEM),
    ("m.xz", "m.xz!/m"): lzma.compress(OS_SYSTEM),
    ("m.lzma", "m.lzma!/m"): lzma.compress(OS_SYSTEM, lzma.FORMAT_ALONE),
    ("two.gz", "two.gz!/two"): gzip.compress(HARMLESS) + gzip.compress(OS_SYSTEM),
    ("gz.gz.gz", "gz.gz.gz!/gz.gz!/gz"): gzip.compress(gzip.compress(OS_SYSTEM)),
    ("m.tar", "m.tar!/a/m.pkl"): tarred((tarfile.TarInfo("a/m.pkl"), OS_SYSTEM)),
    ("m.tar.gz", "m.tar.gz!/m.tar!/m.pkl"): gzip.compress(tarred((tarfile.TarInfo("m.pkl"), OS_SYSTEM))),
    ("x.npy", "x.npy"): npy(OS_SYSTEM),
    ("record.npy", "record.npy"): npy(OS_SYSTEM, "[('a', '<f4'), ('b', '|O')]"),
    ("escaped.npy", "escaped.npy"): npy(OS_SYSTEM, "'<f4', '\\x64escr': '|O'"),
    ("twice.npy", "twice.npy"): npy(OS_SYSTEM, "'<f4', 'descr': '|O'"),
    ("legacy.pt", "legacy.pt"): TORCH_MAGIC + b"\x80\x02M\xe9\x03." + b"\x80\x02}." + OS_SYSTEM,
    ("bytes.pkl", "bytes.pkl!/bytes.pt!/m/data.pkl"): pickled(
        call(stack_global("torch.storage", "_load_from_bytes"), b"B" + struct.pack("<I", len(TORCH_ZIP)) + TORCH_ZIP)
    ),
    ("polyglot.pt", "polyglot.pt"): OS_SYSTEM + zipped({"a.txt": b"a"}),
    ("other.pt", "other.pt!/m.pkl"): HARMLESS + zipped({"m.pkl": OS_SYSTEM}),
    ("array.joblib", "array.joblib"): pickled(wrapper(b"K\x04\x85") + b"1234" + call(stack_global("os", "system"))),
    ("plain.pkl", "plain.pkl"): pickled(
        wrapper(b"K\x20\x85") + (b"0" + call(stack_global("os", "system"), text("id"))).ljust(32, b"N") + b"N"
    ),
    ("objects.joblib", "objects.joblib"): pickled(wrapper(b"K\x01\x85", "O8") + OS_SYSTEM + b"N"),
    ("name.tar", "name.tar"): tarred((tarfile.TarInfo("cos\nsystem\n(S'id'\ntR."), b"x")),
}


@pytest.mark.parametrize(("path", "inside"), HIDDEN)
def test_a_hidden_pickle_is_found_where_it_is(path: str, inside: str):
    assert (inside, "dangerous") in unsafe(path, HIDDEN[path, inside])


def test_torchs_bytes_loader_is_dangerous_where_it_is_not_called_at_once():
    loader = stack_global("torch.storage", "_load_from_bytes")

    assert (
        verdict("m.pkl", pickled(call(stack_global("torch._tensor", "_rebuild_from_type_v2"), loader))) == "dangerous"
    )


def test_the_bytes_of_a_tensor_in_a_pickle_are_harmless():
    inner = zipped({"m/data.pkl": HARMLESS, "m/version": b"3\n"})
    loader = call(stack_global("torch.storage", "_load_from_bytes"), b"B" + struct.pack("<I", len(inner)) + inner)

    assert verdict("m.pkl", pickled(loader)) is None


def test_flags_checksums_and_local_names_do_not_hide_a_member():
    content = bytearray(zipped({"m.pkl": OS_SYSTEM}))
    content[6] |= 1  # encrypted, says the local header
    content[14:18] = b"\0\0\0\0"  # its checksum
    content[30:35] = b"x.txt"  # its name
    directory = content.rfind(b"PK\x01\x02")
    content[directory + 8] |= 1

    assert unsafe("a.zip", bytes(content)) == [("a.zip!/m.pkl", "dangerous")]


def test_an_array_in_a_frame_is_not_followed():
    body = wrapper(b"K\x04\x85") + b"1234" + b"N"
    framed = b"\x95" + struct.pack("<Q", len(body) + 1) + body

    assert verdict("m.joblib", pickled(framed)) == "unreadable"


def test_an_array_with_a_shape_that_no_file_has_is_not_followed():
    assert verdict("m.joblib", pickled(wrapper(b"\x8a\x09" + b"\xff" * 8 + b"\x00\x85") + b"N")) == "unreadable"


def test_archives_five_deep_are_not_followed():
    content = OS_SYSTEM
    for _ in range(6):
        content = zipped({"a.zip": content})

    assert only_unsafe("a.zip", content).verdict == "unreadable"
    assert only_unsafe("a.zip", content).message == "is more than 4 archives deep"


def test_lz4_cannot_be_judged():
    assert verdict("m.joblib", b"\x04\x22\x4d\x18" + bytes(40)) == "unreadable"


def test_gzip_that_breaks_off_cannot_be_judged():
    assert verdict("m.pkl.gz", gzip.compress(bytes(range(256)) * 99)[:60]) == "unreadable"


def test_a_pickle_compressed_by_a_method_that_is_unknown_cannot_be_judged():
    content = bytearray(zipped({"m.pkl": OS_SYSTEM}))
    directory = content.rfind(b"PK\x01\x02")
    content[directory + 10] = 97

    assert unsafe("a.zip", bytes(content)) == [("a.zip!/m.pkl", "unreadable")]


WRAPPER = stack_global("joblib.numpy_pickle", "NumpyArrayWrapper")
U1 = call(stack_global("numpy", "dtype"), text("u1"), b"\x89", b"\x88")
STATE = b"}(" + text("shape") + b"K\x04\x85" + text("dtype") + U1 + b"u"

MISLEADING = {
    "made with arguments": WRAPPER + b"NK\x04\x85N\x87\x81" + STATE + b"b",
    "made by another function": call(stack_global("copyreg", "__newobj__"), WRAPPER) + STATE + b"b",
    "made by copyreg": call(stack_global("copyreg", "_reconstructor"), WRAPPER, stack_global("builtins", "object"), b"N") + STATE + b"b",
    "state set twice": WRAPPER + b")\x81\x94" + STATE + b"b1234h\x00" + STATE + b"b1234",
    "no state but names": WRAPPER + b")\x81N}\x86b",
    "a shape with a text": wrapper(text("4") + b"\x85"),
    "a shape in a list": wrapper(b"](K\x04e"),
    "a dtype without a size": wrapper(b"K\x04\x85", "f"),
    "a dtype of several": wrapper(b"K\x04\x85", "f4,f4"),
    "a dtype that gives another size later": WRAPPER
    + b")\x81}("
    + text("shape")
    + b"K\x01\x85"
    + text("dtype")
    + call(stack_global("numpy", "dtype"), text("V4"), b"\x89", b"\x88")
    + b"(K\x03" + text("|") + b"NNNK\x40K\x01K\x00tbub",
}  # fmt: skip


@pytest.mark.parametrize("name", MISLEADING)
def test_an_array_that_joblib_would_read_otherwise_than_it_seems_is_not_let_through(name: str):
    assert verdict("m.joblib", pickled(MISLEADING[name] + b"1234" + b"N")) in {"unreadable", "unknown"}
