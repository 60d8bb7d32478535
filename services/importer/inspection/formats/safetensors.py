"""The header of a safetensors file: JSON with type, shape and place of every tensor, checked against the file."""

import struct
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from pydantic import JsonValue

from services.importer.inspection.json_text import json_of
from services.importer.inspection.reading import Stream, Unreadable, product, shortened
from shared.contents import ModelFile

_LENGTH = struct.Struct("<Q")
# The limit of the format's own library.
_LONGEST_HEADER = 100_000_000
_METADATA = "__metadata__"
_MOST_METADATA = 32
_BITS = {"BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64, "C128": 128, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}  # fmt: skip
_NAMES = {"BOOL": "bool", "BF16": "bfloat16", "C64": "complex64", "C128": "complex128", **{f"{short}{bits}": f"{long}{bits}" for short, long in (("I", "int"), ("U", "uint"), ("F", "float")) for bits in (8, 16, 32, 64)}}  # fmt: skip


class _Tensor(NamedTuple):
    dtype: str
    parameters: int
    start: int
    end: int


def describe_safetensors(path: str, stream: Stream) -> ModelFile:
    size_bytes = stream.size_bytes or 0
    (length,) = stream.unpack(_LENGTH)
    most = min(_LONGEST_HEADER, size_bytes - _LENGTH.size)
    if length > most:
        raise Unreadable(f"says that its header has {length} bytes: expected at most {most}")
    header = _json(stream.exactly(length))
    metadata = header.pop(_METADATA, {})
    tensors = [_tensor(name, entry) for name, entry in header.items()]
    _check_places(tensors, size_bytes - _LENGTH.size - length)
    return ModelFile(
        path=path,
        format="safetensors",
        framework=_framework(metadata),
        tensor_count=len(tensors),
        parameter_count=sum(tensor.parameters for tensor in tensors),
        dtypes=dict(Counter(_NAMES.get(tensor.dtype, tensor.dtype.lower()) for tensor in tensors)),
        details=dict(_texts(metadata)),
    )


def _json(text: bytes) -> dict[str, JsonValue]:
    try:
        header = json_of(text)
    except Unreadable as error:
        raise Unreadable("has a header that is no JSON") from error
    if not isinstance(header, dict):
        raise Unreadable("has a header that is no JSON object")
    return header


def _tensor(name: str, entry: JsonValue) -> _Tensor:
    shown = shortened(name)
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(start), int(end)]} if dtype in _BITS:
            sizes = tuple(size for size in shape if type(size) is int)
        case _:
            raise Unreadable(f"has no known dtype, shape and data_offsets for tensor {shown!r}")
    count = product(sizes)
    if len(sizes) != len(shape) or (end - start) * 8 != count * _BITS[dtype]:
        raise Unreadable(f"gives tensor {shown!r} {end - start} bytes: expected what its shape and dtype need")
    return _Tensor(dtype, count, start, end)


def _check_places(tensors: list[_Tensor], data_bytes: int) -> None:
    """The tensors lie one behind the other and fill the file, as the format demands."""
    end = 0
    for tensor in sorted(tensors, key=lambda tensor: (tensor.start, tensor.end)):
        if tensor.start != end:
            raise Unreadable(f"has a tensor at byte {tensor.start}: expected byte {end}, without gap or overlap")
        end = tensor.end
    if end != data_bytes:
        raise Unreadable(f"has {data_bytes} bytes of tensors: expected {end}, as its header says")


def _framework(metadata: JsonValue) -> str | None:
    written_by = metadata.get("format") if isinstance(metadata, dict) else None
    return {"pt": "pytorch", "tf": "tensorflow", "flax": "flax", "np": "numpy", "mlx": "mlx"}.get(str(written_by))


def _texts(metadata: JsonValue) -> Iterator[tuple[str, JsonValue]]:
    if isinstance(metadata, dict):
        for key, value in list(metadata.items())[:_MOST_METADATA]:
            yield shortened(key), shortened(str(value), 200)
