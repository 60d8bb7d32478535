"""Where models are found: folders of this machine, inside the roots that the operator allows."""

import asyncio
import functools
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from services.importer.domain import Unacceptable
from services.importer.ports import FoundFile
from shared.values import Reason

LONGEST_PATH_BYTES = 1024


class LocalFolders:
    """`file://` locations. Nothing outside the allowed roots is opened, by no path and through no link."""

    def __init__(self, allowed_roots: Sequence[Path], max_files: int) -> None:
        self._roots = [root.resolve() for root in allowed_roots]
        self._max_files = max_files

    async def find(self, location: str) -> Sequence[FoundFile]:
        return await asyncio.to_thread(self._find, path_of(location))

    def _find(self, asked: Path) -> Sequence[FoundFile]:
        folder = self._allowed(asked)
        try:
            files = sorted(self._files_in(folder), key=lambda file: file.path)
        except OSError as error:
            raise _unreadable(Path(str(error.filename or asked)).name, error) from error
        if not files:
            raise Unacceptable(Reason.LOCATION_EMPTY, f"{asked} holds no file: expected a model")
        return files

    def _allowed(self, asked: Path) -> Path:
        """The real folder behind the path, judged before anything is said of what lies outside the roots."""
        folder = Path(os.path.realpath(asked))
        if not any(folder.is_relative_to(root) for root in self._roots):
            raise Unacceptable(
                Reason.LOCATION_NOT_ALLOWED,
                f"{asked} is outside the folders that the importer may read: expected a place"
                " inside one of those in MODELKIN_ALLOWED_ROOTS",
            )
        try:
            mode = folder.stat().st_mode
        except (FileNotFoundError, NotADirectoryError) as error:
            raise Unacceptable(Reason.LOCATION_NOT_FOUND, f"{asked} does not exist: expected a folder") from error
        except OSError as error:
            raise _unreadable(asked.name, error) from error
        if not stat.S_ISDIR(mode):
            raise Unacceptable(Reason.LOCATION_UNREADABLE, f"{asked} is not a folder: expected the folder of a model")
        return folder

    def _files_in(self, folder: Path) -> Iterator[FoundFile]:
        for count, entry in enumerate(_walk(folder), start=1):
            if count > self._max_files:
                raise Unacceptable(
                    Reason.TOO_MANY_FILES, f"the folder holds more than {self._max_files} files (MODELKIN_MAX_FILES)"
                )
            yield _found(folder, Path(entry.path))


def path_of(location: str) -> Path:
    """The path in a `file://` URL.

    Raises:
        Unacceptable: another scheme, another host, or no absolute path.
    """
    try:
        url = urlsplit(location)
    except ValueError as error:
        raise Unacceptable(Reason.INVALID_LOCATION, f"{location!r} is not a URL: {error}") from error
    if url.scheme != "file":
        raise Unacceptable(
            Reason.UNSUPPORTED_SCHEME, f"location {location!r} has the scheme {url.scheme!r}: expected file://"
        )
    path = unquote(url.path)
    if url.netloc not in {"", "localhost"} or not path.startswith("/") or "\0" in path:
        raise Unacceptable(Reason.INVALID_LOCATION, f"location {location!r}: expected file:///absolute/path")
    return Path(path)


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    folders = [os.fspath(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    yield entry


def _found(folder: Path, file: Path) -> FoundFile:
    """Judge one entry: a regular file, or a link to a regular file of the same folder."""
    path = file.relative_to(folder).as_posix()
    real = Path(os.path.realpath(file))
    if not real.is_relative_to(folder):
        raise Unacceptable(Reason.LINK_LEAVES_FOLDER, f"{path!r} is a link that leaves the folder")
    state = real.stat()
    if not stat.S_ISREG(state.st_mode):
        raise Unacceptable(Reason.UNSUPPORTED_FILE, f"{path!r} is a {_kind(state.st_mode)}: expected a regular file")
    if not path.isprintable() or len(path.encode(errors="replace")) > LONGEST_PATH_BYTES:
        expected = f"at most {LONGEST_PATH_BYTES} bytes of printable UTF-8"
        raise Unacceptable(Reason.UNSUPPORTED_FILE, f"path {path[:80]!r}: expected {expected}")
    return FoundFile(path, state.st_size, functools.partial(_open, real, path))


def _open(real: Path, path: str) -> BinaryIO:
    """Open a file that was judged; what took its place meanwhile is not followed and does not block."""
    try:
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        file = os.fdopen(descriptor, "rb", buffering=0)
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise Unacceptable(Reason.UNSUPPORTED_FILE, f"{path!r} changed while it was read: expected a regular file")
    return file


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "link to a folder"
    return "device" if stat.S_ISBLK(mode) or stat.S_ISCHR(mode) else "pipe or socket"


def _unreadable(name: str, error: OSError) -> Unacceptable:
    return Unacceptable(Reason.LOCATION_UNREADABLE, f"{name!r} cannot be read: {error.strerror}")
