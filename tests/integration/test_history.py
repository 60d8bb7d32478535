"""History: everything that changed about a model with who and why, and how it stood at any time."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.messages import (
    DeleteVersion,
    DeploymentReady,
    DeploymentStopped,
    DeployVersion,
    DownloadVersion,
    EditVersion,
    LiftRestriction,
    LineageExtended,
    Message,
    MoveAlias,
    ReleaseVersion,
    RollOut,
    VersionRestricted,
)
from shared.values import Edge, Restriction
from tests.integration.registering import ask, command, does, now, register, report, shown
from tests.integration.system import System
from tests.samples import an_import, at

AUTO = "version:0/auto@0.0.1"


@pytest.fixture
async def registry(bare_system: System) -> System:
    """The registry runs, alone."""
    await bare_system.start("registry")
    return bare_system


async def entries(registry: System, **question: Any) -> list[dict[str, Any]]:
    return (await ask(registry, "history.get", model="resnet", **question))["changes"]


async def test_everything_that_changed_is_told_with_who_why_and_what(registry: System):
    await register(registry, "0.0.1", "0.0.2", restrictions=(Restriction.QUARANTINE,))
    released = await does(registry, ReleaseVersion, why="read by eye", by="ann")
    await does(registry, MoveAlias, alias="champion", why="best f1")
    await does(registry, EditVersion, labels=("prod",))
    await does(registry, DownloadVersion)
    await does(registry, DeployVersion, service="search", mode="real-time")
    await does(registry, RollOut, service="search", weights=({"version": "0.0.1", "weight": 100},))
    ready = report(DeploymentReady, message="3 replicas")
    await registry.say(ready)
    await registry.quiet()
    await registry.say(report(DeploymentStopped))
    await registry.quiet()
    await does(registry, DeleteVersion, why="old")

    told = await entries(registry)

    assert [(one["event"], one["version"], one["by"]) for one in told] == [
        ("version.assigned", "0.0.1", "trainer"),
        ("version.assigned", "0.0.2", "trainer"),
        ("version.released", "0.0.1", "ann"),
        ("alias.moved", "0.0.1", "operator"),
        ("version.edited", "0.0.1", "operator"),
        ("download.granted", "0.0.1", "operator"),
        ("deployment.requested", "0.0.1", "operator"),
        ("rollout.requested", None, "operator"),
        ("deployment.ready", "0.0.1", "deployer"),
        ("deployment.stopped", "0.0.1", "deployer"),
        ("alias.moved", "0.0.1", "operator"),
        ("version.deleted", "0.0.1", "operator"),
    ]
    assert isinstance(released, Message)
    assert (told[2]["event_id"], told[2]["cause_id"]) == (released.envelope.id, released.envelope.cause_id)
    assert (told[2]["why"], told[3]["why"], told[10]["why"]) == ("read by eye", "best f1", "0.0.1 was deleted")
    assert told[3]["facts"] == {"alias": "champion", "old": None, "new": "0.0.1"}
    assert told[4]["facts"]["after"] == {"labels": ["prod"], "description": "", "documents": []}
    assert told[8]["facts"] == {"service": "search", "message": "3 replicas"}
    assert "parameters" not in told[0]["facts"]


async def test_who_reads_the_history_gets_no_grant_from_it(registry: System):
    await register(registry, "0.0.1")
    granted = await does(registry, DownloadVersion)
    requested = await does(registry, DeployVersion, service="search", mode="real-time")
    rolled = await does(registry, RollOut, service="search", weights=({"version": "0.0.1", "weight": 100},))

    told = str(await entries(registry))

    ids = [granted.grant.id, requested.grant.id, rolled.targets[0].grant.id]
    assert not [one for one in ids if one in told]
    assert told.count("expires_at") == 3


async def test_what_versioning_found_later_is_told(registry: System):
    await register(registry, "0.0.1")
    edge = Edge(source="version:0/resnet@0.0.1", kind="derived-from", target=AUTO)
    await registry.say(an_import("late").answer(LineageExtended, at(60), version="0.0.1", edges=(edge,)))
    await registry.say(an_import("late").answer(VersionRestricted, at(61), version="0.0.1", restricted_by=(AUTO,)))
    await registry.quiet()

    _, extended, restricted = await entries(registry)

    assert (extended["event"], extended["facts"]["edges"][0]["target"]) == ("lineage.extended", AUTO)
    assert (restricted["event"], restricted["by"]) == ("version.restricted", "modelkin/versioning")
    assert restricted["facts"] == {"restricted_by": [AUTO]}


async def test_history_is_read_a_page_at_a_time_and_of_one_version_alone(registry: System):
    await register(registry, "0.0.1", "0.0.2", "0.0.3")
    for number in ("0.0.1", "0.0.2", "0.0.3", "0.0.1"):
        await does(registry, MoveAlias, alias="champion", version=number)
    whole = await entries(registry)

    pages, after = [], None
    while True:
        page = await ask(registry, "history.get", model="resnet", limit=3, after=after)
        pages.append(page["changes"])
        after = page["next"]
        if after is None:
            break
    of_two = await entries(registry, version="0.0.2")

    assert [len(page) for page in pages] == [3, 3, 1]
    assert [one for page in pages for one in page] == whole
    assert [(one["event"], one["facts"].get("new")) for one in of_two] == [
        ("version.assigned", None),
        ("alias.moved", "0.0.2"),
        ("alias.moved", "0.0.3"),
    ]


@pytest.mark.parametrize(
    ("question", "error", "message"),
    [
        ({"model": "bert"}, "model-not-found", "there is no model 'bert' in workspace '0'"),
        ({"model": "a b"}, "model-not-found", "there is no model 'a b' in workspace '0'"),
        ({"version": "9.9.9"}, "version-not-found", "resnet has no version 9.9.9"),
        ({"version": "x"}, "malformed", "version 'x': expected N.N.N"),
        ({"after": "0.0.1"}, "malformed", "after '0.0.1': expected `next` of the page of history before"),
        ({"after": "YWJj"}, "malformed", "after 'YWJj': expected `next` of the page of history before"),
        ({"after": "模型"}, "malformed", "after '模型': expected `next` of the page of history before"),
        ({"limit": 0}, "malformed", "not a GetHistory: limit: Input should be greater than or equal to 1"),
        ({"limit": 10**9}, "malformed", "not a GetHistory: limit: Input should be less than or equal to 1000"),
    ],
)
async def test_a_question_that_cannot_be_answered_is_refused(
    registry: System, question: dict, error: str, message: str
):
    await register(registry, "0.0.1")

    answer = await ask(registry, "history.get", **{"model": "resnet", **question})

    assert answer["error"] == error
    assert answer["message"].startswith(message)


async def test_a_version_is_shown_as_it_stood_around_each_change(registry: System):
    await register(registry, "0.0.1", restrictions=(Restriction.QUARANTINE,), restricted_by=(AUTO,), labels=("a",))
    times: list[datetime] = [now()]

    async def then(kind: Any, **fields: Any) -> None:
        await does(registry, kind, **fields)
        times.append(now())

    await then(ReleaseVersion, why="w")
    await then(EditVersion, labels=("b",))
    await then(EditVersion, labels=("c",))
    await then(LiftRestriction, why="w")
    await then(MoveAlias, alias="champion")
    await then(DeployVersion, service="search", mode="real-time")
    await registry.say(report(DeploymentStopped))
    await registry.quiet()
    times.append(now())
    await then(DeleteVersion)

    stood = [await shown(registry, "0.0.1", at=time.isoformat()) for time in times]

    assert [
        (one["status"], one["labels"], one["downloadable"], one["aliases"], [at_["state"] for at_ in one["services"]])
        for one in stood
    ] == [
        ("quarantined", ["a"], False, [], []),
        ("published", ["a"], False, [], []),
        ("published", ["b"], False, [], []),
        ("published", ["c"], False, [], []),
        ("published", ["c"], True, [], []),
        ("published", ["c"], True, ["champion"], []),
        ("published", ["c"], True, ["champion"], ["requested"]),
        ("published", ["c"], True, ["champion"], ["stopped"]),
        ("deleted", ["c"], False, [], ["stopped"]),
    ]
    assert stood[-1] == await shown(registry, "0.0.1")


async def test_an_alias_and_the_latest_version_are_those_of_the_time(registry: System):
    await register(registry, "0.0.1", "0.0.2", "0.0.3")
    await does(registry, MoveAlias, alias="champion", version="0.0.1")
    before = now()
    await does(registry, MoveAlias, alias="champion", version="0.0.2")
    await does(registry, DeleteVersion, version="0.0.3")

    async def version(number: str | None, time: datetime) -> str:
        shown_ = await shown(registry, number, at=time.isoformat())
        return shown_.get("version") or shown_["error"]

    assert await version("champion", before) == "0.0.1"
    assert await version("champion", now()) == "0.0.2"
    assert await version("champion", at(500)) == "alias-not-found"
    assert await version(None, before) == "0.0.3"
    assert await version(None, now()) == "0.0.2"
    assert await version(None, at(2.5)) == "0.0.2"
    assert await version(None, at(0.5)) == "version-not-found"
    assert await version("0.0.3", at(2.5)) == "version-not-found"
    assert await version("0.0.3", at(3)) == "0.0.3"
    assert await version("0.0.3", now() + timedelta(days=400)) == "0.0.3"


@pytest.mark.parametrize("time", ["2026-11-01T12:00:00", "yesterday", "2026-13-01T00:00Z", "", "9999999999999999999"])
async def test_a_time_that_is_none_or_has_no_zone_is_malformed(registry: System, time: str):
    await register(registry, "0.0.1")

    answer = await shown(registry, "0.0.1", at=time)

    assert answer["error"] == "malformed"
    assert answer["message"].startswith("not a GetVersion: at: Input should")


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-12:00"])
async def test_the_first_and_the_last_time_there_are_can_be_asked_for(registry: System, time: str):
    await register(registry, "0.0.1")
    await registry.say(command(MoveAlias, alias="champion"))
    await registry.quiet()

    answer = await shown(registry, None, at=time)

    assert answer.get("version", answer.get("error")) in {"0.0.1", "version-not-found"}
