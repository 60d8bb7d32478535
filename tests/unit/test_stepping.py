"""Steps of handlers: named, counted, written down, fatal where a test says so, and nothing at all otherwise."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.stepping import Steps, stepped, steps_of


class Ended(BaseException):
    """Stands for the end of the process."""


def die() -> None:
    raise Ended


class Store:
    """A part."""

    name = "store"

    def __init__(self) -> None:
        self.decided: list[str] = []

    async def decide(self, what: str) -> str:
        self.decided.append(what)
        return what.upper()

    async def pages(self) -> AsyncIterator[int]:
        yield 1
        yield 2

    def count(self) -> int:
        return len(self.decided)


def test_without_the_variables_a_part_is_what_it_was() -> None:
    store = Store()

    assert steps_of({}) is None
    assert stepped("store", store) is store


async def test_a_part_with_steps_does_what_it_did() -> None:
    store = stepped("store", Store(), Steps("", "", die))

    assert await store.decide("a") == "A"
    assert [page async for page in store.pages()] == [1, 2]
    assert (store.count(), store.name) == (1, "store")


async def test_a_plain_function_has_no_steps() -> None:
    assert stepped("die", die, Steps("", "", die)) is die


async def test_the_process_ends_before_the_call() -> None:
    part = Store()
    store = stepped("store", part, Steps("store.decide:before", "", die))

    with pytest.raises(Ended):
        await store.decide("a")
    assert part.decided == []


async def test_the_process_ends_after_the_call() -> None:
    part = Store()
    store = stepped("store", part, Steps("store.decide:after", "", die))

    with pytest.raises(Ended):
        await store.decide("a")
    assert part.decided == ["a"]


async def test_the_process_ends_at_the_time_that_is_named() -> None:
    part = Store()
    store = stepped("store", part, Steps("store.decide:before#3", "", die))

    await store.decide("a")
    await store.decide("b")
    with pytest.raises(Ended):
        await store.decide("c")
    assert part.decided == ["a", "b"]


async def test_of_several_steps_the_process_ends_at_the_first_that_it_passes(tmp_path: Path) -> None:
    file = tmp_path / "steps"
    part = Store()
    store = stepped("store", part, Steps("store.pages:before,store.decide:after#2", str(file), die))

    await store.decide("a")
    with pytest.raises(Ended):
        await store.decide("b")
    assert file.read_text(encoding="utf-8").splitlines()[-1] == "died at store.decide:after"


async def test_the_process_ends_between_two_items() -> None:
    pages = stepped("store", Store(), Steps("store.pages:after#2", "", die)).pages()

    assert await anext(pages) == 1
    with pytest.raises(Ended):
        await anext(pages)


async def test_each_step_is_written_down_once(tmp_path: Path) -> None:
    file = tmp_path / "steps"
    store = stepped("store", Store(), Steps("", str(file), die))

    await asyncio.gather(store.decide("a"), store.decide("b"))
    async for _ in store.pages():
        pass
    assert file.read_text(encoding="utf-8").splitlines() == [
        "store.decide:before",
        "store.decide:after",
        "store.pages:before",
        "store.pages:after",
    ]
