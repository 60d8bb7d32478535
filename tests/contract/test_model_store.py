"""The registry's stores: versions are seen when both halves are there, changes come one after the other. In memory and in MongoDB."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar, cast

import pytest
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase

from services.registry.answering import answers
from services.registry.changes.store import MongoChangeStore
from services.registry.domain import RegisteredVersion
from services.registry.handlers import on_change
from services.registry.listing.store import Listings
from services.registry.past.store import MongoPast
from services.registry.ports import ChangeStore, ModelStore, Past, Readings
from services.registry.reading.store import MongoReadings
from services.registry.rules.known import Asked, Moment
from services.registry.store import MongoModelStore
from shared.errors import Transient
from shared.messages import (
    AliasMoved,
    CommandRefused,
    DeleteVersion,
    DeploymentReady,
    DeploymentStarted,
    DeployVersion,
    DownloadVersion,
    EditVersion,
    LineageExtended,
    Message,
    ModelCommand,
    ModelImported,
    MoveAlias,
    ReleaseVersion,
    RollOut,
    VersionDeleted,
    VersionEdited,
    VersionReleased,
    VersionRestricted,
)
from shared.naming import VersionNumber
from shared.queries import ImportStatus
from shared.store import Document
from shared.values import Edge, Notes, Reason, Restriction
from tests.fake_registry import InMemoryPast, InMemoryRegistry
from tests.samples import NOON, a_refusal, a_release, a_release_command, an_assignment, an_import, at, said

Database = AsyncIOMotorDatabase[Document]
Command = TypeVar("Command", bound=ModelCommand)
ODD = {"a.b": 1, "$x": {"$set": None}, "": "", "huge": 123456789012345678901234567890, "模型": [True, -0.0, 1e300]}
ABOUT = {"import_id": "job-7-V001", "workspace": "0", "model": "resnet"}
AUTO = "version:0/auto@0.0.1"


class Stores(NamedTuple):
    """One process worth of stores."""

    models: ModelStore
    changes: ChangeStore
    readings: Readings
    past: Past


Open = Callable[[], Awaitable[Stores]]


@pytest.fixture(params=["fake", "mongo"])
def open_stores(request: pytest.FixtureRequest) -> Open:
    """Opens the stores, again and again: each is a process of its own on the same data."""
    if request.param == "fake":
        fake = InMemoryRegistry()

        async def open_fake() -> Stores:
            return Stores(fake, fake, fake, InMemoryPast(fake))

        return open_fake
    database = cast("Database", request.getfixturevalue("database"))
    return lambda: opened(database)


async def opened(database: Database) -> Stores:
    listings = Listings(database)
    models = MongoModelStore(database, listings)
    changes = MongoChangeStore(database, models, listings)
    for part in (models, listings, changes):
        await part.prepare()
    return Stores(models, changes, MongoReadings(database, changes, models), MongoPast(database, models))


@pytest.fixture
async def stores(open_stores: Open) -> Stores:
    return await open_stores()


@pytest.fixture
async def store(stores: Stores) -> ModelStore:
    return stores.models


@pytest.fixture
def open_store(open_stores: Open) -> Callable[[], Awaitable[ModelStore]]:
    async def open_models() -> ModelStore:
        return (await open_stores()).models

    return open_models


async def register(store: ModelStore, model: str, *versions: str, **changes: Any) -> None:
    """Versions in that order, a second apart."""
    for ordinal, version in enumerate(versions, start=1):
        imported = an_import(f"{model}-{version}", model=model, **changes)
        await store.record_import(imported)
        await store.record_version(an_assignment(imported, version, ordinal, time=at(ordinal)))


def attempt(number: int) -> ModelImported:
    """One of several imports of the same job version."""
    return an_import(f"attempt-{number}", import_id="job-7-V001")


def number(text: str) -> VersionNumber:
    return VersionNumber.parse(text)


async def test_an_import_alone_is_no_version(store: ModelStore):
    assert await store.record_import(an_import()) is None
    assert await store.version("0", "resnet", number("0.0.1")) is None


async def test_a_number_alone_is_no_version(store: ModelStore):
    assert await store.record_version(an_assignment(an_import())) is None
    assert await store.version("0", "resnet", number("0.0.1")) is None


async def test_the_second_half_makes_the_version_whichever_it_is(store: ModelStore):
    one, two = an_import("import-1"), an_import("import-2", model="bert")
    await store.record_import(one)
    await store.record_version(an_assignment(two))

    assert await store.record_version(an_assignment(one)) == RegisteredVersion(one, an_assignment(one))
    assert await store.record_import(two) == RegisteredVersion(two, an_assignment(two))


async def test_both_halves_at_once_make_one_version(store: ModelStore):
    found = await asyncio.gather(store.record_import(an_import()), store.record_version(an_assignment(an_import())))

    assert RegisteredVersion(an_import(), an_assignment(an_import())) in found
    assert await store.version("0", "resnet", number("0.0.1")) is not None


async def test_a_repeat_finds_the_version_as_it_was(store: ModelStore):
    await store.record_import(an_import())
    first = await store.record_version(an_assignment(an_import()))

    assert first is not None
    assert await store.record_version(an_assignment(an_import())) == first
    assert await store.record_import(an_import()) == first


async def test_a_version_that_is_announced_can_be_found_at_once_by_every_process(
    open_store: Callable[[], Awaitable[ModelStore]],
):
    one, other = await open_store(), await open_store()
    await one.record_import(an_import())

    registered = await one.record_version(an_assignment(an_import()))

    assert registered is not None
    assert await other.version("0", "resnet", number("0.0.1")) == registered


async def test_a_version_comes_back_as_it_was_with_odd_names_and_numbers(store: ModelStore):
    imported = an_import(parameters=ODD, metrics={"f1": 0.1 + 0.2})
    await store.record_import(imported)
    await store.record_version(an_assignment(imported))

    found = await store.version("0", "resnet", number("0.0.1"))

    assert found == RegisteredVersion(imported, an_assignment(imported))
    assert found.imported.parameters == ODD


async def test_times_are_those_of_the_events_and_in_utc(store: ModelStore):
    await store.record_import(an_import())
    registered = await store.record_version(an_assignment(an_import(), time=at(0.123456)))

    assert registered is not None
    assert registered.registered_at == at(0.123456)
    assert registered.registered_at.tzinfo is not None


async def test_versions_of_other_models_and_workspaces_are_others(store: ModelStore):
    await register(store, "resnet", "0.0.1")
    await register(store, "bert", "0.0.2")
    imported = an_import("elsewhere", workspace="vision")
    await store.record_import(imported)
    await store.record_version(an_assignment(imported, "0.0.3"))

    assert await store.version("0", "resnet", number("0.0.2")) is None
    assert await store.version("0", "resnet", number("0.0.3")) is None


async def test_an_import_is_followed_to_its_version(store: ModelStore):
    assert await store.import_status("job-7-V001") is None
    await store.record_import(attempt(1))
    assert await store.import_status("job-7-V001") == ImportStatus(**ABOUT, status="publishing")
    await store.record_version(an_assignment(attempt(1)))
    assert await store.import_status("job-7-V001") == ImportStatus(**ABOUT, status="published", version="0.0.1")


async def test_an_import_that_got_no_version_has_failed_whichever_half_came_first(store: ModelStore):
    failed = ImportStatus(**ABOUT, status="failed", reason="version-exists", message="taken")

    await store.record_refusal(a_refusal(attempt(1), "taken"))
    assert await store.import_status("job-7-V001") == failed
    await store.record_import(attempt(1))
    await store.record_refusal(a_refusal(attempt(1), "taken"))

    assert await store.import_status("job-7-V001") == failed


async def test_of_several_attempts_the_one_that_worked_counts(store: ModelStore):
    for number_, worked in ((1, False), (2, True), (3, False)):
        await store.record_import(attempt(number_))
        if worked:
            await store.record_version(an_assignment(attempt(number_)))
        else:
            await store.record_refusal(a_refusal(attempt(number_)))

    assert await store.import_status("job-7-V001") == ImportStatus(**ABOUT, status="published", version="0.0.1")


async def test_an_attempt_under_way_counts_more_than_one_that_failed(store: ModelStore):
    await store.record_refusal(a_refusal(attempt(1)))
    await store.record_import(attempt(2))

    assert await store.import_status("job-7-V001") == ImportStatus(**ABOUT, status="publishing")


async def test_of_attempts_that_all_failed_the_latest_counts(store: ModelStore):
    for number_ in (1, 2, 3):
        await store.record_import(attempt(number_))
        await store.record_refusal(a_refusal(attempt(number_), f"reason {number_}", at(number_)))

    status = await store.import_status("job-7-V001")

    assert status is not None
    assert status.message == "reason 3"


async def test_an_attempt_that_worked_counts_however_many_failed_before(store: ModelStore):
    await asyncio.gather(*(store.record_refusal(a_refusal(attempt(number_))) for number_ in range(1, 22)))
    await store.record_import(attempt(99))
    await store.record_version(an_assignment(attempt(99)))

    assert await store.import_status("job-7-V001") == ImportStatus(**ABOUT, status="published", version="0.0.1")


# The refusal of the first may reach the registry after the second is registered: each event has a consumer of its own.
async def test_an_attempt_that_worked_counts_more_than_an_older_one_whose_refusal_has_not_come_yet(store: ModelStore):
    await store.record_import(attempt(1))
    await store.record_import(attempt(2))
    await store.record_version(an_assignment(attempt(2)))

    assert await store.import_status("job-7-V001") == ImportStatus(**ABOUT, status="published", version="0.0.1")


async def test_many_halves_at_once_from_two_processes_make_each_version_once(
    open_store: Callable[[], Awaitable[ModelStore]],
):
    stores = [await open_store(), await open_store()]
    imports = [an_import(f"import-{number_}") for number_ in range(32)]
    answers = [an_assignment(one, f"0.0.{ordinal}", ordinal) for ordinal, one in enumerate(imports, start=1)]

    async def until_it_works(record: Callable[[], Awaitable[RegisteredVersion | None]]) -> RegisteredVersion | None:
        while True:
            try:
                return await record()
            except Transient:  # what NATS would deliver again
                await asyncio.sleep(0)

    found = await asyncio.gather(
        *(until_it_works(lambda one=one: stores[0].record_import(one)) for one in imports),
        *(until_it_works(lambda one=one: stores[1].record_version(one)) for one in answers),
    )

    whole = {version.assigned.version for version in found if version is not None}
    assert len(whole) == 32
    for version in whole:
        assert await stores[0].version("0", "resnet", number(version)) is not None


def moment(seconds: float = 100) -> Moment:
    ids = iter(range(1000))
    return Moment(at(seconds), lambda: f"grant-{seconds}-{next(ids)}", timedelta(seconds=900))


def command(kind: type[Command], message_id: str, **fields: Any) -> Command:
    about = {"model": "resnet", **({"version": "0.0.1"} if "version" in kind.model_fields else {})}
    return kind(envelope=said(message_id, "operator"), **{**about, **fields})


async def does(stores: Stores, asked: ModelCommand, seconds: float = 100) -> list[Message]:
    return list(await answers(asked, stores.changes, lambda: moment(seconds)))


async def a_busy_day(stores: Stores) -> list[Message]:
    """Some of every change, ten seconds apart, of resnet with three versions."""
    await register(stores.models, "resnet", "0.0.1", "0.0.2", "0.0.3", restrictions=(Restriction.QUARANTINE,))
    ninety_ten = ({"version": "0.0.2", "weight": 90}, {"version": "0.0.3", "weight": 10})
    commands: list[ModelCommand] = [
        *(command(ReleaseVersion, f"release-{n}", version=f"0.0.{n}", why="w") for n in (1, 2, 3)),
        command(MoveAlias, "move-1", alias="champion", why="图像 \u0000 $x"),
        command(EditVersion, "edit-1", labels=("one",)),
        command(EditVersion, "edit-2", labels=("two",)),
        command(DeployVersion, "deploy-1", service="search", mode="real-time"),
        command(RollOut, "rollout-1", service="search", weights=ninety_ten),
        command(DownloadVersion, "download-1"),
        command(MoveAlias, "move-2", alias="champion", version="0.0.2"),
        command(MoveAlias, "move-3", alias="old"),
        command(DeleteVersion, "delete-1"),
    ]
    said_ = []
    for turn, one in enumerate(commands):
        said_ += await does(stores, one, 100 + 10 * turn)
    return said_


async def test_changes_of_a_model_are_counted_and_their_times_differ(stores: Stores):
    events = await a_busy_day(stores)

    changes = [one for one in events if hasattr(one, "ordinal")]
    assert [one.ordinal for one in changes] == list(range(1, 14))
    times = [one.envelope.time for one in changes]
    assert times == sorted(set(times))


async def test_what_changed_is_known_to_every_process(open_stores: Open):
    one, other = await open_stores(), await open_stores()
    await a_busy_day(one)

    known = await other.changes.known("0", "resnet", Asked(("0.0.1", "0.0.2"), "champion", "search", whole=True))

    assert (known.head.ordinal, known.head.deletions, known.had) == (13, 1, 3)
    assert known.aliases == {"champion": "0.0.2"}
    assert known.versions["0.0.1"].notes == Notes(labels=("two",))
    assert [version.status for version in known.versions.values()] == ["deleted", "published"]
    assert known.service is not None
    assert (known.owner, known.service.mode, known.service.ordinal) == ("resnet", "real-time", 8)
    assert [(one.version, one.weight, one.named, one.state) for one in known.placements] == [
        ("0.0.1", 100, False, "requested"),
        ("0.0.2", 90, True, "requested"),
    ]


async def test_an_answer_stands_for_its_command_word_for_word(open_stores: Open):
    one, other = await open_stores(), await open_stores()
    events = await a_busy_day(one)

    again = [
        answer
        for cause in dict.fromkeys(event.envelope.cause_id for event in events)
        for answer in await other.changes.standing(str(cause))
    ]

    assert again == events
    assert await other.changes.standing("nothing") == []


async def test_what_a_slow_process_has_not_said_yet_is_said_by_whoever_comes_after_it(open_stores: Open):
    one, other = await open_stores(), await open_stores()
    await register(one.models, "resnet", "0.0.1", "0.0.2", "0.0.3")
    moves = [command(MoveAlias, f"move-{n}", alias="x", version=f"0.0.{n}") for n in (1, 2, 3)]
    first, second, third = [(await does(one, asked))[0] for asked in moves]
    assert isinstance(first, AliasMoved)
    assert isinstance(second, AliasMoved)
    assert isinstance(third, AliasMoved)

    assert await other.changes.unsaid_before(third) == [first, second]
    await one.changes.mark_said(second)
    await one.changes.mark_said(first)
    assert await other.changes.unsaid_before(third) == []
    assert await other.changes.unsaid_before(first) == []


async def test_of_two_changes_at_one_place_the_first_holds(stores: Stores):
    await register(stores.models, "resnet", "0.0.1", "0.0.2", restrictions=(Restriction.QUARANTINE,))

    assert await stores.changes.append(a_release("release-1"))
    assert not await stores.changes.append(a_release("release-2"))
    assert not await stores.changes.append(a_release("release-1", ordinal=2))

    assert await stores.changes.standing("release-1") == [a_release("release-1")]
    assert await stores.changes.standing("release-2") == []


async def test_commands_at_once_from_two_processes_make_one_chain(open_stores: Open):
    both = [await open_stores(), await open_stores()]
    await register(both[0].models, "resnet", "0.0.1", "0.0.2")

    asked = [command(MoveAlias, f"move-{n}", alias="x", version=f"0.0.{1 + n % 2}") for n in range(12)]
    said_ = await asyncio.gather(*(does(both[n % 2], one) for n, one in enumerate(asked)))

    moves = sorted((one[0] for one in said_ if isinstance(one[0], AliasMoved)), key=lambda one: one.ordinal)
    assert [one.ordinal for one in moves] == list(range(1, len(moves) + 1))
    assert [one.old for one in moves] == [None, *(one.new for one in moves)][:-1]
    assert len({one[0].envelope.id for one in said_}) == 12


async def test_a_service_belongs_to_the_model_that_named_it_first(stores: Stores):
    await register(stores.models, "resnet", "0.0.1")
    await register(stores.models, "bert", "0.0.1")
    await does(stores, command(DeployVersion, "deploy-1", service="search", mode="batch"))

    [answer] = await does(stores, command(DeployVersion, "deploy-2", service="search", mode="batch", model="bert"))

    assert isinstance(answer, CommandRefused)
    assert answer.reason is Reason.SERVICE_OF_ANOTHER_MODEL


async def test_changes_that_were_said_make_a_new_store_the_same(open_stores: Open, database: Database):
    stores = await open_stores()
    events = await a_busy_day(stores)
    if not isinstance(stores.models, MongoModelStore):
        anew = Stores(*([InMemoryRegistry()] * 3), stores.past)
    else:
        anew = await opened(database.client[f"{database.name}_anew"])
    changes = [one for one in events if hasattr(one, "ordinal")]

    for one in (*changes, *changes):
        with pytest.raises(Transient):
            await anew.changes.record_change(one)
        break
    await register(anew.models, "resnet", "0.0.1", "0.0.2", "0.0.3", restrictions=(Restriction.QUARANTINE,))
    with pytest.raises(Transient):
        await anew.changes.record_change(changes[2])
    for one in (*changes, *changes):
        await anew.changes.record_change(one)

    asked = Asked(("0.0.1", "0.0.2", "0.0.3"), "champion", "search", whole=True)
    assert await anew.changes.known("0", "resnet", asked) == await stores.changes.known("0", "resnet", asked)
    if isinstance(stores.models, MongoModelStore):
        await database.client.drop_database(f"{database.name}_anew")


async def test_a_report_counts_by_its_time_and_only_where_something_was_asked_for(stores: Stores):
    await a_busy_day(stores)

    def report(kind: Any, message_id: str, seconds: float, **fields: str) -> Any:
        about = {"model": "resnet", "service": "search", "version": "0.0.2"}
        return kind(envelope=said(message_id, "deployer", at(seconds)), **{**about, **fields})

    assert await stores.changes.record_report(report(DeploymentReady, "r-2", 302, message="m" * 2000))
    assert await stores.changes.record_report(report(DeploymentStarted, "r-1", 301))
    assert await stores.changes.record_report(report(DeploymentReady, "r-2", 302, message="m" * 2000))
    assert not await stores.changes.record_report(report(DeploymentReady, "r-3", 303, service="other"))
    assert not await stores.changes.record_report(report(DeploymentReady, "r-4", 303, version="0.0.9"))
    assert not await stores.changes.record_report(report(DeploymentReady, "r-5", 303, model="bert"))

    [placement] = await stores.changes.placements_of("0", "resnet", ["0.0.2"])
    assert (placement.state, placement.shown().since, placement.shown().message) == ("ready", at(302), "m" * 1000)
    told = await stores.readings.history("0", "resnet", None, "", 100)
    assert [one.event.envelope.id for one in told[-2:]] == ["r-1", "r-2"]
    assert [one.version for one in await stores.readings.placements_in("0", "search")] == ["0.0.1", "0.0.2", "0.0.3"]


async def test_what_versioning_found_later_restricts_and_is_told(stores: Stores):
    restricted = an_import("x").answer(VersionRestricted, at(50), version="0.0.1", restricted_by=(AUTO,))
    edge = Edge(source="version:0/resnet@0.0.1", kind="derived-from", target=AUTO)
    extended = an_import("x").answer(LineageExtended, at(51), version="0.0.1", edges=(edge,))
    with pytest.raises(Transient):
        await stores.changes.record_restriction(restricted)
    await register(stores.models, "resnet", "0.0.1")

    for _ in range(2):
        await stores.changes.record_restriction(restricted)
        await stores.changes.record_extension(extended)

    found = await stores.models.version("0", "resnet", number("0.0.1"))
    assert found is not None
    assert (found.restricted_by, found.restrictions) == ((AUTO,), (Restriction.DERIVED,))
    told = await stores.readings.history("0", "resnet", "0.0.1", "", 10)
    assert [type(one.event).__name__ for one in told] == ["VersionAssigned", "VersionRestricted", "LineageExtended"]


class ComesWhenLookedFor(MongoModelStore):
    """resnet 0.0.1 comes at the moment in which somebody looks whether it is whole."""

    async def version(self, workspace: str, model: str, number: VersionNumber) -> RegisteredVersion | None:
        await register(self, "resnet", "0.0.1", restrictions=(Restriction.QUARANTINE,))
        return await super().version(workspace, model, number)


A_RESTRICTION = an_import("x").answer(VersionRestricted, at(50), version="0.0.1", restricted_by=(AUTO,))


@pytest.mark.parametrize(
    ("event", "restrictions"),
    [(A_RESTRICTION, (Restriction.QUARANTINE, Restriction.DERIVED)), (a_release(), ())],
    ids=["restriction", "release"],
)
async def test_what_is_said_of_a_version_that_comes_at_that_moment_is_not_lost(
    database: Database, event: VersionRestricted | VersionReleased, restrictions: tuple[Restriction, ...]
):
    listings = Listings(database)
    models = ComesWhenLookedFor(database, listings)
    changes = MongoChangeStore(database, models, listings)
    for part in (models, listings, changes):
        await part.prepare()

    try:
        await on_change(event, changes)
    except Transient:
        await models.version("0", "resnet", number("0.0.1"))
        await on_change(event, changes)  # delivered again

    found = await models.version("0", "resnet", number("0.0.1"))
    assert found is not None
    assert found.restrictions == restrictions


async def test_history_is_read_in_order_and_from_any_place(stores: Stores):
    await a_busy_day(stores)

    whole = await stores.readings.history("0", "resnet", None, "", 100)
    pages = [await stores.readings.history("0", "resnet", None, whole[n].key, 3) for n in (2, 14)]
    of_two = await stores.readings.history("0", "resnet", "0.0.2", "", 100)

    assert len(whole) == 16
    assert [one.key for one in whole] == sorted(one.key for one in whole)
    assert [one.by for one in whole[:4]] == ["trainer", "trainer", "trainer", "operator"]
    assert [[one.key for one in page] for page in pages] == [[one.key for one in whole[3:6]], [whole[15].key]]
    assert [type(one.event).__name__ for one in of_two] == [
        "VersionAssigned",
        "VersionReleased",
        "RolloutRequested",
        "AliasMoved",
    ]


async def test_grants_are_found_by_their_id(stores: Stores):
    await a_busy_day(stores)

    granted = [await stores.readings.grant(f"grant-{n}") for n in ("160-0", "170-0", "170-1", "180-0", "0-0")]

    found = [(one.version, one.grant.service, one.grant.expires_at) if one else None for one in granted]
    assert found == [
        ("0.0.1", "search", at(1060)),
        ("0.0.2", "search", at(1070)),
        ("0.0.3", "search", at(1070)),
        ("0.0.1", None, at(1080)),
        None,
    ]


async def test_aliases_are_listed_by_name(stores: Stores):
    await register(stores.models, "resnet", "0.0.1", "0.0.2")
    for alias, version in (("b", "0.0.1"), ("模型", "0.0.1"), ("a", "0.0.2"), ("gone", "0.0.1"), ("gone", None)):
        await does(stores, command(MoveAlias, f"move-{alias}-{version}", alias=alias, version=version))

    listed = await stores.readings.aliases("0", "resnet")

    assert [(one.alias, one.version, one.moved_by) for one in listed] == [
        ("a", "0.0.2", "operator"),
        ("b", "0.0.1", "operator"),
        ("模型", "0.0.1", "operator"),
    ]
    assert await stores.readings.aliases_of("0", "resnet", "0.0.1") == ["b", "模型"]
    assert await stores.readings.alias("0", "resnet", "a") == "0.0.2"
    assert await stores.readings.alias("0", "resnet", "gone") is None
    assert await stores.readings.alias("0", "bert", "a") is None


async def test_the_lowest_versions_that_are_there_come_first(stores: Stores):
    await register(stores.models, "resnet", "7.0.0", "0.0.5", "0.99.0", "0.0.50")
    await does(stores, command(DeleteVersion, "delete-1", version="0.0.5"))

    assert await stores.changes.lowest_live("0", "resnet", 2) == ["0.0.50", "0.99.0"]
    assert await stores.changes.lowest_live("0", "resnet", 20) == ["0.0.50", "0.99.0", "7.0.0"]
    assert await stores.changes.lowest_live("0", "bert", 20) == []


THEN: list[tuple[float, str, str, tuple[str, ...], str | None, list[str], list[tuple[int, bool]]]] = [
    (99, "0.0.1", "quarantined", (), None, [], []),
    (100, "0.0.1", "published", (), None, [], []),
    (139.9, "0.0.1", "published", (), "0.0.1", ["champion"], []),
    (140, "0.0.1", "published", ("one",), "0.0.1", ["champion"], []),
    (155, "0.0.1", "published", ("two",), "0.0.1", ["champion"], []),
    (165, "0.0.1", "published", ("two",), "0.0.1", ["champion"], [(100, True)]),
    (175, "0.0.1", "published", ("two",), "0.0.1", ["champion"], [(100, False)]),
    (195, "0.0.1", "published", ("two",), "0.0.2", [], [(100, False)]),
    (205, "0.0.1", "published", ("two",), "0.0.2", ["old"], [(100, False)]),
    (215, "0.0.1", "deleted", ("two",), "0.0.2", [], [(100, False)]),
    (175, "0.0.2", "published", (), "0.0.1", [], [(90, True)]),
]


async def test_everything_is_known_as_it_stood_at_any_time(stores: Stores):
    await a_busy_day(stores)

    for seconds, version, *expected in THEN:
        time: datetime = at(seconds)
        now = await stores.models.version("0", "resnet", number(version))
        assert now is not None
        then = await stores.past.version(now, time)
        champion = await stores.past.alias("0", "resnet", "champion", time)
        aliases = await stores.past.aliases_of("0", "resnet", version, time)
        placements = await stores.past.placements_of("0", "resnet", version, time)
        services = [(one.weight, one.named) for one in placements]
        assert [then.status, then.notes.labels, champion, aliases, services] == expected, (seconds, version)


async def test_the_latest_version_is_that_of_the_time(stores: Stores):
    await register(stores.models, "resnet", "0.0.1", "0.0.3", "0.0.2")
    await does(stores, command(DeleteVersion, "delete-1", version="0.0.3"))

    latest = [await stores.past.latest("0", "resnet", at(seconds)) for seconds in (0.5, 1, 2, 3, 99, 100)]

    assert latest == [None, "0.0.1", "0.0.3", "0.0.3", "0.0.3", "0.0.2"]


async def test_the_first_answer_to_a_command_stands(open_stores: Open):
    one, other = await open_stores(), await open_stores()

    def a_command_refusal(message: str) -> CommandRefused:
        asked = a_release_command("release-1")
        facts: dict[str, Any] = {"command": asked.address, "reason": Reason.NOT_QUARANTINED, "message": message}
        return asked.answer(CommandRefused, NOON, **facts)

    first = await one.changes.record_answer(a_command_refusal("it is not in quarantine"))
    second = await other.changes.record_answer(a_command_refusal("there is no such version"))

    assert first == second == a_command_refusal("it is not in quarantine")
    assert await other.changes.standing("release-1") == [first]


async def test_bytes_that_automatic_learning_made_are_known_under_every_name(stores: Stores):
    await register(stores.models, "resnet", "0.0.1")
    version = await stores.models.version("0", "resnet", number("0.0.1"))
    assert version is not None
    assert await stores.changes.twin(version) is None

    await register(stores.models, "elsewhere", "0.0.1", workspace="vision", restrictions=(Restriction.AUTO_LEARNING,))
    assert await stores.changes.twin(version) is None
    await register(stores.models, "auto", "0.0.1", restrictions=(Restriction.AUTO_LEARNING,))
    assert await stores.changes.twin(version) == "auto 0.0.1"


async def test_it_is_there(store: ModelStore):
    await store.ping()


class TestInMongo:
    """What only the real stores can get wrong."""

    @pytest.mark.parametrize("lost", ["heads", "aliases", "services", "deployments"])
    async def test_what_a_process_that_died_has_not_shown_is_shown_by_the_next(self, database: Database, lost: str):
        stores = await opened(database)
        await a_busy_day(stores)
        asked = Asked(("0.0.1", "0.0.2"), "champion", "search", whole=True)
        before = await stores.changes.known("0", "resnet", asked)
        await database[lost].delete_many({})
        await database["heads"].delete_many({})

        assert await stores.changes.known("0", "resnet", asked) == before

    async def test_an_older_change_shown_late_does_not_hide_a_newer(self, database: Database):
        stores = await opened(database)
        events = await a_busy_day(stores)
        before = {
            name: [one async for one in database[name].find({})]
            for name in ("aliases", "services", "deployments", "versions", "listings", "models")
        }
        changes = cast("MongoChangeStore", stores.changes)

        for event in events:
            if isinstance(event, AliasMoved | VersionEdited | VersionReleased | VersionDeleted) or hasattr(
                event, "service"
            ):
                await changes._show(event)

        assert {name: [one async for one in database[name].find({})] for name in before} == before

    async def test_preparing_twice_is_as_good_as_once(self, database: Database):
        await a_busy_day(await opened(database))

        assert (await (await opened(database)).changes.known("0", "resnet", Asked())).head.ordinal == 13


async def test_where_mongodb_is_away_every_call_is_transient():
    client: AsyncIOMotorClient[Document] = AsyncIOMotorClient("mongodb://127.0.0.1:1", serverSelectionTimeoutMS=50)
    listings = Listings(client["nowhere"])
    store = MongoModelStore(client["nowhere"], listings)
    changes = MongoChangeStore(client["nowhere"], store, listings)
    readings, past = MongoReadings(client["nowhere"], changes, store), MongoPast(client["nowhere"], store)
    version = RegisteredVersion(an_import(), an_assignment(an_import()))
    report = DeploymentReady(envelope=said(), model="resnet", service="search", version="0.0.1")
    restricted = an_import().answer(VersionRestricted, NOON, version="0.0.1", restricted_by=(AUTO,))
    refusal = {"command": "c", "reason": Reason.NOT_QUARANTINED, "message": "m"}

    heard = await asyncio.gather(
        store.prepare(),
        changes.prepare(),
        store.ping(),
        store.record_import(an_import()),
        store.record_refusal(a_refusal(an_import())),
        store.version("0", "resnet", number("0.0.1")),
        store.import_status("job-7-V001"),
        changes.known("0", "resnet", Asked()),
        changes.standing("c"),
        changes.append(a_release()),
        changes.record_change(a_release()),
        changes.record_answer(a_release_command().answer(CommandRefused, NOON, **refusal)),
        changes.record_report(report),
        changes.record_restriction(restricted),
        changes.lowest_live("0", "resnet", 1),
        changes.service("0", "search"),
        readings.alias("0", "resnet", "a"),
        readings.aliases("0", "resnet"),
        readings.aliases_of("0", "resnet", "0.0.1"),
        readings.placements_in("0", "search"),
        readings.grant("g"),
        readings.history("0", "resnet", None, "", 1),
        past.alias("0", "resnet", "a", NOON),
        past.latest("0", "resnet", NOON),
        past.aliases_of("0", "resnet", "0.0.1", NOON),
        past.placements_of("0", "resnet", "0.0.1", NOON),
        changes.twin(version),
        return_exceptions=True,
    )
    client.close()

    assert [type(fault) for fault in heard] == [Transient] * len(heard)
