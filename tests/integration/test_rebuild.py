"""Databases made anew from EVENTS, over real servers, while the services answer."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

import shared.delivery
import shared.generations
import shared.rebuilding
import shared.serving
from shared.connection import settle
from shared.generations import Generations
from shared.messages import (
    CommandRefused,
    LineageExtended,
    ModelRegistered,
    ProjectionRebuilt,
    RebuildProjection,
    RebuildRegistry,
    RebuildVersioning,
    VersionAssigned,
    VersionRefused,
    VersionRestricted,
)
from shared.pausing import Paused
from shared.store import connect
from shared.subjects import CONSUMERS, EVENTS_STREAM
from tests.dumps import Dump, differences, dump, generation_in_use
from tests.integration.mixture import MODELS, everything, imports
from tests.integration.registering import now
from tests.integration.system import PATIENCE_S, System, eventually
from tests.samples import an_import, said

COMMANDS = {"registry": RebuildRegistry, "versioning": RebuildVersioning}


@pytest.fixture
async def databases(bare_system: System) -> AsyncIterator[Callable[[str], Any]]:
    client = connect(bare_system.mongo_uri)
    yield lambda service: client[f"{bare_system.database}_{service}"]
    client.close()


@pytest.fixture
async def system(bare_system: System) -> System:
    await bare_system.start("versioning", "registry")
    return bare_system


@pytest.fixture
async def full(system: System) -> System:
    await everything(system)
    return system


async def dumps(databases: Callable[[str], Any]) -> dict[str, Dump]:
    return {service: await dump(databases(service)) for service in COMMANDS}


async def rebuilt(system: System, service: str) -> ProjectionRebuilt | CommandRefused:
    asked = COMMANDS[service](envelope=said(uuid.uuid4().hex, "operator", now()))
    await system.say(asked)
    return await answer(system, asked)


async def answer(system: System, asked: RebuildProjection) -> ProjectionRebuilt | CommandRefused:
    async def answered() -> list[ProjectionRebuilt | CommandRefused]:
        events = [*await system.all_of(ProjectionRebuilt), *await system.all_of(CommandRefused)]
        return [one for one in events if one.envelope.cause_id == asked.envelope.id]

    [event] = await eventually(answered, f"an answer to {asked}", timeout_s=PATIENCE_S)
    return event


@pytest.mark.parametrize("service", COMMANDS)
async def test_a_database_made_anew_is_equal_field_by_field_and_goes_on_from_there(
    full: System, databases: Any, service: str
):
    for kind in (VersionRefused, LineageExtended, VersionRestricted):
        assert await full.all_of(kind), f"the mixture lacks {kind.__name__}"
    before = await dumps(databases)
    had, ordinals = len(await full.versions("bert")), await ordinals_of(full, "bert")

    said_so = await rebuilt(full, service)
    await full.quiet()

    after = await dumps(databases)
    assert isinstance(said_so, ProjectionRebuilt)
    assert said_so.events > 48
    assert await generation_in_use(databases(service)) == 1
    assert differences(before[service], after[service]) == []
    assert before[service]["versions"]
    answer_kept = (
        await full.running[["versioning", "registry"].index(service)]
        .app.context.get("rebuilder")
        .answer_to(said_so.envelope.cause_id)
    )
    assert answer_kept == said_so
    for number in range(3):
        await full.say(an_import(f"after-{number}", model="bert"))
    await full.quiet()
    assert len(await full.versions("bert")) == had + 3
    assert await ordinals_of(full, "bert") == list(range(1, len(ordinals) + 4))
    reply = await full.ask("modelkin.qry.v1.version.get", {"model": "bert", "version": "champion"})
    assert "error" not in reply
    assert await full.dead_letters() == []


async def ordinals_of(system: System, model: str) -> list[int]:
    return sorted(one.ordinal for one in await system.all_of(VersionAssigned, model))


@pytest.mark.parametrize("service", COMMANDS)
async def test_a_lost_database_is_made_anew_when_the_service_starts(full: System, databases: Any, service: str):
    before = await dumps(databases)
    await full.stop(service)
    await databases(service).client.drop_database(databases(service).name)
    await full.start(service, service)
    await full.quiet()

    assert differences(before[service], (await dumps(databases))[service]) == []


@pytest.mark.parametrize("service", COMMANDS)
async def test_a_database_lost_under_a_running_service_is_made_anew(full: System, databases: Any, service: str):
    before = await dumps(databases)
    await databases(service).client.drop_database(databases(service).name)
    await full.say(an_import("after", model="new"))
    await full.hear(ModelRegistered, "new")

    await eventually(lambda: nothing_lost(before, databases, service), "what was there before", 60)


async def nothing_lost(before: Mapping[str, Dump], databases: Any, service: str) -> bool:
    after = (await dumps(databases))[service]
    return all("only in the second" in line for line in differences(before[service], after))


@pytest.mark.parametrize("service", COMMANDS)
async def test_a_database_of_another_layout_is_made_anew_when_the_service_starts(
    full: System, databases: Any, service: str
):
    before = await dumps(databases)
    await full.stop(service)
    await databases(service)["generations"].update_one({"_id": "current"}, {"$set": {"layout": 0}})
    await full.start(service)

    assert await generation_in_use(databases(service)) == 1
    assert differences(before[service], (await dumps(databases))[service]) == []


@pytest.mark.timeout(900)  # two rebuilds and more under load
@pytest.mark.parametrize("service", COMMANDS)
async def test_imports_and_queries_go_on_meanwhile(full: System, databases: Any, service: str):
    failures: list[object] = []
    counts = {"asked": 0, "said": 0}
    done = asyncio.Event()

    async def ask() -> None:
        while not done.is_set():
            for subject, about in (
                ("version.get", {"model": "bert"}),
                ("lineage.get", {"model": "bert", "version": "0.0.1"}),
            ):
                reply = await full.ask(f"modelkin.qry.v1.{subject}", about)
                counts["asked"] += 1
                await asyncio.sleep(0.05)
                if "error" in reply:
                    failures.append(reply)

    async def load() -> None:
        for event in imports(2, 400):
            if done.is_set():
                break
            await full.say(event)
            counts["said"] += 1
            await asyncio.sleep(0.1)

    tasks = [asyncio.create_task(ask()), asyncio.create_task(load())]
    await full.start(service)  # two processes of it
    try:
        said_again = [await rebuilt(full, service) for _ in range(2)]
        while min(counts.values()) <= 20:  # it was too quick for them
            said_again.append(await rebuilt(full, service))
    finally:
        done.set()
    await asyncio.gather(*tasks)
    await full.quiet()

    assert {type(one) for one in said_again} == {ProjectionRebuilt}
    assert failures == []
    for model in MODELS:
        assigned = await full.all_of(VersionAssigned, model)
        assert sorted(one.ordinal for one in assigned) == list(range(1, len(assigned) + 1))
        assert len({one.version for one in assigned}) == len(assigned)
    before = await dumps(databases)
    await rebuilt(full, service)
    assert differences(before[service], (await dumps(databases))[service]) == []


async def test_two_commands_at_once_are_both_carried_out(full: System, databases: Any):
    await full.start("registry")
    before = await dumps(databases)
    commands = [RebuildRegistry(envelope=said(f"rebuild-{number}", "operator", now())) for number in range(2)]
    for one in commands:
        await full.say(one)
    said_so = [await answer(full, one) for one in commands]

    assert [type(one) for one in said_so] == [ProjectionRebuilt, ProjectionRebuilt]
    assert differences(before["registry"], (await dumps(databases))["registry"]) == []


async def test_where_events_are_missing_nothing_is_made_anew(full: System, databases: Any):
    before = await dumps(databases)
    await full.client.jetstream().purge_stream(EVENTS_STREAM, seq=5)
    refused = {}
    for service, kind in COMMANDS.items():
        asked = kind(envelope=said(f"rebuild-{service}", "operator", now()))
        subscription = await full.client.subscribe(f"modelkin.evt.v1.command.refused.0.{service}")
        await settle(full.client)
        await full.say(asked)
        refused[service] = (await subscription.next_msg(timeout=PATIENCE_S)).data

    assert all(b'"events-missing"' in body for body in refused.values())
    assert all(b"EVENTS begins at event 5: expected every event from the first" in body for body in refused.values())
    assert await generation_in_use(databases("registry")) == 0
    assert before["registry"]["versions"].keys() == (await dumps(databases))["registry"]["versions"].keys()


async def test_the_old_generation_is_dropped_when_nobody_can_read_it(
    full: System, databases: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shared.serving, "DROPPED_AFTER_S", 0.2)
    await rebuilt(full, "registry")
    await full.versions("bert")

    async def only_the_new() -> bool:
        names = await databases("registry").list_collection_names()
        return all(name.startswith("g1.") or name in {"generations", "suspects"} for name in names)

    await eventually(only_the_new, databases("registry").list_collection_names, 60)
    assert await full.versions("bert")


@pytest.mark.parametrize("service", COMMANDS)
async def test_a_rebuild_that_broke_off_is_begun_anew_and_finished(
    full: System, databases: Any, monkeypatch: pytest.MonkeyPatch, service: str
):
    """As where the process was killed: nothing is cleaned up, and only after a while is the builder taken for dead."""
    monkeypatch.setattr(shared.generations, "DEAD_AFTER_S", 0.5)
    monkeypatch.setattr(shared.delivery, "retry_delay_s", lambda _: 0.3)
    before = await dumps(databases)
    for owner, method in (
        (Generations, "begin"),
        (shared.rebuilding._Making, "_count"),
        (Paused, "check"),
        (Generations, "fence"),
        (Generations, "switch"),
    ):
        with monkeypatch.context() as patch:
            broken = _breaking(patch, owner, method)
            said_so = await rebuilt(full, service)
        await full.quiet()

        assert broken.is_set()
        assert isinstance(said_so, ProjectionRebuilt)
        assert differences(before[service], (await dumps(databases))[service]) == [], method
    for consumer in CONSUMERS:
        assert not (await full.client.jetstream().consumer_info(consumer.stream, consumer.durable)).paused


def _breaking(patch: pytest.MonkeyPatch, owner: type, method: str) -> asyncio.Event:
    """The first rebuild ends after this call, and what it has claimed stays claimed."""
    broken, left = asyncio.Event(), asyncio.Event()
    real, real_abandon = getattr(owner, method), Generations.abandon

    async def breaking(*given: Any) -> Any:
        result = await real(*given)
        if not broken.is_set():
            broken.set()
            raise OSError("killed here")
        return result

    async def abandon(*given: Any) -> None:
        if not broken.is_set() or left.is_set():
            await real_abandon(*given)
        left.set()

    patch.setattr(owner, method, breaking)
    patch.setattr(Generations, "abandon", abandon)
    return broken


async def test_a_message_that_is_handled_before_the_switch_prevents_it(databases: Any):
    generations = Generations(databases("registry"))
    assert await generations.found(1)
    await generations.begin("me")
    fence = await generations.fence("me")
    await generations.take_fence_away()

    assert not await generations.switch("me", fence, 1, None)
    standing = await generations.standing()
    assert standing is not None
    assert (standing.generation, standing.newest) == (0, 1)


async def test_who_was_taken_for_dead_cannot_switch(databases: Any, monkeypatch: pytest.MonkeyPatch):
    time = 0.0
    generations = Generations(databases("registry"), lambda: time)
    await generations.found(1)
    await generations.begin("slow")
    fence = await generations.fence("slow")
    with contextlib.suppress(Exception):
        await generations.begin("next")
    time = 20.0

    number = await generations.begin("next")

    assert number == 2
    assert not await generations.switch("slow", fence, 1, None)
    assert await generations.switch("next", await generations.fence("next"), 1, None)
    standing = await generations.standing()
    assert standing is not None
    assert (standing.generation, standing.builder) == (2, None)
