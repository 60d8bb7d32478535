"""What a backup is on disk.

DIR/
├── EVENTS.stream        a stream as the NATS server packs it (tar, S2): also what `nats stream restore` reads
├── COMMANDS.stream
├── DEAD_LETTERS.stream
├── artifacts.jsonl      a line for each file of each package, and for its manifest: what the artifact store must have
├── SHA256SUMS           of all the others: `sha256sum -c SHA256SUMS`
└── backup.json          what it is; written last: without it, the backup was cut off
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from modelkin.errors import ModelkinError
from shared.envelope import explain

BACKUP: Final = "backup.json"
SUMS: Final = "SHA256SUMS"
ARTIFACTS: Final = "artifacts.jsonl"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class StreamBackup(_Frozen):
    name: str
    messages: int
    first_sequence: int
    last_sequence: int
    config: dict[str, Any]
    """As the server gave it, and takes it."""
    state: dict[str, Any]

    @property
    def file(self) -> str:
        return f"{self.name}.stream"


class ConsumerBackup(_Frozen):
    stream: str
    durable: str
    acknowledged: int
    """Everything up to this place in the stream was done; written down before the streams were read."""


class ArtifactsBackup(_Frozen):
    packages: int
    files: int
    """Each counted once, however many packages have it; manifests too."""
    size_bytes: int
    missing_packages: int
    """Versions stand whose package the artifact store did not have then."""


class Backup(_Frozen):
    format: Literal[1] = 1
    made_at: datetime
    modelkin: str
    nats_server: str
    streams: tuple[StreamBackup, ...]
    consumers: tuple[ConsumerBackup, ...]
    artifacts: ArtifactsBackup

    def stream(self, name: str) -> StreamBackup:
        return next(one for one in self.streams if one.name == name)


class Artifact(_Frozen):
    """A line of artifacts.jsonl."""

    package: str
    path: str | None
    """Inside the package; null: its manifest."""
    digest: str
    size_bytes: int


def begin(folder: Path) -> None:
    """Make the folder of a new backup.

    Raises:
        ModelkinError: something is there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ModelkinError(f"{folder} is not empty: a backup wants a folder of its own")
    except OSError as error:
        raise ModelkinError(f"{folder} cannot be made: {error.strerror}") from error


def finish(folder: Path, backup: Backup) -> None:
    """Write down what it is, once all else is on the disk."""
    content = backup.model_dump_json(indent=2).encode() + b"\n"
    sums = {path.name: _digest(path) for path in sorted(folder.iterdir())}
    sums[BACKUP] = hashlib.sha256(content).hexdigest()
    _write(folder / SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode())
    half = folder / f".{BACKUP}"
    _write(half, content)
    half.rename(folder / BACKUP)
    _sync(folder)


def clear(folder: Path) -> None:
    """Remove what a backup that failed has written."""
    for path in folder.iterdir():
        path.unlink(missing_ok=True)


def open_backup(folder: Path) -> Backup:
    """Read what is in a folder, every byte of it compared with what was written.

    Raises:
        ModelkinError: it is no backup, not a whole one, or damaged; says which file.
    """
    if not (folder / BACKUP).is_file():
        raise ModelkinError(f"{folder} has no {BACKUP}: it is no backup, or one that was cut off")
    sums = dict(_sums(folder / SUMS))
    for name in (BACKUP, ARTIFACTS):
        if name not in sums:
            raise ModelkinError(f"{folder / SUMS} does not name {name}: the backup is damaged")
    for name, digest in sums.items():
        if _digest(folder / name) != digest:
            raise ModelkinError(f"{folder / name} is not what was written (its SHA-256 differs): the backup is damaged")
    try:
        backup = Backup.model_validate_json((folder / BACKUP).read_bytes())
    except ValidationError as error:
        raise ModelkinError(f"{folder / BACKUP}: another release made it? {explain(error)}") from error
    for stream in backup.streams:
        if stream.file not in sums:
            raise ModelkinError(f"{folder / SUMS} does not name {stream.file}: the backup is damaged")
    return backup


def artifacts_in(folder: Path) -> Iterator[Artifact]:
    """Every line of artifacts.jsonl."""
    with (folder / ARTIFACTS).open(encoding="utf-8") as lines:
        for line in lines:
            yield Artifact.model_validate_json(line)


def write_lines(path: Path, lines: Iterable[BaseModel]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{line.model_dump_json()}\n" for line in lines)


def _sums(path: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelkinError(f"{path} cannot be read: the backup is damaged") from error
    for line in lines:
        digest, _, name = line.partition("  ")
        if not name or Path(name).name != name:
            raise ModelkinError(f"{path} has a line that names no file: the backup is damaged")
        yield name, digest


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelkinError(f"{path} cannot be read ({error.strerror}): the backup is damaged") from error


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
