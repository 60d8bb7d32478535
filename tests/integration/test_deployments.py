"""Deployment, rollout and download: who may have which bytes, what a service serves, and what its deployer says of it."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.registry.app import build_app
from services.registry.settings import RegistrySettings
from shared.messages import (
    CommandRefused,
    DeleteVersion,
    DeploymentFailed,
    DeploymentReady,
    DeploymentRequested,
    DeploymentStarted,
    DeploymentStopped,
    DeployVersion,
    DownloadGranted,
    DownloadVersion,
    RollOut,
    RolloutRequested,
    VersionDeleted,
    VersionRestricted,
)
from shared.values import FromAutoLearning, FromStorage, Package, Reason, Restriction
from tests.integration.registering import (
    answers,
    ask,
    command,
    does,
    now,
    refused,
    register,
    report,
    shown,
)
from tests.integration.system import Service, System
from tests.samples import a_file, a_package, an_import, at, digest

AUTO = "version:0/auto@0.0.1"
REAL_TIME = {"service": "search", "mode": "real-time"}


@pytest.fixture
async def registry(bare_system: System) -> System:
    """The registry runs, alone."""
    await bare_system.start("registry")
    return bare_system


def weights(**by_number: int) -> tuple[dict[str, Any], ...]:
    """v1=90 means 90 percent to 0.0.1."""
    return tuple({"version": f"0.0.{name[1:]}", "weight": weight} for name, weight in by_number.items())


async def serving(registry: System) -> list[tuple[str, int, str]]:
    service = await ask(registry, "deployment.get", service="search")
    return [(one["version"], one["weight"], one["state"]) for one in service["versions"]]


async def test_a_service_is_asked_to_serve_a_version_and_may_fetch_its_bytes(registry: System):
    await register(registry, "0.0.1")

    requested = await does(registry, DeployVersion, **REAL_TIME, why="launch")

    assert isinstance(requested, DeploymentRequested)
    grant = requested.grant
    assert (requested.service, requested.mode, requested.version, requested.ordinal) == (
        "search",
        "real-time",
        "0.0.1",
        1,
    )
    assert (grant.service, grant.package_digest) == ("search", a_package().digest)
    assert grant.expires_at - requested.envelope.time == timedelta(seconds=900)
    assert await ask(registry, "grant.get", grant=grant.id) == {
        **grant.model_dump(mode="json"),
        "workspace": "0",
        "model": "resnet",
        "version": "0.0.1",
    }
    service = await ask(registry, "deployment.get", service="search")
    assert (service["model"], service["mode"]) == ("resnet", "real-time")
    assert await serving(registry) == [("0.0.1", 100, "requested")]
    [listed] = (await shown(registry))["services"]
    assert (listed["service"], listed["state"], listed["weight"]) == ("search", "requested", 100)


async def test_what_deployers_say_is_what_a_service_is_in_whatever_order_it_is_heard(registry: System):
    await register(registry, "0.0.1")
    await does(registry, DeployVersion, **REAL_TIME)
    since = now()

    def after(seconds: float) -> datetime:
        return since + timedelta(seconds=seconds)

    await registry.say(report(DeploymentReady, time=after(2), message="3 replicas"))
    await registry.say(report(DeploymentStarted, time=after(1)))
    await registry.quiet()
    ready = (await shown(registry))["services"]
    await registry.say(report(DeploymentFailed, time=after(4), message="out of memory"))
    await registry.say(report(DeploymentReady, time=after(3)))
    await registry.quiet()
    failed = (await shown(registry))["services"]

    assert [(one["state"], one["message"]) for one in ready] == [("ready", "3 replicas")]
    assert [(one["state"], one["message"]) for one in failed] == [("failed", "out of memory")]


async def test_traffic_is_divided_and_what_is_not_named_goes_when_its_deployer_says_so(registry: System):
    await register(registry, "0.0.1", "0.0.2", "0.0.3")
    await does(registry, DeployVersion, **REAL_TIME)
    await registry.say(report(DeploymentReady))
    await registry.quiet()

    rolled = await does(registry, RollOut, service="search", weights=weights(v2=10, v3=90))
    during = await serving(registry)
    await registry.say(report(DeploymentStopped))
    await registry.say(report(DeploymentReady, version="0.0.3"))
    await registry.quiet()

    assert isinstance(rolled, RolloutRequested)
    assert [(one.version, one.weight, one.grant.service) for one in rolled.targets] == [
        ("0.0.2", 10, "search"),
        ("0.0.3", 90, "search"),
    ]
    assert len({one.grant.id for one in rolled.targets}) == 2
    assert during == [("0.0.1", 0, "ready"), ("0.0.2", 10, "requested"), ("0.0.3", 90, "requested")]
    assert await serving(registry) == [("0.0.2", 10, "requested"), ("0.0.3", 90, "ready")]
    assert (await shown(registry))["services"] == []


async def test_a_deployment_to_a_service_that_is_there_replaces_what_it_serves(registry: System):
    await register(registry, "0.0.1", "0.0.2")
    await does(registry, DeployVersion, **REAL_TIME)

    await does(registry, DeployVersion, **REAL_TIME, version="0.0.2")

    assert await serving(registry) == [("0.0.2", 100, "requested")]


async def test_a_redelivery_repeats_the_very_same_grant(registry: System):
    await register(registry, "0.0.1")
    asked = command(DownloadVersion)
    await registry.say(asked)
    [first] = await answers(registry, asked)
    await registry.restart("registry")
    part = registry.running[0].app.context

    from services.registry.answering import answers as decided  # noqa: PLC0415 - two functions of one name

    [again] = await decided(asked, part.get("changes"), part.get("moment"))

    assert isinstance(first, DownloadGranted)
    assert again == first
    assert first.grant.service is None


UNKNOWN = [
    ({"model": "no name"}, Reason.INVALID_NAME, "model 'no name': expected"),
    ({"workspace": "a.b"}, Reason.INVALID_WORKSPACE, "workspace 'a.b': expected"),
    ({"model": "bert"}, Reason.MODEL_NOT_FOUND, "there is no model 'bert' in workspace '0'"),
    ({"version": "9.9.9"}, Reason.VERSION_NOT_FOUND, "resnet has no version 9.9.9"),
    ({"version": "champion"}, Reason.INVALID_VERSION, "version 'champion': expected N.N.N"),
    ({"version": "0.0.9"}, Reason.VERSION_DELETED, "resnet 0.0.9 was deleted by 'operator' on "),
    ({"model": "suspect"}, Reason.VERSION_QUARANTINED, "suspect 0.0.1 is in quarantine: expected one that was released"),
]  # fmt: skip
ROLLOUTS: list[tuple[dict[str, Any], Reason, str]] = [
    ({"weights": ()}, Reason.INVALID_WEIGHTS, "0 versions: expected 1 to 20"),
    ({"weights": weights(**{f"v{n}": 1 for n in range(1, 22)})}, Reason.INVALID_WEIGHTS, "21 versions: expected 1 to 20"),
    ({"weights": weights(v1=60, v2=30)}, Reason.INVALID_WEIGHTS, "the weights sum to 90: expected 100"),
    ({"weights": weights(v1=101)}, Reason.INVALID_WEIGHTS, "weight '101' of version '0.0.1': expected 1 to 100"),
    ({"weights": weights(v1=110, v2=-10)}, Reason.INVALID_WEIGHTS, "weight '110' of version '0.0.1': expected 1 to 100"),
    ({"weights": weights(v1=100, v2=0)}, Reason.INVALID_WEIGHTS, "weight '0' of version '0.0.2': expected 1 to 100"),
    ({"weights": (*weights(v1=50), *weights(v1=50))}, Reason.VERSION_TWICE, "version '0.0.1' is there twice"),
    ({"weights": weights(v1=50, v8=50)}, Reason.VERSION_NOT_FOUND, "resnet has no version 0.0.8"),
    ({"weights": weights(v1=50, v9=50)}, Reason.VERSION_DELETED, "resnet 0.0.9 was deleted by"),
    ({"service": "nowhere"}, Reason.SERVICE_NOT_FOUND, "there is no service 'nowhere' in workspace '0': expected one"),
    ({"service": "a b"}, Reason.INVALID_SERVICE, "service 'a b': expected 1 to 64 letters"),
    ({"service": "nightly"}, Reason.INVALID_MODE, "service 'nightly' is batch: expected real-time for a rollout"),
    ({"service": "other"}, Reason.SERVICE_OF_ANOTHER_MODEL, "service 'other' serves model 'bertha': expected that, not 'resnet'"),
    ({"service": "online", "model": "suspect"}, Reason.SERVICE_OF_ANOTHER_MODEL, "service 'online' serves model 'resnet'"),
]  # fmt: skip
REFUSED: list[tuple[type, dict[str, Any], Reason, str]] = [
    *((DeployVersion, {**REAL_TIME, **named}, reason, message) for named, reason, message in UNKNOWN),
    *((DownloadVersion, named, reason, message) for named, reason, message in UNKNOWN),
    *((RollOut, {"service": "online", "weights": weights(v1=100), **f}, reason, m) for f, reason, m in ROLLOUTS),
    (DeployVersion, {**REAL_TIME, "service": "a/b"}, Reason.INVALID_SERVICE, "service 'a/b': expected 1 to 64 letters"),
    (DeployVersion, {**REAL_TIME, "mode": "edge"}, Reason.INVALID_MODE, "mode 'edge': expected real-time or batch"),
    (DeployVersion, {"service": "online", "mode": "batch"}, Reason.INVALID_MODE, "service 'online' is real-time: expected that"),
    (DeployVersion, {**REAL_TIME, "service": "other"}, Reason.SERVICE_OF_ANOTHER_MODEL, "service 'other' serves model 'bertha'"),
    (
        DeployVersion,
        {"service": "s", "mode": "batch", "model": "online-only"},
        Reason.DEPLOYMENT_TYPE_NOT_ALLOWED,
        "online-only 0.0.1 may be deployed as real-time: not as batch",
    ),
    (DownloadVersion, {"model": "auto"}, Reason.VERSION_RESTRICTED, "auto 0.0.1 was made by automatic learning"),
    (
        DownloadVersion,
        {"model": "child"},
        Reason.VERSION_RESTRICTED,
        "child 0.0.1 descends from 'version:0/auto@0.0.1', made by automatic learning: expected `modelkin lift` first",
    ),
    (DownloadVersion, {"model": "same"}, Reason.VERSION_RESTRICTED, "same 0.0.1 has bytes of auto 0.0.1"),
    (DownloadVersion, {"model": "placed"}, Reason.KEPT_IN_PLACE, "the bytes of placed 0.0.1 were left in place"),
]  # fmt: skip


async def test_what_cannot_be_done_is_refused_by_its_own_rule(registry: System):
    auto = {"source": FromAutoLearning(location="f", project="p", run="V001"), "package": a_package("b")}
    in_place = Package(**{**a_package("c").model_dump(), "in_place": True})
    await register(registry, "0.0.1", "0.0.2", "0.0.9")
    await register(registry, "0.0.1", model="bertha")
    await register(registry, "0.0.1", "0.0.9", model="suspect", restrictions=(Restriction.QUARANTINE,))
    await register(registry, "0.0.1", model="online-only", deployment_types=("real-time",))
    await register(registry, "0.0.1", model="auto", restrictions=(Restriction.AUTO_LEARNING,), **auto)
    await register(registry, "0.0.1", model="same", package=a_package("b"))
    await register(registry, "0.0.1", model="child", restricted_by=(AUTO,), package=a_package("d"))
    await register(registry, "0.0.1", model="placed", package=in_place, source=FromStorage(location="s3://b/placed"))
    await does(registry, DeleteVersion, version="0.0.9")
    await does(registry, DeployVersion, service="online", mode="real-time")
    await does(registry, DeployVersion, service="nightly", mode="batch")
    await does(registry, DeployVersion, service="other", mode="real-time", model="bertha")

    for kind, fields, reason, message in REFUSED:
        came = await refused(registry, kind, **fields)
        assert came[0] is reason, (kind, fields, came)
        assert came[1].startswith(message), (kind, fields, came)

    assert await registry.all_of(DownloadGranted) == []
    assert await registry.dead_letters() == []


async def test_a_model_by_automatic_learning_is_deployed_though_never_downloaded(registry: System):
    auto = FromAutoLearning(location="file:///auto", project="flowers", run="V001")
    await register(registry, "0.0.1", source=auto, restrictions=(Restriction.AUTO_LEARNING,))

    requested = await does(registry, DeployVersion, **REAL_TIME)

    assert isinstance(requested, DeploymentRequested)
    assert (await ask(registry, "grant.get", grant=requested.grant.id))["service"] == "search"


REPORTS: list[tuple[dict[str, str], Reason, str]] = [
    ({"service": "nowhere"}, Reason.SERVICE_NOT_FOUND, "there is no service 'nowhere' in workspace '0'"),
    ({"workspace": "vision"}, Reason.SERVICE_NOT_FOUND, "there is no service 'search' in workspace 'vision'"),
    ({"model": "bert"}, Reason.SERVICE_NOT_FOUND, "service 'search' serves model 'resnet', not 'bert'"),
    ({"version": "0.0.2"}, Reason.VERSION_NOT_FOUND, "service 'search' was never asked to serve resnet 0.0.2"),
    ({"service": "a b"}, Reason.INVALID_SERVICE, "service 'a b': expected 1 to 64 letters"),
    ({"version": "x" * 500}, Reason.INVALID_VERSION, f"version '{'x' * 80}…': expected N.N.N"),
    ({"model": ""}, Reason.INVALID_NAME, "model '': expected 1 to 64 letters"),
    ({"workspace": "$$"}, Reason.INVALID_WORKSPACE, "workspace '$$': expected 1 to 64 letters"),
]


async def test_a_report_on_what_nobody_asked_for_is_refused(registry: System):
    await register(registry, "0.0.1", "0.0.2")
    await does(registry, DeployVersion, **REAL_TIME)

    for fields, reason, message in REPORTS:
        said = report(DeploymentReady, **fields)
        await registry.say(said)
        [answer] = await answers(registry, said)
        assert isinstance(answer, CommandRefused)
        assert (answer.command, answer.reason) == (DeploymentReady.address, reason)
        assert answer.message.startswith(message), answer.message

    assert await serving(registry) == [("0.0.1", 100, "requested")]


async def test_one_service_asked_for_by_two_models_at_once_belongs_to_one_of_them(registry: System):
    await registry.start("registry")
    models = [f"model-{n}" for n in range(8)]
    for model in models:
        await register(registry, "0.0.1", model=model)

    asked = [command(DeployVersion, model=model, **REAL_TIME) for model in models]
    await asyncio.gather(*(registry.say(one) for one in asked))
    came = [(await answers(registry, one))[0] for one in asked]

    assert sorted(type(one).__name__ for one in came) == ["CommandRefused"] * 7 + ["DeploymentRequested"]
    assert {one.reason for one in came if isinstance(one, CommandRefused)} == {Reason.SERVICE_OF_ANOTHER_MODEL}


async def test_of_deployment_and_deletion_of_one_version_at_once_exactly_one_wins(registry: System):
    await registry.start("registry")
    numbers = [f"0.0.{n}" for n in range(1, 11)]
    await register(registry, *numbers)

    deploys = [command(DeployVersion, version=one, service=f"s-{one[4:]}", mode="real-time") for one in numbers]
    deletions = [command(DeleteVersion, version=one) for one in numbers]
    pairs = zip(deploys, deletions, strict=True)
    await asyncio.gather(*(registry.say(one) for pair in pairs for one in pair))
    deployed = {
        one.version
        for asked in deploys
        for one in await answers(registry, asked)
        if isinstance(one, DeploymentRequested)
    }
    deleted = {
        one.version for asked in deletions for one in await answers(registry, asked) if isinstance(one, VersionDeleted)
    }

    assert deployed | deleted == set(numbers)
    assert not deployed & deleted


class Clock:
    def __init__(self) -> None:
        self.time = now()

    def __call__(self) -> datetime:
        return self.time


async def with_clock(system: System, clock: Callable[[], datetime], **settings: Any) -> None:
    wired = RegistrySettings(
        nats_url=system.nats_url, mongo_uri=system.mongo_uri, mongo_database=system.database, **settings
    )
    service = Service("registry", build_app(wired, clock))
    system.running.append(service)
    await service.start()


async def test_a_grant_ends_with_its_time_its_version_and_what_may_be_downloaded(bare_system: System):
    clock = Clock()
    await with_clock(bare_system, clock, grant_lifetime_s=60)
    await register(bare_system, "0.0.1", "0.0.2", "0.0.3")
    grants = {}
    for number in ("0.0.1", "0.0.2", "0.0.3"):
        granted = await does(bare_system, DownloadVersion, version=number)
        assert isinstance(granted, DownloadGranted)
        grants[number] = granted.grant.id

    async def error(grant: str) -> str | None:
        return (await ask(bare_system, "grant.get", grant=grant)).get("error")

    assert [await error(grant) for grant in grants.values()] == [None, None, None]
    await does(bare_system, DeleteVersion, version="0.0.2")
    await bare_system.say(an_import("x").answer(VersionRestricted, at(9), version="0.0.3", restricted_by=(AUTO,)))
    await bare_system.quiet()
    assert [await error(grant) for grant in grants.values()] == [None, "version-deleted", "version-restricted"]
    clock.time += timedelta(seconds=61)
    assert [await error(grant) for grant in grants.values()] == ["grant-expired"] * 3
    assert await error("nothing") == "grant-not-found"
    assert (await ask(bare_system, "deployment.get", service="nowhere"))["error"] == "service-not-found"


async def test_the_base_that_automatic_learning_began_with_may_be_downloaded_as_before(registry: System):
    weights = a_file("model/base.pt", "e")
    auto = FromAutoLearning(location="f", project="p", run="V001")
    restricted = {"source": auto, "restrictions": (Restriction.AUTO_LEARNING,)}
    await register(registry, "0.0.1", model="base", package=a_package("b", weights))
    await register(
        registry, "0.0.1", model="auto", package=a_package("c", weights, a_file("head.pt", "1")), **restricted
    )

    granted = await does(registry, DownloadVersion, model="base")

    assert granted.grant.package_digest == digest("b")
