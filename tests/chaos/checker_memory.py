"""Invariants 4 and 5, memory: the databases say what EVENTS says, no more and no less.

Only what the services promise to keep is asked of their documents; how they list and find it is theirs.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.chaos.checker_lineage import DESCENT
from tests.chaos.checker_records import (
    CHANGES,
    LATE,
    REPORTS,
    Document,
    Record,
    Violation,
    World,
    import_key,
    moment,
    node_of,
)
from tests.chaos.checker_state import faults_of_versions, model_state


def memory(world: World) -> Iterator[Violation]:
    yield from _parsed(world)
    yield from _importer(world)
    yield from _versioning(world)
    yield from faults_of_versions(world)
    yield from _history(world)
    yield from _answers(world)
    yield from model_state(world)


def _parsed(world: World) -> Iterator[Violation]:
    """What a service says can be read by everyone."""
    for event in world.events:
        if not event.kind:
            yield Violation(5, f"EVENTS holds a message on {event.subject}, which is no subject of ours", str(event))
        elif event.broken:
            yield Violation(5, event.broken, str(event))


def _importer(world: World) -> Iterator[Violation]:
    documents = world.importer.get("imports", {})
    for request in world.requests:
        document = documents.get(request.id)
        if document is None and not world.letters_of(request, "importer-on-"):
            yield Violation(5, f"the importer keeps no outcome of {request}", f"importer.imports {request.id}")
        elif document is not None:
            yield from _outcome(world, request, document)
    for outcome in world.of("model.imported", "import.refused"):
        if outcome.cause not in documents:
            yield Violation(5, "the importer does not keep what it said", str(outcome))


def _outcome(world: World, request: Record, document: Document) -> Iterator[Violation]:
    where = f"importer.imports {document['_id']}"
    said = world.said.get(document["outcome"])
    if said is None:
        yield Violation(1, f"the outcome {document['outcome']} of {request} was kept and never said", where)
        return
    yield from _same(said, document, where)
    if said.kind == "model.imported" and import_key(said) != import_key(request) and said.cause != request.id:
        yield Violation(2, f"{request} got the outcome of another import, {said}", where)


def _versioning(world: World) -> Iterator[Violation]:
    documents = world.versioning.get("versions", {})
    decisions = {event.cause: event for event in world.of("version.assigned", "version.refused")}
    yield from _both(decisions, documents, "versioning.versions")
    late = {event.id: event for event in world.of(*LATE)}
    kept = {_envelope(document)["id"]: document for document in world.versioning.get("late", {}).values()}
    yield from _both(late, kept, "versioning.late")
    added = _added(world)
    for assigned in world.of("version.assigned"):
        document = documents.get(assigned.cause or "")
        if document is not None:
            yield from _lineage(world, assigned, added.get(assigned.version_key, ()), document)


def _added(world: World) -> Mapping[tuple[str, str, str], list[Record]]:
    added: dict[tuple[str, str, str], list[Record]] = {}
    for event in world.of(*LATE):
        added.setdefault(event.version_key, []).append(event)
    return added


def _lineage(world: World, assigned: Record, late: Iterable[Record], document: Document) -> Iterator[Violation]:
    where = f"versioning.versions {document['_id']}"
    said = (assigned, *late)
    parents = {edge["target"] for one in said for edge in one.fields.get("edges", ()) if edge["kind"] in DESCENT}
    restricted_by = {node for one in said for node in one.fields.get("restricted_by", ())}
    expected = {
        "parents": parents,
        "restricted_by": restricted_by,
        "node": node_of(assigned),
        "deleted": assigned.version_key in world.deleted,
    }
    for name, value in expected.items():
        found = document.get(name, value if not value else None)
        if (set(found or ()) if isinstance(value, set) else found) != value:
            yield Violation(5, f"{name} is {found}: by the events it is {value} for {node_of(assigned)}", where)


def _history(world: World) -> Iterator[Violation]:
    """Changes, what was found later, and the reports that were not refused."""
    kept = world.registry.get("history", {})
    said = {event.id: event for event in world.of(*CHANGES, *LATE)}
    said |= {event.id: event for event in world.of(*REPORTS) if event.id in kept}
    yield from _both(said, kept, "registry.history")


def _answers(world: World) -> Iterator[Violation]:
    answers = {event.cause: event for event in world.of("command.refused", "deletion.reported")}
    by_registry = {cause: event for cause, event in answers.items() if event.source == "modelkin/registry"}
    yield from _both(by_registry, world.registry.get("answers", {}), "registry.answers")


def _both(said: Mapping[Any, Record], kept: Mapping[str, Document], place: str) -> Iterator[Violation]:
    """What was said is kept, and what is kept was said, word for word."""
    for key, event in said.items():
        if key not in kept:
            yield Violation(5, f"{place} does not keep what was said", str(event))
    for key, document in kept.items():
        if key not in said:
            yield Violation(1, "it was decided, and never said", f"{place} {key}")
        else:
            yield from _same(said[key], document, f"{place} {key}")


def _same(event: Record, document: Document, where: str) -> Iterator[Violation]:
    if document["body"].encode() != event.body:
        yield Violation(5, f"kept is {document['body'][:200]}, said was {event.body[:200].decode()} by {event}", where)
    envelope = _envelope(document)
    kept = envelope["id"], moment(envelope["time"]), envelope.get("cause_id")
    if kept != (event.id, event.time, event.cause):
        yield Violation(5, f"kept is the envelope {kept}, said was {event.id, event.time, event.cause}", where)


def _envelope(document: Document) -> Mapping[str, Any]:
    return dict(json.loads(document["envelope"]))
