"""What a run was: counts of what was said, of what went wrong, and where processes died."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from nats.aio.client import Client

from shared.subjects import DEAD_LETTERS_STREAM, EVENTS_STREAM
from tests.chaos.damage import Damage
from tests.chaos.sent import Sent
from tests.chaos.steps import StepBook
from tests.chaos.system import System

SAID = {
    "training.succeeded": "training events in the stream, copies among them",
    "model.imported": "imports",
    "model.registered": "versions registered",
    "import.refused": "imports refused",
    "version.refused": "versions refused",
    "version.deleted": "versions deleted",
    "command.refused": "commands refused",
    "garbage.collected": "garbage collections",
    "letter.added": "dead letters announced",
}
BUG = "Traceback (most recent call last):"
AWAY = "Connection broken with"


async def counts(connection: Client) -> dict[str, int]:
    """How many events of each kind there are; and dead letters."""
    jetstream = connection.jetstream(timeout=30)
    state = (await jetstream.stream_info(EVENTS_STREAM, subjects_filter=">")).state
    said: Counter[str] = Counter()
    for subject, count in (state.subjects or {}).items():
        said[".".join(subject.split(".")[3:5])] += count
    letters = (await jetstream.stream_info(DEAD_LETTERS_STREAM)).state.messages
    return {told: said[kind] for kind, told in SAID.items()} | {"dead letters": letters}


def lines(
    system: System, damage: Damage, sent: Sequence[Sent], said: dict[str, int], most_missed: int | None = None
) -> Iterable[str]:
    """The whole account, line by line; of the steps where no process died at most so many are named."""
    accepted = sum(one.accepted_at_sequence is not None for one in sent)
    yield f"published {len(sent)} messages, {accepted} of them confirmed, {len({one.message_id for one in sent})} ids"
    yield from (f"{count:7} {what}" for what, count in said.items())
    yield from (f"{count:7} {kind}" for kind, count in sorted(system.kills.items()))
    yield from (f"{count:7} faults: {kind}" for kind, count in sorted(damage.done.items()))
    yield from (f"skipped: {kind}: {why_not}" for kind, why_not in damage.skipped.items())
    yield from steps(system.books, most_missed)
    yield from (f"odd: {odd}" for slot in system.slots for odd in slot.odd)
    yield from (f"odd: {count} tracebacks in {log.name}" for log, count in tracebacks(system.folder / "logs"))


def steps(books: Mapping[str, StepBook], most_missed: int | None = None) -> Iterable[str]:
    """At how many steps processes died, of how many that are known; and at which they did not."""
    known = {service: len(book.known()) for service, book in books.items()}
    left = {service: book.left() for service, book in books.items()}
    died = {service: known[service] - len(left[service]) for service in books}
    yield f"processes died at {sum(died.values())} of {sum(known.values())} steps"
    for service in books:
        missed = ", ".join(left[service][:most_missed])
        more = " …" if most_missed is not None and len(left[service]) > most_missed else ""
        none = f"; none at {missed}{more}" if missed else ""
        yield f"steps of {service}: processes died at {died[service]} of {known[service]}{none}"


def tracebacks(logs: Path) -> Iterable[tuple[Path, int]]:
    """How many errors each log tells that nobody foresaw: not that NATS is away."""
    for log in sorted(logs.glob("*.log")):
        told = log.read_text(encoding="utf-8", errors="replace").splitlines()
        count = sum(line == BUG and AWAY not in before for before, line in pairwise(["", *told]))
        if count:
            yield log, count
