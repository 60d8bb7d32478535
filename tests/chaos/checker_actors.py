"""Invariant 9: what comes of a message names who sent it; of a command, that is the actor on its subject."""

from collections.abc import Iterator

from tests.chaos.checker_records import Violation, World

NAMING = ("by", "requested_by")


def actors(world: World) -> Iterator[Violation]:
    for event in world.said.values():
        cause = world.asked.get(event.cause or "") or world.said.get(event.cause or "")
        named = next((event.fields[field] for field in NAMING if event.fields.get(field)), None)
        if cause is not None and event.ours and named not in (None, cause.sender):
            yield Violation(9, f"it names {named}, and {cause.sender} sent what it answers", str(event))
