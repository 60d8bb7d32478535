"""Invariant 5, what a version came from: worked out from what was imported, and inherited by what came from it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from tests.chaos.checker_records import Record, Violation, World, node_of

DESCENT = frozenset({"derived-from", "same-bytes-as"})
CIRCUMSTANCES = frozenset({"trained-by", "trained-on", "built-from", "packaged-as", "made-from"})


def lineage(world: World) -> Iterator[Violation]:
    versions = {node_of(assigned): assigned for assigned in world.assigned.values()}
    parents = _parents(world)
    for assigned in versions.values():
        imported = world.imported_of(assigned)
        if imported is not None:
            yield from _as_imported(assigned, imported, parents[node_of(assigned)])
    for node, named in parents.items():
        for parent in sorted(named - versions.keys()):
            yield Violation(5, f"it came from {parent}, which nobody registered", str(versions.get(node, node)))
    yield from _same_bytes(world, parents)
    yield from _inherited(world, versions, parents)


def _parents(world: World) -> dict[str, set[str]]:
    parents: dict[str, set[str]] = defaultdict(set)
    for event in world.of("version.assigned", "lineage.extended"):
        for edge in event.fields.get("edges", ()):
            if edge["kind"] in DESCENT:
                parents[edge["source"]].add(edge["target"])
    return parents


def _as_imported(assigned: Record, imported: Record, parents: set[str]) -> Iterator[Violation]:
    for name in ("workspace", "model", "import_id", "parameters", "metrics"):
        if assigned.fields.get(name) != imported.fields.get(name):
            yield Violation(5, f"{name} is not what was imported", str(assigned))
    if assigned.fields["package_digest"] != imported.fields["package"]["digest"]:
        yield Violation(5, "package_digest is not what was imported", str(assigned))
    edges = assigned.fields.get("edges", ())
    found = {(edge["kind"], edge["target"]) for edge in edges if edge["kind"] in CIRCUMSTANCES}
    expected = set(_circumstances(imported))
    if found != expected:
        yield Violation(5, f"edges differ from what was imported: {sorted(found ^ expected)}", str(assigned))
    named = {_base_node(imported, base) for base in imported.fields.get("bases", ()) if not base.get("digest")}
    if not named <= parents:
        yield Violation(5, f"bases that were named are no edges: {sorted(named - parents)}", str(assigned))


def _circumstances(imported: Record) -> Iterator[tuple[str, str]]:
    fields, workspace = imported.fields, imported.workspace
    source = fields["source"]
    match source["method"]:
        case "training-job":
            yield "trained-by", _at(f"job:{workspace}/{source['job']['id']}", source["job"]["version"])
        case "automatic-learning":
            yield "trained-by", _at(f"job:{workspace}/{source['project']}", source["run"])
        case "template":
            yield "made-from", f"template:{source['template']}"
    if fields.get("image"):
        yield "packaged-as", f"image:{fields['image']['digest']}"
    for dataset in fields.get("datasets", ()):
        yield "trained-on", _at(f"dataset:{workspace}/{dataset['name']}", dataset["version"] or dataset["digest"])
    if fields.get("code"):
        yield "built-from", f"code:{fields['code']['repository']}@{fields['code']['commit']}"


def _at(name: str, version: str | None) -> str:
    return f"{name}@{version}" if version else name


def _base_node(imported: Record, base: Mapping[str, Any]) -> str:
    return f"version:{base.get('workspace') or imported.workspace}/{base['model']}@{base['version']}"


def _same_bytes(world: World, parents: Mapping[str, set[str]]) -> Iterator[Violation]:
    """Of versions with one package, all but the first known by it name another of them."""
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for assigned in world.assigned.values():
        alike[assigned.workspace, assigned.fields["package_digest"]].append(node_of(assigned))
    for (_, digest), nodes in alike.items():
        alone = [node for node in nodes if not parents.get(node, set()) & set(nodes)]
        if len(alone) > 1:
            yield Violation(5, f"they hold the same package {digest} and none names another: {alone}", alone[1])


def _inherited(world: World, versions: Mapping[str, Record], parents: Mapping[str, set[str]]) -> Iterator[Violation]:
    """Invariant 7: what descends from what automatic learning made is restricted by it, and nothing else is."""
    automatic = {node for node, assigned in versions.items() if _is_automatic(world, assigned)}
    restricted: dict[str, set[str]] = defaultdict(set)
    for event in world.of("version.assigned", "version.restricted"):
        restricted[node_of(event)].update(event.fields.get("restricted_by", ()))
    if not automatic and not any(restricted.values()):
        return
    for node, assigned in versions.items():
        missing = (_above(node, parents) & automatic) - restricted[node] - {node}
        if missing:
            yield Violation(7, f"it descends from {sorted(missing)} and is not restricted by it", str(assigned))
        if not restricted[node] <= automatic:
            unfounded = sorted(restricted[node] - automatic)
            yield Violation(7, f"it is restricted by {unfounded}, made by no automatic learning", str(assigned))


def _is_automatic(world: World, assigned: Record) -> bool:
    imported = world.imported_of(assigned)
    return imported is not None and imported.fields["source"]["method"] == "automatic-learning"


def _above(node: str, parents: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    level = set(parents.get(node, ()))
    while level:
        seen |= level
        level = {parent for one in level for parent in parents.get(one, ())} - seen
    return seen
