"""What delivery decides without a broker: how long to wait."""

import pytest

from shared.delivery import retry_delay_s


@pytest.mark.parametrize(
    ("attempt", "delay_s"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60), (100_000, 60)]
)
def test_each_attempt_waits_twice_as_long_up_to_a_minute(attempt: int, delay_s: float):
    assert retry_delay_s(attempt) == delay_s
