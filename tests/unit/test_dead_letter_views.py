"""How a dead letter looks to a person."""

from datetime import UTC, datetime, timedelta

import pytest

from modelkin.dead_letter_views import MOST_CHARACTERS, age, body_text, letter_facts
from modelkin.letters import Original, Stored
from shared.dead_letters import DeadLetter

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
LETTER = DeadLetter(
    durable="registry-on-changes",
    reason="failed",
    message="ValueError('no')",
    attempts=5,
    subject="modelkin.evt.v1.alias.moved.0.resnet",
    message_id="m-1",
    stream="EVENTS",
    sequence=12,
)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2 h"), (172_800, "2 d")],
)
def test_an_age_is_told_in_the_largest_unit_of_which_there_are_two(seconds: float, shown: str):
    assert age(NOON - timedelta(seconds=seconds), NOON) == shown


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"a": [1, "\xe6\xa8\xa1"]}', '{\n  "a": [\n    1,\n    "模"\n  ]\n}'),
        (b'{"a": "\\u009b2J"}', '{\n  "a": "\\x9b2J"\n}'),
        (b"not\x1b[2J JSON", "'not\\x1b[2J JSON'"),
        (b"\xff\x00", "00000000  ff 00"),
        (b"", "''"),
    ],
)
def test_a_body_is_shown_so_that_a_terminal_obeys_nothing_in_it(body: bytes, shown: str):
    assert body_text(body) == shown


@pytest.mark.parametrize("body", [b"\xff" * 5000, b"x" * 100_000, b"[" * 100_000])
def test_a_long_body_is_cut_and_says_how_to_get_it_all(body: bytes):
    shown = body_text(body)

    assert len(shown) < MOST_CHARACTERS + 100
    assert shown.endswith("--raw writes it all")


def test_a_program_gets_the_bytes_whatever_they_are():
    stored = Stored(3, NOON, LETTER, {}, b"\xff")
    facts = letter_facts(stored, Original({"ce-id": "1"}, b"\xff"))

    assert (facts["letter"], facts["durable"], facts["body"], facts["body_base64"]) == (
        3,
        "registry-on-changes",
        None,
        "/w==",
    )
    assert letter_facts(stored, None)["headers"] is None
