"""Starts services quickly: a process that has loaded them, and is copied for each one that is to run.

    python -m tests.chaos.forking     reads lines {"service", "environment", "log"} from standard input;
                                      writes "started <pid>" for each, and "ended <pid> <status>" for each that ended

A copy is all that `python -m services.NAME` would be, but for the seconds that loading takes. It ends with its parent.
"""

import ctypes
import importlib
import json
import os
import runpy
import select
import signal
import sys
from typing import Any

SERVICES = ("importer", "versioning", "registry")
LOOK_EVERY_S = 0.05
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until standard input ends."""
    for service in SERVICES:
        importlib.import_module(f"services.{service}.app")
    importlib.import_module("tests.chaos.probes")
    parent, heard = os.getpid(), b""
    _say("ready")
    while True:
        readable, _, _ = select.select([0], [], [], LOOK_EVERY_S)
        if readable:
            more = os.read(0, 65536)
            if not more:
                return
            *lines, heard = (heard + more).split(b"\n")
            for line in lines:
                _start(json.loads(line), parent)
        _tell_ended()


def _start(order: dict[str, Any], parent: int) -> None:
    pid = os.fork()
    if pid == 0:
        _be(order["service"], order["environment"], order["log"], parent)
    _say(f"started {pid}")


def _be(service: str, environment: dict[str, str], log: str, parent: int) -> None:
    """What the copy does; never returns."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ.update(environment)
        importlib.import_module("tests.chaos.probes").install()
        runpy.run_module(f"services.{service}", run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as Python does at the end of a process
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


def _tell_ended() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _say(f"ended {pid} {os.waitstatus_to_exitcode(status)}")


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    main()
