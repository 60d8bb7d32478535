"""Invariant 3, numbers: unique, consecutive by ordinal, the next by the rule unless asked for; refusals are just."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tests.chaos.checker_records import ModelKey, Record, Violation, World, rank

LAST = 999_999
STEPS = {"patch": 1, "minor": 100, "major": 10_000}


def numbers(world: World) -> Iterator[Violation]:
    by_model: dict[ModelKey, list[Record]] = defaultdict(list)
    for assigned in world.of("version.assigned"):
        by_model[assigned.model_key].append(assigned)
    for versions in by_model.values():
        in_order = sorted(versions, key=lambda one: (one.fields["ordinal"], one.sequence))
        yield from _unique(in_order)
        yield from _by_the_rule(world, in_order)
    for refused in world.of("version.refused"):
        yield from _just(world, refused, by_model[refused.model_key])


def _unique(versions: Sequence[Record]) -> Iterator[Violation]:
    holders: dict[str, Record] = {}
    for expected, version in enumerate(versions, start=1):
        number, ordinal = version.fields["version"], version.fields["ordinal"]
        if number in holders:
            yield Violation(3, f"{number} was given already, by {holders[number]}", str(version))
        holders.setdefault(number, version)
        if ordinal != expected:
            yield Violation(3, f"ordinal {ordinal} of {number}: expected {expected}", str(version))


def _by_the_rule(world: World, versions: Sequence[Record]) -> Iterator[Violation]:
    highest: int | None = None
    lower: set[int] = set()
    for version in versions:
        imported = world.imported_of(version)
        number = rank(version.fields["version"])
        if imported is not None:
            expected = _expected(imported, highest)
            if number != expected:
                yield Violation(3, f"{version.fields['version']}: expected {_text(expected)}", str(version))
        yield from _succeeds(version, max((one for one in lower if one < number), default=None))
        lower.add(number)
        highest = number if highest is None else max(highest, number)


def _expected(imported: Record, highest: int | None) -> int | None:
    """The number that an import should get after this highest one; None where no number is left."""
    asked = imported.fields.get("requested_version")
    if asked is not None:
        return rank(asked)
    if highest is None:
        return 1
    step = STEPS[imported.fields.get("requested_bump", "patch")]
    following = (highest // step + 1) * step
    return following if following <= LAST else None


def _succeeds(version: Record, before: int | None) -> Iterator[Violation]:
    workspace, model, _ = version.version_key
    expected = [] if before is None else [f"version:{workspace}/{model}@{_text(before)}"]
    found = [edge["target"] for edge in version.fields.get("edges", ()) if edge["kind"] == "succeeds"]
    if found != expected:
        yield Violation(3, f"{version.fields['version']} succeeds {found}: expected {expected}", str(version))


def _just(world: World, refused: Record, versions: Sequence[Record]) -> Iterator[Violation]:
    """A number that is refused is held, and the holder is named; where none is left, that is so."""
    imported = world.said.get(refused.cause or "")
    if imported is None:
        return
    asked = imported.fields.get("requested_version")
    match refused.fields.get("reason"):
        case "version-exists":
            holders = [one.fields["import_id"] for one in versions if one.fields["version"] == asked]
            if not any(holder in refused.fields["message"] for holder in holders):
                yield Violation(3, f"{asked} was refused, and its holder is not named: {holders}", str(refused))
        case "versions-exhausted":
            highest = max((rank(one.fields["version"]) for one in versions), default=None)
            left = _expected(imported, highest)
            if left is not None:
                yield Violation(3, f"no number is said to be left: {_text(left)} is", str(refused))


def _text(number: int | None) -> str:
    return "none" if number is None else f"{number // 10_000}.{number // 100 % 100}.{number % 100}"
