"""Part `imports`: how many a second, how soon, and what each process spends on it: processor time and memory."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelkin.launcher import Local, running
from tests.bench import yardsticks
from tests.bench.machine import MB, Usage, usage_of
from tests.bench.tables import milliseconds, ratio, say_note, say_table, say_title
from tests.bench.workload import MODELS, SMALL_FILE_BYTES, WARM_UP, Driver, Run, request_for, small_imports
from tests.bench.yardsticks import Yardsticks

BENCH = "this bench"


@dataclass(frozen=True, slots=True)
class Flight:
    """So many imports, so many in flight, and the processor time that each process took for them."""

    in_flight: int
    run: Run
    cpu_s: Mapping[str, float]


async def measure(folder: Path, counts: Mapping[int, int], large: Path, limit_s: float) -> None:
    """Run and print.

    Args:
        folder: for everything that is written.
        counts: in flight → imports.
        large: a file, alone in its folder, that is imported at the end.
        limit_s: for each number in flight; imports that are left then are left out.
    """
    steps = await yardsticks.measure(folder / "yardsticks")
    yardsticks.show(steps)
    models = folder / "models"
    async with (
        running(folder / "data", [models, large.parent], lambda _: None) as local,
        Driver.connected(local.nats_url) as driver,
    ):
        memory = {"started": _usage(local)}
        await driver.run(small_imports(models, "warm-up", WARM_UP), max(counts))
        flights = []
        for in_flight, count in counts.items():
            requests = small_imports(models, f"flight-{in_flight}", count)
            flights.append(await _fly(local, driver.run(requests, in_flight, limit_s), in_flight))
        total = WARM_UP + sum(flight.run.imports for flight in flights)
        memory[f"after {total:,} imports"] = _usage(local)
        took_s = (await driver.run([request_for(large.parent.as_uri(), "large", 0)], 1)).took_s
        size = _size_of(large)
        memory[f"after {size} more"] = _usage(local)
    _show_speed(flights, steps)
    _show_cpu(flights)
    _show_memory(memory)
    say_note(f"The file of {size} went through the services in {took_s:.1f} s.")


async def _fly(local: Local, run: Awaitable[Run], in_flight: int) -> Flight:
    before = _usage(local)
    done = await run
    after = _usage(local)
    return Flight(in_flight, done, {name: after[name].cpu_s - before[name].cpu_s for name in after})


def _size_of(file: Path) -> str:
    return f"{file.stat().st_size // MB:,} MB"


def _usage(local: Local) -> dict[str, Usage]:
    return {**{process.name: usage_of(process.pid) for process in local.processes}, BENCH: usage_of()}


def _show_speed(flights: list[Flight], steps: Yardsticks) -> None:
    say_title(f"Imports of one {SMALL_FILE_BYTES // 1024} KB file each, over {MODELS} models")
    say_note(
        f"From just before the publish until a plain subscriber heard ModelRegistered; {WARM_UP} imports to warm up."
        " Latencies are told as multiples of the journaled insert above."
    )
    say_table(
        ("in flight", "imports", "p50 / insert", "p99 / insert", "p99 / p50", "a second", "p50 ms", "p99 ms"),
        [_speed(flight, steps) for flight in flights],
    )
    least, most = flights[0], flights[-1]
    gain = most.run.a_second / least.run.a_second
    say_note(f"{most.in_flight} in flight import {ratio(gain)} as many a second as {least.in_flight}.")


def _speed(flight: Flight, steps: Yardsticks) -> tuple[str, ...]:
    p50_s, p99_s = flight.run.percentile_s(50), flight.run.percentile_s(99)
    return (
        str(flight.in_flight),
        f"{flight.run.imports:,}",
        ratio(p50_s / steps.insert_s),
        ratio(p99_s / steps.insert_s),
        ratio(p99_s / p50_s),
        f"{flight.run.a_second:.0f}",
        milliseconds(p50_s),
        milliseconds(p99_s),
    )


def _show_cpu(flights: list[Flight]) -> None:
    say_title("Processor time per import")
    names = list(flights[0].cpu_s)
    rows = [(name, *(_cpu(flight, flight.cpu_s[name]) for flight in flights)) for name in names]
    total = ("all", *(_cpu(flight, sum(flight.cpu_s.values())) for flight in flights))
    say_table(("process", *(f"{flight.in_flight} in flight: ms (cores busy)" for flight in flights)), [*rows, total])


def _cpu(flight: Flight, cpu_s: float) -> str:
    return f"{milliseconds(cpu_s / flight.run.imports)} ({cpu_s / flight.run.took_s:.2f})"


def _show_memory(memory: Mapping[str, Mapping[str, Usage]]) -> None:
    say_title("Resident memory, MB")
    last = list(memory.values())[-1]
    rows = [
        (name, *(f"{at[name].resident_bytes / MB:.0f}" for at in memory.values()), f"{last[name].peak_bytes / MB:.0f}")
        for name in last
        if name != BENCH
    ]
    say_table(("process", *memory, "peak"), rows)
