"""WWW-Authenticate, as registries write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.importer.images.challenges import Challenge, challenges_in


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ('Basic realm="Registry"', [("basic", {"realm": "Registry"})]),
        (
            'Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a/b:pull,push"',
            [
                (
                    "bearer",
                    {
                        "realm": "https://auth.example.com/token",
                        "service": "registry",
                        "scope": "repository:a/b:pull,push",
                    },
                )
            ],
        ),
        (
            'BEARER Realm="https://a/t", Service = plain , Basic realm="x"',
            [("bearer", {"realm": "https://a/t", "service": "plain"}), ("basic", {"realm": "x"})],
        ),
        ('Negotiate, Basic realm="a \\"b\\" \\\\c"', [("negotiate", {}), ("basic", {"realm": 'a "b" \\c'})]),
        ('Basic realm="first", realm="second"', [("basic", {"realm": "first"})]),
        ("Negotiate YWJj==", [("negotiate", {})]),
        ("Basic", [("basic", {})]),
        ('Basic realm="open', [("basic", {})]),
        ("", []),
        (",,, ", []),
        ('"', []),
    ],
)
def test_challenges_are_read_until_the_grammar_breaks(header: str, challenges: list[tuple[str, dict[str, str]]]):
    assert list(challenges_in([header])) == [Challenge(scheme, parameters) for scheme, parameters in challenges]


def test_each_header_has_its_own_challenges():
    headers = ['Basic realm="a"', 'Bearer realm="b"']

    assert [challenge.scheme for challenge in challenges_in(headers)] == ["basic", "bearer"]


def test_a_header_that_is_too_long_tells_nothing():
    assert list(challenges_in([f'Basic realm="{"x" * 5000}"'])) == []


@given(st.lists(st.text(alphabet='aB=", \t\\/:'), max_size=3))
def test_any_headers_are_read(headers: list[str]):
    for challenge in challenges_in(headers):
        assert challenge.scheme == challenge.scheme.lower()
