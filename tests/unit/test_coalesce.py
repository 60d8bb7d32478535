"""Many concurrent calls, one flush."""

import asyncio
from collections.abc import Sequence

import pytest

from shared.coalesce import Coalescer
from shared.errors import Transient


class Store:
    """Doubles numbers, and remembers what came together. It is slow until `open` is set."""

    def __init__(self, *, open_at_once: bool = True) -> None:
        self.batches: list[list[int]] = []
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        self.fails: dict[int, Exception] = {}
        if open_at_once:
            self.open.set()

    async def flush(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.begun.set()
        await self.open.wait()
        for item in items:
            if item in self.fails:
                raise self.fails[item]
        return [item * 2 for item in items]


async def together(store: Store, first: int, *later: int) -> list[int | BaseException]:
    """`first` is under way while `later` come; returns what each got."""
    double = Coalescer(store.flush)
    calls = [asyncio.create_task(double(first))]
    await store.begun.wait()
    calls += [asyncio.create_task(double(item)) for item in later]
    await asyncio.sleep(0)
    store.open.set()
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_a_lone_call_goes_out_at_once_and_alone():
    store = Store()

    assert await Coalescer(store.flush)(21) == 42
    assert store.batches == [[21]]


async def test_calls_that_come_meanwhile_go_out_together():
    store = Store(open_at_once=False)

    await together(store, 1, 2, 3, 4)

    assert store.batches == [[1], [2, 3, 4]]


async def test_each_call_gets_its_own_result():
    assert await together(Store(open_at_once=False), 1, 2, 3, 4) == [2, 4, 6, 8]


async def test_equal_items_are_each_answered():
    assert await together(Store(open_at_once=False), 1, 5, 5, 5) == [2, 10, 10, 10]


async def test_calls_after_a_pause_go_out_anew():
    store = Store()
    double = Coalescer(store.flush)

    await double(1)
    await double(2)

    assert store.batches == [[1], [2]]


async def test_no_flush_has_more_than_200_items():
    store = Store(open_at_once=False)

    results = await together(store, 0, *range(1, 450))

    assert [len(batch) for batch in store.batches] == [1, 200, 200, 49]
    assert results == [item * 2 for item in range(450)]


async def test_an_item_that_fails_does_not_fail_its_neighbours():
    store = Store(open_at_once=False)
    store.fails[3] = ValueError("three")

    results = await together(store, 1, 2, 3, 4)

    assert [results[0], results[1], results[3]] == [2, 4, 8]
    assert repr(results[2]) == "ValueError('three')"
    assert store.batches == [[1], [2, 3, 4], [2], [3], [4]]


async def test_where_the_store_is_away_every_call_hears_it_and_none_is_tried_alone():
    store = Store(open_at_once=False)
    store.fails[3] = Transient("away")

    results = await together(store, 1, 2, 3, 4)

    assert results[0] == 2
    assert [repr(result) for result in results[1:]] == ["Transient('away')"] * 3
    assert store.batches == [[1], [2, 3, 4]]


async def test_after_a_failure_calls_work_again():
    store = Store()
    store.fails[1] = Transient("away")
    double = Coalescer(store.flush)

    with pytest.raises(Transient, match="away"):
        await double(1)

    assert await double(2) == 4


async def test_a_call_that_is_given_up_does_not_disturb_the_others():
    store = Store(open_at_once=False)
    double = Coalescer(store.flush)
    calls = [asyncio.create_task(double(item)) for item in (1, 2, 3)]
    await asyncio.sleep(0)

    calls[1].cancel()
    store.open.set()
    results = await asyncio.gather(*calls, return_exceptions=True)

    assert (results[0], results[2]) == (2, 6)
    assert isinstance(results[1], asyncio.CancelledError)
