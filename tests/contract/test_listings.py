"""The listings: what is listed, filtered, sorted and counted. In memory and in MongoDB."""

import asyncio
import dataclasses
import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Literal, cast

import pytest
from motor.motor_asyncio import AsyncIOMotorDatabase

from services.registry.domain import RegisteredVersion
from services.registry.listing.questions import Library, find_best, list_models, list_versions
from services.registry.listing.store import Listings
from shared.errors import Malformed, NotFound, Refused
from shared.messages import VersionDeleted, VersionEdited, VersionReleased
from shared.naming import VersionNumber
from shared.queries import FindBest, ListModels, ListVersions, VersionSummary
from shared.store import Document
from shared.values import Notes, Restriction
from tests.fakes import InMemoryListings
from tests.samples import a_package, an_assignment, an_import, at

Database = AsyncIOMotorDatabase[Document]
Kept = Listings | InMemoryListings
Open = Callable[[], Awaitable[Kept]]


@pytest.fixture(params=["fake", "mongo"])
def open_listings(request: pytest.FixtureRequest) -> Open:
    """Opens the listings, again and again: each is a process of its own on the same data."""
    if request.param == "fake":
        fake = InMemoryListings()

        async def open_fake() -> Kept:
            return fake

        return open_fake
    database = cast("Database", request.getfixturevalue("database"))
    return lambda: opened(database)


async def opened(database: Database) -> Listings:
    listings = Listings(database)
    await listings.prepare()
    return listings


@pytest.fixture
async def listings(open_listings: Open) -> Kept:
    return await open_listings()


def a_version(model: str = "resnet", number: str = "0.0.1", ordinal: int = 1, **changes: Any) -> RegisteredVersion:
    """Registered `ordinal` seconds after noon, or at `time`."""
    time = changes.pop("time", at(ordinal))
    imported = an_import(f"{changes.get('workspace', '0')}-{model}-{number}", model=model, **changes)
    return RegisteredVersion(imported, an_assignment(imported, number, ordinal, time=time))


def versions_of(model: str, *numbers: str, **changes: Any) -> list[RegisteredVersion]:
    return [a_version(model, number, ordinal, **changes) for ordinal, number in enumerate(numbers, start=1)]


def deleted(version: RegisteredVersion, deletions: int = 1, ordinal: int = 1) -> RegisteredVersion:
    event = version.imported.answer(
        VersionDeleted,
        at(1000 + ordinal),
        version=version.assigned.version,
        import_id=version.imported.import_id,
        package_digest=version.imported.package.digest,
        deletions=deletions,
        ordinal=ordinal,
        by="operator",
    )
    return dataclasses.replace(version, deleted=event)


def edited(version: RegisteredVersion, ordinal: int = 1, **notes: Any) -> RegisteredVersion:
    event = version.imported.answer(
        VersionEdited,
        at(1000 + ordinal),
        version=version.assigned.version,
        before=version.notes,
        after=Notes(**notes),
        ordinal=ordinal,
        by="operator",
    )
    return dataclasses.replace(version, edited=event)


def released(version: RegisteredVersion, ordinal: int = 1) -> RegisteredVersion:
    event = version.imported.answer(
        VersionReleased, at(1000 + ordinal), version=version.assigned.version, ordinal=ordinal, by="operator"
    )
    return dataclasses.replace(version, released=event)


def sized(size_bytes: int) -> Any:
    return a_package().model_copy(update={"size_bytes": size_bytes})


async def numbers(listings: Library, model: str | None = "resnet", **filters: Any) -> list[str]:
    page = await list_versions(ListVersions(model=model, **filters), listings)
    assert page.next is None
    assert (page.total, page.total_is_exact) == (len(page.versions), True)
    return [one.version for one in page.versions]


async def names(listings: Library, **filters: Any) -> list[str]:
    page = await list_models(ListModels(**filters), listings)
    assert page.next is None
    assert (page.total, page.total_is_exact) == (len(page.models), True)
    return [one.model for one in page.models]


# What a model is listed by


async def test_a_model_is_listed_by_its_highest_version_in_whichever_order_they_come(listings: Kept):
    older = a_version("resnet", "0.0.2", 1, description="first", engine="ONNX", package=sized(9))
    newer = a_version("resnet", "0.0.10", 2, labels=("prod",), engine="PyTorch", package=sized(4), metrics={"f1": 0.5})
    await listings.refresh([newer])
    await listings.refresh([older])

    model = await listings.model("0", "resnet")

    assert model is not None
    assert (model.workspace, model.model, model.versions, model.deleted, model.latest) == (
        "0",
        "resnet",
        2,
        0,
        "0.0.10",
    )
    assert (model.created_at, model.updated_at) == (at(1), at(2))
    assert (model.engine, model.size_bytes, model.labels, model.description) == ("PyTorch", 4, ("prod",), "")
    assert model.metrics == {"f1": 0.5}
    assert await listings.latest("0", "resnet") == VersionNumber(0, 0, 10)


async def test_what_nobody_registered_is_not_there(listings: Kept):
    await listings.refresh([])

    assert await listings.model("0", "resnet") is None
    assert await listings.latest("0", "resnet") is None
    assert await names(listings) == []


async def test_a_repeat_changes_nothing_and_an_older_state_changes_nothing(listings: Kept):
    version = a_version(restrictions=(Restriction.QUARANTINE,))
    newer = edited(released(version, 1), 2, labels=("good",))
    await listings.refresh([newer])
    await listings.refresh([version, newer])
    await listings.refresh([released(version, 1)])

    page = await list_versions(ListVersions(model="resnet"), listings)

    assert [(one.labels, one.status) for one in page.versions] == [(("good",), "published")]
    model = await listings.model("0", "resnet")
    assert model is not None
    assert model.labels == ("good",)
    assert model.updated_at == at(1002)


async def test_changes_that_are_applied_in_another_order_are_seen_all_the_same(listings: Kept):
    """Two processes apply an edit and the release before it: the state with the edit alone comes first."""
    version = a_version(restrictions=(Restriction.QUARANTINE,))
    await listings.refresh([edited(version, 2, labels=("good",))])
    await listings.refresh([edited(released(version, 1), 2, labels=("good",))])

    page = await list_versions(ListVersions(model="resnet"), listings)

    assert [one.status for one in page.versions] == ["published"]


async def test_after_the_highest_is_deleted_the_highest_that_is_left_counts(listings: Kept):
    one, two, three = versions_of("resnet", "0.0.1", "0.0.2", "3.0.0")
    await listings.refresh([one, two, three])
    await listings.refresh([deleted(three)])
    await listings.refresh([three, two])

    model = await listings.model("0", "resnet")

    assert model is not None
    assert (model.latest, model.versions, model.deleted) == ("0.0.2", 3, 1)
    assert await listings.latest("0", "resnet") == VersionNumber(0, 0, 2)
    assert await numbers(listings) == ["0.0.1", "0.0.2"]
    assert await numbers(listings, status="deleted") == ["3.0.0"]


async def test_deleting_one_below_the_highest_leaves_the_highest(listings: Kept):
    one, two = versions_of("resnet", "0.0.1", "0.0.2")
    await listings.refresh([one, two])
    await listings.refresh([deleted(one)])

    assert await listings.latest("0", "resnet") == VersionNumber(0, 0, 2)


async def test_of_a_model_without_any_left_the_highest_of_all_is_said_and_it_is_listed_as_deleted(listings: Kept):
    one, two = versions_of("resnet", "0.0.1", "0.0.2")
    await listings.refresh([one, two, a_version("bert")])
    await listings.refresh([deleted(two, 1, 1)])
    await listings.refresh([deleted(one, 2, 2)])

    model = await listings.model("0", "resnet")

    assert model is not None
    assert (model.latest, model.versions, model.deleted) == ("0.0.2", 2, 2)
    assert await listings.latest("0", "resnet") is None
    assert await names(listings) == ["bert"]
    assert await names(listings, status="deleted") == ["resnet"]
    assert await numbers(listings) == []
    assert await numbers(listings, status="deleted") == ["0.0.1", "0.0.2"]


async def test_a_version_below_all_that_were_deleted_brings_its_model_back(listings: Kept):
    (two,) = versions_of("resnet", "0.0.2")
    await listings.refresh([two])
    await listings.refresh([deleted(two)])
    await listings.refresh([a_version("resnet", "0.0.1", 2)])

    assert await listings.latest("0", "resnet") == VersionNumber(0, 0, 1)
    assert await names(listings) == ["resnet"]


async def test_deletions_and_registrations_at_once_end_with_the_highest_that_is_left(open_listings: Open):
    """Every version is written once more in its first state while it is deleted, by three processes."""
    processes = [await open_listings() for _ in range(3)]
    versions = versions_of("resnet", *(f"0.0.{n}" for n in range(1, 21)))
    await processes[0].refresh(versions[:10])
    gone = [deleted(one, n, n) for n, one in enumerate(reversed(versions[5:]), start=1)]
    work = [[one] for one in (*gone, *versions[10:], *versions)]
    random.shuffle(work)

    await asyncio.gather(*(process.refresh(some) for process, some in zip(itertools.cycle(processes), work)))

    model = await processes[0].model("0", "resnet")
    assert model is not None
    assert (model.latest, model.versions, model.deleted) == ("0.0.5", 20, 15)
    assert await numbers(processes[1]) == [f"0.0.{n}" for n in range(1, 6)]


async def test_listings_that_are_made_anew_are_equal(database: Database):
    versions = versions_of("resnet", "0.0.1", "0.0.2", "0.1.0") + versions_of("bert", "1.0.0", labels=("a",))
    states = [
        [*versions],
        [deleted(versions[2])],
        [edited(versions[0], 2, description="x y")],
        [deleted(versions[1], 2, 3)],
    ]
    first = await opened(database)
    for some in states:
        await first.refresh(some)
    before = await content(database)
    await database.client.drop_database(database.name)

    second = await opened(database)
    for some in [*reversed(states), [edited(versions[0], 2, description="x y")]]:
        await second.refresh(some)

    assert await content(database) == before


async def test_a_process_that_lives_on_while_its_database_is_dropped_writes_all_anew(database: Database):
    versions = versions_of("resnet", "0.0.1", "0.0.2")
    listings = await opened(database)
    await listings.refresh(versions)
    before = await content(database)
    await database.client.drop_database(database.name)
    await listings.prepare()

    await listings.refresh(versions)

    assert await content(database) == before
    assert await names(listings, name_part="snet") == ["resnet"]


async def content(database: Database) -> dict[str, list[Document]]:
    names = sorted(await database.list_collection_names())
    return {name: sorted(await database[name].find().to_list(None), key=lambda one: str(one["_id"])) for name in names}


# Filters

QUARANTINED = {"restrictions": (Restriction.QUARANTINE,)}


@pytest.fixture
async def zoo(listings: Kept) -> Kept:
    """Six models in two workspaces."""
    await listings.refresh(
        [
            a_version(
                "ResNet50", "0.0.1", engine="PyTorch", labels=("prod", "eu"), metrics={"f1": 0.9}, package=sized(30)
            ),
            a_version("resnet101", "0.0.2", 2, engine="PyTorch", description="Finds Cats", metrics={"f1": 0.95}),
            a_version("bert", "0.0.1", 3, engine="ONNX", labels=("prod",), description="reads TEXT", package=sized(20)),
            a_version("bert", "0.0.2", 4, engine="ONNX", metrics={"f1": 0.2, "loss": -3}, **QUARANTINED),
            a_version("图像分类", "0.0.1", 5, description="识别猫"),
            a_version("STRAßE", "0.0.1", 6, engine="Image", package=sized(10)),
            a_version("resnet50", "0.0.1", 7, workspace="other", labels=("prod",)),
        ]
    )
    return listings


MODELS = [
    ({}, ["ResNet50", "STRAßE", "bert", "resnet101", "图像分类"]),
    ({"workspace": "other"}, ["resnet50"]),
    ({"workspace": "nobody"}, []),
    ({"workspace": "0|x"}, []),
    ({"name": "bert"}, ["bert"]),
    ({"name": "Bert"}, []),
    ({"name": "x" * 5000}, []),
    ({"name_part": "RESNET"}, ["ResNet50", "resnet101"]),
    ({"name_part": "et5"}, ["ResNet50"]),
    ({"name_part": "er"}, ["bert"]),
    ({"name_part": "像"}, ["图像分类"]),
    ({"name_part": "图像"}, ["图像分类"]),
    ({"name_part": "strasse"}, ["STRAßE"]),
    ({"name_part": ".*"}, []),
    ({"name_part": "x" * 5000}, []),
    ({"name_part": ""}, ["ResNet50", "STRAßE", "bert", "resnet101", "图像分类"]),
    ({"name": "bert", "name_part": "res"}, []),
    ({"status": "published"}, ["ResNet50", "STRAßE", "resnet101", "图像分类"]),
    ({"status": "quarantined"}, ["bert"]),
    ({"status": "deleted"}, []),
    ({"engine": "PyTorch"}, ["ResNet50", "resnet101"]),
    ({"engine": "pytorch"}, []),
    ({"not_engine": "PyTorch"}, ["STRAßE", "bert", "图像分类"]),
    ({"label": "prod"}, ["ResNet50"]),
    ({"label": "prod", "engine": "ONNX"}, []),
    ({"label": "eu", "engine": "PyTorch", "status": "published"}, ["ResNet50"]),
    ({"description": "cat"}, ["resnet101"]),
    ({"description": "猫"}, ["图像分类"]),
    ({"metrics": ("f1>=0.9",)}, ["ResNet50", "resnet101"]),
    ({"metrics": ("f1>=0.9", "metrics.f1<0.95")}, ["ResNet50"]),
    ({"metrics": ("loss<0",)}, ["bert"]),
    ({"created_from": at(5)}, ["STRAßE", "图像分类"]),
    ({"created_before": at(2)}, ["ResNet50"]),
    ({"created_from": at(2), "created_before": at(5)}, ["bert", "resnet101"]),
    ({"created_from": at(5), "created_before": at(5)}, []),
    ({"sort": "name", "descending": True}, ["图像分类", "resnet101", "bert", "STRAßE", "ResNet50"]),
    ({"sort": "created"}, ["STRAßE", "图像分类", "bert", "resnet101", "ResNet50"]),
    ({"sort": "created", "descending": False}, ["ResNet50", "resnet101", "bert", "图像分类", "STRAßE"]),
    ({"sort": "updated"}, ["STRAßE", "图像分类", "bert", "resnet101", "ResNet50"]),
    ({"sort": "size"}, ["ResNet50", "STRAßE", "图像分类", "resnet101", "bert"]),
    ({"sort": "size", "created_from": at(3)}, ["STRAßE", "图像分类", "bert"]),
    ({"sort": "size", "engine": "PyTorch", "descending": False}, ["resnet101", "ResNet50"]),
]


async def test_models_are_filtered_and_sorted(zoo: Kept):
    for filters, expected in MODELS:
        assert await names(zoo, **filters) == expected, filters


VERSIONS = [
    ({}, ["STRAßE 0.0.1", "图像分类 0.0.1", "bert 0.0.2", "bert 0.0.1", "resnet101 0.0.2", "ResNet50 0.0.1"]),
    ({"workspace": "other"}, ["resnet50 0.0.1"]),
    ({"name": "bert"}, ["bert 0.0.1", "bert 0.0.2"]),
    ({"name": "bert", "sort": "created"}, ["bert 0.0.2", "bert 0.0.1"]),
    ({"name": "bert", "sort": "size", "descending": True}, ["bert 0.0.1", "bert 0.0.2"]),
    ({"name": "bert", "sort": "number", "descending": True}, ["bert 0.0.2", "bert 0.0.1"]),
    ({"name": "nobody"}, []),
    ({"name_part": "resnet"}, ["resnet101 0.0.2", "ResNet50 0.0.1"]),
    ({"name_part": "e"}, ["STRAßE 0.0.1", "bert 0.0.2", "bert 0.0.1", "resnet101 0.0.2", "ResNet50 0.0.1"]),
    ({"status": "quarantined"}, ["bert 0.0.2"]),
    ({"status": "published", "engine": "ONNX"}, ["bert 0.0.1"]),
    ({"engine": "PyTorch", "sort": "size"}, ["ResNet50 0.0.1", "resnet101 0.0.2"]),
    ({"not_engine": "ONNX", "label": "prod"}, ["ResNet50 0.0.1"]),
    ({"label": "prod"}, ["bert 0.0.1", "ResNet50 0.0.1"]),
    ({"description": "ADS TE"}, ["bert 0.0.1"]),
    ({"description": "ds"}, ["bert 0.0.1", "resnet101 0.0.2"]),
    ({"description": "别猫"}, ["图像分类 0.0.1"]),
    ({"description": "dogs"}, []),
    ({"metrics": ("f1<0.95",), "sort": "size"}, ["ResNet50 0.0.1", "bert 0.0.2"]),
    ({"created_from": at(2), "created_before": at(4), "sort": "size"}, ["bert 0.0.1", "resnet101 0.0.2"]),
    ({"created_from": at(4), "descending": False}, ["bert 0.0.2", "图像分类 0.0.1", "STRAßE 0.0.1"]),
]


async def test_versions_are_filtered_and_sorted(zoo: Kept):
    for filters, expected in VERSIONS:
        page = await list_versions(ListVersions(**filters), zoo)
        assert [f"{one.model} {one.version}" for one in page.versions] == expected, filters
        assert (page.next, page.total, page.total_is_exact) == (None, len(expected), True), filters


async def test_versions_of_one_model_are_filtered_like_all(zoo: Kept):
    assert await numbers(zoo, "bert") == ["0.0.1", "0.0.2"]
    assert await numbers(zoo, "bert", label="prod") == ["0.0.1"]
    assert await numbers(zoo, "bert", sort="created", created_from=at(4)) == ["0.0.2"]
    assert await numbers(zoo, "bert", name="resnet101") == []
    assert await numbers(zoo, "bert", status="deleted") == []


async def test_an_engine_and_a_label_are_told_apart_whatever_they_are_made_of(listings: Kept):
    await listings.refresh(
        [a_version("one", engine='a","b', labels=("c",)), a_version("two", engine="a", labels=("b",))]
    )

    assert await names(listings, engine='a","b', label="c") == ["one"]
    assert await names(listings, engine="a", label="b") == ["two"]
    assert await names(listings, engine="a", label='b","c') == []


async def test_what_was_registered_in_a_time_is_sorted_by_size_from_hour_to_hour_and_from_day_to_day(
    listings: Kept, monkeypatch: pytest.MonkeyPatch
):
    """One version a quarter of an hour, for four days; nothing is gathered, so that all of it is walked."""
    monkeypatch.setattr("services.registry.listing.paging.MOST_GATHERED", 0)
    sizes = random.Random(3).sample(range(10_000), 384)
    await listings.refresh([a_version(f"m{n}", time=at(900 * n), package=sized(size)) for n, size in enumerate(sizes)])

    for first, end in ((0, 4), (3, 30), (30, 200), (0, 384), (383, 384), (5, 5)):
        query = ListVersions(created_from=at(900 * first), created_before=at(900 * end), sort="size", limit=50)
        found, _ = await everything(query, listings)
        wanted = sorted(range(first, end), key=lambda n: sizes[n], reverse=True)
        assert [model for model, _ in found] == [f"m{n}" for n in wanted], (first, end)


async def test_an_edit_moves_a_version_from_label_to_label_and_word_to_word(listings: Kept):
    version = a_version(labels=("old",), description="finds cats")
    await listings.refresh([version])
    await listings.refresh([edited(version, labels=("new",), description="finds dogs")])

    assert await numbers(listings, label="old") == []
    assert await numbers(listings, label="new") == ["0.0.1"]
    assert await numbers(listings, None, description="cats") == []
    assert await numbers(listings, None, description="dogs") == ["0.0.1"]
    assert await names(listings, label="new") == ["resnet"]


async def test_an_unknown_model_is_not_an_empty_one(listings: Kept):
    with pytest.raises(NotFound) as refused:
        await list_versions(ListVersions(model="nobody"), listings)

    assert refused.value.code == "model-not-found"
    assert str(refused.value) == "there is no model 'nobody' in workspace '0'"


async def test_numbers_cannot_sort_what_is_of_several_models(listings: Kept):
    with pytest.raises(Refused) as refused:
        await list_versions(ListVersions(sort="number"), listings)

    assert refused.value.code == "invalid-sort"


async def test_texts_that_no_store_can_take_find_nothing(listings: Kept):
    await listings.refresh([a_version()])
    for text in ("a\0b", "$where", "\U0010ffff"):
        for field in ("workspace", "name", "name_part", "engine", "not_engine", "label", "description"):
            page = await list_versions(ListVersions(**{field: text}), listings)
            assert len(page.versions) == (field == "not_engine"), (field, text)


# Pages

SORTS_OF_VERSIONS: tuple[Literal["number", "created", "size"], ...] = ("number", "created", "size")
SORTS_OF_MODELS: tuple[Literal["name", "created", "updated", "size"], ...] = ("name", "created", "updated", "size")


async def pages(listings: Library, query: ListVersions | ListModels) -> list[list[str]]:
    """All pages, by their cursors."""
    seen: list[list[str]] = []
    while True:
        if isinstance(query, ListModels):
            models = await list_models(query, listings)
            seen.append([one.model for one in models.models])
            following = models.next
        else:
            page = await list_versions(query, listings)
            seen.append([one.version for one in page.versions])
            following = page.next
        if following is None:
            return seen
        assert len(seen) < 100
        query = query.model_copy(update={"after": following})


async def test_pages_follow_one_another_in_every_order(listings: Kept):
    """All are of one size, and all of one second: the id tells them apart."""
    await listings.refresh([a_version("resnet", f"0.0.{n}", n, time=at(1)) for n in range(1, 11)])
    rising = [f"0.0.{n}" for n in range(1, 11)]

    for sort, descending in itertools.product(SORTS_OF_VERSIONS, (False, True)):
        found = await pages(listings, ListVersions(model="resnet", sort=sort, descending=descending, limit=4))
        expected = rising[::-1] if descending else rising
        assert found == [expected[:4], expected[4:8], expected[8:]], (sort, descending)


async def test_pages_of_models_follow_one_another_in_every_order(listings: Kept):
    await listings.refresh([a_version(f"m{n}", time=at(1)) for n in range(7)])
    rising = [f"m{n}" for n in range(7)]

    for sort in SORTS_OF_MODELS:
        found = await pages(listings, ListModels(sort=sort, limit=3))
        expected = rising if sort == "name" else rising[::-1]
        assert found == [expected[:3], expected[3:6], expected[6:]], sort


async def test_the_last_page_is_full_and_has_no_next(listings: Kept):
    await listings.refresh(versions_of("resnet", "0.0.1", "0.0.2"))

    assert await pages(listings, ListVersions(model="resnet", limit=1)) == [["0.0.1"], ["0.0.2"]]
    assert await pages(listings, ListVersions(model="resnet", limit=2)) == [["0.0.1", "0.0.2"]]


async def test_an_offset_leaves_out_what_comes_first_on_the_first_page(listings: Kept):
    await listings.refresh(versions_of("resnet", *(f"0.0.{n}" for n in range(1, 8))))

    found = await pages(listings, ListVersions(model="resnet", limit=2, offset=3))
    beyond = await list_versions(ListVersions(model="resnet", offset=10_000), listings)

    assert found == [["0.0.4", "0.0.5"], ["0.0.6", "0.0.7"]]
    assert (beyond.versions, beyond.next, beyond.total) == ((), None, 7)


async def test_the_total_is_that_of_all_pages_on_every_page(listings: Kept):
    await listings.refresh(versions_of("resnet", *(f"0.0.{n}" for n in range(1, 8))))
    query = ListVersions(model="resnet", sort="created", limit=3, offset=2)

    first = await list_versions(query, listings)
    second = await list_versions(query.model_copy(update={"after": first.next}), listings)

    assert (first.total, second.total) == (7, 7)
    assert [one.version for one in second.versions] == ["0.0.2", "0.0.1"]


async def test_a_page_that_a_version_is_added_before_goes_on_where_it_ended(listings: Kept):
    await listings.refresh(versions_of("resnet", "0.0.1", "0.0.3", "0.0.5"))
    first = await list_versions(ListVersions(model="resnet", limit=2), listings)
    await listings.refresh([a_version("resnet", "0.0.2", 4)])

    second = await list_versions(ListVersions(model="resnet", limit=2, after=first.next), listings)

    assert [one.version for one in second.versions] == ["0.0.5"]


async def test_a_number_and_a_name_are_cursors_too(listings: Kept):
    await listings.refresh([*versions_of("resnet", "0.0.9", "0.0.10", "0.1.0"), a_version("bert")])

    assert [one async for one in after(listings, "0.0.9")] == ["0.0.10", "0.1.0"]
    assert [one async for one in after(listings, "0.0.10", descending=True)] == ["0.0.9"]
    models = await list_models(ListModels(after="bert"), listings)
    assert [one.model for one in models.models] == ["resnet"]
    everything = await list_models(ListModels(after=""), listings)
    assert [one.model for one in everything.models] == ["bert", "resnet"]


async def test_after_a_name_or_a_number_the_total_is_that_of_all(listings: Kept):
    await listings.refresh([*versions_of("resnet", "0.0.1", "0.0.2", "0.0.3"), a_version("bert"), a_version("yolo")])

    models = await list_models(ListModels(after="resnet"), listings)
    versions = await list_versions(ListVersions(model="resnet", after="0.0.2"), listings)

    assert ([one.model for one in models.models], models.total, models.total_is_exact) == (["yolo"], 3, True)
    assert ([one.version for one in versions.versions], versions.total) == (["0.0.3"], 3)


async def test_few_are_counted_and_of_many_it_is_said_that_there_are_at_least_so_many(
    listings: Kept, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("services.registry.listing.paging.MOST_COUNTED", 20)
    for count, expected in ((20, (20, True)), (400, (20, False))):
        await listings.refresh([a_version(f"m{n:03}") for n in range(count)])

        page = await list_models(ListModels(limit=5), listings)

        assert (page.total, page.total_is_exact) == expected, count


async def after(listings: Library, number: str, **filters: Any) -> Any:
    for one in (await list_versions(ListVersions(model="resnet", after=number, **filters), listings)).versions:
        yield one.version


async def test_a_cursor_that_is_none_of_ours_or_of_another_question_is_refused(listings: Kept):
    await listings.refresh([*versions_of("resnet", "0.0.1", "0.0.2"), a_version("bert")])
    query = ListVersions(model="resnet", limit=1)
    ours = (await list_versions(query, listings)).next
    assert ours is not None
    wrong = [
        query.model_copy(update={"after": "01.0.0"}),
        query.model_copy(update={"after": "."}),
        query.model_copy(update={"after": ".bm9wZQ"}),
        query.model_copy(update={"after": ".é"}),
        query.model_copy(update={"after": ours[:-3]}),
        query.model_copy(update={"after": "x" * 100_000}),
        query.model_copy(update={"after": ours, "sort": "size"}),
        query.model_copy(update={"after": ours, "descending": True}),
        query.model_copy(update={"after": ours, "label": "prod"}),
        query.model_copy(update={"after": "0.0.1", "sort": "created"}),
    ]

    for one in wrong:
        with pytest.raises(Malformed) as refused:
            await list_versions(one, listings)
        assert str(refused.value).startswith("after '"), one
        assert len(str(refused.value)) < 300
    for name in ("0.0.1.1", "a b"):
        with pytest.raises(Malformed, match="expected `next` of the page before, or the name of a model"):
            await list_models(ListModels(after=name), listings)


async def test_what_does_not_fit_into_one_reply_is_on_the_next_page(listings: Kept):
    metrics = {f"metric-{n:05}-{'x' * 80}": 0.5 for n in range(2000)}
    await listings.refresh(versions_of("resnet", *(f"0.0.{n}" for n in range(1, 9)), metrics=metrics))

    found = await pages(listings, ListVersions(model="resnet"))

    assert len(found) > 1
    assert [one for page in found for one in page] == [f"0.0.{n}" for n in range(1, 9)]


# Against a plain search through everything

ENGINES = ("PyTorch", "ONNX", None)
WORDS = ("cats", "dogs", "Traffic signs", "handwriting")


def a_crowd(count: int) -> list[RegisteredVersion]:
    """Versions of models with few and with many, all of them by chance but the same each time."""
    chance = random.Random(7)
    ordinals: dict[str, int] = {}
    deletions: dict[str, int] = {}
    crowd = []
    for _ in range(count):
        model = f"model-{int(chance.paretovariate(0.7)) % 40:02}"
        ordinals[model] = ordinals.get(model, 0) + 1
        version = a_version(
            model,
            str(VersionNumber.from_rank(ordinals[model] * 7)),
            ordinals[model],
            time=at(chance.randrange(count)),
            engine=chance.choice(ENGINES),
            labels=tuple(sorted(chance.sample(("prod", "eu", "test"), chance.randrange(3)))),
            description=chance.choice(WORDS) if chance.random() < 0.2 else "",
            metrics={"f1": round(chance.random(), 2)} if chance.random() < 0.8 else {},
            package=sized(chance.randrange(20)),
            restrictions=(Restriction.QUARANTINE,) if chance.random() < 0.05 else (),
        )
        if chance.random() < 0.1:
            deletions[model] = deletions.get(model, 0) + 1
            version = deleted(version, deletions[model], deletions[model])
        crowd.append(version)
    return crowd


def is_wanted(one: VersionSummary, query: ListVersions) -> bool:
    return (
        (one.status == query.status if query.status else one.status != "deleted")
        and query.name in {None, one.model}
        and (query.name_part or "").lower() in one.model
        and query.engine in {None, one.engine}
        and (query.not_engine is None or query.not_engine != one.engine)
        and (query.label is None or query.label in one.labels)
        and (query.description or "").lower() in one.description.lower()
        and (not query.metrics or one.metrics.get("f1", -1) >= 0.8)
        and (query.created_from is None or one.registered_at >= query.created_from)
        and (query.created_before is None or one.registered_at < query.created_before)
    )


def a_question(chance: random.Random, count: int) -> ListVersions:
    filters: dict[str, Any] = {
        "name": lambda: f"model-{chance.randrange(5):02}",
        "name_part": lambda: chance.choice(("DEL-0", "model", "1", "el-03", "zzz")),
        "status": lambda: chance.choice(("published", "quarantined", "deleted")),
        "engine": lambda: chance.choice(("PyTorch", "ONNX", "Caffe")),
        "not_engine": lambda: "ONNX",
        "label": lambda: chance.choice(("prod", "eu")),
        "description": lambda: chance.choice(("CAT", "signs", "s", "writing")),
        "metrics": lambda: ("f1>=0.8",),
        "created_from": lambda: at(chance.randrange(count)),
        "created_before": lambda: at(chance.randrange(count)),
    }
    some = chance.sample(sorted(filters), chance.randrange(4))
    return ListVersions(
        **{name: filters[name]() for name in some},
        sort=chance.choice(("created", "size")),
        descending=chance.choice((True, False)),
        limit=chance.choice((1, 10, 100, 1000)),
        offset=chance.choice((0, 0, 5, 300)),
    )


async def test_every_question_is_answered_as_by_a_search_through_everything(
    listings: Kept, monkeypatch: pytest.MonkeyPatch
):
    """With little enough gathered and looked at, that both ways are gone and pages end early."""
    monkeypatch.setattr("services.registry.listing.paging.MOST_GATHERED", 100)
    monkeypatch.setattr("services.registry.listing.questions.MOST_GATHERED", 100)
    monkeypatch.setattr("services.registry.listing.paging.MOST_LOOKED_AT", 400)
    count = 400
    crowd = a_crowd(count)
    for start in range(0, count, 300):
        await listings.refresh(crowd[start : start + 300])
    summaries = [one.summary() for one in crowd]
    chance = random.Random(11)

    for _ in range(30):
        query = a_question(chance, count)
        wanted = [one for one in summaries if is_wanted(one, query)]
        wanted.sort(key=lambda one: sort_key(one, query), reverse=query.descending or False)

        found, totals = await everything(query, listings)

        assert found == [(one.model, one.version) for one in wanted[query.offset :]], query
        for total, is_exact in totals:
            assert total == len(wanted) if is_exact else total <= len(wanted), query


def sort_key(one: VersionSummary, query: ListVersions) -> Any:
    first = one.size_bytes if query.sort == "size" else one.registered_at
    return first, one.model, VersionNumber.parse(one.version)


async def everything(query: ListVersions, listings: Library) -> tuple[list[tuple[str, str]], Sequence[Any]]:
    found, totals = [], []
    for _ in range(3000):
        page = await list_versions(query, listings)
        assert len(page.versions) <= query.limit
        found += [(one.model, one.version) for one in page.versions]
        totals.append((page.total, page.total_is_exact))
        if page.next is None:
            return found, totals
        query = query.model_copy(update={"after": page.next, "limit": 1000})
    raise AssertionError("it has no end")


# The best


async def test_the_best_come_first_and_of_equals_the_older(listings: Kept):
    values = {"0.0.1": 0.5, "0.0.2": 0.9, "0.0.3": 0.9, "0.0.4": 0.1}
    later = timedelta(hours=1)
    versions = [
        a_version("resnet", number, n, metrics={"f1": value}) for n, (number, value) in enumerate(values.items(), 1)
    ]
    versions[1] = a_version("resnet", "0.0.2", 2, time=at(2) + later, metrics={"f1": 0.9})
    await listings.refresh(versions)

    best = await find_best(FindBest(model="resnet", metric="f1", limit=3), listings)
    worst = await find_best(FindBest(model="resnet", metric="f1", goal="min", limit=1), listings)

    assert [(one.version, one.value) for one in best.versions] == [("0.0.3", 0.9), ("0.0.2", 0.9), ("0.0.1", 0.5)]
    assert (best.metric, best.goal, best.matching, best.without_metric, best.excluded) == ("f1", "max", 4, 0, 0)
    assert [one.version for one in worst.versions] == ["0.0.4"]


async def test_versions_at_the_same_moment_are_told_apart_by_number(listings: Kept):
    versions = [a_version("resnet", f"0.0.{n}", n, time=at(1), metrics={"f1": 1}) for n in (2, 10, 9)]
    await listings.refresh(versions)

    best = await find_best(FindBest(model="resnet", metric="f1"), listings)

    assert [one.version for one in best.versions] == ["0.0.2", "0.0.9", "0.0.10"]


async def test_what_is_left_out_of_the_best_is_counted_and_what_is_deleted_is_not(listings: Kept):
    gone = a_version("resnet", "0.0.5", 5, metrics={"f1": 1.0}, labels=("prod",))
    await listings.refresh(
        [
            a_version("resnet", "0.0.1", 1, metrics={"f1": 0.5}, labels=("prod",), parameters={"opt": {"lr": 0.1}}),
            a_version("resnet", "0.0.2", 2, metrics={"f1": 0.7}, labels=("prod",), parameters={"opt": {"lr": 0.001}}),
            a_version("resnet", "0.0.3", 3, metrics={"loss": 0.7}, labels=("prod",), parameters={"opt": {"lr": 0.001}}),
            a_version("resnet", "0.0.4", 4, metrics={"f1": 0.9}, parameters={"opt": {"lr": 0.001}}),
            gone,
        ]
    )
    await listings.refresh([deleted(gone)])

    best = await find_best(FindBest(model="resnet", metric="f1", where=("label=prod", "params.opt.lr<0.01")), listings)

    assert [one.version for one in best.versions] == ["0.0.2"]
    assert (best.matching, best.without_metric, best.excluded) == (1, 1, 2)


async def test_a_metric_that_no_version_has_is_refused_with_those_that_there_are(listings: Kept):
    await listings.refresh([a_version(metrics={"f1": 0.5, "loss": 1.0}), a_version("bare")])

    with pytest.raises(NotFound) as refused:
        await find_best(FindBest(model="resnet", metric="F1"), listings)
    with pytest.raises(NotFound) as bare:
        await find_best(FindBest(model="bare", metric="f1"), listings)

    assert refused.value.code == bare.value.code == "metric-not-found"
    assert str(refused.value) == "no version of resnet has a metric 'F1': expected one of 'f1', 'loss'"
    assert str(bare.value) == "no version of bare has a metric 'f1': none of them has any"


async def test_the_best_of_nobody_and_of_a_senseless_condition_are_refused(listings: Kept):
    await listings.refresh([a_version(metrics={"f1": 0.5})])

    with pytest.raises(NotFound, match="there is no model 'nobody'"):
        await find_best(FindBest(model="nobody", metric="f1"), listings)
    with pytest.raises(Refused) as refused:
        await find_best(FindBest(model="resnet", metric="f1", where=("label",)), listings)
    assert refused.value.code == "invalid-condition"
