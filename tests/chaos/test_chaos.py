"""The short form of a chaos run, as a test."""

from pathlib import Path
from secrets import randbits

import pytest

from tests.chaos.running import SHORT_LOAD_S, Plan, Telling, run


@pytest.mark.timeout(900)
async def test_nothing_is_lost_and_nothing_comes_twice_whatever_dies_whenever(tmp_path: Path) -> None:
    told: list[str] = []
    plan = Plan(randbits(32), "short", SHORT_LOAD_S, tmp_path)

    wrong = await run(plan, Telling(told.append))

    assert not wrong, f"seed {plan.seed}\n{''.join(told)}"
