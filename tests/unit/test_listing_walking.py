"""Walks along an index: one path, several at once, and what milestones tell of how much there is."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.listing.terms import on_levels, times_between
from services.registry.listing.walking import Document, Path, Remembering, merged, surely_more
from tests.fakes import InMemoryShelf

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def a_shelf(*keys_by_term: tuple[str, Sequence[str]]) -> InMemoryShelf:
    shelf = InMemoryShelf()
    for term, keys in keys_by_term:
        for key in keys:
            shelf.documents[key] = {"_id": key, "terms": on_levels(key, [term]), "key": key}
    return shelf


def a_path(term: str) -> Path:
    return Path("terms", term, "key")


def keys(count: int, start: int = 0, apart: int = 1) -> list[str]:
    return [f"{number:06}" for number in range(start, start + count * apart, apart)]


async def all_of(walk: AsyncIterator[list[Document]]) -> list[str]:
    return [document["key"] async for step in walk for document in step]


@pytest.mark.parametrize("descending", [False, True])
async def test_several_paths_are_walked_in_one_order(descending: bool):
    """One is dense, one sparse, one empty, one lies behind all."""
    dense, sparse, last = keys(900), keys(40, 5000, 50), keys(300, 9000)
    shelf = a_shelf(("0a", dense), ("0b", sparse), ("0d", last))
    paths = [a_path(term) for term in ("0a", "0b", "0c", "0d")]

    walked = await all_of(merged(shelf, paths, descending=descending, width=lambda: 1))

    assert walked == sorted([*dense, *sparse, *last], reverse=descending)


@given(st.lists(st.lists(st.integers(0, 500), max_size=60), min_size=1, max_size=4), st.booleans())
async def test_whatever_lies_on_them_nothing_is_left_out_and_nothing_comes_twice(
    numbers: list[list[int]], descending: bool
):
    unique: dict[int, int] = {number: place for place, some in enumerate(numbers) for number in some}
    by_path = [[f"{number:06}" for number, owner in unique.items() if owner == place] for place in range(len(numbers))]
    shelf = a_shelf(*((f"0{place}", some) for place, some in enumerate(by_path)))
    paths = [a_path(f"0{place}") for place in range(len(numbers))]

    walked = await all_of(merged(shelf, paths, descending=descending, width=lambda: 1))

    assert walked == sorted(chain.from_iterable(by_path), reverse=descending)


@pytest.mark.parametrize(("count", "is_sure"), [(0, False), (299, False), (1500, True)])
async def test_milestones_are_sure_of_much_and_never_of_too_little(count: int, is_sure: bool):
    shelf = a_shelf(("0a", keys(count)))

    assert await surely_more(shelf, a_path("0a"), 300, descending=False) is is_sure


class Counting(InMemoryShelf):
    """Counts how often it is read."""

    reads = 0

    async def read(self, path: Path, **how: Any) -> list[Document]:
        self.reads += 1
        return await super().read(path, **how)


async def test_a_question_reads_a_path_once():
    counting = Counting()
    shelf = Remembering(counting)

    for keys_only in (True, True, False, False):
        await shelf.read(a_path("0a"), keys_only=keys_only)

    assert counting.reads == 2


@given(st.integers(0, 10**7), st.integers(1, 240 * 24 * 3600))
def test_a_few_terms_cover_a_time_from_its_first_second_to_its_last(start_s: int, length_s: int):
    first, end = NOON + timedelta(seconds=start_s), NOON + timedelta(seconds=start_s + length_s)

    found = times_between("L", "0", first, end)

    assert found is not None
    assert len(found) <= 9
    for moment in (first, end - timedelta(microseconds=1)):
        assert set(found) & {f"0|L|0|t|{unit}|{int(moment.timestamp()) // unit}" for unit in (3600, 86400, 2592000)}


def test_of_years_there_would_be_many():
    assert times_between("L", "0", NOON, NOON + timedelta(days=400)) is None
