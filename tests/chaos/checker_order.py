"""Invariant 8, order: what is first said of each event. Copies under the same id may come at any time.

Promised is that causes come before what they cause, that the versions of a model come in the order of their ordinals,
and so do its changes, and that what ends a command comes after all that it did.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.chaos.checker_records import CHANGES, Record, Violation, World

# What is said because of a command before its end is.
BEFORE_THE_END = {
    "deletion.reported": ("version.deleted", "alias.moved"),
    "recall.traced": ("version.affected",),
    "package.verified": ("artifact.corrupted",),
}
NOTES = ("labels", "description", "documents")


def order(world: World) -> Iterator[Violation]:
    yield from _causes_first(world)
    for end, kinds in BEFORE_THE_END.items():
        for event in world.of(end):
            yield from _ends_last(world, event, kinds)
    for versions in world.versions.values():
        yield from _ascending("version", versions)
    for changes in world.changes.values():
        yield from _ascending("change", changes)
        yield from _each_knew_those_before(world, sorted(changes, key=lambda one: int(one.fields["ordinal"])))


def _causes_first(world: World) -> Iterator[Violation]:
    for event in world.said.values():
        cause = world.said.get(event.cause or "")
        if event.ours and cause is not None and cause.sequence > event.sequence:
            yield Violation(8, f"it was said before what caused it, {cause}", str(event))


def _ends_last(world: World, end: Record, kinds: Sequence[str]) -> Iterator[Violation]:
    cause = world.said.get(end.cause or "") or world.asked.get(end.cause or "")
    for event in world.answers(cause, *kinds) if cause else ():
        if event.sequence > end.sequence:
            yield Violation(8, f"it was said after the end of its command, {end}", str(event))


def _ascending(what: str, events: Sequence[Record]) -> Iterator[Violation]:
    """`events` of a model as they were said."""
    for expected, event in enumerate(events, start=1):
        if event.fields["ordinal"] != expected:
            message = f"{what} {event.fields['ordinal']} of {'/'.join(event.model_key)} was said as number {expected}"
            yield Violation(8, message, str(event))


def _each_knew_those_before(world: World, changes: Sequence[Record]) -> Iterator[Violation]:
    """`changes` by ordinal: each was decided on the state that those before it left."""
    state = _State(world)
    for change in changes:
        yield from (Violation(8, message, str(change)) for message in state.faults(change))
        state.apply(change)


class _State:
    """What the changes of a model make of it, one after the other."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._aliases: dict[str, str | None] = {}
        self._notes: dict[str, Mapping[str, Any]] = {}
        self._deleted: set[str] = set()
        self._last: Record | None = None

    def faults(self, change: Record) -> Iterator[str]:
        fields = change.fields
        if self._last is not None and change.time <= self._last.time:
            yield f"its time is not after that of change {self._last.fields['ordinal']}"
        for version in sorted(_versions_in(change) & self._deleted):
            yield f"it is about {version}, which was deleted before"
        match change.kind:
            case "alias.moved" if fields["old"] != self._aliases.get(fields["alias"]):
                yield f"{fields['alias']} is moved from {fields['old']}: it was at {self._aliases.get(fields['alias'])}"
            case "version.edited" if _noted(fields["before"]) != self._noted(change):
                yield f"the notes before are {_noted(fields['before'])}: they were {self._noted(change)}"
            case "version.deleted" if fields["deletions"] != len(self._deleted) + 1:
                yield f"it is said to be deletion {fields['deletions']}: it is {len(self._deleted) + 1}"
            case "version.deleted" if fields["version"] in self._aliases.values():
                yield f"an alias points to {fields['version']} still"

    def apply(self, change: Record) -> None:
        self._last = change
        match change.kind:
            case "alias.moved":
                self._aliases[change.fields["alias"]] = change.fields["new"]
            case "version.edited":
                self._notes[change.fields["version"]] = _noted(change.fields["after"])
            case "version.deleted":
                self._deleted.add(change.fields["version"])

    def _noted(self, change: Record) -> Mapping[str, Any]:
        edited = self._notes.get(change.fields["version"])
        if edited is not None:
            return edited
        assigned = self._world.assigned.get(change.version_key)
        imported = self._world.imported_of(assigned) if assigned else None
        return _noted(imported.fields) if imported else {}


def _noted(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: fields.get(name) for name in NOTES}


def _versions_in(change: Record) -> set[str]:
    assert change.kind in CHANGES
    fields = change.fields
    targets = {target["version"] for target in fields.get("targets", ())}
    named = {fields.get("version"), fields.get("new")} - {None}
    return targets | {str(version) for version in named}
