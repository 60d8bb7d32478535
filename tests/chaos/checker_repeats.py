"""Invariant 2, nothing twice: an event says one thing, an import makes one version, an answer has a cause."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from tests.chaos.checker_records import Record, Violation, World

# Said of work that is under way, or of a failure: who begins anew after a crash may say it of another time.
SAID_ANEW = frozenset({"import.started", "artifact.corrupted", "letter.added"})


def nothing_twice(world: World) -> Iterator[Violation]:
    yield from _word_for_word(world)
    for imports in world.imports_by_key.values():
        yield from _one_version(world, imports)
    yield from _caused(world)


def _word_for_word(world: World) -> Iterator[Violation]:
    for event in world.events:
        first = world.said.get(event.id, event)
        if event is first or not event.ours or event.kind in SAID_ANEW:
            continue
        if (event.subject, event.body) != (first.subject, first.body):
            yield Violation(2, f"one id, two contents: {first} said {_short(first)}, then {_short(event)}", str(event))
        elif (event.time, event.cause) != (first.time, first.cause):
            yield Violation(2, f"one id, two envelopes: {first} and this one", str(event))


def _one_version(world: World, imports: Sequence[Record]) -> Iterator[Violation]:
    """An import is made anew only after its version was refused or deleted."""
    for before, after in pairwise(sorted(imports, key=lambda one: one.sequence)):
        gone = [end for end in _gone(world, before) if end.sequence < after.sequence]
        if not gone:
            yield Violation(2, f"the import was made already, by {before}, which stands", str(after))


def _gone(world: World, imported: Record) -> Iterator[Record]:
    yield from world.answers(imported, "version.refused")
    for assigned in world.answers(imported, "version.assigned"):
        deleted = world.deleted.get(assigned.version_key)
        if deleted is not None:
            yield deleted


def _caused(world: World) -> Iterator[Violation]:
    """By its id, or where its headers cannot be read, by its place."""
    places = {f"{one.stream}-{one.sequence}" for one in (*world.events, *world.commands)}
    known = world.said.keys() | world.asked.keys() | places
    for event in world.said.values():
        if event.ours and event.cause and event.cause not in known:
            yield Violation(2, f"it answers {event.cause}, which no stream holds", str(event))


def _short(event: Record) -> str:
    return f"{event.subject} {event.body[:200].decode(errors='replace')}"
