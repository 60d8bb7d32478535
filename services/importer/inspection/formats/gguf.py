"""The header of a GGUF file: its metadata, and how many tensors of which quantization."""

import struct
from collections import Counter
from typing import Final

from pydantic import JsonValue

from services.importer.inspection.json_text import sayable
from services.importer.inspection.reading import Stream, Unreadable, product, shortened
from shared.contents import ModelFile

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_U32, _U64, _COUNTS, _PLACE = (struct.Struct(layout) for layout in ("<I", "<Q", "<IQQ", "<IQ"))
_STRING, _ARRAY = 8, 9
_SCALARS: Final = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_LAYOUTS = {kind: struct.Struct(layout) for kind, layout in _SCALARS.items()}
# The largest models have 2,000 tensors and 100 keys; a tokenizer 300,000 words.
_MOST_KEYS, _MOST_TENSORS, _MOST_STRINGS = 10_000, 200_000, 4_000_000
_LONGEST_KEY, _LONGEST_KEPT, _MOST_DIMENSIONS, _MOST_KEPT = 1024, 200, 8, 48
_TYPES = ["F32", "F16", "Q4_0", "Q4_1", "Q4_2", "Q4_3", "Q5_0", "Q5_1", "Q8_0", "Q8_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_K", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8", "I16", "I32", "I64", "F64", "IQ1_M", "BF16", "Q4_0_4_4", "Q4_0_4_8", "Q4_0_8_8", "TQ1_0", "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4"]  # fmt: skip


def describe_gguf(path: str, stream: Stream) -> ModelFile:
    stream.exactly(len(MAGIC))
    version, tensors, keys = stream.unpack(_COUNTS)
    if version not in _VERSIONS:
        raise Unreadable(f"is GGUF of version {version}: expected {_VERSIONS[0]} or {_VERSIONS[1]}, little-endian")
    if keys > _MOST_KEYS or tensors > _MOST_TENSORS:
        raise Unreadable(
            f"says that it has {keys} keys and {tensors} tensors: expected at most {_MOST_KEYS} and {_MOST_TENSORS}"
        )
    details: dict[str, JsonValue] = {"version": version}
    for _ in range(keys):
        key, value = _text(stream, _LONGEST_KEY), _value(stream)
        if value is not None and len(details) < _MOST_KEPT:
            details[shortened(key)] = value
    dtypes, parameters = _tensors(stream, tensors)
    return ModelFile(
        path=path,
        format="gguf",
        framework="ggml",
        tensor_count=tensors,
        parameter_count=parameters,
        dtypes=dict(dtypes),
        details=details,
    )


def _text(stream: Stream, most: int) -> str:
    (length,) = stream.unpack(_U64)
    if length > most:
        raise Unreadable(f"has a name of {length} bytes: expected at most {most}")
    return stream.exactly(length).decode("utf-8", "replace")


def _value(stream: Stream) -> JsonValue:
    """A value that is small enough to keep; None for another, which is passed over."""
    (kind,) = stream.unpack(_U32)
    if kind == _ARRAY:
        _array(stream)
        return None
    if kind == _STRING:
        return _string(stream)
    (value,) = stream.unpack(_layout(kind))
    return sayable(value)


def _layout(kind: int) -> struct.Struct:
    if kind not in _LAYOUTS:
        raise Unreadable(f"has a value of type {kind}: expected 0 to 12")
    return _LAYOUTS[kind]


def _string(stream: Stream) -> str | None:
    (length,) = stream.unpack(_U64)
    if length > _LONGEST_KEPT:
        stream.skip(length)
        return None
    return shortened(stream.exactly(length).decode("utf-8", "replace"), _LONGEST_KEPT)


def _array(stream: Stream) -> None:
    """Pass over an array: words of a tokenizer, their scores."""
    (kind,), (count,) = stream.unpack(_U32), stream.unpack(_U64)
    if kind != _STRING:
        stream.skip(_layout(kind).size * count)
        return
    if count > _MOST_STRINGS:
        raise Unreadable(f"has an array of {count} texts: expected at most {_MOST_STRINGS}")
    for _ in range(count):
        stream.skip(stream.unpack(_U64)[0])


def _tensors(stream: Stream, count: int) -> tuple[Counter[str], int]:
    dtypes: Counter[str] = Counter()
    parameters = 0
    for _ in range(count):
        _text(stream, _LONGEST_KEY)
        (dimensions,) = stream.unpack(_U32)
        if dimensions > _MOST_DIMENSIONS:
            raise Unreadable(f"has a tensor of {dimensions} dimensions: expected at most {_MOST_DIMENSIONS}")
        parameters += product(tuple(stream.unpack(_U64)[0] for _ in range(dimensions)))
        kind, _offset = stream.unpack(_PLACE)
        dtypes[_TYPES[kind].lower() if kind < len(_TYPES) else f"type {kind}"] += 1
    return dtypes, parameters
