"""What is read of the files of a package, counted."""

import functools
import io
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from typing_extensions import Buffer

from services.importer.ports import FoundFile, Opener


class Read:
    """So far, by any number of threads."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self.size_bytes += count


def files_in(folder: Path) -> list[FoundFile]:
    """The files of a folder, as a source would give them; they can be pickled."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        FoundFile(path.relative_to(folder).as_posix(), path.stat().st_size, functools.partial(_open, path))
        for path in files
    ]


def counted(files: Sequence[FoundFile], read: Read) -> list[FoundFile]:
    """The same files; who reads them is counted."""
    return [file._replace(open=functools.partial(_counting, file.open, read)) for file in files]


def _open(path: Path) -> BinaryIO:
    return path.open("rb", buffering=0)


def _counting(opener: Opener, read: Read) -> BinaryIO:
    return cast("BinaryIO", _Counting(opener(), read))


class _Counting(io.RawIOBase):
    def __init__(self, content: BinaryIO, read: Read) -> None:
        super().__init__()
        self._content = content
        self._read = read

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._content.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._content.seek(offset, whence)

    def tell(self) -> int:
        return self._content.tell()

    def readinto(self, buffer: Buffer) -> int | None:
        count: int | None = self._content.readinto(buffer)  # type: ignore[attr-defined]  # an Opener's files have it
        self._read.add(count or 0)
        return count

    def close(self) -> None:
        self._content.close()
        super().close()
