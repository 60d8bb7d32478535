"""What the doctor says of clocks."""

from collections.abc import Sequence

from shared.clocks import CLOCKS_DIFFER_S, KEEP_CLOCKS, difference
from shared.queries import Finding


def clock_finding(check: str, apart: Sequence[tuple[str, float]]) -> Finding:
    """Of one clock against others: whose, and how far ahead of it this one is at least."""
    whose, worst_s = max(apart, key=lambda one: abs(one[1]))
    differs = difference(worst_s, whose)
    if differs is None:
        return Finding(check=check, message=f"agrees with {' and '.join(name for name, _ in apart)}")
    level = "wrong" if abs(worst_s) > CLOCKS_DIFFER_S else "warning"
    return Finding(check=check, level=level, message=differs, remedy=KEEP_CLOCKS)
