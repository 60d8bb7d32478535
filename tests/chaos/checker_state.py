"""What the registry makes of events, worked out once more: versions, aliases, services, deployments."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.chaos.checker_records import REPORTS, Document, Record, Violation, World, rank

# Change → the field of a version that holds the newest one.
SHOWN = {
    "version.released": "released",
    "version.edited": "edited",
    "restriction.lifted": "lifted",
    "version.deleted": "deleted",
}
LONGEST_MESSAGE = 1000


def faults_of_versions(world: World) -> Iterator[Violation]:
    imports, versions = (world.registry.get(name, {}) for name in ("imports", "versions"))
    documents = {key: {**imports.get(key, {}), **versions.get(key, {})} for key in imports.keys() | versions.keys()}
    newest = _newest_changes(world)
    restricted: dict[tuple[str, str, str], set[str]] = {}
    for event in world.of("version.restricted"):
        restricted.setdefault(event.version_key, set()).update(event.fields["restricted_by"])
    for imported in world.of("model.imported"):
        document = documents.get(imported.id, {})
        assigned = next(iter(world.answers(imported, "version.assigned")), None)
        yield from _halves(world, imported, assigned, document)
        if assigned is not None:
            yield from _changed(assigned, newest, document)
            expected = restricted.get(assigned.version_key, set())
            if set(document.get("restricted_by", ())) != expected:
                message = f"restricted_by is {document.get('restricted_by')}: by the events it is {sorted(expected)}"
                yield Violation(5, message, _place("versions", imported.id))
    for key in documents.keys() - world.said.keys():
        yield Violation(5, "a version whose import no event tells", _place("versions", key))


def _halves(world: World, imported: Record, assigned: Record | None, document: Document) -> Iterator[Violation]:
    refused = next(iter(world.answers(imported, "version.refused")), None)
    announced = assigned is not None and bool(world.answers(assigned, "model.registered"))
    halves = {"imported": imported, "assigned": assigned, "refused": refused}
    for name, event in halves.items():
        if event is None and name in document:
            yield Violation(5, f"{name}: no event tells it", _place("versions", imported.id))
        elif event is not None and name not in document:
            if not world.letters_of(event, "registry-on-"):
                yield Violation(4 if announced else 5, f"{name} is missing", _place("versions", imported.id))
        elif event is not None and not _is(event, document[name]):
            yield Violation(5, f"{name} is not what {event} says", _place("versions", imported.id))
    if assigned is not None and document.get("number") != rank(assigned.fields["version"]):
        message = f"number is {document.get('number')}: assigned was {assigned.fields['version']}"
        yield Violation(5, message, _place("versions", imported.id))


def _newest_changes(world: World) -> Mapping[tuple[tuple[str, str, str], str], Record]:
    newest: dict[tuple[tuple[str, str, str], str], Record] = {}
    for change in world.of(*SHOWN):
        key = change.version_key, SHOWN[change.kind]
        if key not in newest or newest[key].fields["ordinal"] < change.fields["ordinal"]:
            newest[key] = change
    return newest


def _changed(
    assigned: Record, newest: Mapping[tuple[tuple[str, str, str], str], Record], document: Document
) -> Iterator[Violation]:
    for name in SHOWN.values():
        change = newest.get((assigned.version_key, name))
        shown = document.get(name)
        if (change is None) != (shown is None) or (change and shown and not _is(change, shown)):
            message = f"{name} of {'/'.join(assigned.version_key)} is not as {change or 'no event'} says"
            yield Violation(5, message, _place("versions", document.get("_id")))


def model_state(world: World) -> Iterator[Violation]:
    """Aliases, services, deployments and how far each model has come."""
    expected: dict[str, dict[str, dict[str, Any]]] = {"aliases": {}, "services": {}, "deployments": {}, "heads": {}}
    for (workspace, model), changes in world.changes.items():
        in_order = sorted(changes, key=lambda change: int(change.fields["ordinal"]))
        deletions = sum(change.kind == "version.deleted" for change in in_order)
        expected["heads"][f"{workspace}/{model}"] = {"ordinal": len(in_order), "deletions": deletions}
        for change in in_order:
            _apply(change, expected)
    for report in sorted(world.of(*REPORTS), key=lambda one: (one.time, one.id)):
        _report(world, report, expected["deployments"])
    for collection, documents in expected.items():
        yield from _compared(collection, documents, world.registry.get(collection, {}))


def _apply(change: Record, expected: Mapping[str, dict[str, dict[str, Any]]]) -> None:
    """Later changes put out earlier ones."""
    fields, workspace = change.fields, change.workspace
    match change.kind:
        case "alias.moved":
            number = rank(fields["new"]) if fields["new"] else None
            expected["aliases"]["/".join((*change.model_key, fields["alias"]))] = {"number": number}
        case "deployment.requested" | "rollout.requested":
            service, mode = fields["service"], fields.get("mode", "real-time")
            about = {"model": fields["model"], "mode": mode, "ordinal": fields["ordinal"]}
            expected["services"][f"{workspace}/{service}"] = about
            for version, weight in _weights(fields).items():
                facts = {**about, "number": rank(version), "weight": weight}
                expected["deployments"].setdefault(f"{workspace}/{service}/{version}", {}).update(facts)


def _weights(fields: Mapping[str, Any]) -> dict[str, int]:
    if "targets" not in fields:
        return {fields["version"]: 100}
    return {target["version"]: target["weight"] for target in fields["targets"]}


def _report(world: World, report: Record, deployments: Mapping[str, dict[str, Any]]) -> None:
    """The newest of those that were kept; one that was refused says nothing."""
    if report.id not in world.registry.get("history", {}):
        return
    deployment = deployments.get("/".join((report.workspace, report.fields["service"], report.fields["version"])))
    if deployment is not None:
        state = report.kind.partition(".")[2]
        deployment["said"] = {"state": state, "message": report.fields.get("message", "")[:LONGEST_MESSAGE]}


def _compared(collection: str, expected: Mapping[str, Document], kept: Mapping[str, Document]) -> Iterator[Violation]:
    for key, facts in expected.items():
        found = _those(facts, kept.get(key, {}))
        if found != facts:
            yield Violation(5, f"{found}: by the events it is {facts}", _place(collection, key))
    for key in kept.keys() - expected.keys():
        if collection != "heads" or kept[key].get("ordinal"):
            yield Violation(5, "no event tells of it", _place(collection, key))


def _those(wanted: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a document that are wanted, and no others."""
    return {
        name: _those(value, document.get(name) or {}) if isinstance(value, dict) else document.get(name)
        for name, value in wanted.items()
    }


def _is(event: Record, written: Mapping[str, Any]) -> bool:
    return bool(written["body"].encode() == event.body and json.loads(written["envelope"])["id"] == event.id)


def _place(collection: str, key: Sequence[str] | str | None) -> str:
    return f"registry.{collection} {key}"
