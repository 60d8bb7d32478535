"""Many imports at once, many instances of each service."""

import asyncio

import pytest

import shared.delivery
from shared.messages import ModelRegistered, VersionAssigned
from tests.integration.system import SERVICES, System


async def test_two_instances_of_each_service_number_64_imports_without_a_gap(bare_system: System):
    system = bare_system
    await system.start(*SERVICES, *SERVICES)
    await asyncio.gather(*(system.publish(system.training("resnet50", f"job-{n}")) for n in range(64)))

    await system.hear(ModelRegistered, count=64)
    await system.quiet()
    assert await system.versions("resnet50") == [f"0.0.{n}" for n in range(1, 65)]
    assigned = await system.all_of(VersionAssigned)
    assert sorted(one.ordinal for one in assigned) == list(range(1, 65))
    assert len({one.import_id for one in assigned}) == 64
    model = await system.ask("modelkin.qry.v1.model.get", {"model": "resnet50"})
    assert (model["versions"], model["latest"]) == (64, "0.0.64")
    assert await system.dead_letters() == []


async def test_two_importers_that_hear_of_one_job_version_at_once_import_it_once(bare_system: System):
    system = bare_system
    await system.start(*SERVICES, *SERVICES)
    bodies = [system.training(f"model-{n}") for n in range(8)]
    await asyncio.gather(*(system.publish(body) for body in bodies * 8))

    await system.hear(ModelRegistered, count=8)
    await system.quiet()
    for n in range(8):
        assert await system.versions(f"model-{n}") == ["0.0.1"]
    assert len(await system.all_of(VersionAssigned)) == 8
    assert await system.dead_letters() == []


async def test_many_that_ask_for_the_same_number_get_it_once(bare_system: System):
    system = bare_system
    await system.start(*SERVICES, *SERVICES)
    bodies = [system.training("resnet50", f"job-{n}", version="1.0.0") for n in range(16)]
    await asyncio.gather(*(system.publish(body) for body in bodies))

    registered = await system.hear(ModelRegistered)
    await system.quiet()
    assert await system.versions("resnet50") == ["1.0.0"]
    statuses = [
        await system.ask("modelkin.qry.v1.import.get", {"import_id": one.json["import_id"]})
        for one in await system.said()
        if one.subject.startswith("modelkin.evt.v1.model.imported.")
    ]
    assert sorted(status["status"] for status in statuses) == ["failed"] * 15 + ["published"]
    published = next(status for status in statuses if status["status"] == "published")
    assert published["import_id"] == registered.import_id


async def test_nothing_that_arrives_in_a_burst_is_held_until_a_fetch_runs_out(
    bare_system: System, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shared.delivery, "FETCH_TIMEOUT_S", 100.0)
    await bare_system.start(*SERVICES)
    for burst in range(3):
        bodies = [bare_system.training(f"model-{n}", f"job-{burst}") for n in range(20)]
        await asyncio.gather(*(bare_system.publish(body) for body in bodies))

        await bare_system.hear(ModelRegistered, count=20 * (burst + 1))
