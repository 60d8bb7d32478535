"""Invariant 1, nothing lost: each request and each command ends, and each step of an import is followed by the next."""

from collections.abc import Iterator

from tests.chaos.checker_records import REPORTS, Letter, Record, Violation, World, import_key

# How a command ends where it is not refused.
ENDS = {
    "version.release": "version.released",
    "version.lift": "restriction.lifted",
    "alias.move": "alias.moved",
    "version.edit": "version.edited",
    "version.delete": "deletion.reported",
    "version.deploy": "deployment.requested",
    "service.rollout": "rollout.requested",
    "version.download": "download.granted",
    "version.recall": "recall.traced",
    "dataset.recalled": "recall.traced",
    "package.verify": "package.verified",
    "garbage.collect": "garbage.collected",
    "registry.rebuild": "projection.rebuilt",
    "versioning.rebuild": "projection.rebuilt",
}
BLAMED = "it may kill the process that works on it"
LETTER_REASONS = frozenset({"malformed", "failed"})


def nothing_lost(world: World) -> Iterator[Violation]:
    yield from _kept(world)
    yield from _handled(world)
    for request in world.requests:
        yield from _request(world, request)
    for imported in world.of("model.imported"):
        ends = world.answers(imported, "version.assigned", "version.refused")
        yield from _ended(imported, ends, world.letters_of(imported, "versioning-on-"))
    for assigned in world.of("version.assigned"):
        yield from _registered(world, assigned)
    for command in (*world.asked.values(), *world.of("dataset.recalled")):
        if command.kind in ENDS:
            ends = world.answers(command, ENDS[command.kind], "command.refused")
            yield from _ended(command, ends, world.letters_of(command))
    for report in world.of(*REPORTS):
        yield from _report(world, report)
    yield from _letters(world)


def _kept(world: World) -> Iterator[Violation]:
    """What the stream confirmed stands there."""
    there = {(one.stream, one.sequence): one.id for one in (*world.events, *world.commands)}
    for sent in world.sent:
        stream = "COMMANDS" if sent.subject.startswith("modelkin.cmd.") else "EVENTS"
        if sent.accepted_at_sequence is None:
            continue
        found = there.get((stream, sent.accepted_at_sequence))
        if found != sent.message_id:
            message = f"{stream} confirmed {sent.message_id} at {sent.accepted_at_sequence}, where it has {found}"
            yield Violation(1, message, sent.message_id)


def _handled(world: World) -> Iterator[Violation]:
    for durable, count in sorted(world.left.items()):
        if count:
            yield Violation(1, f"{count} messages were not handled by {durable}", durable)


def _request(world: World, request: Record) -> Iterator[Violation]:
    """By its own outcome, or by that of another request for the same import."""
    own = world.answers(request, "import.refused", "model.imported")
    letters = world.letters_of(request, "importer-on-")
    if own or letters or not world.imports_by_key.get(import_key(request)):
        yield from _ended(request, own, letters)


def _registered(world: World, assigned: Record) -> Iterator[Violation]:
    imported = world.imported_of(assigned)
    letters = world.letters_of(assigned, "registry-on-version-assigned")
    if imported is not None:
        letters += world.letters_of(imported, "registry-on-model-imported")
    registered = world.answers(assigned, "model.registered")
    if registered or not letters:  # either half that comes at last announces the version
        yield from _ended(assigned, registered, [])
    for event in registered:
        for name in ("workspace", "model", "version", "import_id", "package_digest"):
            if event.fields.get(name) != assigned.fields.get(name):
                message = f"{name} is {event.fields.get(name)!r}, assigned was {assigned.fields.get(name)!r}"
                yield Violation(1, message, str(event))


def _ended(message: Record, ends: list[Record], letters: list[Letter]) -> Iterator[Violation]:
    if not ends and not letters:
        yield Violation(1, f"{message.kind} was never answered: neither by an event nor as a dead letter", str(message))
    elif len(ends) + bool(letters) > 1:
        several = ", ".join(str(one) for one in (*ends, *letters))
        yield Violation(2, f"{message.kind} was answered {len(ends) + bool(letters)} times: {several}", str(message))


def _report(world: World, report: Record) -> Iterator[Violation]:
    """Kept by the registry, or refused."""
    kept = report.id in world.registry.get("history", {})
    refused = world.answers(report, "command.refused")
    if kept and refused:
        yield Violation(1, "the report is kept, and was refused", str(report))
    elif not (kept or refused or world.letters_of(report, "registry-on-")):
        yield Violation(1, "the report is neither kept nor refused", str(report))


def _letters(world: World) -> Iterator[Violation]:
    for letter in world.letters:
        if letter.reason not in LETTER_REASONS or not letter.message:
            yield Violation(1, f"a dead letter does not name its reason: {letter.reason!r}", str(letter))
        elif BLAMED in letter.message:
            yield Violation(1, "nothing that is sent kills a process, and a message was blamed for that", str(letter))
    dead = {(letter.stream, letter.sequence) for letter in world.letters if letter.reason == "malformed"}
    for sent in world.sent:
        stream = "COMMANDS" if sent.subject.startswith("modelkin.cmd.") else "EVENTS"
        if sent.accepted_at_sequence is None:
            continue
        if ((stream, sent.accepted_at_sequence) in dead) is sent.valid:
            what = "can be read, and is a dead letter" if sent.valid else "cannot be read, and is no dead letter"
            yield Violation(1, f"{sent.message_id} {what}", f"{stream} {sent.accepted_at_sequence}")
