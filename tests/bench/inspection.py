"""Part `inspection`: how fast files of models are looked at, how much of them is read, and what a process for it costs."""

import asyncio
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import services.importer.__main__ as importer
from services.importer.inspection.inspect import inspect_package
from services.importer.inspection.worker import ProcessInspector
from services.importer.ports import FoundFile
from shared.contents import Contents
from tests.bench import models
from tests.bench.machine import MB
from tests.bench.reading import Read, counted, files_in
from tests.bench.tables import milliseconds, ratio, say_note, say_table, say_title

ROUNDS = 3
PACKAGES = 200
AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Looked:
    """What looking at one file took."""

    what: str
    size_bytes: int
    read_bytes: int
    direct_s: float
    in_process_s: float


async def measure(folder: Path, large_mb: int) -> None:
    packages = [files_in(models.write_small_package(folder / "packages" / str(number))) for number in range(PACKAGES)]
    # The processes of an importer load its own main module, and not that of the bench.
    with patch.object(sys.modules["__main__"], "__file__", importer.__file__):
        _show_packages(packages, *await _packages(packages))
        _show_files([await _looked(what, write, folder / what / name) for what, name, write in _files(large_mb * MB)])


def _files(large_bytes: int) -> Sequence[tuple[str, str, Callable[[Path], Path]]]:
    half_bytes, eighth_bytes = large_bytes // 2, large_bytes // 8
    return (
        ("safetensors", "m.safetensors", lambda path: models.write_hollow_safetensors(path, large_bytes)),
        ("PyTorch, zip", "m.pt", lambda path: models.write_pytorch(path, large_bytes)),
        ("pickle of long bytes", "m.pkl", lambda path: models.write_pickle(path, half_bytes)),
        ("joblib, arrays inline", "m.joblib", lambda path: models.write_joblib(path, half_bytes)),
        ("joblib, zlib", "packed.joblib", lambda path: models.write_packed_joblib(path, eighth_bytes)),
        (f"pickle of {models.WORD_COUNT:,} words", "words.pkl", models.write_words),
    )


async def _packages(packages: Sequence[Sequence[FoundFile]]) -> tuple[float, float, float, float]:
    """Seconds: for all directly, the first in a process, all in one process, all in several."""
    direct_s = _took(lambda: [_checked(inspect_package(files)) for files in packages])
    one = ProcessInspector(processes=1)
    first_s = await _awaited(one, packages[:1], 1)
    return direct_s, first_s, await _awaited(one, packages, 1), await _side_by_side(packages)


async def _side_by_side(packages: Sequence[Sequence[FoundFile]]) -> float:
    several = ProcessInspector(processes=AT_ONCE)
    await _awaited(several, packages[:AT_ONCE], AT_ONCE)  # starts them
    return await _awaited(several, packages, AT_ONCE)


async def _awaited(inspector: ProcessInspector, packages: Sequence[Sequence[FoundFile]], at_once: int) -> float:
    left = iter(packages)

    async def lane() -> None:
        for files in left:
            _checked(await inspector.inspect(files))

    started = time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(at_once)))
    return time.perf_counter() - started


async def _looked(what: str, write: Callable[[Path], Path], path: Path) -> Looked:
    path.parent.mkdir()
    files, read = files_in(write(path).parent), Read()
    _checked(inspect_package(counted(files, read)))
    inspector = ProcessInspector(processes=1)
    direct = [_took(lambda: inspect_package(files)) for _ in range(ROUNDS)]
    in_process = [await _awaited(inspector, [files], 1) for _ in range(ROUNDS)]
    shutil.rmtree(path.parent)
    return Looked(what, files[0].size_bytes, read.size_bytes, statistics.median(direct), statistics.median(in_process))


def _took(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _checked(contents: Contents) -> Contents:
    """A file that is refused or not understood would be done sooner than the others."""
    bad = [*contents.unsafe, *(file for file in contents.files if file.problem)]
    if bad:
        raise AssertionError(f"expected files without fault: {bad[0]}")
    return contents


def _show_packages(
    packages: Sequence[Sequence[FoundFile]], direct_s: float, first_s: float, one_s: float, several_s: float
) -> None:
    size_bytes = sum(file.size_bytes for file in packages[0])
    say_title(f"Inspection of {PACKAGES} packages of one ONNX model and one pickle, {size_bytes // 1024} KB together")
    rows = [("directly", direct_s), ("in one process", one_s), (f"in {AT_ONCE} processes", several_s)]
    say_table(
        ("how", "packages a second", "/ directly", "ms a package"),
        [
            (how, f"{PACKAGES / took_s:,.0f}", ratio(took_s / direct_s), milliseconds(took_s / PACKAGES))
            for how, took_s in rows
        ],
    )
    say_note(f"The first package in a process took {milliseconds(first_s)} ms: the process starts for it, and is kept.")


def _show_files(looked: Sequence[Looked]) -> None:
    say_title(f"Inspection of one large file, from the page cache; medians of {ROUNDS}")
    say_table(
        ("file", "MB", "MB read", "ms", "GB/s", "in a process: ms"),
        [
            (
                one.what,
                f"{one.size_bytes / MB:,.1f}",
                f"{one.read_bytes / MB:,.1f}",
                milliseconds(one.direct_s),
                f"{one.size_bytes / one.direct_s / 1e9:,.2f}",
                milliseconds(one.in_process_s),
            )
            for one in looked
        ],
    )
    say_note(
        "What is read of a file is told by its openers. Tensors and arrays are passed over, so that GB/s is the size of"
        " the file by the time, and grows with it; where there is nothing to pass over, as in the last two, it does not."
    )
