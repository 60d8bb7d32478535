"""Unsafe files: pickles and archives wherever they are hidden, unwrapped layer by layer within a budget, never onto the disk."""

import io
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from services.importer.inspection.formats import keras
from services.importer.inspection.formats.npy import NPY_MAGIC, read_npy
from services.importer.inspection.pickles import Judgement, Open, Pickles, has_header, judge, walk_pickles
from services.importer.inspection.reading import Budget, Section, Stream, Unreadable, shortened
from services.importer.inspection.tars import BLOCK_BYTES, is_tar, tar_members
from services.importer.inspection.unpacking import UNSUPPORTED, Unpacked, compression_of
from services.importer.inspection.zips import EMPTY_MAGIC, LOCAL_MAGIC, Member, Zip, is_zip, leaves_folder
from shared.contents import UnsafeFile

# Whoever meets these names calls a loader of pickles.
_PICKLES = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth"})
# These may be pickles, or archives of them, among other things.
_PERHAPS = _PICKLES | frozenset({".bin", ".ckpt", ".dat", ".data", ".jar", ".keras", ".m", ".mar", ".model", ".npy", ".npz", ".skops", ".zip", ""})  # fmt: skip
_PACKED = frozenset({".bz2", ".gz", ".lzma", ".tbz2", ".tgz", ".txz", ".xz", ".z"})
_DEEPEST = 4
# A compressed archive inside an archive must be read back and forth, so it is held in memory.
_HELD_BYTES = 64 * 1024 * 1024
_MOST_FINDINGS = 1000
_LONGEST_PATH = 1200
_TENSOR_DATA = re.compile(
    r"(data|constants)/\d+|version|byteorder|\.data/serialization_id|\.format_version|\.storage_alignment"
)


class Scan:
    """The unsafe files of a package, as they are found."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.found: list[UnsafeFile] = []
        self.pickles: dict[str, Pickles] = {}
        """What was walked in files that are no archives, by path."""

    def look(self, path: str, opened: Open, depth: int = 0, *, scripted: bool = False) -> None:
        """Judge the file at a path, and what is in it."""
        try:
            self._look(path, opened, depth, scripted=scripted)
        except Unreadable as error:
            self.report(path, Judgement("unreadable", (), f"{error}"))

    def report(self, path: str, judgement: Judgement | None) -> None:
        if judgement is None or len(self.found) >= _MOST_FINDINGS:
            return
        verdict, imports, message = judgement
        shown = shortened(path, _LONGEST_PATH)
        unsafe = {"path": shown, "verdict": verdict, "imports": imports, "message": shortened(message, 300)}
        self.found.append(UnsafeFile.model_validate(unsafe))

    def _look(self, path: str, opened: Open, depth: int, *, scripted: bool) -> None:
        stream = opened()
        beginning = stream.beginning(BLOCK_BYTES)
        suffix = PurePosixPath(path.rpartition("!/")[2]).suffix.lower()
        if depth > _DEEPEST:
            raise Unreadable(f"is more than {_DEEPEST} archives deep")
        if beginning.startswith((LOCAL_MAGIC, EMPTY_MAGIC)):
            return self._zip(path, self._held(opened()), depth)
        if suffix in _PERHAPS and is_zip(stream):
            # Some loaders look for the directory at the end, others at the first bytes: both are judged.
            self._zip(path, stream, depth)
        if beginning.startswith(NPY_MAGIC):
            return self._npy(path, opened)
        if compression := compression_of(beginning):
            return self._compressed(path, opened, compression, depth)
        if is_tar(beginning):
            self._tar(path, opened(), depth)
            # The name of the first member may be a pickle.
            return self._pickle(path, opened, "", depth, scripted=scripted)
        if suffix in _PICKLES and (unsupported := _unsupported(beginning)):
            raise Unreadable(f"is compressed by {unsupported}, which cannot be read")
        if beginning.startswith(keras.HDF5_MAGIC) or path.endswith(keras.METADATA):
            return self.report(path, keras.judge_text_of(opened()))
        return self._pickle(path, opened, suffix, depth, scripted=scripted)

    def _pickle(self, path: str, opened: Open, suffix: str, depth: int, *, scripted: bool) -> None:
        certain = suffix in _PICKLES or has_header(opened().beginning(2))
        pickles = walk_pickles(opened, scripted=scripted)
        self.report(path, judge(pickles, certain=certain))
        if certain and "!/" not in path:
            self.pickles[path] = pickles
        self._nested(path, opened, pickles, depth)

    def _nested(self, path: str, opened: Open, pickles: Pickles, depth: int) -> None:
        """Bytes within pickles that loading would unpickle in turn."""
        for blob in (blob for walk in pickles.walks for blob in walk.blobs):
            self._budget.spend_member()
            stream = self._held(opened())
            section = Section(stream, blob.start, blob.size_bytes)
            inner = Stream(section)
            self.look(f"{path}!/bytes.pt", inner.again, depth + 1)

    def _npy(self, path: str, opened: Open) -> None:
        stream = opened()
        header = read_npy(stream)
        if header.holds_objects:
            pickles = walk_pickles(opened, stream.tell())
            self.report(path, judge(pickles, certain=header.is_simple))

    def _compressed(self, path: str, opened: Open, compression: str, depth: int) -> None:
        def unpacked() -> Stream:
            return Stream(Unpacked(opened(), compression, self._budget))

        try:
            unpacked().peek(1)
        except Unreadable:
            # Text may begin as zlib does, and no loader gets further than this.
            if compression == "zlib":
                return
            raise
        name = PurePosixPath(path)
        self.look(f"{path}!/{name.stem}" if name.suffix.lower() in _PACKED else path, unpacked, depth + 1)

    def _held(self, stream: Stream) -> Stream:
        """The same bytes, where one can go back."""
        if stream.seekable():
            return stream
        content = stream.read(_HELD_BYTES + 1)
        if len(content) > _HELD_BYTES:
            raise Unreadable(f"is a compressed archive in an archive: expected at most {_HELD_BYTES} bytes")
        return Stream(io.BytesIO(content))

    def _zip(self, path: str, stream: Stream, depth: int) -> None:
        archive = Zip(stream, self._budget)
        dangers = dict(archive.dangers())
        for name, danger in dangers.items():
            self.report(f"{path}!/{name}", Judgement("dangerous", (), f"member {shortened(name)!r}: {danger}"))
        if archive.overlaps:
            return
        names = {member.name for member in archive.members}
        scripted = any(name.endswith("constants.pkl") for name in names)
        for member in _worth_opening(archive.members, names):
            if member.name not in dangers:
                self._member(f"{path}!/{member.name}", archive, member, depth, scripted=scripted)

    def _member(self, path: str, archive: Zip, member: Member, depth: int, *, scripted: bool) -> None:
        def opened() -> Stream:
            return archive.open(member)

        try:
            if member.name == "config.json" and archive.is_keras:
                self.report(path, keras.judge_config(opened()))
            self.look(path, opened, depth + 1, scripted=scripted)
        except Unreadable as error:
            self.report(path, Judgement("unreadable", (), str(error)))

    def _tar(self, path: str, stream: Stream, depth: int) -> None:
        for member in tar_members(stream, self._budget):
            inner = f"{path}!/{member.name}"
            danger = member.oddity or ("leaves the folder it is unpacked to" if leaves_folder(member.name) else None)
            if danger:
                message = f"member {shortened(member.name)!r}: it is {danger}" if member.oddity else f"member {shortened(member.name)!r}: its path {danger}"  # fmt: skip
                self.report(inner, Judgement("dangerous", (), message))
            else:
                self._tar_member(inner, stream, member.size_bytes, depth)

    def _tar_member(self, path: str, stream: Stream, size_bytes: int, depth: int) -> None:
        """A member of a compressed archive passes by once, so it is held in memory."""
        if stream.size_bytes is not None:
            section = Stream(Section(stream, stream.tell(), size_bytes))
            here = stream.tell()
            self.look(path, section.again, depth + 1)
            stream.seek(here)
        elif size_bytes <= _HELD_BYTES:
            self.look(path, Stream(io.BytesIO(stream.exactly(size_bytes))).again, depth + 1)
        elif (
            has_header(beginning := stream.exactly(2))
            or PurePosixPath(path).suffix in _PERHAPS
            or compression_of(beginning)
        ):
            raise Unreadable(
                f"has a member of {size_bytes} bytes in a compressed archive: expected at most {_HELD_BYTES}"
            )


def _worth_opening(members: list[Member], names: set[str]) -> Iterator[Member]:
    """All but the numbers of PyTorch's tensors, which nobody unpickles and which would only cost a jump each."""
    roots = {name.removesuffix("data.pkl") for name in names if name.endswith("data.pkl")}
    for member in members:
        root, slash, rest = member.name.partition("/")
        if not member.is_folder and not (f"{root}{slash}" in roots and _TENSOR_DATA.fullmatch(rest)):
            yield member


def _unsupported(beginning: bytes) -> str | None:
    return next((name for magic, name in UNSUPPORTED.items() if beginning.startswith(magic)), None)
