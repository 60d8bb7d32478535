"""What may be a name, and how version numbers count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.naming import FIRST, LAST, Bump, VersionNumber, is_name, is_number, token

NUMBERS = st.builds(VersionNumber, *(st.integers(0, 99) for _ in range(3)))


@pytest.mark.parametrize(
    "text",
    [
        "resnet50",
        "a",
        "0",
        "-",
        "_",
        "ResNet_50-v2",
        "模型",
        "图像分类-v2",
        "한글",
        "caf\u00e9",
        "हिन्दी",
        "a" * 64,
        "模" * 64,
    ],
)
def test_a_name_is_letters_digits_dashes_and_underscores_of_any_script(text: str):
    assert is_name(text)
    assert token(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "resnet.50",
        "res net",
        "a" * 65,
        "模" * 65,
        "resnet\n",
        "\nresnet",
        "res\tnet",
        "*",
        ">",
        "~",
        "a/b",
        "a@1",
        "a:b",
        "a+b",
        "a\0b",
        "a\u200bb",
        "a\u00a0b",
        "\u00b2",
        "\ud800",
        "😀",
    ],
)
def test_anything_else_is_no_name(text: str):
    assert not is_name(text)


def test_a_name_in_decomposed_form_is_refused_for_it_looks_like_another():
    assert is_name("caf\u00e9")
    assert not is_name("cafe\u0301")


@pytest.mark.parametrize("text", ["", "a.b", "a b", "*", ">", "cafe\u0301"])
def test_the_token_of_what_is_no_name_is_a_tilde(text: str):
    assert token(text) == "~"


@given(st.text(max_size=80))
def test_no_text_gets_a_dot_a_space_or_a_wildcard_into_a_subject(text: str):
    made = token(text)

    assert made
    assert not set(made) & set(".*> \t\r\n\0")


@given(st.text(max_size=80))
def test_every_text_that_is_no_name_has_the_same_token(text: str):
    assert token(text) == (text if is_name(text) else "~")


@pytest.mark.parametrize("text", ["0.0.0", "0.0.1", "1.0.0", "10.20.30", "99.99.99"])
def test_a_version_number_has_three_parts_up_to_99(text: str):
    assert is_number(text)
    assert str(VersionNumber.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.0",
        "1.0.0.0",
        "01.0.0",
        "1.00.0",
        "1.0.100",
        "100.0.0",
        "1.0.-1",
        "v1.0.0",
        "1.0.0\n",
        " 1.0.0",
        "1.0.0-rc1",
        "1,0,0",
        "1..0",
        "\uff11.0.0",
        "latest",
    ],
)
def test_anything_else_is_no_version_number(text: str):
    assert not is_number(text)


def test_reading_a_wrong_number_says_what_came_and_what_was_expected():
    with pytest.raises(ValueError, match=r"^'1\.0' is not a version number: expected N\.N\.N, each N from 0 to 99"):
        VersionNumber.parse("1.0")


@pytest.mark.parametrize(
    ("number", "following"),
    [
        ("0.0.0", "0.0.1"),
        ("0.0.1", "0.0.2"),
        ("0.0.9", "0.0.10"),
        ("0.0.99", "0.1.0"),
        ("0.99.99", "1.0.0"),
        ("1.2.3", "1.2.4"),
        ("99.99.98", "99.99.99"),
    ],
)
def test_the_next_number_carries_at_99(number: str, following: str):
    assert str(VersionNumber.parse(number).next()) == following


@pytest.mark.parametrize(
    ("number", "bump", "following"),
    [
        ("1.2.3", "patch", "1.2.4"),
        ("1.2.3", "minor", "1.3.0"),
        ("1.2.0", "minor", "1.3.0"),
        ("1.99.5", "minor", "2.0.0"),
        ("0.0.1", "minor", "0.1.0"),
        ("1.2.3", "major", "2.0.0"),
        ("0.0.1", "major", "1.0.0"),
    ],
)
def test_the_next_minor_or_major_number_starts_at_0_again(number: str, bump: Bump, following: str):
    assert str(VersionNumber.parse(number).next(bump)) == following


@pytest.mark.parametrize(
    ("number", "bump"), [("99.99.99", "patch"), ("99.99.0", "minor"), ("99.0.0", "major"), ("99.99.99", "major")]
)
def test_no_number_comes_after_the_last(number: str, bump: Bump):
    assert VersionNumber.parse(number).next(bump) is None


def test_the_first_number_is_0_0_1_and_the_last_99_99_99():
    assert (str(FIRST), str(LAST)) == ("0.0.1", "99.99.99")


@pytest.mark.parametrize(
    ("number", "rank"), [("0.0.0", 0), ("0.0.1", 1), ("0.1.0", 100), ("1.0.0", 10_000), ("12.34.56", 123_456)]
)
def test_the_rank_of_a_number_is_its_digits_in_pairs(number: str, rank: int):
    assert VersionNumber.parse(number).rank == rank
    assert str(VersionNumber.from_rank(rank)) == number


def test_numbers_compare_as_numbers_and_not_as_text():
    assert VersionNumber.parse("0.0.9") < VersionNumber.parse("0.0.10")
    assert VersionNumber.parse("0.9.9") < VersionNumber.parse("0.10.0")
    assert VersionNumber.parse("9.0.0") < VersionNumber.parse("10.0.0")


@given(NUMBERS)
def test_what_is_written_is_read_again(number: VersionNumber):
    assert VersionNumber.parse(str(number)) == number
    assert VersionNumber.from_rank(number.rank) == number


@given(NUMBERS, NUMBERS)
def test_ranks_are_in_the_order_of_their_numbers(one: VersionNumber, other: VersionNumber):
    assert (one < other) == (one.rank < other.rank)
    assert (one == other) == (one.rank == other.rank)


@given(NUMBERS, NUMBERS)
def test_nothing_lies_between_a_number_and_the_next(number: VersionNumber, other: VersionNumber):
    following = number.next()

    assert following is None or not number < other < following
    assert following is None or number < following
