"""What the doctor concludes without asking anybody: clocks, statuses, and what a service finds of itself."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

import shared.examining
from modelkin.doctor.clocks import clock_finding
from modelkin.doctor.examining import status_of
from shared.clocks import HERE, Offset
from shared.errors import Transient
from shared.examining import examine_handler, wanted_indexes
from shared.queries import Examine, Finding

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def clock(ahead_s: float, took_s: float = 0.0) -> Offset:
    asked, heard = NOON, NOON + timedelta(seconds=took_s)
    return Offset.of(NOON + timedelta(seconds=ahead_s), asked, heard)


@pytest.mark.parametrize(
    ("ahead_s", "took_s", "apart_s"), [(0, 0, 0), (5, 0, 5), (-5, 0, -5), (1.5, 2, 0), (5, 2, 3), (-5, 2, -5)]
)
def test_a_time_that_was_said_between_question_and_answer_is_right(ahead_s: float, took_s: float, apart_s: float):
    assert clock(ahead_s, took_s).apart_s(HERE) == apart_s


def test_two_clocks_that_are_both_wrong_agree():
    assert clock(60).apart_s(clock(60, took_s=1)) == 0
    assert clock(60).apart_s(clock(-60, took_s=1)) == 120


@pytest.mark.parametrize(
    ("apart_s", "level", "message"),
    [
        (0.0, "ok", "agrees with here"),
        (1.0, "ok", "agrees with here"),
        (1.1, "warning", "1.1 s ahead of here"),
        (-30.0, "warning", "30.0 s behind here"),
        (-30.1, "wrong", "30.1 s behind here"),
    ],
)
def test_clocks_may_differ_by_a_second_and_must_not_by_half_a_minute(apart_s: float, level: str, message: str):
    finding = clock_finding("clock", [("here", apart_s)])

    assert (finding.level, finding.message) == (level, message)


def test_the_worst_difference_is_told():
    finding = clock_finding("clock", [("here", 2.0), ("there", -40.0)])

    assert (finding.level, finding.message) == ("wrong", "40.0 s behind there")


@pytest.mark.parametrize(
    ("levels", "status"), [(["ok", "ok"], 0), (["ok", "warning"], 1), (["wrong", "warning", "ok"], 2)]
)
def test_the_status_is_that_of_the_worst_finding(levels: list[str], status: int):
    assert status_of([Finding(check="x", level=level, message="") for level in levels]) == status


async def test_a_check_that_raises_or_takes_too_long_is_wrong_and_holds_up_no_other(monkeypatch: pytest.MonkeyPatch):
    async def away() -> Finding:
        raise Transient("MongoDB is away")

    async def broken() -> Finding:
        raise ZeroDivisionError("no")

    async def stuck() -> Finding:
        await asyncio.sleep(60)
        raise AssertionError

    async def fine() -> Finding:
        return Finding(check="fine", message="it is")

    monkeypatch.setattr(shared.examining, "CHECK_TIMEOUT_S", 0.05)
    checks = {"store": away, "indexes": broken, "artifacts": stuck, "fine": fine}
    said = await examine_handler("importer", checks, lambda: NOON)(Examine())

    assert [(one.check, one.level) for one in said.findings] == [
        ("store", "wrong"),
        ("indexes", "wrong"),
        ("artifacts", "wrong"),
        ("fine", "ok"),
    ]
    assert [one.message for one in said.findings][:3] == [
        "MongoDB is away",
        "it could not be looked at: ZeroDivisionError('no')",
        "no answer in 0.05 s",
    ]
    assert (said.service, said.time) == ("importer", NOON)


class _Store:
    def __init__(self, database) -> None:
        self._things = database["things"]
        self._times = database["times"]

    async def prepare(self) -> None:
        await self._things.create_index("name", unique=True)
        await self._things.create_index([("place", 1), ("at", -1)])
        await self._times.create_index("at", expireAfterSeconds=5, name="soon")
        if await self._times.find_one({"_id": "first"}) is None:
            await self._times.insert_one({"_id": "first"})


async def test_which_indexes_stores_would_make_is_found_without_making_them():
    wanted = await wanted_indexes(lambda database: [_Store(database).prepare])

    assert wanted == {"things": {"name_1", "place_1_at_-1"}, "times": {"soon"}}
