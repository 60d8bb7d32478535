"""Invariant 7, restriction: what automatic learning made, what came from it, and what is in quarantine, is not given out."""

from collections.abc import Iterator
from datetime import timedelta

from tests.chaos.checker_records import Record, Violation, World, node_of

# The registry hears of what is found late on other consumers than commands, and later where it or its store was away.
# What was said so long before a command, by the clock of NATS, it must have heard.
GRACE = timedelta(seconds=300)
GIVEN_OUT = frozenset({"download.granted", "deployment.requested", "rollout.requested"})


def restriction(world: World) -> Iterator[Violation]:
    for changes in world.changes.values():
        released: set[str] = set()
        lifted: set[str] = set()
        for change in sorted(changes, key=lambda one: int(one.fields["ordinal"])):
            if change.kind in GIVEN_OUT:
                yield from _given_out(world, change, released, lifted)
            elif change.kind == "version.released":
                released.add(change.fields["version"])
            elif change.kind == "restriction.lifted":
                lifted.add(change.fields["version"])
                yield from _liftable(world, change)


def _given_out(world: World, change: Record, released: set[str], lifted: set[str]) -> Iterator[Violation]:
    """Whether each version that a change lets somebody read may be read by them."""
    for target in change.fields.get("targets", (change.fields,)):
        assigned = world.assigned.get((*change.model_key, target["version"]))
        imported = world.imported_of(assigned) if assigned else None
        if assigned is None or imported is None:
            yield Violation(7, f"a grant for {target['version']}, which was never registered", str(change))
            continue
        if "quarantine" in imported.fields.get("restrictions", ()) and target["version"] not in released:
            yield Violation(7, f"a grant for {target['version']}, which is in quarantine", str(change))
        if target["grant"]["package_digest"] != imported.fields["package"]["digest"]:
            yield Violation(7, f"the grant for {target['version']} opens another package", str(change))
        if change.kind == "download.granted":
            yield from _downloaded(world, change, assigned, imported, lifted)


def _downloaded(
    world: World, change: Record, assigned: Record, imported: Record, lifted: set[str]
) -> Iterator[Violation]:
    version = assigned.fields["version"]
    if change.fields["grant"].get("service") is not None:
        yield Violation(7, "the download is bound to a service", str(change))
    if _automatic(imported):
        yield Violation(7, f"a download of {version}, which automatic learning made", str(change))
    elif version not in lifted and (restricted_by := sorted(_restricted_by(world, assigned, change))):
        yield Violation(7, f"a download of {version}, which descends from {restricted_by}", str(change))
    for twin in world.of("model.imported"):
        alike = twin.workspace == imported.workspace and _digest(twin) == _digest(imported)
        if alike and _automatic(twin) and twin.id != imported.id and _known(world, twin, change):
            yield Violation(7, f"a download of {version}, which has the bytes of {twin}", str(change))


def _restricted_by(world: World, assigned: Record, change: Record) -> set[str]:
    """As far as the registry must have known it."""
    sources = set(assigned.fields.get("restricted_by", ()))
    for late in world.of("version.restricted"):
        if node_of(late) == node_of(assigned) and _known(world, late, change):
            sources.update(late.fields["restricted_by"])
    return sources


def _liftable(world: World, change: Record) -> Iterator[Violation]:
    assigned = world.assigned.get(change.version_key)
    imported = world.imported_of(assigned) if assigned else None
    if imported is not None and _automatic(imported):
        yield Violation(7, "a restriction of automatic learning itself was lifted", str(change))


def _automatic(imported: Record) -> bool:
    made_by_it = imported.fields["source"]["method"] == "automatic-learning"
    return made_by_it or "auto-learning" in imported.fields.get("restrictions", ())


def _digest(imported: Record) -> str:
    return str(imported.fields["package"]["digest"])


def _known(world: World, event: Record, change: Record) -> bool:
    command = world.asked.get(change.cause or "")
    return command is not None and event.stored_at + GRACE < command.stored_at
