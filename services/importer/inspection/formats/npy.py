"""The header of a NumPy array file."""

import re
import struct
from typing import NamedTuple

from services.importer.inspection.reading import Stream, Unreadable, product, shortened
from shared.contents import ModelFile

NPY_MAGIC = b"\x93NUMPY"
_LENGTHS = {1: struct.Struct("<H"), 2: struct.Struct("<I"), 3: struct.Struct("<I")}
_LONGEST_HEADER = 64 * 1024
_SHAPE = re.compile(r"""['"]shape['"]\s*:\s*\(([\d,\s]*)\)""")
_SIMPLE = re.compile(r"""['"]descr['"]\s*:\s*['"]([^'"]*)['"]""")
# Word for word as NumPy writes it. In any other form, what it reads could be hidden behind escapes or said twice.
_CANONICAL = re.compile(
    r"\{'descr': '[<>=|]?[biufcmMSUVa?]\d{0,9}(\[\w+\])?', 'fortran_order': (True|False), 'shape': \([\d, ]*\), \}\s*"
)
_NUMBERS = re.compile(r"[<>=|]?([biufcmMSUVa?])(\d{0,9})(\[\w+\])?")
_OBJECTS = re.compile(r"[<>=|]?O\d*")
_KINDS = {"b": "int", "i": "int", "u": "uint", "f": "float", "c": "complex"}


class NpyHeader(NamedTuple):
    dtype: str
    shape: tuple[int, ...]
    is_simple: bool
    """One dtype, not a record of several."""
    holds_objects: bool
    """It holds, or may hold, a pickle instead of numbers."""


def read_npy(stream: Stream) -> NpyHeader:
    """The header of a stream at its start; leaves it where the array begins."""
    if stream.exactly(len(NPY_MAGIC)) != NPY_MAGIC:
        raise Unreadable("does not begin as a NumPy array does")
    layout = _LENGTHS.get(stream.exactly(2)[0])
    if layout is None:
        raise Unreadable("has a version that NumPy does not have: expected 1 to 3")
    (length,) = stream.unpack(layout)
    if length > _LONGEST_HEADER:
        raise Unreadable(f"has a header of {length} bytes: expected at most {_LONGEST_HEADER}")
    header = stream.exactly(length).decode("utf-8", "replace")
    shape, simple = _SHAPE.search(header), _SIMPLE.search(header)
    if shape is None:
        raise Unreadable("has a header without a shape")
    sizes = tuple(int(size[:20]) for size in shape[1].replace(",", " ").split())
    if simple is None:
        return NpyHeader("record", sizes, is_simple=False, holds_objects=True)
    only_numbers = _CANONICAL.fullmatch(header) is not None
    is_objects = _OBJECTS.fullmatch(simple[1]) is not None
    return NpyHeader(simple[1], sizes, is_simple=is_objects, holds_objects=not only_numbers)


def dtype_name(descr: str) -> str:
    """`<f4` as `float32`; what is no number stays as it is."""
    found = _NUMBERS.fullmatch(descr)
    if found is None or found[1] not in _KINDS or not found[2]:
        return "bool" if descr.endswith(("b1", "?")) else shortened(descr, 40)
    return "bool" if descr.endswith("b1") else f"{_KINDS[found[1]]}{int(found[2]) * 8}"


def describe_npy(path: str, stream: Stream) -> ModelFile:
    header = read_npy(stream)
    return ModelFile(
        path=path,
        format="npy",
        framework="numpy",
        tensor_count=1,
        parameter_count=product(header.shape),
        dtypes={dtype_name(header.dtype): 1},
    )
