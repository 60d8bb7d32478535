"""Lists on real servers: which indexes they read, how much of them, and what is answered over the wire."""

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo.monitoring import CommandListener, CommandStartedEvent

from services.registry.domain import RegisteredVersion
from services.registry.listing import paging, questions, walking
from services.registry.listing.questions import find_best, list_models, list_versions
from services.registry.listing.store import Listings
from shared.messages import ModelRegistered
from shared.naming import VersionNumber
from shared.queries import Filters, FindBest, ListModels, ListVersions
from shared.store import Document
from tests.integration.system import System
from tests.samples import an_assignment, an_import, at

A_MODEL = 10
FEW, MANY = 20, 100
ENGINES = ("PyTorch", "ONNX", "TensorFlow")


class Finds(CommandListener):
    """Every read that the driver sends."""

    def __init__(self) -> None:
        self.sent: list[Document] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in {"find", "aggregate", "count", "distinct"}:
            self.sent.append(dict(event.command))

    def succeeded(self, event: object) -> None:
        """Only what is asked counts."""

    def failed(self, event: object) -> None:
        """As above."""


@dataclass(slots=True)
class Watched:
    """Listings, and the reads that they make."""

    listings: Listings
    database: AsyncIOMotorDatabase[Document]
    finds: Finds

    async def plans(self, question: Filters | FindBest) -> list[tuple[str, int]]:
        """Of every read that a question makes: the stage that gets documents, and how many it looks at."""
        self.finds.sent.clear()
        await answer(question, self.listings)
        return [await self._plan(command) for command in tuple(self.finds.sent)]

    async def _plan(self, command: Document) -> tuple[str, int]:
        asked = {name: command[name] for name in ("find", "filter", "projection") if name in command}
        told = await self.database.command("explain", asked, verbosity="executionStats")
        return innermost(told["queryPlanner"]["winningPlan"]), int(told["executionStats"]["totalDocsExamined"])


def innermost(stage: Document) -> str:
    while "inputStage" in stage:
        stage = stage["inputStage"]
    return str(stage["stage"])


async def answer(question: Filters | FindBest, listings: Listings) -> object:
    match question:
        case ListModels():
            return await list_models(question, listings)
        case ListVersions():
            return await list_versions(question, listings)
        case FindBest():
            return await find_best(question, listings)
    raise AssertionError(question)


def a_crowd(models: range) -> list[RegisteredVersion]:
    """Ten versions of each model; rare things are as many however many models there are, common ones are not."""
    chance = random.Random(models.start)
    return [a_version(model, ordinal, chance) for model in models for ordinal in range(1, A_MODEL + 1)]


def a_version(model: int, ordinal: int, chance: random.Random) -> RegisteredVersion:
    rare = model < 2 and ordinal == A_MODEL
    imported = an_import(
        f"{model}-{ordinal}",
        model=f"{'special' if rare or model < 2 else 'common'}-{model:05}",
        engine="Caffe" if rare else chance.choice(ENGINES),
        labels=("gold",) if rare else ("prod",) if chance.random() < 0.5 else (),
        description="finds zebras" if rare else "finds cats",
        metrics={"f1": chance.random()},
        parameters={"lr": chance.random()},
    )
    number = str(VersionNumber.from_rank(ordinal))
    return RegisteredVersion(imported, an_assignment(imported, number, ordinal, time=at(chance.randrange(10_000))))


@pytest.fixture
async def watched(mongo_uri: str, database_name: str) -> AsyncIterator[Watched]:
    finds = Finds()
    client = AsyncIOMotorClient[Document](mongo_uri, tz_aware=True, event_listeners=[finds])
    listings = Listings(client[database_name])
    await listings.prepare()
    yield Watched(listings, client[database_name], finds)
    await client.drop_database(database_name)
    client.close()


SORTS_OF_MODELS: tuple[Any, ...] = ("name", "created", "updated", "size")
SORTS_OF_VERSIONS: tuple[Any, ...] = ("created", "size")
COMMON: list[dict[str, Any]] = [
    {},
    {"engine": "PyTorch"},
    {"not_engine": "PyTorch"},
    {"label": "prod"},
    {"label": "prod", "engine": "ONNX"},
    {"status": "published"},
    {"description": "cats"},
    {"name_part": "common"},
    {"name_part": "co"},
    {"metrics": ("f1>=0.5",)},
    {"created_from": at(5000)},
    {"created_from": at(1000), "created_before": at(4600)},
]
RARE: list[dict[str, Any]] = [
    {"engine": "Caffe"},
    {"label": "gold"},
    {"label": "gold", "engine": "Caffe", "name_part": "special"},
    {"status": "quarantined"},
    {"status": "deleted"},
    {"description": "zebra"},
    {"name_part": "special"},
    {"name_part": "SPECIAL-00001"},
    {"name": "special-00001"},
    {"name": "nobody"},
]
QUESTIONS: list[Filters | FindBest] = [
    *(ListModels(sort=sort, limit=5, **filters) for sort in SORTS_OF_MODELS for filters in (*COMMON, *RARE)),
    *(ListVersions(sort=sort, limit=5, **filters) for sort in SORTS_OF_VERSIONS for filters in (*COMMON, *RARE)),
    *(ListVersions(model="special-00001", sort=sort, limit=5) for sort in (*SORTS_OF_VERSIONS, "number")),
    ListVersions(model="special-00001", limit=5, label="gold", metrics=("f1>0",)),
    ListVersions(limit=5, offset=20),
    ListVersions(limit=5, descending=False),
    FindBest(model="special-00001", metric="f1", where=("params.lr<0.5",)),
]


async def test_every_question_reads_an_index_and_what_it_looks_at_does_not_grow(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
):
    """Asked of 200 versions and of 1,000, with the bounds of a reply as much smaller as these are than a hundred thousand."""
    for bound in ("MOST_GATHERED", "MOST_COUNTED"):
        monkeypatch.setattr(paging, bound, 40)
    monkeypatch.setattr(questions, "MOST_GATHERED", 40)
    monkeypatch.setattr(paging, "MOST_LOOKED_AT", 150)
    monkeypatch.setattr(walking, "WIDEST_STEP", 2)
    looked_at: list[list[int]] = []

    for models in (range(FEW), range(FEW, MANY)):
        await watched.listings.refresh(a_crowd(models))
        plans = [await watched.plans(question) for question in QUESTIONS]
        for question, plan in zip(QUESTIONS, plans, strict=True):
            assert plan, question
            assert {stage for stage, _ in plan} <= {"IXSCAN", "IDHACK"}, (question, plan)
        looked_at.append([sum(count for _, count in plan) for plan in plans])

    for question, few, many in zip(QUESTIONS, *looked_at, strict=True):
        # Milestones lie 32 apart on average, some far more; who reads all looks at a thousand.
        assert many <= 1.5 * few + 300, (question, few, many)


async def test_what_a_plan_without_an_index_looks_like_is_known(watched: Watched):
    """Else the test above could not fail."""
    await watched.listings.refresh(a_crowd(range(1)))

    plan = await watched.database.command(
        "explain", {"find": "listings", "filter": {"summary": "x"}}, verbosity="executionStats"
    )

    assert innermost(plan["queryPlanner"]["winningPlan"]) == "COLLSCAN"
    assert plan["executionStats"]["totalDocsExamined"] == A_MODEL


@pytest.fixture
async def answering(bare_system: System) -> System:
    """The registry runs, and knows three versions."""
    await bare_system.start("registry")
    for ordinal, f1 in enumerate((0.5, 0.9, 0.7), start=1):
        imported = an_import(f"import-{ordinal}", metrics={"f1": f1}, labels=("prod",))
        await bare_system.say(imported)
        await bare_system.say(an_assignment(imported, f"0.0.{ordinal}", ordinal, time=at(ordinal)))
    await bare_system.hear(ModelRegistered, count=3)
    return bare_system


async def test_lists_and_the_best_are_answered_over_the_wire(answering: System):
    models = await answering.ask("modelkin.qry.v1.model.list", {"name_part": "RES", "label": "prod"})
    versions = await answering.ask("modelkin.qry.v1.version.list", {"metrics": ["f1>0.6"], "sort": "size"})
    best = await answering.ask(
        "modelkin.qry.v1.version.best", {"model": "resnet", "metric": "f1", "where": ["version<0.0.3"]}
    )

    assert [(one["model"], one["latest"]) for one in models["models"]] == [("resnet", "0.0.3")]
    assert (models["next"], models["total"], models["total_is_exact"]) == (None, 1, True)
    assert [one["version"] for one in versions["versions"]] == ["0.0.3", "0.0.2"]
    assert [(one["version"], one["value"]) for one in best["versions"]] == [("0.0.2", 0.9), ("0.0.1", 0.5)]
    assert (best["matching"], best["without_metric"], best["excluded"]) == (2, 0, 1)


WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "model.list",
        {"limit": -1},
        "malformed",
        "not a ListModels: limit: Input should be greater than or equal to 1, got '-1'",
    ),
    (
        "version.list",
        {"limit": 1001},
        "malformed",
        "not a ListVersions: limit: Input should be less than or equal to 1000, got '1001'",
    ),
    (
        "version.list",
        {"offset": -1},
        "malformed",
        "not a ListVersions: offset: Input should be greater than or equal to 0, got '-1'",
    ),
    (
        "version.list",
        {"offset": 10_001},
        "malformed",
        "not a ListVersions: offset: Input should be less than or equal to 10000, got '10001'",
    ),
    (
        "model.list",
        {"sort": "colour"},
        "malformed",
        "not a ListModels: sort: Input should be 'name', 'created', 'updated' or 'size', got 'colour'",
    ),
    (
        "version.list",
        {"sort": "number"},
        "invalid-sort",
        "numbers sort the versions of one model: expected `model`, or another `sort`",
    ),
    (
        "model.list",
        {"after": "a b"},
        "malformed",
        "after 'a b': expected `next` of the page before, or the name of a model",
    ),
    ("version.list", {"after": ".aGVsbG8"}, "malformed", "after '.aGVsbG8': expected `next` of the page before"),
    ("version.list", {"model": "nobody"}, "model-not-found", "there is no model 'nobody' in workspace '0'"),
    (
        "version.list",
        {"metrics": ["f1"]},
        "invalid-condition",
        "condition 'f1': it has no operator: expected one of = != < <= > >= ~ between a field and a value",
    ),
    (
        "version.list",
        {"metrics": ["label=prod"]},
        "invalid-condition",
        "condition 'label=prod': it is not about a metric: expected a condition such as f1>=0.9",
    ),
    (
        "version.best",
        {"model": "resnet", "metric": "acc"},
        "metric-not-found",
        "no version of resnet has a metric 'acc': expected one of 'f1'",
    ),
    (
        "version.best",
        {"model": "resnet", "metric": "f1", "where": ["version>1"]},
        "invalid-condition",
        "condition 'version>1': '1' is no version number: expected N.N.N, each N from 0 to 99 without a leading zero",
    ),
]


async def test_what_cannot_be_answered_says_what_came_and_what_was_expected(answering: System):
    for query, question, error, message in WRONG:
        assert await answering.ask(f"modelkin.qry.v1.{query}", question) == {"error": error, "message": message}
