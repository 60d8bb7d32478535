"""Part `storage`: packages from a folder and from S3 into both kinds of artifact store, beside plain copies of the same.

Each package is brought in twice: the second time, none of its bytes should move. The importer's
own parts do it, its memory in the embedded store; inspection is no part of it.
"""

import asyncio
import statistics
from collections.abc import Sequence
from pathlib import Path

from modelkin.processes import start_mongo, stopping
from tests.bench import object_store, plain
from tests.bench.bringing import AT_ONCE, DISK, S3, SETTLED_S, Bench, Package, Round
from tests.bench.machine import MB
from tests.bench.models import write_safetensors
from tests.bench.object_store import ObjectStore
from tests.bench.tables import milliseconds, ratio, say_note, say_table, say_title

# By target: the S3 server of this machine is slow to take bytes, whoever brings them.
ROUNDS = {DISK: 3, S3: 1}
SMALL_FILES = 2000
SMALL_BYTES = 64 * 1024
ROUTES = ((DISK, DISK), (S3, DISK), (DISK, S3), (S3, S3))


async def measure(folder: Path, large_mb: int) -> None:
    """Run all routes, some rounds, and print."""
    async with stopping() as servers, object_store.running(folder / "s3") as s3:
        mongo = await start_mongo(folder / "mongo", folder / "mongo.log")
        servers.append(mongo.process)
        bench = Bench(folder / "brought", s3, mongo.url)
        bench.folder.mkdir()
        for what, count, size_bytes in (
            (f"One file of {large_mb:,} MB", 1, large_mb * MB),
            (f"{SMALL_FILES:,} files of {SMALL_BYTES // 1024} KB", SMALL_FILES, SMALL_BYTES),
        ):
            package = await _package(folder / str(count), s3, count, size_bytes)
            await asyncio.sleep(SETTLED_S)
            rounds = await _rounds(bench, package)
            _show_speed(what, rounds)
            _show_moved(what, rounds, package)
            s3.remove(package.bucket)
    _say_how()


async def _package(folder: Path, s3: ObjectStore, count: int, size_bytes: int) -> Package:
    for number in range(count):
        write_safetensors(folder / f"{number:05}.safetensors", size_bytes)
    bucket = s3.server.bucket()
    await plain.folder_to_bucket(folder, s3.server.store(bucket))
    return Package(folder, bucket, count, count * size_bytes)


async def _rounds(bench: Bench, package: Package) -> list[list[Round]]:
    """By route. One more goes before them: a virtual disk is slow where it has never been written."""
    await bench.round(package, DISK, DISK)
    return [[await bench.round(package, *route) for _ in range(ROUNDS[route[1]])] for route in ROUTES]


def _show_speed(what: str, rounds: Sequence[Sequence[Round]]) -> None:
    say_title(
        f"{what}, from the page cache into the artifact store: medians of {ROUNDS[DISK]} rounds to disk, {ROUNDS[S3]} to S3"
    )
    say_table(
        (
            "route",
            "import / plain",
            "/ (plain + digest)",
            "again / import",
            "import s",
            "plain s",
            "digest s",
            "again ms",
        ),
        [(_named(route), *_speed(of_route)) for route, of_route in zip(ROUTES, rounds, strict=True)],
    )


def _named(route: tuple[str, str]) -> str:
    return f"{route[0]} → {route[1]}"


def _speed(rounds: Sequence[Round]) -> tuple[str, ...]:
    ratios = (
        statistics.median(one.first.took_s / one.plain_s for one in rounds),
        statistics.median(one.first.took_s / (one.plain_s + one.digest_s) for one in rounds),
        statistics.median(one.again.took_s / one.first.took_s for one in rounds),
    )
    seconds = (
        statistics.median(one.first.took_s for one in rounds),
        statistics.median(one.plain_s for one in rounds),
        statistics.median(one.digest_s for one in rounds),
    )
    again_s = statistics.median(one.again.took_s for one in rounds)
    return *map(ratio, ratios), *(f"{taken:.2f}" for taken in seconds), milliseconds(again_s)


def _show_moved(what: str, rounds: Sequence[Sequence[Round]], package: Package) -> None:
    say_title(f"{what}: what moved, in the last round")
    header = (
        "route",
        "import",
        "MB read",
        "requests at the source",
        "MB sent",
        "reads at the target",
        "writes",
        "MB taken",
    )
    say_table(
        header, [row for route, of_route in zip(ROUTES, rounds, strict=True) for row in _moved(route, of_route[-1])]
    )
    say_note(f"The package has {package.size_bytes / MB:,.0f} MB in {package.file_count:,} files.")


def _moved(route: tuple[str, str], one: Round) -> list[tuple[str, ...]]:
    return [
        (
            _named(route),
            name,
            f"{brought.read_bytes / MB:,.1f}",
            f"{brought.from_bucket.reads:,}",
            f"{brought.from_bucket.sent_bytes / MB:,.1f}",
            f"{brought.to_bucket.reads:,}",
            f"{brought.to_bucket.writes:,}",
            f"{brought.to_bucket.received_bytes / MB:,.1f}",
        )
        for name, brought in (("first", one.first), ("again", one.again))
    ]


def _say_how() -> None:
    say_note(
        f"The importer copies {AT_ONCE} files at once and flushes each; what it reads is told by its openers, requests"
        " and bytes by the S3 server (lists are not among them). Plain: `cp -r` and `sync`; obstore with"
        f" {plain.AT_ONCE} requests at once, into files and `sync`, or from files, or passed on. Digests: one file after"
        " the other, from the page cache. Server and client share the machine."
    )
