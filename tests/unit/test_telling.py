"""The versions of a model are said in order, also where another process decided those before and did not say them."""

import asyncio
from datetime import datetime

import pytest

from services.versioning.telling import InOrder
from shared.messages import VersionAssigned
from tests.samples import an_import, at
from tests.versionings import Versioning


@pytest.fixture
def versioning() -> Versioning:
    return Versioning()


async def decided(versioning: Versioning, *imports: str, model: str = "resnet", time: datetime | None = None) -> None:
    """By a process that says nothing of it."""
    for name in imports:
        await versioning.store.decide(an_import(name, model=model), time or at(1))


def said(versioning: Versioning) -> list[tuple[str, int]]:
    return [(one.model, one.ordinal) for one in versioning.events.said if isinstance(one, VersionAssigned)]


async def test_what_another_process_decided_and_did_not_say_is_said_first(versioning: Versioning):
    await decided(versioning, "one", "two")

    await versioning.hear(an_import("three"))

    assert said(versioning) == [("resnet", 1), ("resnet", 2), ("resnet", 3)]


async def test_only_what_was_not_said_yet_is_said(versioning: Versioning):
    await versioning.hear(an_import("one"))
    await decided(versioning, "two")
    other = InOrder(versioning.events)
    versioning.in_order = other

    await versioning.hear(an_import("three"))

    assert said(versioning) == [("resnet", 1), ("resnet", 2), ("resnet", 3)]


async def test_a_process_that_said_the_last_one_looks_nothing_up(versioning: Versioning):
    await versioning.hear(an_import("one"))
    versioning.events.kept.clear()

    await versioning.hear(an_import("two"))

    assert said(versioning) == [("resnet", 1), ("resnet", 2)]


async def test_models_do_not_wait_for_each_other(versioning: Versioning):
    await decided(versioning, "one", model="bert")

    await versioning.hear(an_import("two"))

    assert said(versioning) == [("resnet", 1)]


async def test_imports_handled_at_once_are_said_in_order(versioning: Versioning):
    await asyncio.gather(*(versioning.hear(an_import(f"import-{number}")) for number in range(20)))

    first_said = list(dict.fromkeys(said(versioning)))
    assert first_said == [("resnet", ordinal) for ordinal in range(1, 21)]


async def test_a_redelivery_says_its_own_again_and_none_before(versioning: Versioning):
    for name in ("one", "two", "three"):
        await versioning.hear(an_import(name))
    versioning.in_order = InOrder(versioning.events)

    await versioning.hear(an_import("two"))

    assert said(versioning)[3:] == [("resnet", 2)]
