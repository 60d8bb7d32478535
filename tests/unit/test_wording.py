"""Values as a person reads them."""

import pytest

from modelkin.wording import plain, some_of
from tests.samples import digest


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (digest("a"), "sha256:aaaaaaaaaaaa"),
        (3.0, "3"),
        (-0.1, "-0.1"),
        (1e300, "1e+300"),
        (7, "7"),
        (True, "true"),
        (None, "null"),
        ([1, "名"], '[1, "名"]'),
    ],
)
def test_values_are_written_as_in_json_without_quotes_around_text(value, expected):
    assert plain(value) == expected


def test_of_a_long_list_the_first_are_named_and_the_others_counted():
    assert some_of(["a", "b"]) == "a, b"
    assert some_of(["a", "b", "c"], most=2) == "a, b and 1 more"
