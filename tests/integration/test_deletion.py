"""Deletion: guarded by services, one by one, never undone; what is left stays as it was."""

import pytest

from services.registry.answering import answers as decided
from shared.messages import (
    AliasMoved,
    Change,
    CommandRefused,
    DeleteVersion,
    DeletionReported,
    DeploymentReady,
    DeploymentStarted,
    DeploymentStopped,
    DeployVersion,
    MoveAlias,
    RollOut,
    VersionDeleted,
)
from shared.values import Reason
from tests.integration.registering import answers, ask, command, does, refused, register, report, shown
from tests.integration.system import System
from tests.samples import a_package

ONLINE = {"service": "search", "mode": "real-time"}


@pytest.fixture
async def registry(bare_system: System) -> System:
    """The registry runs, alone."""
    await bare_system.start("registry")
    return bare_system


async def deletes(registry: System, **fields: object) -> list[str]:
    """What is said because of a deletion, in short."""
    asked = command(DeleteVersion, **fields)
    await registry.say(asked)
    return [short(one) for one in await answers(registry, asked)]


def short(event: object) -> str:
    match event:
        case AliasMoved():
            return f"{event.ordinal} {event.alias} {event.old}->{event.new} ({event.why})"
        case VersionDeleted():
            return f"{event.ordinal} {event.version} deleted, {event.deletions} in all"
        case DeletionReported():
            failed = [f"{one.version} {one.reason}" for one in event.failed]
            return f"deleted {list(event.deleted)} failed {failed} left {event.left}"
        case CommandRefused():
            return f"{event.reason}: {event.message}"
    raise AssertionError(event)


async def test_a_version_goes_after_its_aliases_and_can_still_be_shown(registry: System):
    await register(registry, "0.0.1", "0.0.2")
    await does(registry, MoveAlias, alias="champion", version="0.0.2")
    await does(registry, MoveAlias, alias="best", version="0.0.2")

    said = await deletes(registry, version="0.0.2", why="too slow")

    assert said == [
        "3 best 0.0.2->None (0.0.2 was deleted)",
        "4 champion 0.0.2->None (0.0.2 was deleted)",
        "5 0.0.2 deleted, 1 in all",
        "deleted ['0.0.2'] failed [] left 1",
    ]
    [event] = await registry.all_of(VersionDeleted)
    assert (event.import_id, event.package_digest, event.why) == ("of-resnet-0.0.2", a_package().digest, "too slow")
    details = await shown(registry, "0.0.2")
    assert (details["status"], details["downloadable"], details["deployable"]) == ("deleted", False, False)
    assert (details["deletion"]["deleted_by"], details["deletion"]["why"]) == ("operator", "too slow")
    assert (await shown(registry, None))["version"] == "0.0.1"
    assert (await shown(registry, "champion"))["error"] == "alias-not-found"
    model = await ask(registry, "model.get", model="resnet")
    assert (model["versions"], model["deleted"], model["latest"]) == (2, 1, "0.0.1")


async def test_deleting_twice_says_so(registry: System):
    await register(registry, "0.0.1")
    await does(registry, DeleteVersion)

    reason, message = await refused(registry, DeleteVersion)

    assert reason is Reason.VERSION_DELETED
    assert message.startswith("resnet 0.0.1 was deleted by 'operator' on 20")
    assert (await shown(registry, None))["error"] == "version-not-found"


@pytest.mark.parametrize(
    ("fields", "reason", "message"),
    [
        ({"version": None}, Reason.INVALID_VERSION, "neither a version nor cascade: expected a version, or cascade"),
        ({"version": "1"}, Reason.INVALID_VERSION, "version '1': expected N.N.N"),
        ({"version": "9.9.9"}, Reason.VERSION_NOT_FOUND, "resnet has no version 9.9.9: expected one that is registered"),
        ({"version": "9.9.9", "cascade": True}, Reason.VERSION_NOT_FOUND, "resnet has no version 9.9.9: expected one"),
        ({"version": "x", "cascade": True}, Reason.INVALID_VERSION, "version 'x': expected N.N.N"),
        ({"model": "bert"}, Reason.MODEL_NOT_FOUND, "there is no model 'bert' in workspace '0'"),
        ({"model": "bert", "version": None, "cascade": True}, Reason.MODEL_NOT_FOUND, "there is no model 'bert'"),
        ({"model": "a b", "version": None, "cascade": True}, Reason.INVALID_NAME, "model 'a b': expected 1 to 64"),
        ({"workspace": "a b"}, Reason.INVALID_WORKSPACE, "workspace 'a b': expected 1 to 64"),
    ],
)  # fmt: skip
async def test_what_cannot_be_deleted_is_refused(registry: System, fields: dict, reason: Reason, message: str):
    await register(registry, "0.0.1")

    came = await refused(registry, DeleteVersion, **fields)

    assert came[0] is reason
    assert came[1].startswith(message)
    assert await registry.all_of(VersionDeleted) == []


async def test_a_version_with_a_service_stays_until_its_deployer_says_that_it_stopped(registry: System):
    await register(registry, "0.0.1", "0.0.2")
    await does(registry, MoveAlias, alias="champion")
    await does(registry, DeployVersion, **ONLINE)
    refusal = "version-deployed: resnet 0.0.1 is deployed as 'search': expected it to be stopped there first"

    assert await deletes(registry) == [refusal]
    await registry.say(report(DeploymentStarted))
    await registry.quiet()
    assert await deletes(registry) == [refusal]
    await registry.say(report(DeploymentReady))
    await registry.quiet()
    await does(registry, RollOut, service="search", weights=({"version": "0.0.2", "weight": 100},))
    assert await deletes(registry) == [refusal]
    assert (await shown(registry, "champion"))["version"] == "0.0.1"
    await registry.say(report(DeploymentStopped))
    await registry.quiet()
    assert await deletes(registry) == [
        "4 champion 0.0.1->None (0.0.1 was deleted)",
        "5 0.0.1 deleted, 1 in all",
        "deleted ['0.0.1'] failed [] left 1",
    ]


async def test_what_was_asked_for_and_taken_back_before_it_started_can_be_deleted(registry: System):
    await register(registry, "0.0.1", "0.0.2")
    await does(registry, DeployVersion, **ONLINE)
    await does(registry, DeployVersion, **ONLINE, version="0.0.2")

    assert await deletes(registry) == ["3 0.0.1 deleted, 1 in all", "deleted ['0.0.1'] failed [] left 1"]


async def test_cascade_deletes_every_version_but_those_in_service_and_says_what_became_of_each(registry: System):
    await register(registry, "0.0.10", "0.0.9", "1.0.0")
    await does(registry, DeployVersion, **ONLINE, version="0.0.10")

    said = await deletes(registry, version=None, cascade=True)

    assert said == [
        "2 0.0.9 deleted, 1 in all",
        "3 1.0.0 deleted, 2 in all",
        "deleted ['0.0.9', '1.0.0'] failed ['0.0.10 version-deployed'] left 1",
    ]


async def test_cascade_takes_twenty_versions_at_a_time_lowest_first(registry: System):
    numbers = [f"0.0.{number}" for number in range(45)]
    await register(registry, *numbers)

    async def taken() -> tuple[int, str, str]:
        *_, report_ = await deletes(registry, version="0.0.0", cascade=True)
        last = (await registry.all_of(DeletionReported))[-1]
        return len(last.deleted), last.deleted[0], report_.rsplit(" ", 1)[1]

    assert [await taken() for _ in range(3)] == [(20, "0.0.0", "25"), (20, "0.0.20", "5"), (5, "0.0.40", "0")]
    assert await deletes(registry, version=None, cascade=True) == [
        "version-deleted: every version of resnet was deleted already"
    ]


async def test_a_deletion_whose_process_died_half_way_goes_on_where_it_came_to(registry: System):
    await register(registry, "0.0.1", "0.0.2", "0.0.3")
    await does(registry, MoveAlias, alias="champion", version="0.0.2")
    asked = command(DeleteVersion, version=None, cascade=True)
    part = registry.running[0].app.context
    changes, moment = part.get("changes"), part.get("moment")

    for dies_at in range(1, 4):
        with pytest.raises(RuntimeError):
            await decided(asked, Dying(changes, dies_at), moment)
    await registry.say(asked)
    said = [short(one) for one in await answers(registry, asked)]

    assert said == [
        "2 0.0.1 deleted, 1 in all",
        "3 champion 0.0.2->None (0.0.2 was deleted)",
        "4 0.0.2 deleted, 2 in all",
        "5 0.0.3 deleted, 3 in all",
        "deleted ['0.0.1', '0.0.2', '0.0.3'] failed [] left 0",
    ]


class Dying:
    """A store that does one more thing, and then nothing."""

    def __init__(self, changes: object, after: int) -> None:
        self._changes = changes
        self._left = 1 if after else 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._changes, name)

    async def append(self, change: Change) -> bool:
        if not self._left:
            raise RuntimeError("died")
        self._left -= 1
        return await self._changes.append(change)  # type: ignore[attr-defined]


async def test_the_number_of_a_deleted_version_stays_its_own_and_its_model_is_listed_by_what_is_left(registry: System):
    await register(registry, "0.0.1", "0.0.2")
    await does(registry, DeleteVersion, version="0.0.2")

    listed = await ask(registry, "version.list", model="resnet")
    gone = await ask(registry, "version.list", model="resnet", status="deleted")

    assert [one["version"] for one in listed["versions"]] == ["0.0.1"]
    assert [(one["version"], one["status"]) for one in gone["versions"]] == [("0.0.2", "deleted")]
