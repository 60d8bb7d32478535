"""Packages that exist only in memory, and pickles put together by hand: nothing here ever loads one."""

import functools
import io
import struct
import tarfile
import zipfile

from services.importer.inspection.inspect import inspect_package
from services.importer.ports import FoundFile
from shared.contents import Contents, ModelFile, UnsafeFile

MANY = 10**9


def found(path: str, content: bytes) -> FoundFile:
    return FoundFile(path, len(content), functools.partial(io.BytesIO, content))


def contents(**files: bytes) -> Contents:
    """Of a package; `model_pt=` is the file model.pt."""
    return inspect_package([found(name.replace("_", ".", 1), content) for name, content in files.items()])


def unsafe(path: str, content: bytes) -> list[tuple[str, str]]:
    """Path and verdict of everything unsafe in a package of one file."""
    return [(found_.path, found_.verdict) for found_ in inspect_package([found(path, content)]).unsafe]


def verdict(path: str, content: bytes) -> str | None:
    """The one verdict on a file; None where nothing was found."""
    listed = inspect_package([found(path, content)]).unsafe
    assert len(listed) <= 1, listed
    return listed[0].verdict if listed else None


def only_unsafe(path: str, content: bytes) -> UnsafeFile:
    [one] = inspect_package([found(path, content)]).unsafe
    return one


def described(path: str, content: bytes) -> ModelFile:
    [one] = inspect_package([found(path, content)]).files
    return one


def text(value: str) -> bytes:
    """SHORT_BINUNICODE."""
    return b"\x8c" + bytes([len(value)]) + value.encode()


def global_(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def stack_global(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def call(function: bytes, *arguments: bytes) -> bytes:
    """REDUCE of a function with what the arguments push."""
    return function + b"(" + b"".join(arguments) + b"tR"


def pickled(body: bytes, protocol: int = 4) -> bytes:
    header = bytes([0x80, protocol]) if protocol > 1 else b""
    return header + body + b"."


OS_SYSTEM = pickled(call(stack_global("os", "system"), text("id")))
HARMLESS = pickled(call(stack_global("collections", "OrderedDict")))


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def tarred(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def npy(content: bytes, descr: str = "'|O'", shape: str = "(1,)") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n" + content


def safetensors(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data
