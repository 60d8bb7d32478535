"""Runs the whole system under every fault, then proves that nothing was lost and nothing came twice."""

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from secrets import randbits

from tests.chaos.running import SHORT_LOAD_S, Plan, Telling, run

REPEATS = """\
A seed repeats every choice: which messages in which order, which faults when and to whom, at which steps of a handler.
It does not repeat timing: how far a process had come when it was killed is another at each run.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=__doc__,
        epilog=REPEATS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, help="repeat the choices of a run; default: new ones")
    parser.add_argument("--duration", type=float, default=1200.0, help="seconds of load and faults; default: 1200")
    parser.add_argument("--short", action="store_true", help="about two minutes: one of each fault, each step once")
    parser.add_argument("--keep", action="store_true", help="keep logs and data of a good run too")
    given = parser.parse_args()
    seed = randbits(32) if given.seed is None else given.seed
    folder = Path(tempfile.mkdtemp(prefix="modelkin-chaos-"))
    plan = Plan(seed, "short" if given.short else "long", SHORT_LOAD_S if given.short else given.duration, folder)
    say = Telling(_write)
    say(f"seed {seed}; logs and data in {folder}")
    wrong = asyncio.run(run(plan, say))
    for line in wrong:
        say(f"VIOLATION {line}")
    say(f"{len(wrong)} violations; seed {seed}")
    if not (wrong or given.keep):
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if wrong else 0)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
