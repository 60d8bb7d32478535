"""The whole system as a user has it: `modelkin up` in a process of its own, spoken to by commands and subjects alone."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest

from tests.typed import typed

T = TypeVar("T")

MODELKIN = str(Path(sys.executable).parent / "modelkin")
# Far above what anything here takes; it passes only where something went wrong.
PATIENCE_S = 120


class Up(NamedTuple):
    """A running `modelkin up`."""

    process: subprocess.Popen[str]
    url: str
    data: Path
    models: Path

    def run(self, *words: str, timeout_s: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
        return command(*words, nats_url=self.url, timeout_s=timeout_s)

    def model(self, name: str, **files: bytes) -> Path:
        """A training job's output."""
        folder = self.models / name
        folder.mkdir(parents=True)
        for file, content in (files or {"model": name.encode()}).items():
            (folder / f"{file}.onnx").write_bytes(content)
        return folder


def command(
    *words: str, nats_url: str | None = None, timeout_s: float = PATIENCE_S
) -> subprocess.CompletedProcess[str]:
    return typed(words, {**os.environ, **({"MODELKIN_NATS_URL": nats_url} if nats_url else {})}, timeout_s)


def installed(*words: str, timeout_s: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
    """What `command` does, by the program that a user has: its start is tried too, and takes a second."""
    return subprocess.run([MODELKIN, *words], capture_output=True, text=True, timeout=timeout_s, check=False)


def start_up(data: Path, models: Path, *words: str) -> Up:
    """Start `modelkin up` and wait until it says that it is up."""
    models.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [MODELKIN, "up", "--data", str(data), "--allow", str(models), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = ""
    deadline = time.monotonic() + PATIENCE_S
    while "imports  from" not in said:
        line = process.stdout.readline()
        assert line, f"modelkin up ended: {said}"
        assert time.monotonic() < deadline, said
        said += line
    return Up(process, re.search(r"nats://\S+", said)[0], data, models)


def stop_up(up: Up) -> int:
    """As Ctrl-C does."""
    up.process.send_signal(signal.SIGINT)
    status = up.process.wait(PATIENCE_S)
    up.process.stdout.close()
    return status


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes that were started with this folder among their words or their environment."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            words, environment = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in words + environment:
            found.append(words.replace(b"\0", b" ").decode())
    return found


def eventually(look: Callable[[], T], what: str) -> T:
    deadline = time.monotonic() + PATIENCE_S
    while not (seen := look()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return seen


def all_gone(folder: Path) -> None:
    """A process that ends with its parent is seen for a moment longer."""
    eventually(lambda: not processes_of(folder), f"processes of {folder} are left")


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One system for all tests that only add to it."""
    folder = tmp_path_factory.mktemp("up")
    running = start_up(folder / "data", folder / "models")
    yield running
    stop_up(running)
