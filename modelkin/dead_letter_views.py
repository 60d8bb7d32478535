"""How dead letters look: to a person as tables and pages, to a program as JSON."""

import base64
import json
from collections.abc import Iterable
from datetime import datetime

from rich.table import Table

from modelkin.letters import Listed, Original, Stored
from modelkin.render import table_of
from modelkin.wording import escape, facts_table, moment, printable, shortened
from shared.dead_letters import DeadLetter

# More than that helps nobody at a terminal.
MOST_CHARACTERS = 20_000
MOST_BYTES = 1024
WRITES_ALL = "--raw writes it all"
BYTES_A_LINE = 16


def age(since: datetime, now: datetime) -> str:
    """How long ago, in the largest unit of which there are two: 90 s, 3 min, 5 h, 12 d."""
    seconds = max((now - since).total_seconds(), 0.0)
    for unit, unit_s in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"


def letters_table(letters: Iterable[Listed], now: datetime) -> Table:
    table = table_of("NUMBER", "AGE", "CONSUMER", "REASON", "WHAT")
    for number, time, letter in letters:
        what = f"{_short(letter.subject)}: {shortened(letter.message)}"
        table.add_row(str(number), age(time, now), escape(letter.durable), letter.reason, escape(what))
    return table


def listed_facts(one: Listed) -> dict[str, object]:
    return {"letter": one.number, "time": one.time.isoformat(), **one.letter.model_dump()}


def letter_facts(stored: Stored, original: Original | None) -> dict[str, object]:
    """Everything; the body as text where it is that, and always in base64. Null: the message is nowhere any more."""
    about = listed_facts(Listed(stored.number, stored.time, stored.letter))
    if original is None:
        return {**about, "headers": None, "body": None, "body_base64": None}
    try:
        text = original.body.decode()
    except UnicodeDecodeError:
        text = None
    encoded = base64.b64encode(original.body).decode()
    return {**about, "headers": dict(original.headers), "body": text, "body_base64": encoded}


def letter_table(stored: Stored, now: datetime) -> Table:
    set_aside = f"{moment(stored.time)}, {age(stored.time, now)} ago"
    return facts_table([("letter", str(stored.number)), ("set aside", set_aside), *_facts(stored.letter)])


def headers_table(original: Original) -> Table:
    return facts_table((printable(name), value or "(empty)") for name, value in sorted(original.headers.items()))


def _facts(letter: DeadLetter) -> list[tuple[str, str]]:
    return [
        ("consumer", letter.durable),
        ("reason", letter.reason),
        ("message", letter.message),
        ("attempts", str(letter.attempts)),
        ("subject", letter.subject),
        ("stream", f"{letter.stream}, at {letter.sequence}"),
    ]


def body_text(body: bytes) -> str:
    """JSON indented, other text with its control characters to be seen, anything else in hexadecimal; cut where it is long."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return _hexadecimal(body)
    try:
        shown = "\n".join(map(printable, json.dumps(json.loads(text), ensure_ascii=False, indent=2).split("\n")))
    except (ValueError, RecursionError):
        shown = repr(text)
    return shown if len(shown) <= MOST_CHARACTERS else f"{shown[:MOST_CHARACTERS]}\n… {WRITES_ALL}"


def _hexadecimal(body: bytes) -> str:
    starts = range(0, min(len(body), MOST_BYTES), BYTES_A_LINE)
    lines = [f"{start:08x}  {body[start : start + BYTES_A_LINE].hex(' ')}" for start in starts]
    more = [f"… {len(body) - MOST_BYTES} more bytes: {WRITES_ALL}"] if len(body) > MOST_BYTES else []
    return "\n".join([*lines, *more])


def _short(subject: str) -> str:
    return subject.removeprefix("modelkin.evt.v1.").removeprefix("modelkin.cmd.v1.")
