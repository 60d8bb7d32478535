"""What calls in a pickle would give: tensors are counted, the arrays of joblib are passed over, everything else is only named."""

import re
from collections.abc import Sequence

from services.importer.inspection.reading import Stream, Unreadable, product
from services.importer.inspection.trust import Trust
from services.importer.inspection.values import OPAQUE, Blob, Imported, Made, Mapping, Stored, Value
from services.importer.inspection.walk import Walk

LOADS_BYTES = Imported("torch.storage", "_load_from_bytes")
# joblib, and the copy of it that scikit-learn brought before 0.23.
WRAPPERS = (
    Imported("joblib.numpy_pickle", "NumpyArrayWrapper"),
    Imported("sklearn.externals.joblib.numpy_pickle", "NumpyArrayWrapper"),
)
_DTYPE = Imported("numpy", "dtype")
_TENSORS = frozenset({"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_qtensor"})
_OF_ARRAYS = frozenset({"shape", "dtype", "order", "numpy_array_alignment_bytes"})
_VERSION = "_sklearn_version"
# As NumPy writes a dtype in a pickle: with its size, which is not a size in bytes without it.
_CODE = re.compile(r"[<>=|]?([biufcmMSUVO])([1-9]\d{0,8})")
_DEEPEST_DTYPE = 8


class Calls:
    """Stands for the objects of one pickle."""

    def __init__(self, stream: Stream, walk: Walk, *, with_arrays: bool) -> None:
        self._stream = stream
        self._walk = walk
        self._with_arrays = with_arrays

    def made(self, function: Value, arguments: Value) -> Value:
        """What calling gives."""
        match function:
            case Imported() if function is LOADS_BYTES:
                return self._loaded(arguments)
            case Imported():
                return self._made_by(function, arguments)
            case Made() | Mapping() | Stored():
                self._walk.suspect("calls an object")
            case _ if function is OPAQUE:
                self._walk.suspect("calls what is made while it loads")
            case _:
                raise Unreadable("calls what cannot be called")
        self._walk.called = True
        return OPAQUE

    def _loaded(self, arguments: Value) -> Value:
        match arguments:
            case (Blob() as blob,):
                self._walk.blobs.append(blob)
            case _:
                self._walk.note_import(LOADS_BYTES, Trust.DANGEROUS)
                self._walk.called = True
        return OPAQUE

    def _made_by(self, function: Imported, arguments: Value) -> Value:
        walk = self._walk
        if walk.imports.get(function, Trust.UNKNOWN):
            walk.called = True
        walk.note_class(function)
        if function.module == "torch._utils" and function.name in _TENSORS and isinstance(arguments, tuple):
            self._count_tensor(arguments)
        if function in WRAPPERS and arguments != ():
            raise Unreadable("has an array without a shape")
        keeps = function == _DTYPE and isinstance(arguments, tuple)
        return Made(function, arguments if keeps and isinstance(arguments, tuple) else ())

    def _count_tensor(self, arguments: tuple[Value, ...]) -> None:
        match arguments:
            case (Stored(dtype), int(), tuple() as shape, *_):
                sizes = tuple(size for size in shape if isinstance(size, int))
                self._walk.tensors += 1
                self._walk.parameters += product(sizes)
                self._walk.dtypes[dtype] += 1

    def enter(self, target: Value, items: Sequence[Value]) -> None:
        """Put keys and values, in turn, into a dict. Only what is asked for later is kept."""
        if len(items) % 2:
            raise Unreadable("has a key without a value")
        if isinstance(target, Mapping):
            target.count += len(items) // 2
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str):
                continue
            if key == _VERSION and isinstance(value, str) and self._walk.estimator_version is None:
                self._walk.estimator_version = value[:40]
            if isinstance(target, Mapping) and (key in _OF_ARRAYS or _is_field(value)):
                target.entries[key] = value

    def build(self, target: Value, state: Value) -> None:
        """Set the state of an object; behind that of an array's wrapper, joblib has put the array."""
        if not isinstance(target, Made):
            return
        if target.by == _DTYPE and isinstance(state, tuple):
            target.state = state
        if target.by in WRAPPERS and self._with_arrays:
            self._walk.arrays += 1
            if not isinstance(state, Mapping) or target.state is not None:
                raise Unreadable("has an array without a shape, or with two")
            target.state = state
            self._pass_array(state)

    def _pass_array(self, wrapper: Mapping) -> None:
        shape, dtype = wrapper.entries.get("shape"), wrapper.entries.get("dtype")
        if not isinstance(shape, tuple) or not isinstance(dtype, Made):
            raise Unreadable("has an array without a shape")
        sizes = tuple(size for size in shape if isinstance(size, int))
        if len(sizes) != len(shape):
            raise Unreadable("has an array without a shape")
        if _holds_objects(dtype, 0):
            raise NestedPickle
        if wrapper.entries.get("numpy_array_alignment_bytes") is not None:
            self._stream.skip(self._stream.exactly(1)[0])
        self._stream.skip(product((*sizes, _item_bytes(dtype))))


class NestedPickle(Exception):
    """An array of objects: joblib has put a pickle of its own behind the wrapper."""


def _is_field(value: Value) -> bool:
    match value:
        case (Made(by=by), int(), *_):
            return by == _DTYPE
        case _:
            return False


def _code(dtype: Made) -> tuple[str, int]:
    """Kind and number of a dtype: ('f', 8)."""
    match dtype.arguments:
        case (str() as text, *_) if found := _CODE.fullmatch(text):
            return found[1], int(found[2])
        case _:
            raise Unreadable("has an array of a dtype that cannot be followed")


def _item_bytes(dtype: Made) -> int:
    kind, number = _code(dtype)
    item_bytes = number * 4 if kind == "U" else number
    # For these kinds NumPy takes the size from the state, if there is one.
    if kind in "SUV" and dtype.state is not None:
        match dtype.state:
            case (_, _, _, _, _, int() as said, *rest) if said == item_bytes and len(rest) > 1:
                return item_bytes
        raise Unreadable("has an array of a dtype that cannot be followed")
    return item_bytes


def _holds_objects(dtype: Made, depth: int) -> bool:
    if depth > _DEEPEST_DTYPE or dtype.by != _DTYPE:
        raise Unreadable("has an array of a dtype that cannot be followed")
    if _code(dtype)[0] == "O":
        return True
    parts: list[Value] = []
    match dtype.state:
        case (_, _, sub, _, fields, *_):
            parts += [sub[0]] if isinstance(sub, tuple) and sub else []
            if isinstance(fields, Mapping):
                if fields.count != len(fields.entries):
                    raise Unreadable("has an array with fields that cannot be followed")
                parts += [field[0] for field in fields.entries.values() if isinstance(field, tuple)]
    return any(isinstance(part, Made) and _holds_objects(part, depth + 1) for part in parts)
