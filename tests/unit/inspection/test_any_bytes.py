"""Any bytes at all: no reader raises, what Python's own unpickler would import is seen, and the result stays small."""

import gzip
import io
import json
import pickle
import random
import struct
import time
import zipfile
from collections import Counter, OrderedDict
from typing import Self

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.importer.inspection.inspect import inspect_package
from services.importer.inspection.machine import Machine
from services.importer.inspection.reading import Stream, Unreadable
from services.importer.inspection.walk import Walk
from tests.unit.inspection.files import OS_SYSTEM, found, npy, safetensors, tarred, zipped
from tests.unit.inspection.test_formats import GGUF, WEIGHTS
from tests.unit.inspection.test_harmless_files import ESTIMATOR, HARMLESS, KERAS, STATE_DICT
from tests.unit.inspection.test_hostile_pickles import DANGEROUS, UNKNOWN
from tests.unit.inspection.test_model_folders import CARD, MLMODEL
from tests.unit.inspection.test_protobufs import constant, model_of, node, saved_model

MOST_S = 5.0
VALID = {
    "m.safetensors": safetensors(WEIGHTS, bytes(26)),
    "m.gguf": GGUF,
    "m.onnx": model_of([constant(2)]).SerializeToString(),
    "saved_model.pb": saved_model(node("Placeholder"), node("MatMul")),
    "graph.pb": node("Placeholder"),
    "m.tflite": struct.pack("<I4s", 16, b"TFL3") + bytes(8) + struct.pack("<i", -20) + bytes(16) + struct.pack("<4HI", 8, 8, 4, 0, 3),
    "m.pt": HARMLESS["state_dict.pt"],
    "m.pth": HARMLESS["legacy.pth"],
    "m.keras": zipped({"config.json": KERAS, "metadata.json": b'{"keras_version":"3.9.0"}'}, zipfile.ZIP_DEFLATED),
    "m.h5": b"\x89HDF\r\n\x1a\n" + b"keras_version 2.15.0 model_config",
    "a.npy": npy(bytes(8), "'<f4'", "(2,)"),
    "a.npz": HARMLESS["floats.npz"],
    "m.pkl": ESTIMATOR,
    "m.joblib": HARMLESS["aligned.joblib"],
    "m.pkl.gz": gzip.compress(ESTIMATOR),
    "m.tar": HARMLESS["tar.pth"],
    "m.json": b'{"learner":{"objective":{"name":"binary:logistic"}},"version":[3,2,0]}',
    "config.json": b'{"model_type":"bert","architectures":["BertModel"]}',
    "MLmodel": MLMODEL,
    "README.md": CARD,
    "m.zip": zipped({"a.tar": tarred(), "b.pkl": OS_SYSTEM}),
}  # fmt: skip


def inspected(path: str, content: bytes) -> None:
    """Inspect a file, as it is and beside a configuration, in bounded time and to a bounded size."""
    started = time.monotonic()

    contents = inspect_package([found(path, content), found("x/config.json", b'{"model_type":"bert"}')])

    assert time.monotonic() - started < MOST_S
    assert len(contents.model_dump_json().encode()) < 128 * 1024
    for file in contents.files:
        assert "(" not in (file.problem or ""), file.problem  # "cannot be read (ValueError)": a reader that fell over
    for judged in contents.unsafe:
        assert "cannot be read (" not in judged.message


def mutated(content: bytes, changes: list[tuple[int, int]], cut: int) -> bytes:
    changed = bytearray(content)
    for place, value in changes:
        changed[place % len(changed)] = value
    return bytes(changed[: len(changed) - cut % len(changed)])


CHANGES = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6)


@pytest.mark.parametrize("path", VALID)
@settings(max_examples=40, deadline=None)
@given(content=st.binary(max_size=400))
def test_random_bytes_under_any_name(path: str, content: bytes):
    inspected(path, content)


@pytest.mark.parametrize("path", VALID)
@settings(max_examples=60, deadline=None)
@given(changes=CHANGES, cut=st.integers(0, 60))
def test_valid_files_with_some_bytes_changed(path: str, changes: list[tuple[int, int]], cut: int):
    inspected(path, mutated(VALID[path], changes, cut))


@pytest.mark.parametrize("path", [path for path in VALID if path not in {"README.md", "MLmodel", "config.json"}])
@settings(max_examples=25, deadline=None)
@given(tail=st.binary(max_size=200))
def test_the_right_beginning_and_a_random_end(path: str, tail: bytes):
    inspected(path, VALID[path][: max(8, len(VALID[path]) // 3)] + tail)


class Inert:
    """Stands for whatever a pickle imports."""

    def __new__(cls, *_: object, **__: object) -> Self:
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        """Takes anything."""

    def __call__(self, *_: object) -> "Inert":
        return self

    def __hash__(self) -> int:
        return 1

    def __setitem__(self, *_: object) -> None:
        """Takes anything."""

    def append(self, *_: object) -> None:
        """Takes anything."""

    extend = add = update = append


class Recorder(pickle._Unpickler):  # type: ignore[name-defined,misc]  # Python's own, without its C twin: that one allocates what a length says
    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        self.asked: list[tuple[str, str]] = []

    def find_class(self, module: str, name: str) -> type:
        self.asked.append((str(module), str(name)))
        return type("Made", (Inert,), {})

    def persistent_load(self, _: object) -> object:
        return Inert()

    def get_extension(self, code: int) -> None:
        self.asked.append(("extension", str(code)))
        self.append(Inert)


def asked_by_python(content: bytes) -> list[tuple[str, str]]:
    recorder = Recorder(content)
    try:
        recorder.load()
    except Exception:  # noqa: BLE001  # whatever a broken pickle does to it
        return recorder.asked
    return recorder.asked


def seen(content: bytes) -> Walk:
    walk = Walk()
    try:
        Machine(Stream(io.BytesIO(content)), walk, with_arrays=False).run()
    except Unreadable:
        return walk
    return walk


def check_all_seen(content: bytes) -> None:
    walk = seen(content)
    names = {(imported.module, imported.name) for imported in walk.imports}

    for module, name in asked_by_python(content):
        assert (module, name) in names or walk.suspicions or name in {"", "_load_from_bytes"}, (module, name)


PIECES = st.sampled_from(
    [
        b"cos\nsystem\n", b"\x8c\x02os\x8c\x06system\x93", b"\x8c\x02os", b"\x8c\x06system", b"\x93", b"(", b")", b"t", b"R", b"b", b"}", b"]", b"u", b"s",
        b"a", b"e", b"\x81", b"\x92", b"o", b"ios\nsystem\n", b"\x94", b"q\x00", b"q\x01", b"h\x00", b"h\x01", b"p0\n", b"g0\n", b"r\x01\x00\x00\x00",
        b"j\x01\x00\x00\x00", b"0", b"1", b"2", b"N", b"K\x01", b"J\xff\xff\xff\xff", b"\x85", b"\x86", b"\x87", b"Vos\n", b"S'os'\n", b"Vsystem\n",
        b"\x8f", b"\x90", b"\x91", b"l", b"d", b"I1\n", b"L1L\n", b"F1\n", b"G12345678", b"X\x02\x00\x00\x00os", b"U\x02os", b"T\x02\x00\x00\x00os", b"C\x01a",
        b"B\x01\x00\x00\x00a", b"\x88", b"\x89", b"\x8a\x01\x01", b"\x82\x01", b"Pid\n", b"Q", b"\x80\x04", b"\x95\x02\x00\x00\x00\x00\x00\x00\x00", b"\x97", b"\x98", b".",
        b"ccollections\nOrderedDict\n", b"cmine\nNet\n",
    ]
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(pieces=st.lists(PIECES, max_size=25))
@example(pieces=[b"\x8c\x02os", b"\x8c\x06system", b"\x93", b")", b"R"])
@example(pieces=[b"((\x8c\x07storage", b"ctorch\nFloatStorage\n", b"tQo", b"cos\nsystem\n"])
def test_whatever_python_would_import_is_seen(pieces: list[bytes]):
    check_all_seen(b"\x80\x04" + b"".join(pieces))


@pytest.mark.parametrize("content", [*DANGEROUS.values(), *UNKNOWN.values(), STATE_DICT, ESTIMATOR])
@settings(max_examples=15, deadline=None)
@given(changes=CHANGES)
def test_whatever_python_would_import_from_a_changed_pickle_is_seen(content: bytes, changes: list[tuple[int, int]]):
    if len(content) < 5000:
        check_all_seen(mutated(content, changes, 0))


@settings(max_examples=60, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner) | st.frozensets(st.integers())
        ),
        max_leaves=20,
    ),
    protocol=st.integers(0, 5),
)
def test_plain_values_are_harmless_in_every_protocol(value: object, protocol: int):
    content = pickle.dumps([value, OrderedDict(a=value), Counter(), {1, 2}, bytearray(b"x")], protocol)

    assert inspect_package([found("m.pkl", content)]).unsafe == ()


@settings(max_examples=3, deadline=None)
@given(content=st.binary(min_size=1, max_size=40))
def test_a_package_of_many_files_stays_small(content: bytes):
    name = "模" * 300
    files = [found(f"{name}{number}/{path}", made) for number in range(30) for path, made in VALID.items()]
    files += [found(f"{name}{number}.pkl", OS_SYSTEM + content) for number in range(200)]

    contents = inspect_package(files)

    assert len(contents.model_dump_json().encode()) < 128 * 1024
    assert len(json.dumps(contents.model_dump(mode="json"), ensure_ascii=False).encode()) < 128 * 1024
    assert {judged.verdict for judged in contents.unsafe} == {"dangerous"}


def test_raw_numbers_are_not_taken_for_pickles():
    """Bytes without meaning look like instructions of a pickle now and then, even like a call."""
    source = random.Random(2026)
    suspects = []
    for number in range(300):
        suspects += inspect_package([found(f"model/{number}.bin", source.randbytes(4096))]).unsafe

    assert suspects == []
