"""How results are printed: a title, short tables, notes."""

import sys
import textwrap
from collections.abc import Sequence

WIDTH = 120


def say(text: str = "") -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def say_title(text: str) -> None:
    say(f"\n{text}\n{'=' * len(text)}")


def say_note(text: str) -> None:
    say(textwrap.fill(text, WIDTH))


def say_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    say()
    say(_line(header, widths))
    say("  ".join("-" * width for width in widths))
    for row in rows:
        say(_line(row, widths))
    say()


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join((first, *others)).rstrip()


def ratio(value: float) -> str:
    return f"{value:.1f} ×" if value >= 1 else f"{value:.2f} ×"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f}" if seconds < 0.1 else f"{seconds * 1000:,.0f}"
