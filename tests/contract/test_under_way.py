"""The UnderWayStore: no more imports of a workspace than the limit, however many ask at once. In memory and in MongoDB."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import cast

import pytest
from motor.motor_asyncio import AsyncIOMotorDatabase

from services.importer.under_way.ports import UnderWayStore
from services.importer.under_way.store import MongoUnderWay
from shared.store import Document
from tests.fakes import InMemoryUnderWay
from tests.samples import NOON

LATER = NOON + timedelta(minutes=5)
Enter = Callable[..., Awaitable[int | None]]


@pytest.fixture(params=["fake", "mongo"])
def store(request: pytest.FixtureRequest) -> UnderWayStore:
    if request.param == "fake":
        return InMemoryUnderWay()
    return MongoUnderWay(cast("AsyncIOMotorDatabase[Document]", request.getfixturevalue("database")))


@pytest.fixture
def enter(store: UnderWayStore) -> Enter:
    async def enter(request_id: str, *, workspace: str = "0", limit: int = 2, now=NOON, until=LATER) -> int | None:
        return await store.enter(workspace, request_id, limit, now, until)

    return enter


async def test_there_are_as_many_places_as_the_limit_says(enter: Enter):
    assert await enter("a") is None
    assert await enter("b") is None
    assert await enter("c") == 2
    assert await enter("c", limit=3) is None
    assert await enter("d", limit=3) == 3


async def test_who_leaves_makes_room(enter: Enter, store: UnderWayStore):
    await enter("a")
    await enter("b")
    await store.leave("0", "a")

    assert await enter("c") is None
    assert await enter("d") == 2


async def test_a_request_that_comes_again_finds_its_place_though_all_are_taken(enter: Enter):
    await enter("a")
    await enter("b")

    assert await enter("a") is None
    assert await enter("c") == 2


async def test_a_request_that_came_twice_leaves_once(enter: Enter, store: UnderWayStore):
    await enter("a")
    await enter("a")
    await enter("b")
    await store.leave("0", "a")
    await store.leave("0", "a")

    assert await enter("c") is None
    assert await enter("d") == 2


async def test_who_is_not_there_leaves_without_a_trace(enter: Enter, store: UnderWayStore):
    await store.leave("0", "nobody")
    await enter("a")
    await enter("b")
    await store.leave("0", "nobody")

    assert await enter("c") == 2


async def test_workspaces_do_not_share_places(enter: Enter, store: UnderWayStore):
    await enter("a", limit=1)
    await store.leave("视觉", "a")

    assert await enter("b", limit=1) == 1
    assert await enter("b", limit=1, workspace="视觉") is None


async def test_a_place_that_nobody_renewed_lapses(enter: Enter):
    await enter("a", until=NOON + timedelta(minutes=1))
    await enter("b", until=NOON + timedelta(minutes=3))

    assert await enter("c", now=NOON + timedelta(seconds=59)) == 2
    assert await enter("c", now=NOON + timedelta(seconds=61), until=NOON + timedelta(minutes=9)) is None
    assert await enter("d", now=NOON + timedelta(seconds=61)) == 2
    assert await enter("d", now=NOON + timedelta(seconds=181)) is None


async def test_a_place_that_was_renewed_does_not_lapse(enter: Enter):
    await enter("a", limit=1, until=NOON + timedelta(minutes=1))
    await enter("a", limit=1, until=NOON + timedelta(minutes=2))

    assert await enter("b", limit=1, now=NOON + timedelta(seconds=90)) == 1


async def test_of_many_that_ask_at_once_the_limit_is_let_in(enter: Enter, store: UnderWayStore):
    let_in = await asyncio.gather(*(enter(f"request-{n}", limit=5) for n in range(24)))
    inside = [n for n, others in enumerate(let_in) if others is None]
    await asyncio.gather(*(store.leave("0", f"request-{n}") for n in inside))
    again = await asyncio.gather(*(enter(f"another-{n}", limit=5) for n in range(24)))

    assert len(inside) == 5
    assert {others for others in let_in if others is not None} == {5}
    assert again.count(None) == 5
