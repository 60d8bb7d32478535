"""Recalls over real streams: everyone is told once, also by a process that goes on where another died."""

import asyncio

import pytest

import shared.delivery
from services.versioning.recalls.store import MongoRecallStore
from shared.errors import Transient
from shared.messages import (
    CommandRefused,
    DatasetRecalled,
    RecallTraced,
    RecallVersion,
    VersionAffected,
    VersionAssigned,
)
from shared.subjects import EVENTS_STREAM
from shared.values import Base, Dataset, Reason
from tests.integration.system import System
from tests.samples import a_package, an_import, said

# Each generation has this many children of the one before it.
WIDTH, GENERATIONS = 60, 4


async def a_graph(system: System) -> set[str]:
    """`root` is trained on coco; four generations, each of whose versions derives from two of the one before."""
    await _born(system, "root", datasets=(Dataset(name="coco", version="2017"),))
    await system.hear(VersionAssigned)
    before = ["root"]
    models = {"root"}
    for generation in range(GENERATIONS):
        names = [f"g{generation}-{number}" for number in range(WIDTH)]
        await asyncio.gather(
            *(
                _born(system, name, {before[number % len(before)], before[(number + 7) % len(before)]})
                for number, name in enumerate(names)
            )
        )
        models |= {*names}
        await system.hear(VersionAssigned, count=len(models))
        before = names
    await _born(system, "stranger")
    await system.hear(VersionAssigned, count=len(models) + 1)
    return models


async def _born(system: System, name: str, bases: set[str] | None = None, **changes: object) -> None:
    package = a_package().model_copy(update={"digest": f"sha256:{name.encode().hex():0>64}"})
    named = tuple(Base(model=base, version="0.0.1") for base in sorted(bases or ()))
    await system.say(an_import(f"import-{name}", model=name, package=package, bases=named, **changes))


def a_recall(recall_id: str = "recall") -> RecallVersion:
    return RecallVersion(envelope=said(recall_id, "security"), model="root", version="0.0.1", why="poisoned")


async def recalled(system: System, recall: RecallVersion) -> None:
    await system.client.jetstream().publish(recall.subject, recall.body().encode(), headers=recall.headers())


async def test_everyone_in_a_branching_graph_is_told_once(bare_system: System):
    system = bare_system
    await system.start("versioning", "versioning")
    models = await a_graph(system)
    await system.say(DatasetRecalled(envelope=said("lake"), dataset="coco", why="licence withdrawn"))

    traced = await system.hear(RecallTraced)
    affected = await system.all_of(VersionAffected)
    assert len(affected) == len(models) == traced.versions == 1 + WIDTH * GENERATIONS
    assert {one.model for one in affected} == models
    assert {one.model: one.distance for one in affected}["g3-0"] == 5
    assert len({one.envelope.id for one in affected}) == len(affected)


@pytest.mark.parametrize("fails_at", [("write", 0), ("write", 2), ("said", 0), ("said", 1), ("close", 0)])
async def test_a_recall_that_broke_off_in_the_middle_is_finished_after_nats_forgot_its_ids(
    bare_system: System, monkeypatch: pytest.MonkeyPatch, fails_at: tuple[str, int]
):
    system = bare_system
    await system.start("versioning")
    models = await a_graph(system)
    jetstream = system.client.jetstream()
    config = (await jetstream.stream_info(EVENTS_STREAM)).config
    await jetstream.update_stream(config.evolve(duplicate_window=0.1))
    monkeypatch.setattr(shared.delivery, "retry_delay_s", lambda _: 0.5)
    method, call = fails_at
    real, calls = getattr(MongoRecallStore, method), 0

    async def failing(self: MongoRecallStore, *arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == call + 1:
            raise Transient("the process died here")
        return await real(self, *arguments)

    monkeypatch.setattr(MongoRecallStore, method, failing)
    await recalled(system, a_recall())

    traced = await system.hear(RecallTraced)
    affected = await system.all_of(VersionAffected)
    assert {one.model for one in affected} == models
    assert traced.versions == len(models)
    # One page was said and not yet marked: it alone is said again, word for word.
    again = len(affected) - len(models)
    assert again <= (100 if method == "said" else 0)
    assert len({one.model_dump_json() for one in affected}) == len({one.envelope.id for one in affected}) == len(models)


async def test_a_recall_that_is_delivered_again_tells_nobody_again(bare_system: System):
    system = bare_system
    await system.start("versioning", "versioning")
    await _born(system, "root")
    await system.hear(VersionAssigned)
    for _ in range(3):
        message = a_recall()
        headers = {**message.headers(), "Nats-Msg-Id": f"send-{_}"}
        await system.client.jetstream().publish(message.subject, message.body().encode(), headers=headers)

    await system.hear(RecallTraced)
    await system.quiet()
    assert len(await system.all_of(VersionAffected)) == 1
    assert len(await system.all_of(RecallTraced)) == 1


async def test_two_recalls_of_one_version_are_two(bare_system: System):
    system = bare_system
    await system.start("versioning")
    await _born(system, "root")
    await system.hear(VersionAssigned)
    await recalled(system, a_recall("one"))
    await recalled(system, a_recall("two"))

    await system.hear(RecallTraced, count=2)
    assert len(await system.all_of(VersionAffected)) == 2


async def test_a_recall_of_what_is_not_there_is_refused(bare_system: System):
    system = bare_system
    await system.start("versioning")
    await recalled(system, a_recall())
    await system.say(DatasetRecalled(envelope=said("lake"), dataset="my data.v1", why="gone"))

    await system.hear(CommandRefused, count=2)
    refused = {one.command: one for one in await system.all_of(CommandRefused)}
    assert refused["modelkin.cmd.v1.version.recall"].reason is Reason.VERSION_NOT_FOUND
    of_dataset = refused["modelkin.evt.v1.dataset.recalled"]
    assert (of_dataset.reason, of_dataset.model) == (Reason.DATASET_NOT_FOUND, "my data.v1")
    assert (of_dataset.envelope.source, of_dataset.envelope.cause_id) == ("modelkin/versioning", "lake")
    assert await system.dead_letters() == []
