"""Long lists, some at a time."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

# Ids in one query: from measuring the embedded store, whose time for many grows with the square of their number.
IDS_AT_ONCE = 100


def parts(items: Sequence[Item], size: int = IDS_AT_ONCE) -> Iterator[Sequence[Item]]:
    """The items in order, `size` at a time; the last part may be shorter."""
    return (items[start : start + size] for start in range(0, len(items), size))
