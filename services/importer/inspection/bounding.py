"""Keeping what was learned so small that an event can carry it."""

import json
from collections.abc import Iterable
from typing import TypeVar

from pydantic import JsonValue

from shared.contents import Contents, HuggingFaceFolder, MLflowFolder, ModelFile, UnsafeFile
from shared.values import Value

MOST_FILES = MOST_UNSAFE = 64
# Together below 128 KiB.
_FILES_BYTES, _UNSAFE_BYTES, _HUGGING_FACE_BYTES, _MLFLOW_BYTES = 64_000, 32_000, 20_000, 8_000
_DETAILS_BYTES = 4096
_MOST_DTYPES = 32
# What BSON holds; no model comes near it.
_MOST_PARAMETERS = 2**63 - 1
_WORST_FIRST = ("dangerous", "unknown", "unreadable")
Kept = TypeVar("Kept", bound=Value)


def bounded(
    files: Iterable[tuple[int, ModelFile]],
    hugging_face: Iterable[HuggingFaceFolder],
    mlflow: Iterable[MLflowFolder],
    unsafe: Iterable[UnsafeFile],
) -> Contents:
    """The largest files with their sizes, the worst of what is unsafe, as far as there is room."""
    small = [_small(file) for _, file in largest(files)]
    return Contents(
        files=tuple(sorted(_fitting(_slimmed(small), _FILES_BYTES), key=lambda file: file.path)),
        hugging_face=tuple(_fitting(hugging_face, _HUGGING_FACE_BYTES)),
        mlflow=tuple(_fitting(mlflow, _MLFLOW_BYTES)),
        unsafe=tuple(sorted(_fitting(worst(unsafe), _UNSAFE_BYTES), key=lambda found: found.path)),
    )


def largest(files: Iterable[tuple[int, ModelFile]]) -> list[tuple[int, ModelFile]]:
    return sorted(files, key=lambda sized: (-sized[0], sized[1].path))[:MOST_FILES]


def worst(unsafe: Iterable[UnsafeFile]) -> list[UnsafeFile]:
    return sorted(unsafe, key=lambda found: (_WORST_FIRST.index(found.verdict), found.path))[:MOST_UNSAFE]


def _small(file: ModelFile) -> ModelFile:
    """One file within its own bounds."""
    dtypes = dict(sorted(file.dtypes.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_DTYPES])
    parameters = file.parameter_count if (file.parameter_count or 0) <= _MOST_PARAMETERS else None
    changed = {"dtypes": dtypes, "details": _details(file.details), "parameter_count": parameters}
    return file.model_copy(update=changed)


def _details(details: dict[str, JsonValue]) -> dict[str, JsonValue]:
    kept: dict[str, JsonValue] = {}
    left = _DETAILS_BYTES
    for key, value in details.items():
        left -= len(json.dumps({key: value}, ensure_ascii=False).encode(errors="replace"))
        if left < 0:
            break
        kept[key] = value
    return kept


def _slimmed(files: list[ModelFile]) -> list[ModelFile]:
    """Where all together are too large, those that take most say less of themselves."""
    room = _FILES_BYTES // max(1, len(files))
    if sum(map(_size_bytes, files)) <= _FILES_BYTES:
        return files
    return [file if _size_bytes(file) <= room else _slim(file) for file in files]


def _slim(file: ModelFile) -> ModelFile:
    return file.model_copy(update={"inputs": file.inputs[:2], "outputs": file.outputs[:2], "details": {}, "dtypes": {}})


def _size_bytes(value: Value) -> int:
    return len(value.model_dump_json().encode(errors="replace"))


def _fitting(values: Iterable[Kept], room_bytes: int) -> Iterable[Kept]:
    for value in values:
        room_bytes -= _size_bytes(value)
        if room_bytes < 0:
            return
        yield value
