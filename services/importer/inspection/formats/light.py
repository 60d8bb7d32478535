"""Formats of which only identity and version are read: TensorFlow Lite and XGBoost."""

import re
import struct

from pydantic import JsonValue

from services.importer.inspection.reading import Stream, Unreadable, shortened
from shared.contents import ModelFile

TFLITE_AT, TFLITE = 4, b"TFL3"
_I32, _U16, _U32 = struct.Struct("<i"), struct.Struct("<H"), struct.Struct("<I")
_VERSION_FIELD, _DESCRIPTION_FIELD = 4, 10
_LONGEST_DESCRIPTION = 200

_ENDS_BYTES = 64 * 1024
_XGBOOST_JSON = re.compile(rb'^\s{0,64}\{\s{0,64}"learner"\s{0,64}:')
_UBJSON = re.compile(rb"^\{L\x00\x00\x00\x00\x00\x00\x00\x07learner")
_JSON_VERSION = re.compile(
    rb'"version"\s{0,64}:\s{0,64}\[\s{0,64}(\d{1,4}),\s{0,64}(\d{1,4}),\s{0,64}(\d{1,4})\s{0,64}\]'
)
_UBJ_VERSION = re.compile(rb"version\[#L\x00{7}\x03i(.)i(.)i(.)", re.DOTALL)
_OBJECTIVE = re.compile(rb'"objective"\s{0,64}:\s{0,64}\{\s{0,64}"name"\s{0,64}:\s{0,64}"([\w:]{1,64})"')


def describe_tflite(path: str, stream: Stream) -> ModelFile:
    """A flat buffer whose root is a table: version is its first field, the description its fourth."""
    (root,) = stream.unpack(_U32)
    fields = _fields(stream, root)
    version = _number_at(stream, fields, _VERSION_FIELD, root)
    details: dict[str, JsonValue] = {"version": version}
    if description := _text_at(stream, fields, _DESCRIPTION_FIELD, root):
        details["description"] = description
    return ModelFile(path=path, format="tflite", framework="tensorflow", details=details)


def _fields(stream: Stream, table: int) -> bytes:
    """The list of a table's fields: their places in it, two bytes each."""
    _go_to(stream, table)
    (back,) = stream.unpack(_I32)
    _go_to(stream, table - back)
    (length,) = stream.unpack(_U16)
    return _U16.pack(length) + stream.exactly(max(0, length - _U16.size))


def _place(fields: bytes, field: int, table: int) -> int | None:
    if len(fields) < field + _U16.size:
        return None
    (offset,) = _U16.unpack_from(fields, field)
    return table + offset if offset else None


def _number_at(stream: Stream, fields: bytes, field: int, table: int) -> int:
    place = _place(fields, field, table)
    if place is None:
        return 0
    _go_to(stream, place)
    return stream.unpack(_U32)[0]


def _text_at(stream: Stream, fields: bytes, field: int, table: int) -> str | None:
    place = _place(fields, field, table)
    if place is None:
        return None
    _go_to(stream, place)
    _go_to(stream, place + stream.unpack(_U32)[0])
    (length,) = stream.unpack(_U32)
    return shortened(stream.exactly(min(length, _LONGEST_DESCRIPTION)).decode("utf-8", "replace"), _LONGEST_DESCRIPTION)


def _go_to(stream: Stream, place: int) -> None:
    if not 0 <= place < (stream.size_bytes or 0):
        raise Unreadable("has an offset that leaves the file")
    stream.seek(place)


def is_xgboost(beginning: bytes) -> bool:
    return _XGBOOST_JSON.match(beginning) is not None or _UBJSON.match(beginning) is not None


def describe_xgboost(path: str, stream: Stream) -> ModelFile:
    """The version stands at the beginning or at the end, the objective near one of them."""
    head = stream.read(_ENDS_BYTES)
    size_bytes = stream.size_bytes or 0
    stream.seek(max(len(head), size_bytes - _ENDS_BYTES))
    ends = head + stream.read(_ENDS_BYTES)
    binary = _UBJSON.match(head) is not None
    found = list((_UBJ_VERSION if binary else _JSON_VERSION).finditer(ends))
    objective = _OBJECTIVE.search(ends)
    version = ".".join(str(part[0] if binary else int(part)) for part in found[-1].groups()) if found else None
    return ModelFile(
        path=path,
        format="xgboost-ubj" if binary else "xgboost-json",
        framework="xgboost",
        framework_version=version,
        details={"objective": objective[1].decode()} if objective else {},
    )
