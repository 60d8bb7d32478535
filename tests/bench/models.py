"""Files of models, put together by hand: as large as is asked, nothing of them loaded."""

import json
import os
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from tests.bench.machine import MB

TENSORS = 64
CHUNK_BYTES = 8 * MB
# Long enough that no compression finds it again.
BLOCK_BYTES = MB
WORD_COUNT = 200_000
_STOP = b"."


def write_safetensors(path: Path, size_bytes: int) -> Path:
    """Tensors of random bytes, so that no two files are alike and nothing can compress them."""
    header = _safetensors_header(size_bytes)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(header)
        for start in range(len(header), size_bytes, CHUNK_BYTES):
            file.write(os.urandom(min(CHUNK_BYTES, size_bytes - start)))
    return path


def write_hollow_safetensors(path: Path, size_bytes: int) -> Path:
    """Likewise, all zeros: a hole in the file, of which nothing is on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_safetensors_header(size_bytes))
    os.truncate(path, size_bytes)
    return path


def _safetensors_header(size_bytes: int) -> bytes:
    """For a file of so many bytes, at least 1 KB: a header for each of TENSORS tensors, or for one where the file is small."""
    count = TENSORS if size_bytes > MB else 1
    room_bytes = 256 * count
    each_bytes = (size_bytes - room_bytes) // count
    header = {
        f"layers.{number}.weight": {
            "dtype": "U8",
            "shape": [each_bytes],
            "data_offsets": [number * each_bytes, (number + 1) * each_bytes],
        }
        for number in range(count)
    }
    # Spaces may follow the header, and make the sizes come out even.
    left_bytes = size_bytes - count * each_bytes - 8
    return struct.pack("<Q", left_bytes) + json.dumps(header).encode().ljust(left_bytes)


def write_pytorch(path: Path, size_bytes: int) -> Path:
    """A state dictionary as `torch.save` writes it: a zip with one pickle and a member for each tensor."""
    each_bytes = size_bytes // TENSORS // 4 * 4
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", _state_dictionary(each_bytes // 4))
        archive.writestr("model/version", b"3\n")
        for number in range(TENSORS):
            archive.writestr(f"model/data/{number}", bytes(each_bytes))
    return path


def write_joblib(path: Path, size_bytes: int) -> Path:
    """Arrays as joblib writes them: random bytes between the instructions of a pickle."""
    with path.open("wb") as file:
        file.writelines(_joblib(size_bytes, os.urandom(BLOCK_BYTES)))
    return path


def write_packed_joblib(path: Path, size_bytes: int) -> Path:
    """Likewise, compressed by zlib; every other byte is zero, so that there is something to gain."""
    block = bytearray(BLOCK_BYTES)
    block[::2] = os.urandom(BLOCK_BYTES // 2)
    packing = zlib.compressobj(1)
    with path.open("wb") as file:
        file.writelines(packing.compress(piece) for piece in _joblib(size_bytes, bytes(block)))
        file.write(packing.flush())
    return path


def write_pickle(path: Path, size_bytes: int) -> Path:
    """A dictionary of long bytes, by Python's own pickle."""
    block = os.urandom(BLOCK_BYTES)
    arrays = {f"array{number}": block * (size_bytes // BLOCK_BYTES // 16) for number in range(16)}
    with path.open("wb") as file:
        pickle.Pickler(file, protocol=4).dump(arrays)
    return path


def write_words(path: Path) -> Path:
    """A vocabulary: nothing but instructions, which is what takes longest to judge."""
    words = {f"word{number}": number for number in range(WORD_COUNT)}
    path.write_bytes(pickle.dumps(words, protocol=4))
    return path


def write_small_package(folder: Path) -> Path:
    """An ONNX model of some layers, and a pickle of what was learned beside it."""
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(_onnx(layers=20))
    learned = OrderedDict((f"feature{number}", [number / 7, number / 11]) for number in range(200))
    (folder / "scaler.pkl").write_bytes(pickle.dumps(learned, protocol=4))
    return folder


def _state_dictionary(elements: int) -> bytes:
    rebuilt = b"ctorch._utils\n_rebuild_tensor_v2\n"
    shape = b"J" + struct.pack("<i", elements) + b"\x85"
    entries = b""
    for number in range(TENSORS):
        storage = b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + _text(str(number)) + _text("cpu") + shape[:5]
        hooks = b"ccollections\nOrderedDict\n)R"
        entries += _text(f"layers.{number}.weight") + rebuilt + b"(" + storage + b"tQK\x00" + shape
        entries += b"K\x01\x85\x89" + hooks + b"tR"
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + entries + b"u" + _STOP


def _joblib(size_bytes: int, block: bytes) -> Iterator[bytes]:
    """16 arrays in a dictionary."""
    each_blocks = max(1, size_bytes // BLOCK_BYTES // 16)
    dtype = _text("numpy") + _text("dtype") + b"\x93(" + _text("f4") + b"\x89\x88tR"
    shape = b"J" + struct.pack("<i", each_blocks * BLOCK_BYTES // 4) + b"\x85"
    made = _text("joblib.numpy_pickle") + _text("NumpyArrayWrapper") + b"\x93)\x81"
    yield b"\x80\x04}("
    for number in range(16):
        yield _text(f"array{number}") + made + b"}(" + _text("shape") + shape + _text("dtype") + dtype + b"ub"
        for _ in range(each_blocks):
            yield block
    yield b"u" + _STOP


def _text(value: str) -> bytes:
    """A short string, as pickles hold it."""
    return b"\x8c" + bytes([len(value)]) + value.encode()


def _onnx(layers: int) -> bytes:
    """Layer after layer of MatMul, each with a matrix of 16 by 16."""
    graph = _field(2, "layers")
    for number in range(layers):
        name = f"weight{number}"
        graph += _field(
            1, _field(1, f"x{number}") + _field(1, name) + _field(2, f"x{number + 1}") + _field(4, "MatMul")
        )
        graph += _field(5, _field(1, 16) * 2 + _field(2, 1) + _field(8, name) + _field(9, os.urandom(1024)))
    graph += _field(11, _matrix("x0")) + _field(12, _matrix(f"x{layers}"))
    return _field(1, 8) + _field(2, "bench") + _field(7, graph) + _field(8, _field(2, 17))


def _matrix(name: str) -> bytes:
    shape = _field(1, _field(1, 1)) + _field(1, _field(1, 16))
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, shape)))


def _field(number: int, value: bytes | str | int) -> bytes:
    """A field of a protocol buffer."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    low = number & 0x7F
    return bytes([low | 0x80]) + _varint(number >> 7) if number > low else bytes([low])
