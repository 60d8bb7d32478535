"""Judges a system from outside: reads what its streams, databases and files say, and names what breaks an invariant."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.chaos.checker_actors import actors
from tests.chaos.checker_bytes import kept_bytes
from tests.chaos.checker_downloads import restriction
from tests.chaos.checker_ends import nothing_lost
from tests.chaos.checker_hearsay import hearsay
from tests.chaos.checker_lineage import lineage
from tests.chaos.checker_memory import memory
from tests.chaos.checker_numbers import numbers
from tests.chaos.checker_order import order
from tests.chaos.checker_reading import read_world
from tests.chaos.checker_records import Violation, World
from tests.chaos.checker_repeats import nothing_twice
from tests.chaos.sent import Sent

__all__ = ["Violation", "check", "judged"]

INVARIANTS: tuple[Callable[[World], Iterator[Violation]], ...] = (
    nothing_lost,
    nothing_twice,
    numbers,
    memory,
    hearsay,
    lineage,
    kept_bytes,
    restriction,
    order,
    actors,
)


async def check(nats_url: str, mongo_uri: str, database: str, artifacts: Path, sent: Sequence[Sent]) -> list[Violation]:
    """Everything that breaks an invariant, once all services have handled what they were given."""
    world = await read_world(nats_url, mongo_uri, database, artifacts, sent)
    return await asyncio.to_thread(judged, world)


def judged(world: World) -> list[Violation]:
    return [violation for invariant in INVARIANTS for violation in invariant(world)]
