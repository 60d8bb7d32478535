"""What lists keep of a version, and the words it is found by."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.listing.facts import Facts, kept_parameters
from services.registry.listing.selecting import weighed_grams
from services.registry.listing.terms import LEVELS, folded, grams, level_of, on_levels


def test_single_values_are_kept_by_their_path():
    nested: dict[str, Any] = {"lr": 0.1, "opt": {"name": "adam", "betas": [0.9, 0.99], "amsgrad": False}, "none": None}

    assert kept_parameters(nested) == {"lr": 0.1, "opt.name": "adam", "opt.amsgrad": False}


def test_of_very_many_those_nearest_to_the_top_are_kept():
    parameters: dict[str, Any] = {"deep": {str(n): n for n in range(300)}, "a": 1, "long": "x" * 201}

    kept = kept_parameters(parameters)

    assert len(kept) == 200
    assert kept["a"] == 1
    assert "long" not in kept


def test_of_two_with_one_path_the_upper_is_kept():
    assert kept_parameters({"a": {"b": 1}, "a.b": 2}) == {"a.b": 2}


def test_parameters_may_lie_very_deep():
    deep: Any = 1
    for _ in range(5000):
        deep = {"a": deep}

    assert kept_parameters(deep) == {}


def test_texts_are_folded_alike_in_any_case_and_composition():
    assert folded("STRASSE") == folded("straße")
    assert folded("e\u0301") == folded("É")


def test_grams_are_threes_and_where_words_are_short_twos_too():
    assert grams("Cats") == {"cat", "ats"}
    assert grams("识别猫") == {"识别", "别猫", "识别猫"}
    assert grams("ab") == grams("") == frozenset()


@given(st.text(max_size=30), st.text(max_size=10), st.text(max_size=30))
def test_what_contains_a_text_has_all_its_grams(before: str, text: str, after: str):
    whole = folded(before + text + after)
    start = len(folded(before))
    part = whole[start : start + len(text)]

    assert grams(part) <= grams(whole)


@given(st.text(max_size=100))
def test_some_grams_of_a_text_are_weighed_never_more_than_four(text: str):
    weighed = weighed_grams("L", "0", folded(text))

    assert len(weighed) <= 4
    assert bool(weighed) == bool(grams(folded(text)))


def test_one_in_32_is_a_milestone_and_one_in_1024_is_one_of_the_next_level():
    levels = [level_of(f"0/model@{n:06}") for n in range(32_768)]

    assert sum(level >= 1 for level in levels) == pytest.approx(1024, rel=0.15)
    assert sum(level >= 2 for level in levels) == pytest.approx(32, rel=0.5)
    assert max(levels) <= LEVELS


def test_a_milestone_has_its_terms_on_each_level():
    milestone = next(f"0/model@{n:06}" for n in range(100_000) if level_of(f"0/model@{n:06}") == 2)

    assert on_levels(milestone, ["0|L|0|*|"]) == ["0|L|0|*|", "1|L|0|*|", "2|L|0|*|"]


def test_facts_come_back_as_they_were_written():
    assert Facts.read({"summary": SUMMARY}).parameters == {}
    assert Facts.read(Facts.read({"summary": SUMMARY}).written()).summary.model == "resnet"


SUMMARY = (
    '{"model": "resnet", "version": "0.0.1", "registered_at": "2026-01-05T12:00:00Z", "package_digest": "sha256:aa",'
    ' "size_bytes": 1, "metrics": {"f1": 0.5}}'
)
