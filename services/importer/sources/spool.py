"""Room on this machine for bytes that come from elsewhere and must be read in any order: archives."""

import contextlib
import fcntl
import os
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from services.importer.domain import Unacceptable
from shared.values import Reason

# Younger files may be somebody's who has not locked them yet.
ABANDONED_AFTER_S = 3600.0


class Spool:
    """Files that live as long as the block that made them. Any number of processes may share the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self) -> None:
        """Make the folder, and remove the files of processes that died."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A folder that is there may be another user's, or on a disk that is read only.
        with tempfile.TemporaryFile(dir=self._folder):
            pass
        for left in self._folder.glob("*.spool"):
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > ABANDONED_AFTER_S and not _is_locked(left):
                    left.unlink()

    @contextlib.contextmanager
    def holding(self, chunks: Iterable[bytes]) -> Iterator[Path]:
        """A file with these bytes, for as long as the block."""
        with self._file() as path:
            _fill(path, chunks)
            yield path

    @contextlib.contextmanager
    def _file(self) -> Iterator[Path]:
        path = self._folder / f"{uuid.uuid4().hex}.spool"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _fault(error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield path
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)


def _fill(path: Path, chunks: Iterable[bytes]) -> None:
    with path.open("wb", buffering=0) as file:
        for chunk in chunks:
            left = memoryview(chunk)
            while left:
                try:
                    left = left[file.write(left) :]
                except OSError as error:
                    raise _fault(error) from None


def _is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _fault(error: OSError) -> Unacceptable:
    return Unacceptable(Reason.ARTIFACT_STORE_FULL, f"the importer's spool takes no more: {error.strerror}")
