"""Runs the bench: `python -m tests.bench [PART …]`. Everything it prints is measured in the run, on real servers and processes.

round-trips   how often an import goes to NATS and to MongoDB: counts
imports       how many a second, how soon, and what each process spends on it
speed         registrations a second with 1, 32 and 512 in flight, beside MLflow, the stream and the store alone
copy          one large file into the artifact folder, beside `cp`, `sync` and a digest
storage       one large file and 2,000 small ones, from disk and S3 to disk and S3, and all once more
memory        what a process needs to import 64 KB, and 4 GB
inspection    packages a second, and large files of each kind
lineage       ancestors and descendants in a graph of 100,000 versions: counts, and time beside a graph of 1,000
flood         what each process holds in memory while 100,000 requests wait in the stream
queries       1,000 versions and 100,000: how long lists, filters and the best take; and MLflow beside them
"""

import argparse
import asyncio
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from modelkin.errors import ModelkinError
from tests.bench import copying, flood, imports, inspection, lineage, memory, queries, round_trips, speed, storage
from tests.bench.machine import MB, fitting_mb, how_it_was_run
from tests.bench.models import write_safetensors
from tests.bench.tables import say, say_note, say_title
from tests.bench.workload import RUN_LIMIT_S, Lost

PARTS = ("round-trips", "imports", "speed", "copy", "storage", "memory", "inspection", "lineage", "queries", "flood")
DEFAULT_IMPORTS = {1: 400, 32: 1500}

CANNOT_TELL = (
    "Driver, servers and services share the cores of one machine, and whatever else runs there runs too: seconds are"
    " this machine's in this hour, and a few per cent between two runs mean nothing. Counts hold anywhere; where"
    " calls share round trips, they change with how many happen to wait. Ratios are steadier than seconds, but a"
    " disk that is busy shifts them as well. The store is the embedded one: a replica set answers a write after a"
    " majority has it, over a network. The object store is on this machine too, and flushes nothing: what"
    " is said of it is said of the client. Nothing is said of power loss, of several processes of one service, of a"
    " stream that holds years of events, of a far object store, or of a cold page cache."
)


def main() -> None:
    given = _arguments()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="modelkin-bench-", dir=given.folder) as name:
        folder = Path(name).resolve()
        _say_how(folder)
        try:
            _run(given, folder)
        except (Lost, ModelkinError) as error:
            sys.exit(f"bench: {error}")
    say_title("What this cannot tell")
    say_note(CANNOT_TELL)
    say(f"\nThe whole took {time.monotonic() - started:.0f} s.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flights = " and ".join(f"{count:,} with {in_flight} in flight" for in_flight, count in DEFAULT_IMPORTS.items())
    parser.add_argument("parts", nargs="*", type=_part, metavar="PART", help="what to run; default: all")
    parser.add_argument(
        "--imports",
        type=_positive,
        metavar="N",
        help=f"imports each; default: {flights}, as far as {RUN_LIMIT_S:.0f} s go",
    )
    parser.add_argument("--file-mb", type=_positive, metavar="N", default=1024, help="size of large files (1024)")
    parser.add_argument(
        "--versions",
        type=_positive,
        metavar="N",
        default=queries.MANY,
        help=f"of speed and queries: the many ({queries.MANY:,})",
    )
    parser.add_argument(
        "--requests", type=_positive, metavar="N", default=flood.REQUESTS, help=f"of flood ({flood.REQUESTS:,})"
    )
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where to work; default: the usual temporary folder")
    return parser.parse_args()


def _part(text: str) -> str:
    if text not in PARTS:
        raise argparse.ArgumentTypeError(f"{text!r}: expected one of {', '.join(PARTS)}")
    return text


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("expected 1 or more")
    return number


def _say_how(folder: Path) -> None:
    say_title("How it was run")
    for what, is_ in how_it_was_run(folder):
        say(f"{what:12} {is_}")


def _run(given: argparse.Namespace, folder: Path) -> None:
    measures = _measures(given, folder)
    for part in given.parts or PARTS:
        measured = measures[part]()
        if measured is not None:
            asyncio.run(measured)


def _measures(given: argparse.Namespace, folder: Path) -> dict[str, Callable[[], Coroutine[Any, Any, None] | None]]:
    """By part. Some run a loop of their own."""
    large_mb = _fitting(folder, given.file_mb)
    counts = {in_flight: given.imports or count for in_flight, count in DEFAULT_IMPORTS.items()}
    limit_s = math.inf if given.imports else RUN_LIMIT_S
    return {
        "round-trips": lambda: round_trips.measure(folder / "round-trips"),
        "imports": lambda: imports.measure(folder / "imports", counts, _large(folder, large_mb), limit_s),
        "speed": lambda: speed.measure(folder / "speed", given.versions),
        "copy": lambda: copying.measure(folder / "copy", _large(folder, large_mb)),
        "storage": lambda: storage.measure(folder / "storage", large_mb),
        "memory": lambda: memory.measure(folder / "memory", large_mb),
        "inspection": lambda: inspection.measure(folder / "inspection", large_mb),
        "lineage": lambda: lineage.measure(folder / "lineage"),
        "queries": lambda: queries.measure(folder / "queries", given.versions),
        "flood": lambda: flood.measure(folder / "flood", given.requests),
    }


def _large(folder: Path, size_mb: int) -> Path:
    """A file, alone in its folder; made once."""
    file = folder / "large" / "model.safetensors"
    if not file.exists():
        write_safetensors(file, size_mb * MB)
        os.sync()
    return file


def _fitting(folder: Path, wanted_mb: int) -> int:
    size_mb = fitting_mb(folder, wanted_mb)
    if size_mb < wanted_mb:
        say_note(f"\nThe disk has no room for {wanted_mb:,} MB and its copies: {size_mb:,} MB are used instead.")
    return size_mb


if __name__ == "__main__":
    main()
