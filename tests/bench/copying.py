"""Part `copy`: a large file into the artifact store, beside what the system's own tools take for the same.

As a program it makes one copy and says what it took: `python -m tests.bench.copying FILE FOLDER`.
"""

import asyncio
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from services.importer.artifacts.folder import ArtifactFolder
from tests.bench.machine import MB, usage_of
from tests.bench.tables import ratio, say_note, say_table, say_title

ROUNDS = 3
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Put:
    """What `ArtifactFolder.put` took, in a process of its own."""

    took_s: float
    digest: str
    resident_before: int
    peak_bytes: int

    @property
    def memory_mb(self) -> float:
        """What the copy needed beyond the program itself."""
        return (self.peak_bytes - self.resident_before) / MB


@dataclass(frozen=True, slots=True)
class Round:
    copy_s: float
    digest_s: float
    put: Put

    @property
    def ratio(self) -> float:
        return self.put.took_s / (self.copy_s + self.digest_s)


def measure(folder: Path, file: Path) -> None:
    """Run the three in turn, some rounds, and print."""
    folder.mkdir()
    _round(folder, file)  # not counted: a virtual disk is slow where it has never been written
    rounds = [_round(folder, file) for _ in range(ROUNDS)]
    say_title(f"Copy and digest of one file of {file.stat().st_size // MB:,} MB, read from the page cache")
    say_table(
        ("round", "put / (cp, sync + digest)", "memory of put, MB", "put s", "cp, sync s", "digest s"),
        [*((str(number), *_cells(one)) for number, one in enumerate(rounds, start=1)), ("median", *_medians(rounds))],
    )
    peak = max(one.put.peak_bytes for one in rounds) / MB
    say_note(
        f"Memory is the peak above that of the program before the copy; the whole program peaked at {peak:.0f} MB."
    )


def _round(folder: Path, file: Path) -> Round:
    os.sync()  # what was written and deleted before is not this round's to pay for
    copy_s = _copy_and_sync(file, folder / "copy")
    started = time.perf_counter()
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    digest_s = time.perf_counter() - started
    os.sync()
    put = _put_in_a_process(file, folder / "artifacts")
    if put.digest != f"sha256:{digest}":
        raise AssertionError(f"the artifact store says {put.digest}, expected sha256:{digest}")
    return Round(copy_s, digest_s, put)


def _copy_and_sync(file: Path, target: Path) -> float:
    started = time.perf_counter()
    subprocess.run(["cp", file, target], check=True)
    subprocess.run(["sync", target], check=True)
    took_s = time.perf_counter() - started
    target.unlink()
    return took_s


def _put_in_a_process(file: Path, root: Path) -> Put:
    command = [sys.executable, "-m", "tests.bench.copying", str(file), str(root)]
    done = subprocess.run(command, check=True, capture_output=True, cwd=REPOSITORY)
    put = Put(**json.loads(done.stdout))
    ArtifactFolder(root).path_of(put.digest).unlink()  # or the next round finds the bytes there
    return put


async def _put(file: Path, root: Path) -> dict[str, float | str]:
    artifacts = ArtifactFolder(root)
    await artifacts.prepare()
    before = usage_of()
    started = time.perf_counter()
    with file.open("rb", buffering=0) as content:
        blob = await artifacts.put(content, _unheard)
    took_s = time.perf_counter() - started
    return {
        "took_s": took_s,
        "digest": blob.digest,
        "resident_before": before.resident_bytes,
        "peak_bytes": usage_of().peak_bytes,
    }


async def _unheard(_: int) -> None:
    """Progress that nobody waits for."""


def _cells(one: Round) -> tuple[str, ...]:
    return _formatted(one.ratio, one.put.memory_mb, one.put.took_s, one.copy_s, one.digest_s)


def _medians(rounds: list[Round]) -> tuple[str, ...]:
    columns = zip(
        *((one.ratio, one.put.memory_mb, one.put.took_s, one.copy_s, one.digest_s) for one in rounds), strict=True
    )
    return _formatted(*(statistics.median(column) for column in columns))


def _formatted(of_both: float, memory_mb: float, *seconds: float) -> tuple[str, ...]:
    return ratio(of_both), f"{memory_mb:.1f}", *(f"{taken:.2f}" for taken in seconds)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(_put(Path(sys.argv[1]), Path(sys.argv[2])))))
