"""Part `queries`: how long questions take with a hundred times as many versions, and what MLflow needs for the same.

Two systems run side by side, each with its own NATS, store and services: one with few versions, one with many, ten of
each model. They are filled through the registry's listings, not by imports. Each question is asked of one and of the
other in turn, over NATS, with another model or word each time. MLflow's tracking server has the versions of the larger
one, as model versions with runs, in SQLite, and is asked over HTTP.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from modelkin import launcher
from modelkin.client import Client
from services.registry.domain import RegisteredVersion
from services.registry.listing.store import Listings
from shared.naming import VersionNumber
from shared.queries import FindBest, GetModel, ListModels, ListVersions, Query
from shared.store import connect
from tests.bench import mlflow_side
from tests.bench.mlflow_side import Mlflow
from tests.bench.tables import milliseconds, ratio, say_note, say_table, say_title
from tests.samples import a_package, an_assignment, an_import, at

A_MODEL = 10
FEW = 1_000
MANY = 100_000
ASKS = 100
WARM_UP = 10
BATCH = 500
# Rare things are as many among few versions as among many.
RARE = 10
ENGINES = ("PyTorch", "TensorFlow", "ONNX", "Scikit_Learn")
PAGE = 100


@dataclass(frozen=True, slots=True)
class Row:
    """One version, for both systems."""

    id: int
    model: str
    experiment: int
    ordinal: int
    engine: str
    labels: tuple[str, ...]
    description: str
    metrics: dict[str, float]
    parameters: dict[str, Any]
    size_bytes: int
    created_s: int

    def for_mlflow(self) -> dict[str, Any]:
        created_ms = int(at(self.created_s).timestamp() * 1000)
        return {**asdict(self), "created_ms": created_ms, "updated_ms": created_ms + A_MODEL * 1000}

    def version(self) -> RegisteredVersion:
        imported = an_import(
            f"import-{self.id}",
            model=self.model,
            engine=self.engine,
            labels=self.labels,
            description=self.description,
            metrics=self.metrics,
            parameters=self.parameters,
            package=a_package().model_copy(update={"size_bytes": self.size_bytes}),
        )
        number = str(VersionNumber.from_rank(self.ordinal))
        return RegisteredVersion(imported, an_assignment(imported, number, self.ordinal, time=at(self.created_s)))


def model_name(number: int) -> str:
    """Names of few words, as people give them."""
    word = ("resnet", "bert", "yolo", "whisper")[number % 4]
    return f"{word}-{number:05}"


def rows(count: int) -> Iterator[Row]:
    chance = random.Random(5)
    for number in range(count):
        model, ordinal = number // A_MODEL, number % A_MODEL + 1
        rare = model < RARE and ordinal == A_MODEL
        labels = ("prod",) if chance.random() < 0.3 else ()
        yield Row(
            id=number + 1,
            model=model_name(model),
            experiment=model + 1,
            ordinal=ordinal,
            engine=chance.choice(ENGINES),
            labels=(*labels, "gold") if rare else labels,
            description="finds zebras" if rare else ("finds cats and dogs" if chance.random() < 0.2 else ""),
            metrics={"f1": round(chance.random(), 4), "loss": round(chance.random() * 3, 4)},
            parameters={"lr": round(chance.random(), 4), "optimizer": chance.choice(("adam", "sgd"))},
            size_bytes=chance.randrange(10**9),
            created_s=number,
        )


class Asked(NamedTuple):
    """One question, and the same in MLflow's words: method, path, arguments."""

    ours: Query
    theirs: tuple[str, str, dict[str, Any]] | None


Ask = Callable[[random.Random, int], Asked]


def _get(path: str, **question: Any) -> tuple[str, str, dict[str, Any]]:
    return "GET", path, question


def _search_versions(**question: Any) -> tuple[str, str, dict[str, Any]]:
    return _get("model-versions/search", max_results=PAGE, **question)


def _a_model(chance: random.Random, versions: int) -> int:
    return chance.randrange(versions // A_MODEL)


def _one_model(chance: random.Random, versions: int) -> Asked:
    name = model_name(_a_model(chance, versions))
    return Asked(GetModel(model=name), _get("registered-models/get", name=name))


def _models_by_name(_: random.Random, __: int) -> Asked:
    theirs = _get("registered-models/search", max_results=PAGE, order_by="name ASC")
    return Asked(ListModels(), theirs)


def _models_from_one_on(chance: random.Random, versions: int) -> Asked:
    """After one of the first quarter by name, so that there is a page of others even among few."""
    after = model_name(_a_model(chance, versions) // 4 * 4 + 1)
    return Asked(ListModels(after=after, limit=PAGE // 2), None)


def _models_left_out(chance: random.Random, _: int) -> Asked:
    return Asked(ListModels(offset=chance.randrange(PAGE // 2), limit=PAGE // 2), None)


def _models_by_change(_: random.Random, __: int) -> Asked:
    theirs = _get("registered-models/search", max_results=PAGE, order_by="last_updated_timestamp DESC")
    return Asked(ListModels(sort="updated"), theirs)


def _models_by_part(chance: random.Random, versions: int) -> Asked:
    part = model_name(_a_model(chance, versions))[-7:]
    theirs = _get("registered-models/search", max_results=PAGE, filter=f"name ILIKE '%{part}%'")
    return Asked(ListModels(name_part=part.upper()), theirs)


def _versions_of_one(chance: random.Random, versions: int) -> Asked:
    name = model_name(_a_model(chance, versions))
    theirs = _search_versions(filter=f"name = '{name}'", order_by="version_number ASC")
    return Asked(ListVersions(model=name), theirs)


def _newest(_: random.Random, __: int) -> Asked:
    return Asked(ListVersions(), _search_versions(order_by="creation_timestamp DESC"))


def _newest_left_out(chance: random.Random, _: int) -> Asked:
    return Asked(ListVersions(offset=chance.randrange(FEW // 2)), None)


def _largest(_: random.Random, __: int) -> Asked:
    return Asked(ListVersions(sort="size"), None)


def _of_an_engine(chance: random.Random, _: int) -> Asked:
    engine = chance.choice(ENGINES)
    theirs = _search_versions(filter=f"tags.engine = '{engine}'", order_by="creation_timestamp DESC")
    return Asked(ListVersions(engine=engine), theirs)


def _with_a_rare_label(_: random.Random, __: int) -> Asked:
    theirs = _search_versions(filter="tags.gold = 'true'", order_by="creation_timestamp DESC")
    return Asked(ListVersions(label="gold"), theirs)


def _of_two_filters(chance: random.Random, _: int) -> Asked:
    engine = chance.choice(ENGINES)
    theirs = _search_versions(
        filter=f"tags.engine = '{engine}' AND tags.prod = 'true'", order_by="creation_timestamp DESC"
    )
    return Asked(ListVersions(engine=engine, label="prod"), theirs)


def _with_a_word(_: random.Random, __: int) -> Asked:
    return Asked(ListVersions(description="ZEBRA"), None)


def _above_a_value(_: random.Random, __: int) -> Asked:
    return Asked(ListVersions(metrics=("f1>=0.9",)), None)


def _of_ten_minutes(chance: random.Random, versions: int) -> Asked:
    """As many among few versions as among many: one was registered each second."""
    return _of_a_time(600, chance.randrange(versions - 600))


def _of_an_hour(chance: random.Random, versions: int) -> Asked:
    """3,600 of many, and of few all that come after the start."""
    return _of_a_time(3600, chance.randrange(versions))


def _of_a_time(seconds: int, start: int) -> Asked:
    return Asked(ListVersions(created_from=at(start), created_before=at(start + seconds), sort="size"), None)


def _the_best(chance: random.Random, versions: int) -> Asked:
    model = _a_model(chance, versions)
    question = {
        "experiment_ids": [str(model + 1)],
        "filter": "params.optimizer = 'adam'",
        "order_by": ["metrics.f1 DESC"],
        "max_results": 5,
    }
    best = FindBest(model=model_name(model), metric="f1", where=("params.optimizer=adam",))
    return Asked(best, ("POST", "runs/search", question))


QUESTIONS: dict[str, Ask] = {
    "one model": _one_model,
    "models by name": _models_by_name,
    "models after one, 50": _models_from_one_on,
    "models, some left out, 50": _models_left_out,
    "models by last change": _models_by_change,
    "models by a part of the name": _models_by_part,
    "versions of one model": _versions_of_one,
    "newest versions": _newest,
    "newest, some left out": _newest_left_out,
    "largest versions": _largest,
    "versions of an engine": _of_an_engine,
    "with a rare label": _with_a_rare_label,
    "of an engine, with a label": _of_two_filters,
    "a word of the description": _with_a_word,
    "f1 of 0.9 or more": _above_a_value,
    "of ten minutes, by size": _of_ten_minutes,
    "of one hour, by size": _of_an_hour,
    "best of a model, conditions": _the_best,
}


class Times(NamedTuple):
    p50_s: float
    p99_s: float

    @classmethod
    def of(cls, taken_s: Sequence[float]) -> "Times":
        in_order = sorted(taken_s)
        return cls(in_order[len(in_order) // 2], in_order[len(in_order) * 99 // 100])


async def measure(folder: Path, many: int = MANY) -> None:
    async with _filled(folder / "few", FEW) as few, _filled(folder / "many", many) as large:
        ours = {name: await _in_turn(ask, [(few, FEW), (large, many)]) for name, ask in QUESTIONS.items()}
    _show(ours, many)
    async with mlflow_side.running(folder / "mlflow", (row.for_mlflow() for row in rows(many))) as mlflow:
        theirs = {name: await asyncio.to_thread(_of_mlflow, mlflow, ask, many) for name, ask in QUESTIONS.items()}
    _show_beside({name: large for name, (_, large) in ours.items()}, theirs, many)


@contextlib.asynccontextmanager
async def _filled(folder: Path, count: int) -> AsyncIterator[Client]:
    """A whole system that lists so many versions."""
    async with launcher.running(folder / "data", [folder], lambda _: None) as local:
        began = time.monotonic()
        store = connect(mongo_url(local))
        listings = Listings(store["modelkin_registry"])
        batch: list[RegisteredVersion] = []
        for row in rows(count):
            batch.append(row.version())
            if len(batch) == BATCH:
                await listings.refresh(batch)
                batch.clear()
        await listings.refresh(batch)
        store.close()
        took_s = time.monotonic() - began
        say_note(
            f"{count:,} versions of {count // A_MODEL:,} models listed: {took_s:.0f} s, {took_s / count * 1e3:.1f} ms each"
        )
        async with Client.connected(local.nats_url) as client:
            yield client


def mongo_url(local: launcher.Local) -> str:
    """Where its store listens: the launcher tells nobody but the services."""
    (mongo,) = (process for process in local.processes if process.name == "mongo")
    arguments = mongo.popen.args
    assert isinstance(arguments, list)
    port = arguments[arguments.index("--port") + 1]
    return f"mongodb://127.0.0.1:{port}/?retryWrites=false&directConnection=true"


async def _in_turn(ask: Ask, systems: Sequence[tuple[Client, int]]) -> tuple[Times, ...]:
    """Each system is asked in turn, so that whatever else the machine does, it does to all of them."""
    chance = random.Random(3)
    taken: list[list[float]] = [[] for _ in systems]
    for turn in range(WARM_UP + ASKS):
        for times, (client, versions) in zip(taken, systems, strict=True):
            question = ask(chance, versions).ours
            began = time.perf_counter()
            await client.ask(question, question.reply)
            if turn >= WARM_UP:
                times.append(time.perf_counter() - began)
    return tuple(Times.of(times) for times in taken)


def _of_mlflow(mlflow: Mlflow, ask: Ask, versions: int) -> Times | None:
    chance = random.Random(3)
    taken: list[float] = []
    for turn in range(WARM_UP + ASKS):
        asked = ask(chance, versions).theirs
        if asked is None:
            return None
        began = time.perf_counter()
        mlflow.ask(*asked)
        if turn >= WARM_UP:
            taken.append(time.perf_counter() - began)
    return Times.of(taken)


def _show(times: dict[str, tuple[Times, ...]], many: int) -> None:
    say_title(f"Questions to {FEW:,} versions and to {many:,}, {ASKS} times each, in ms")
    say_table(
        ("question", f"{FEW:,}: p50", "p99", f"{many:,}: p50", "p99", "p50, many to few", "p99"),
        [
            (
                name,
                *(milliseconds(seconds) for of in (few, large) for seconds in of),
                ratio(large.p50_s / few.p50_s),
                ratio(large.p99_s / few.p99_s),
            )
            for name, (few, large) in times.items()
        ],
    )
    say_note(
        "Pages of 100 if nothing is said, totals counted to 300: where few versions are all looked at to be counted, many are"
        " not counted on, which makes ratios below 1. A page that is filled by looking at versions one by one (f1) may end early"
        " and go on. Few versions have less to show of an hour, and of an engine with a label, than a page of many has."
    )


def _show_beside(ours: dict[str, Times], theirs: dict[str, Times | None], many: int) -> None:
    say_title(f"The same of MLflow {mlflow_side.VERSION} (one worker, SQLite, HTTP), {many:,} versions, in ms")
    say_table(
        ("question", "Modelkin: p50", "p99", "MLflow: p50", "p99", "p50, MLflow to Modelkin", "p99"),
        [
            (
                name,
                *(milliseconds(seconds) for of in (ours[name], times) for seconds in of),
                ratio(times.p50_s / ours[name].p50_s),
                ratio(times.p99_s / ours[name].p99_s),
            )
            for name, times in theirs.items()
            if times is not None
        ],
    )
    say_note(
        "What is missing here MLflow's registry has no question for: it neither searches descriptions nor sorts by size, and"
        " metrics belong to runs, which are searched within experiments that are named."
    )
