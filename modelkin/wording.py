"""Words and numbers as a person reads them: sizes, times, lists that are cut, and nothing that a terminal would obey."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from pydantic import JsonValue
from rich.markup import escape as without_markup
from rich.table import Table

from shared.values import Fault

Fact = tuple[str, str]
"""A name and what is said under it."""

# Longer lists are cut for people. Programs ask with --json and get all.
MOST_LINES = 16
MOST_IN_A_CELL = 4
LONGEST_VALUE = 80
DIGEST_LENGTH = len("sha256:") + 12
# Larger ones are written with an exponent.
LARGEST_WHOLE = 1e15


def size(size_bytes: int) -> str:
    """1536 → 1.5 KB"""
    amount = float(size_bytes)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1024:  # noqa: PLR2004 - bytes in a KB
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"


def files(count: int) -> str:
    return counted(count, "file")


def counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def moment(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def numbers(values: dict[str, float], most: int = MOST_LINES) -> str:
    return pairs({name: f"{value:g}" for name, value in values.items()}, most)


def some_of(values: Sequence[str], most: int = MOST_IN_A_CELL) -> str:
    """`a, b and 26 more`."""
    more = len(values) - most
    return ", ".join(values) if more <= 0 else f"{', '.join(values[:most])} and {more} more"


def plain(value: JsonValue) -> str:
    """A value as it is written in JSON: text without quotes, 3.0 as 3, and the beginning of a digest."""
    match value:
        case str():
            return value[:DIGEST_LENGTH] if value.startswith("sha256:") else value
        case float() if value.is_integer() and abs(value) < LARGEST_WHOLE:
            return str(int(value))
        case _:
            return json.dumps(value, ensure_ascii=False)


def pairs(values: Mapping[str, object], most: int) -> str:
    shown = [shortened(f"{name}={value}") for name, value in itertools.islice(values.items(), most)]
    return ", ".join([*shown, *([f"… {len(values) - most} more"] if len(values) > most else [])])


def shortened(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def fault_line(fault: Fault) -> str:
    """A rule that a configuration breaks, below the sentence that refuses it."""
    return f"  {fault.path}: {fault.got}: expected {fault.expected}"


def printable(text: str) -> str:
    """A text of somebody else's, that a terminal is to show and not to obey."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def escape(text: str) -> str:
    """The same where rich prints it, which has signs of its own."""
    return without_markup(printable(text))


def first(facts: Sequence[Fact], most: int, count: int | None = None) -> Iterator[Fact]:
    """So many of the facts, and how many more there are; `count`: in all, where not all are here."""
    yield from facts[:most]
    left = (count or len(facts)) - min(most, len(facts))
    if left:
        yield facts[0][0], f"… {left} more"


def facts_table(facts: Iterable[Fact]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, text in facts:
        if text:
            table.add_row(name, escape(text))
    return table
