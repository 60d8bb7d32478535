"""Commands as they are typed, without the second that loading takes: a process that has loaded `modelkin` is copied for each.

    python -m tests.typed FOLDER     serves connections to a socket there until standard input ends; each sends one order
                                     with the ends of two pipes, and hears "<pid>" of the copy, then "<status>" of its end

A copy is a process of its own, with its own words, environment, folder, standard output and standard error.
"""

import contextlib
import ctypes
import functools
import gc
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from modelkin.cli import main

PR_SET_PDEATHSIG = 1
READY_WITHIN_S = 120.0
SOCKET = "socket"


# The one that asks


def typed(words: Sequence[str], environment: Mapping[str, str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run `modelkin WORDS` to its end.

    Raises:
        subprocess.TimeoutExpired: it did not end, and was killed.
    """
    (out, to_out), (error, to_error) = os.pipe(), os.pipe()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(_server())
        order = {
            "words": [os.fsdecode(word) for word in words],
            "environment": dict(environment),
            "folder": str(Path.cwd()),
        }
        socket.send_fds(connection, [f"{json.dumps(order)}\n".encode()], [to_out, to_error])
        os.close(to_out)
        os.close(to_error)
        with connection.makefile("r") as told, os.fdopen(out, "rb") as said, os.fdopen(error, "rb") as complained:
            pid = int(told.readline())
            late = threading.Timer(timeout_s, os.kill, (pid, signal.SIGKILL))
            late.start()
            # Both at once: who reads one first may wait for ever for a copy that fills the other.
            reading = _Reading(complained)
            output = said.read().decode()
            errors = reading.read().decode()
            status = int(told.readline())
            late.cancel()
    if status == -signal.SIGKILL:
        raise subprocess.TimeoutExpired([*words], timeout_s, output, errors)
    return subprocess.CompletedProcess([*words], status, output, errors)


class _Reading(threading.Thread):
    """Reads a pipe to its end."""

    def __init__(self, pipe: Any) -> None:
        super().__init__()
        self._pipe = pipe
        self._content = b""
        self.start()

    def run(self) -> None:
        self._content = self._pipe.read()

    def read(self) -> bytes:
        self.join()
        return self._content


_starting = threading.Lock()


def _server() -> str:
    """The socket of the server of this process, which ends with it: nobody else holds its standard input."""
    with _starting:
        return _started()[1]


@functools.cache
def _started() -> tuple[subprocess.Popen[bytes], str]:
    folder = tempfile.mkdtemp(prefix="modelkin-typed-")
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.typed", folder],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + READY_WITHIN_S
    while not (path := Path(folder) / SOCKET).exists():
        assert server.poll() is None, "what copies commands ended"
        assert time.monotonic() < deadline, "what copies commands did not start"
        time.sleep(0.01)
    return server, str(path)


# The one that is copied


def serve(folder: str) -> None:
    """Serve until standard input ends."""
    gc.freeze()  # else looking for garbage in a copy copies the memory that both have
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{folder}/new")
        listening.listen(64)
        Path(folder, "new").rename(Path(folder, SOCKET))
        while listening in select.select([listening, 0], [], [])[0]:
            connection, _ = listening.accept()
            parent = os.getpid()
            if os.fork() == 0:
                _die_with(parent)
                listening.close()
                _answer(connection)
            connection.close()
    shutil.rmtree(folder)


def _answer(connection: socket.socket) -> NoReturn:
    """Start the copy that was ordered, and tell how it ended."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        order, pipes, _, _ = socket.recv_fds(connection, 1 << 20, 2)
        while not order.endswith(b"\n"):
            order += connection.recv(1 << 20)
        keeper = os.getpid()
        pid = os.fork()
        if pid == 0:
            connection.close()
            _be(json.loads(order), pipes, keeper)
        for pipe in pipes:
            os.close(pipe)
        connection.sendall(f"{pid}\n".encode())
        _, status = os.waitpid(pid, 0)
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    finally:
        os._exit(0)


def _be(order: dict[str, Any], pipes: list[int], parent: int) -> NoReturn:
    """What the copy does."""
    status: object = 1
    try:
        _die_with(parent)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for pipe, own in zip(pipes, (1, 2), strict=True):
            os.dup2(pipe, own)
            os.close(pipe)
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        sys.argv = ["modelkin", *order["words"]]
        status = main()
    except SystemExit as end:
        status = end.code
    except BaseException:  # noqa: BLE001 - as Python does at the end of a process
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status if isinstance(status, int) else int(status is not None))


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    serve(sys.argv[1])
