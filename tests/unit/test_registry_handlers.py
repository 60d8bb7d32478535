"""The registry's handlers: two halves make a version, in either order; what is whole can be asked for."""

from datetime import datetime
from typing import Any

import pytest

from services.registry import handlers
from services.registry.domain import RegisteredVersion, release
from shared.contents import Contents, ModelFile, UnsafeFile
from shared.errors import Malformed, NotFound, Transient
from shared.messages import (
    CommandRefused,
    Message,
    ModelImported,
    ModelRegistered,
    ReleaseVersion,
    VersionAssigned,
    VersionRefused,
    VersionReleased,
)
from shared.naming import VersionNumber
from shared.queries import (
    GetImport,
    GetModel,
    GetVersion,
    ImportStatus,
    ListModels,
    ListVersions,
    ModelSummary,
    Release,
    VersionDetails,
    VersionSummary,
)
from shared.values import (
    Document,
    FromAutoLearning,
    FromImage,
    FromJob,
    FromStorage,
    FromTemplate,
    Image,
    Job,
    Reason,
    Restriction,
    Source,
    Specs,
    TemplateInput,
)
from tests.fakes import InMemoryModelStore, RecordingEvents
from tests.samples import NOON, a_refusal, a_release, a_release_command, an_assignment, an_import, at, digest

QUARANTINED = (Restriction.QUARANTINE,)
AUTO_LEARNING = (Restriction.AUTO_LEARNING,)
BOTH = (Restriction.AUTO_LEARNING, Restriction.QUARANTINE)


class Registry:
    """The service without its wires. Its clock goes on by a second with each look at it."""

    def __init__(self) -> None:
        self.store = InMemoryModelStore()
        self.events = RecordingEvents()
        self.seconds = 100

    def now(self) -> datetime:
        self.seconds += 1
        return at(self.seconds)

    async def hears(self, *heard: Message) -> None:
        for event in heard:
            match event:
                case ModelImported():
                    await handlers.on_model_imported(event, self.store, self.events)
                case VersionAssigned():
                    await handlers.on_version_assigned(event, self.store, self.events)
                case VersionRefused():
                    await handlers.on_version_refused(event, self.store)
                case VersionReleased():
                    await handlers.on_version_released(event, self.store)
                case ReleaseVersion():
                    await handlers.on_release_version(event, self.store, self.events, self.now)

    async def registers(self, model: str, *versions: str, **changes: Any) -> None:
        for ordinal, version in enumerate(versions, start=1):
            imported = an_import(f"{model}-{version}", model=model, **changes)
            await self.hears(imported, an_assignment(imported, version, ordinal, time=at(ordinal)))

    async def answers(self, command: ReleaseVersion) -> Message:
        """What is said when the command is heard."""
        await self.hears(command)
        return self.events.said[-1]

    async def details(self, model: str = "resnet", version: str | None = None) -> VersionDetails:
        return await handlers.on_get_version(GetVersion(model=model, version=version), self.store)


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.mark.parametrize("first", ["import", "number"])
async def test_a_version_is_registered_when_both_halves_are_there_whichever_came_first(registry: Registry, first: str):
    imported = an_import()
    halves: list[Message] = [imported, an_assignment(imported)]

    await registry.hears(*(halves if first == "import" else reversed(halves)))

    [event] = registry.events.said
    assert event == ModelRegistered(
        envelope=an_assignment(imported).envelope.of_answer(
            "modelkin.evt.v1.model.registered", "modelkin/registry", at(1)
        ),
        workspace="0",
        model="resnet",
        import_id="of-import-1",
        version="0.0.1",
        package_digest=digest("a"),
        size_bytes=3,
    )


async def test_half_a_version_says_nothing_and_cannot_be_seen(registry: Registry):
    await registry.hears(an_import("import-1"))
    await registry.hears(an_assignment(an_import("import-2", model="bert")))

    assert registry.events.said == []
    assert (await handlers.on_list_models(ListModels(), registry.store)).models == ()


async def test_redeliveries_say_the_very_same_event_again(registry: Registry):
    imported = an_import()
    assigned = an_assignment(imported)

    await registry.hears(imported, assigned, imported, assigned)

    assert len(registry.events.said) == 3
    assert len(set(map(repr, registry.events.said))) == 1


async def test_halves_of_different_imports_do_not_make_a_version(registry: Registry):
    await registry.hears(an_import("import-1"), an_assignment(an_import("import-2")))

    assert registry.events.said == []


async def test_the_versions_details_are_all_that_was_imported(registry: Registry):
    imported = an_import(parameters={"a.b": 1}, metrics={"f1": 0.75})
    await registry.hears(imported, an_assignment(imported))

    details = await handlers.on_get_version(GetVersion(model="resnet", version="0.0.1"), registry.store)

    assert details == VersionDetails(
        workspace="0",
        model="resnet",
        version="0.0.1",
        status="published",
        import_id="of-import-1",
        requested_by="trainer",
        imported_at=at(0),
        registered_at=at(1),
        source=imported.source,
        package=imported.package,
        parameters={"a.b": 1},
        metrics={"f1": 0.75},
    )


async def test_without_a_number_the_highest_version_is_meant(registry: Registry):
    await registry.registers("resnet", "0.0.9", "0.0.10", "0.0.2")

    details = await handlers.on_get_version(GetVersion(model="resnet"), registry.store)

    assert details.version == "0.0.10"


async def test_a_model_is_summed_up(registry: Registry):
    await registry.registers("resnet", "0.0.1", "2.0.0", "1.0.0")

    summary = await handlers.on_get_model(GetModel(model="resnet"), registry.store)

    assert summary == ModelSummary(
        workspace="0", model="resnet", versions=3, latest="2.0.0", created_at=at(1), updated_at=at(3)
    )


async def test_versions_are_listed_lowest_first(registry: Registry):
    await registry.registers("resnet", "0.0.10", "0.0.9", metrics={"f1": 0.75})

    page = await handlers.on_list_versions(ListVersions(model="resnet"), registry.store)

    assert [version.version for version in page.versions] == ["0.0.9", "0.0.10"]
    assert page.versions[1] == VersionSummary(
        version="0.0.10",
        registered_at=at(1),
        package_digest=digest("a"),
        size_bytes=3,
        metrics={"f1": 0.75},
        job="job-7@V001",
    )
    assert page.next is None


async def test_versions_are_paged_by_number(registry: Registry):
    await registry.registers("resnet", "0.0.9", "0.0.10", "0.0.11")

    first = await handlers.on_list_versions(ListVersions(model="resnet", limit=2), registry.store)
    second = await handlers.on_list_versions(ListVersions(model="resnet", limit=2, after=first.next), registry.store)

    assert ([version.version for version in first.versions], first.next) == (["0.0.9", "0.0.10"], "0.0.10")
    assert ([version.version for version in second.versions], second.next) == (["0.0.11"], None)


async def test_models_are_paged_by_name(registry: Registry):
    for model in ("cnn", "模型", "ann", "bert"):
        await registry.registers(model, "0.0.1")

    first = await handlers.on_list_models(ListModels(limit=3), registry.store)
    second = await handlers.on_list_models(ListModels(limit=3, after=first.next or ""), registry.store)

    assert ([model.model for model in first.models], first.next) == (["ann", "bert", "cnn"], "cnn")
    assert ([model.model for model in second.models], second.next) == (["模型"], None)


async def test_a_last_page_that_is_full_leads_to_an_empty_one(registry: Registry):
    await registry.registers("resnet", "0.0.1", "0.0.2")

    full = await handlers.on_list_versions(ListVersions(model="resnet", limit=2), registry.store)
    empty = await handlers.on_list_versions(ListVersions(model="resnet", limit=2, after=full.next), registry.store)

    assert full.next == "0.0.2"
    assert (empty.versions, empty.next) == ((), None)


async def test_a_workspace_has_models_of_its_own(registry: Registry):
    await registry.registers("resnet", "0.0.1", workspace="vision")

    assert (await handlers.on_list_models(ListModels(), registry.store)).models == ()
    [model] = (await handlers.on_list_models(ListModels(workspace="vision"), registry.store)).models
    assert (model.workspace, model.model) == ("vision", "resnet")


@pytest.mark.parametrize(
    ("handler", "query"),
    [
        (handlers.on_get_model, GetModel(model="bert")),
        (handlers.on_list_versions, ListVersions(model="bert")),
        (handlers.on_get_version, GetVersion(model="bert")),
        (handlers.on_get_version, GetVersion(model="bert", version="0.0.1")),
    ],
)
async def test_a_model_that_is_not_there_is_not_found(registry: Registry, handler: Any, query: Any):
    await registry.registers("resnet", "0.0.1")

    with pytest.raises(NotFound) as caught:
        await handler(query, registry.store)

    assert caught.value.code == "model-not-found"
    assert str(caught.value) == "there is no model 'bert' in workspace '0'"


async def test_a_version_that_is_not_there_is_not_found_and_the_latest_is_named(registry: Registry):
    await registry.registers("resnet", "0.0.1", "0.0.2")

    with pytest.raises(NotFound) as caught:
        await handlers.on_get_version(GetVersion(model="resnet", version="0.0.3"), registry.store)

    assert caught.value.code == "version-not-found"
    assert str(caught.value) == "resnet has no version 0.0.3; its latest is 0.0.2"


@pytest.mark.parametrize(
    ("handler", "query"),
    [
        (handlers.on_get_version, GetVersion(model="resnet", version="1.0")),
        (handlers.on_list_versions, ListVersions(model="resnet", after="1.0")),
    ],
)
async def test_a_number_that_is_none_is_malformed(registry: Registry, handler: Any, query: Any):
    await registry.registers("resnet", "0.0.1")

    with pytest.raises(Malformed) as caught:
        await handler(query, registry.store)

    assert str(caught.value) == "version '1.0': expected N.N.N, each N from 0 to 99 without a leading zero"


async def test_an_import_is_followed_to_its_version(registry: Registry):
    imported = an_import()
    question = GetImport(import_id="of-import-1")

    await registry.hears(imported)
    before = await handlers.on_get_import(question, registry.store)
    await registry.hears(an_assignment(imported))
    after = await handlers.on_get_import(question, registry.store)

    about = {"import_id": "of-import-1", "workspace": "0", "model": "resnet"}
    assert before == ImportStatus(**about, status="publishing")
    assert after == ImportStatus(**about, status="published", version="0.0.1")


async def test_an_import_that_gets_no_version_has_failed_and_says_why(registry: Registry):
    imported = an_import()

    await registry.hears(imported, a_refusal(imported))

    assert await handlers.on_get_import(GetImport(import_id="of-import-1"), registry.store) == ImportStatus(
        import_id="of-import-1",
        workspace="0",
        model="resnet",
        status="failed",
        reason="version-exists",
        message="resnet has a version 0.0.1 already",
    )


async def test_an_import_that_the_registry_has_not_heard_of_is_not_found(registry: Registry):
    with pytest.raises(NotFound) as caught:
        await handlers.on_get_import(GetImport(import_id="nowhere"), registry.store)

    assert caught.value.code == "import-not-found"
    assert str(caught.value) == "no import nowhere has reached the registry"


SOURCES: list[Source] = [
    FromJob(location="file:///models/run-7", job=Job(id="job-7", version="V001"), built_in_algorithm="resnet_v1_50"),
    FromStorage(location="s3://models/resnet"),
    FromTemplate(template="t", inputs=(TemplateInput(input_id="i", location="s3://b/one"),), mode="undefined"),
    FromImage(image="registry.example/serve:1", config_location="s3://b/config.json"),
    FromAutoLearning(location="s3://auto/flowers", project="flowers", run="V001"),
]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.method)
async def test_a_version_says_by_which_method_and_from_where_it_came(registry: Registry, source: Source):
    await registry.registers("resnet", "0.0.1", source=source)

    [version] = (await handlers.on_list_versions(ListVersions(model="resnet"), registry.store)).versions
    assert version.method == source.method
    assert version.job == ("job-7@V001" if source.method == "training-job" else None)
    assert (await registry.details()).source == source


async def test_a_version_says_everything_that_its_import_said(registry: Registry):
    facts: dict[str, Any] = {
        "labels": ("nightly", "图像"),
        "description": "every night",
        "documents": (Document(name="paper", url="https://docs.example/resnet"),),
        "deployment_types": ("batch",),
        "minimum_specs": Specs(cpu=0.5, memory=2048.0),
        "engine": "PyTorch",
        "runtime": "python3.11",
        "config": {"model_type": "PyTorch"},
        "requirements": ("numpy>=2.0",),
        "inference_code": "model/customize_service.py",
        "image": Image(
            reference="r", digest=digest("1"), media_type="m", platform="linux/amd64", size_bytes=0, layers=()
        ),
        "contents": Contents(files=(ModelFile(path="model/net.onnx", format="onnx"),)),
    }
    await registry.registers("resnet", "0.0.1", **facts)

    details = await registry.details()

    assert {name: getattr(details, name) for name in facts} == facts
    [summary] = (await handlers.on_list_versions(ListVersions(model="resnet"), registry.store)).versions
    assert (summary.engine, summary.labels) == ("PyTorch", ("nightly", "图像"))


@pytest.mark.parametrize(
    ("restrictions", "status", "downloadable", "deployable"),
    [
        ((), "published", True, True),
        (AUTO_LEARNING, "published", False, True),
        (QUARANTINED, "quarantined", False, False),
        (BOTH, "quarantined", False, False),
    ],
)
async def test_what_may_be_done_with_a_version_follows_from_its_restrictions(
    registry: Registry, restrictions: tuple[Restriction, ...], status: str, *, downloadable: bool, deployable: bool
):
    await registry.registers("resnet", "0.0.1", restrictions=restrictions)

    details = await registry.details()

    assert (details.status, details.downloadable, details.deployable) == (status, downloadable, deployable)
    assert (details.restrictions, details.release) == (restrictions, None)
    [summary] = (await handlers.on_list_versions(ListVersions(model="resnet"), registry.store)).versions
    assert summary.restrictions == restrictions


@pytest.mark.parametrize(("restrictions", "left"), [(QUARANTINED, ()), (BOTH, AUTO_LEARNING)])
async def test_a_release_ends_quarantine_and_no_other_restriction(
    registry: Registry, restrictions: tuple[Restriction, ...], left: tuple[Restriction, ...]
):
    unsafe = UnsafeFile(path="model/a.pkl", verdict="unknown", message="imports numpy.load")
    await registry.registers("resnet", "0.0.1", restrictions=restrictions, contents=Contents(unsafe=(unsafe,)))

    answer = await registry.answers(a_release_command())

    assert answer == VersionReleased(
        envelope=a_release_command().envelope.of_answer(
            "modelkin.evt.v1.version.released", "modelkin/registry", at(101)
        ),
        workspace="0",
        model="resnet",
        version="0.0.1",
        released_by="operator",
        why="read by eye",
    )
    details = await registry.details()
    assert (details.status, details.deployable, details.downloadable) == ("published", True, not left)
    assert details.restrictions == left
    assert details.release == Release(released_by="operator", why="read by eye", released_at=at(101))
    assert details.contents.unsafe == (unsafe,)


async def test_a_release_changes_no_other_version(registry: Registry):
    await registry.registers("resnet", "0.0.1", "0.0.2", restrictions=QUARANTINED)

    await registry.hears(a_release_command(version="0.0.1"))

    assert (await registry.details(version="0.0.1")).status == "published"
    assert (await registry.details(version="0.0.2")).status == "quarantined"


async def test_a_command_that_is_delivered_again_is_answered_with_the_very_same_event(registry: Registry):
    await registry.registers("resnet", "0.0.1", restrictions=QUARANTINED)

    first = await registry.answers(a_release_command())

    assert isinstance(first, VersionReleased)
    assert await registry.answers(a_release_command()) == first


async def test_a_command_that_died_before_it_was_answered_is_answered_when_it_is_delivered_again(registry: Registry):
    await registry.registers("resnet", "0.0.1", restrictions=QUARANTINED)
    registry.events.away = True
    with pytest.raises(Transient):
        await registry.hears(a_release_command())
    registry.events.away = False

    answer = await registry.answers(a_release_command())

    assert isinstance(answer, VersionReleased)
    assert answer.envelope.time == at(101)


async def test_a_command_that_was_refused_stays_refused_though_it_would_work_now(registry: Registry):
    early = await registry.answers(a_release_command())
    await registry.registers("resnet", "0.0.1", restrictions=QUARANTINED)

    assert isinstance(early, CommandRefused)
    assert await registry.answers(a_release_command()) == early
    assert (await registry.details(version="0.0.1")).status == "quarantined"


async def test_a_second_command_has_nothing_left_to_release(registry: Registry):
    await registry.registers("resnet", "0.0.1", restrictions=QUARANTINED)
    await registry.hears(a_release_command("release-1"))

    answer = await registry.answers(a_release_command("release-2", why="me too"))

    assert isinstance(answer, CommandRefused)
    assert answer.reason is Reason.NOT_QUARANTINED
    assert answer.message == "resnet 0.0.1 is not in quarantine: there is nothing to release it from"
    assert (answer.command, answer.envelope.cause_id) == ("modelkin.cmd.v1.version.release", "release-2")
    details = await registry.details()
    assert details.release is not None
    assert details.release.why == "read by eye"


@pytest.mark.parametrize("restrictions", [(), AUTO_LEARNING])
async def test_what_is_not_in_quarantine_cannot_be_released_from_it(
    registry: Registry, restrictions: tuple[Restriction, ...]
):
    await registry.registers("resnet", "0.0.1", restrictions=restrictions)

    answer = await registry.answers(a_release_command())

    assert isinstance(answer, CommandRefused)
    assert answer.reason is Reason.NOT_QUARANTINED
    assert (await registry.details()).restrictions == restrictions


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "0.0.2"}, "'resnet' has no version '0.0.2': expected one that is registered"),
        ({"model": "bert"}, "'bert' has no version '0.0.1': expected one that is registered"),
        ({"workspace": "vision"}, "'resnet' has no version '0.0.1': expected one that is registered"),
        ({"version": "1.0"}, "'resnet' has no version '1.0': expected one that is registered"),
        ({"version": ""}, "'resnet' has no version '': expected one that is registered"),
        ({"version": "0.0.1\n"}, "'resnet' has no version '0.0.1\\n': expected one that is registered"),
        ({"model": "a\x00b"}, "'a\\x00b' has no version '0.0.1': expected one that is registered"),
        ({"workspace": "a.b"}, "'resnet' has no version '0.0.1': expected one that is registered"),
    ],
)
async def test_a_version_that_is_not_there_cannot_be_released(
    registry: Registry, changes: dict[str, str], message: str
):
    await registry.registers("resnet", "0.0.1", restrictions=QUARANTINED)
    command = a_release_command(**changes)

    answer = await registry.answers(command)

    assert isinstance(answer, CommandRefused)
    assert (answer.reason, answer.message) == (Reason.VERSION_NOT_FOUND, message)
    assert (answer.workspace, answer.model) == (command.workspace, command.model)
    assert (await registry.details()).status == "quarantined"


async def test_half_a_version_cannot_be_released(registry: Registry):
    await registry.hears(an_import(restrictions=QUARANTINED))

    answer = await registry.answers(a_release_command())

    assert isinstance(answer, CommandRefused)
    assert answer.reason is Reason.VERSION_NOT_FOUND


async def test_a_refusal_of_an_endless_command_is_short(registry: Registry):
    endless = "x" * 900_000
    command = a_release_command(workspace=endless, model=endless, version=endless)

    answer = await registry.answers(command)

    assert isinstance(answer, CommandRefused)
    assert len(answer.body()) < 1000
    assert answer.message == (f"'{'x' * 80}…' has no version '{'x' * 80}…': expected one that is registered")


async def test_of_an_endless_reason_a_thousand_characters_are_kept(registry: Registry):
    await registry.registers("resnet", "0.0.1", restrictions=QUARANTINED)

    answer = await registry.answers(a_release_command(why="图" * 1001))

    assert isinstance(answer, VersionReleased)
    assert answer.why == "图" * 1000


async def test_a_release_that_was_said_is_known_to_a_registry_that_lost_everything_else(registry: Registry):
    await registry.registers("resnet", "0.0.1", restrictions=QUARANTINED)

    await registry.hears(a_release())

    details = await registry.details()
    assert details.status == "published"
    assert details.release == Release(released_by="operator", why="read by eye", released_at=at(2))
    assert [type(event) for event in registry.events.said] == [ModelRegistered]
    assert await registry.answers(a_release_command()) == a_release()


async def test_a_release_that_comes_before_its_version_is_heard_again_later(registry: Registry):
    with pytest.raises(Transient):
        await registry.hears(a_release())

    await registry.registers("resnet", "0.0.1", restrictions=QUARANTINED)
    await registry.hears(a_release())

    assert (await registry.details()).status == "published"


class Overtaken(InMemoryModelStore):
    """Another process releases the version between the look at it and the release."""

    async def version(self, workspace: str, model: str, number: VersionNumber) -> RegisteredVersion | None:
        found = await super().version(workspace, model, number)
        await self.record_release(a_release("release-of-another"))
        return found


async def test_where_another_process_was_quicker_its_release_is_what_is_said(registry: Registry):
    registry.store = Overtaken()
    await registry.registers("resnet", "0.0.1", restrictions=QUARANTINED)

    assert await registry.answers(a_release_command()) == a_release("release-of-another")


def test_a_repeat_of_the_command_that_released_a_version_changes_nothing_whatever_it_says_now():
    imported = an_import(restrictions=QUARANTINED)
    version = RegisteredVersion(imported, an_assignment(imported), a_release("release-1"))

    assert release(a_release_command("release-1", why="other words"), version, NOON) == a_release("release-1")
