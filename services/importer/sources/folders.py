"""Where models are found: folders and files of this machine, inside the roots that the operator allows."""

import contextlib
import functools
import io
import os
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote, urlsplit

from typing_extensions import Buffer

from services.importer.domain import Unacceptable
from services.importer.ports import FoundFile
from services.importer.sources.archives import is_archive, unpacked
from services.importer.sources.limits import Limits, check_path, in_order, shown_end, too_many_files, top_folders
from services.importer.sources.spool import Spool
from services.importer.threads import to_its_end
from shared.texts import shown
from shared.values import Reason

# A file system may give two writes that follow each other the same time.
SETTLED_AFTER_S = 2.0
_ABSENT = (FileNotFoundError, NotADirectoryError)


class LocalFolders:
    """`file://` locations. Nothing outside the allowed roots is opened, by no path and through no link."""

    def __init__(
        self, allowed_roots: Sequence[Path], limits: Limits, spool: Spool, now: Callable[[], float] = time.time
    ) -> None:
        self._roots = [root.resolve() for root in allowed_roots]
        self._limits = limits
        self._spool = spool
        self._now = now

    @contextlib.asynccontextmanager
    async def found(self, location: str, workspace: str) -> AsyncIterator[Sequence[FoundFile]]:  # noqa: ARG002 - the roots are everybody's
        found = await to_its_end(functools.partial(self._look, path_of(location)))
        if not isinstance(found, FoundFile):
            yield found
        elif not is_archive(found.path):
            yield in_order([found], self._limits)
        else:
            async with unpacked(found, self._limits, self._spool, in_place=True) as members:
                yield members

    async def folders(self, location: str, workspace: str) -> Sequence[str]:
        names = await to_its_end(functools.partial(self._names, path_of(location)))
        if names is not None:
            return names
        async with self.found(location, workspace) as files:
            return top_folders(file.path for file in files)

    def _look(self, asked: Path) -> FoundFile | Sequence[FoundFile]:
        real = self._allowed(asked)
        return self._below(asked, real) if real.is_dir() else self._alone(real)

    def _names(self, asked: Path) -> Sequence[str] | None:
        real = self._allowed(asked)
        return self._folders_in(real) if real.is_dir() else None

    def _allowed(self, asked: Path) -> Path:
        """The real place behind the path, judged before anything is said of what lies outside the roots."""
        real = Path(os.path.realpath(asked))
        if not any(real.is_relative_to(root) for root in self._roots):
            raise Unacceptable(
                Reason.LOCATION_NOT_ALLOWED,
                f"{shown_end(asked)} is outside the folders that the importer may read: expected a place"
                " inside one of those in MODELKIN_ALLOWED_ROOTS",
            )
        try:
            mode = real.stat().st_mode
        except _ABSENT:
            expected = "expected a folder or a file"
            raise Unacceptable(Reason.LOCATION_NOT_FOUND, f"{shown_end(asked)} does not exist: {expected}") from None
        except OSError as error:
            raise _unreadable(asked.name, error) from error
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise Unacceptable(
                Reason.UNSUPPORTED_FILE, f"{shown_end(asked)} is a {_kind(mode)}: expected a folder or a regular file"
            )
        return real

    def _below(self, asked: Path, folder: Path) -> Sequence[FoundFile]:
        try:
            files = in_order(self._files_in(folder), self._limits)
        except OSError as error:
            raise _unreadable(Path(str(error.filename or asked)).name, error) from error
        if not files:
            raise Unacceptable(Reason.LOCATION_EMPTY, f"{shown_end(asked)} holds no file: expected a model")
        return files

    def _files_in(self, folder: Path) -> Iterator[FoundFile]:
        for count, entry in enumerate(_walk(folder), start=1):
            if count > self._limits.max_files:
                raise too_many_files(self._limits, "the folder")
            yield self._found(folder, Path(entry.path))

    def _found(self, folder: Path, file: Path) -> FoundFile:
        """Judge one entry: a regular file, or a link to a regular file of the same folder."""
        path = file.relative_to(folder).as_posix()
        real = Path(os.path.realpath(file))
        if not real.is_relative_to(folder):
            raise Unacceptable(Reason.LINK_LEAVES_FOLDER, f"{shown(path)} is a link that leaves the folder")
        return self._judged(path, real)

    def _alone(self, real: Path) -> FoundFile:
        try:
            return self._judged(real.name, real)
        except OSError as error:
            raise _unreadable(real.name, error) from error

    def _judged(self, path: str, real: Path) -> FoundFile:
        status = real.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = _kind(status.st_mode)
            raise Unacceptable(Reason.UNSUPPORTED_FILE, f"{shown(path)} is a {kind}: expected a regular file")
        check_path(path)
        settled = self._now() - max(status.st_mtime, status.st_ctime) > SETTLED_AFTER_S
        identity = _Identity.of(status)
        return FoundFile(
            path, status.st_size, functools.partial(_open, real, path, identity), str(identity) if settled else None
        )

    def _folders_in(self, folder: Path) -> Sequence[str]:
        names: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        names.append(entry.name)
                    if len(names) > self._limits.max_files:
                        raise too_many_files(self._limits, "the folder")
        except OSError as error:
            raise _unreadable(folder.name, error) from error
        return sorted(names)


def path_of(location: str) -> Path:
    """The path in a `file://` URL.

    Raises:
        Unacceptable: another scheme, another host, or no absolute path.
    """
    try:
        url = urlsplit(location)
    except ValueError as error:
        raise Unacceptable(Reason.INVALID_LOCATION, f"{shown(location)} is not a URL: {error}") from error
    if url.scheme != "file":
        raise Unacceptable(
            Reason.UNSUPPORTED_SCHEME,
            f"location {shown(location)} has the scheme {shown(url.scheme)}: expected file://",
        )
    path = unquote(url.path)
    if url.netloc not in {"", "localhost"} or not path.startswith("/") or "\0" in path:
        raise Unacceptable(Reason.INVALID_LOCATION, f"location {shown(location)}: expected file:///absolute/path")
    return Path(path)


class _Identity(NamedTuple):
    """What is other as soon as the bytes of a file are."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "_Identity":
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def __str__(self) -> str:
        return ":".join(["file", *map(str, self)])


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    folders = [os.fspath(folder)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    yield entry


class _Unchanged(io.FileIO):
    """A file that was judged. At its end it is compared with what was judged: no other bytes pass for it."""

    def __init__(self, descriptor: int, path: str, identity: _Identity) -> None:
        super().__init__(descriptor, "rb")
        self._path = path
        self._identity = identity

    def check(self) -> None:
        status = os.fstat(self.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Unacceptable(
                Reason.UNSUPPORTED_FILE, f"{shown(self._path)} changed while it was read: expected a regular file"
            )
        if _Identity.of(status) != self._identity:
            raise Unacceptable(Reason.FILE_CHANGED, f"{shown(self._path)} changed while it was read")

    def readinto(self, buffer: Buffer) -> int | None:
        count = super().readinto(buffer)
        if not count:
            self.check()
        return count


def _open(real: Path, path: str, identity: _Identity) -> BinaryIO:
    """Open a file that was judged; what took its place meanwhile is not followed and does not block."""
    try:
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        file = _Unchanged(descriptor, path, identity)
        file.check()
    except OSError as error:
        os.close(descriptor)
        raise _unreadable(path, error) from error
    except Unacceptable:
        file.close()
        raise
    return file


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "link to a folder"
    return "device" if stat.S_ISBLK(mode) or stat.S_ISCHR(mode) else "pipe or socket"


def _unreadable(name: str, error: OSError) -> Unacceptable:
    return Unacceptable(Reason.LOCATION_UNREADABLE, f"{shown(name)} cannot be read: {error.strerror}")
