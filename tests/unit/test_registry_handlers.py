"""The registry's handlers: two halves make a version, in either order; what is whole can be asked for."""

from datetime import timedelta
from typing import Any

import pytest

from services.registry import handlers
from services.registry.reading import handlers as reading
from services.registry.rules.known import Moment
from shared.contents import Contents, ModelFile, UnsafeFile
from shared.errors import Malformed, NotFound, Transient
from shared.messages import (
    CommandRefused,
    DeploymentReport,
    Message,
    ModelCommand,
    ModelImported,
    ModelRegistered,
    VersionAssigned,
    VersionRefused,
    VersionReleased,
)
from shared.naming import NAME_RULE, NUMBER_RULE, VersionNumber
from shared.queries import (
    GetImport,
    GetVersion,
    ImportStatus,
    Release,
    VersionDetails,
)
from shared.turns import Turns
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
from tests.fake_registry import InMemoryPast, InMemoryRegistry
from tests.fakes import RecordingEvents
from tests.samples import a_refusal, a_release, a_release_command, an_assignment, an_import, at, digest

QUARANTINED = (Restriction.QUARANTINE,)
AUTO_LEARNING = (Restriction.AUTO_LEARNING,)
BOTH = (Restriction.AUTO_LEARNING, Restriction.QUARANTINE)


class Registry:
    """The service without its wires. Its clock goes on by a second with each look at it."""

    def __init__(self, store: InMemoryRegistry | None = None) -> None:
        self.store = store or InMemoryRegistry()
        self.events = RecordingEvents()
        self.seconds = 100

    def moment(self) -> Moment:
        self.seconds += 1
        return Moment(at(self.seconds), lambda: f"grant-{self.seconds}", timedelta(seconds=900))

    async def hears(self, *heard: Message) -> None:
        for event in heard:
            match event:
                case ModelImported():
                    await handlers.on_model_imported(event, self.store, self.events)
                case VersionAssigned():
                    await handlers.on_version_assigned(event, self.store, self.events)
                case VersionRefused():
                    await handlers.on_version_refused(event, self.store)
                case ModelCommand():
                    await handlers.on_command(event, self.store, Turns(), self.events, self.moment)
                case DeploymentReport():
                    await handlers.on_report(event, self.store, self.events, lambda: self.moment().now)
                case _:
                    await handlers.on_change(event, self.store)

    async def registers(self, model: str, *versions: str, **changes: Any) -> None:
        for ordinal, version in enumerate(versions, start=1):
            imported = an_import(f"{model}-{version}", model=model, **changes)
            await self.hears(imported, an_assignment(imported, version, ordinal, time=at(ordinal)))

    async def answers(self, command: ModelCommand) -> Message:
        """What is said when the command is heard; the last thing, of several."""
        await self.hears(command)
        return self.events.said[-1]

    async def details(self, model: str = "resnet", version: str | None = None) -> VersionDetails:
        return await self.get(GetVersion(model=model, version=version))

    async def get(self, query: GetVersion) -> VersionDetails:
        parts = (self.store, self.store, self.store, self.store, InMemoryPast(self.store))
        return await reading.on_get_version(query, *parts)


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
    assert await registry.store.model("0", "bert") is None


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

    details = await registry.get(GetVersion(model="resnet", version="0.0.1"))

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

    details = await registry.get(GetVersion(model="resnet"))

    assert details.version == "0.0.10"


@pytest.mark.parametrize("version", [None, "0.0.1", "champion"])
async def test_a_model_that_is_not_there_is_not_found(registry: Registry, version: str | None):
    await registry.registers("resnet", "0.0.1")

    with pytest.raises(NotFound) as caught:
        await registry.details("bert", version)

    assert caught.value.code == "model-not-found"
    assert str(caught.value) == "there is no model 'bert' in workspace '0'"


async def test_a_version_that_is_not_there_is_not_found_and_the_latest_is_named(registry: Registry):
    await registry.registers("resnet", "0.0.1", "0.0.2")

    with pytest.raises(NotFound) as caught:
        await registry.get(GetVersion(model="resnet", version="0.0.3"))

    assert caught.value.code == "version-not-found"
    assert str(caught.value) == "resnet has no version 0.0.3; its latest is 0.0.2"


@pytest.mark.parametrize("text", ["1.0", "1", "a b", ""])
async def test_what_is_neither_number_nor_alias_is_malformed(registry: Registry, text: str):
    await registry.registers("resnet", "0.0.1")

    with pytest.raises(Malformed) as caught:
        await registry.details(version=text)

    assert str(caught.value) == (
        f"version {text!r}: expected N.N.N, each N from 0 to 99 without a leading zero; or an alias"
    )


async def test_an_alias_that_is_not_there_is_not_found(registry: Registry):
    await registry.registers("resnet", "0.0.1")

    with pytest.raises(NotFound) as caught:
        await registry.details(version="champion")

    assert (caught.value.code, str(caught.value)) == ("alias-not-found", "resnet has no alias 'champion'")


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

    found = await registry.store.version("0", "resnet", VersionNumber(0, 0, 1))
    assert found is not None
    assert found.summary().method == source.method
    assert found.summary().job == ("job-7@V001" if source.method == "training-job" else None)
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
        ordinal=1,
        by="operator",
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


async def test_in_a_database_made_anew_a_command_that_was_refused_stays_refused(registry: Registry):
    early = await registry.answers(a_release_command())
    assert isinstance(early, CommandRefused)
    anew = Registry()
    await anew.registers("resnet", "0.0.1", restrictions=QUARANTINED)
    await handlers.on_answer(early, anew.store)

    assert await anew.answers(a_release_command()) == early
    assert (await anew.details(version="0.0.1")).status == "quarantined"


async def test_what_another_service_refused_is_not_kept(registry: Registry):
    early = await registry.answers(a_release_command())
    assert isinstance(early, CommandRefused)
    envelope = early.envelope.model_copy(update={"source": "modelkin/importer"})
    anew = Registry()
    await anew.registers("resnet", "0.0.1", restrictions=QUARANTINED)

    await handlers.on_answer(early.model_copy(update={"envelope": envelope}), anew.store)

    assert isinstance(await anew.answers(a_release_command()), VersionReleased)


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
    ("changes", "reason", "message"),
    [
        (
            {"version": "0.0.2"},
            Reason.VERSION_NOT_FOUND,
            "resnet has no version 0.0.2: expected one that is registered",
        ),
        ({"model": "bert"}, Reason.MODEL_NOT_FOUND, "there is no model 'bert' in workspace '0'"),
        ({"workspace": "vision"}, Reason.MODEL_NOT_FOUND, "there is no model 'resnet' in workspace 'vision'"),
        ({"version": "1.0"}, Reason.INVALID_VERSION, f"version '1.0': expected {NUMBER_RULE}"),
        ({"version": ""}, Reason.INVALID_VERSION, f"version '': expected {NUMBER_RULE}"),
        ({"version": "0.0.1\n"}, Reason.INVALID_VERSION, f"version '0.0.1\\n': expected {NUMBER_RULE}"),
        ({"model": "a\x00b"}, Reason.INVALID_NAME, f"model 'a\\x00b': expected {NAME_RULE}"),
        ({"workspace": "a.b"}, Reason.INVALID_WORKSPACE, f"workspace 'a.b': expected {NAME_RULE}"),
    ],
)
async def test_a_version_that_is_not_there_cannot_be_released(
    registry: Registry, changes: dict[str, str], reason: Reason, message: str
):
    await registry.registers("resnet", "0.0.1", restrictions=QUARANTINED)
    command = a_release_command(**changes)

    answer = await registry.answers(command)

    assert isinstance(answer, CommandRefused)
    assert (answer.reason, answer.message) == (reason, message)
    assert (answer.workspace, answer.model) == (command.workspace, command.model)
    assert (await registry.details()).status == "quarantined"


async def test_half_a_version_cannot_be_released(registry: Registry):
    await registry.hears(an_import(restrictions=QUARANTINED))

    answer = await registry.answers(a_release_command())

    assert isinstance(answer, CommandRefused)
    assert answer.reason is Reason.MODEL_NOT_FOUND


async def test_a_refusal_of_an_endless_command_is_short(registry: Registry):
    endless = "x" * 900_000
    command = a_release_command(workspace=endless, model=endless, version=endless)

    answer = await registry.answers(command)

    assert isinstance(answer, CommandRefused)
    assert len(answer.body()) < 1000
    assert answer.message == f"workspace '{'x' * 80}…': expected {NAME_RULE}"


async def test_of_an_endless_reason_a_thousand_characters_are_kept(registry: Registry):
    await registry.registers("resnet", "0.0.1", restrictions=QUARANTINED)

    answer = await registry.answers(a_release_command(why="图" * 1001))

    assert isinstance(answer, VersionReleased)
    assert answer.why == "图" * 1000


async def test_a_change_that_was_said_is_known_to_a_registry_that_lost_everything_else(registry: Registry):
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


class Overtaken(InMemoryRegistry):
    """Another process releases the version between the look at it and the decision."""

    async def standing(self, command_id: str) -> list[Message]:
        found = await super().standing(command_id)
        await super().append(a_release("release-of-another"))
        return found


async def test_where_another_process_was_quicker_there_is_nothing_left_to_do():
    registry = Registry(Overtaken())
    await registry.registers("resnet", "0.0.1", restrictions=QUARANTINED)

    answer = await registry.answers(a_release_command())

    assert isinstance(answer, CommandRefused)
    assert answer.reason is Reason.NOT_QUARANTINED


async def test_a_command_is_not_refused_for_what_its_own_redelivery_has_done(registry: Registry):
    await registry.registers("resnet", "0.0.1", restrictions=QUARANTINED)
    first = await registry.answers(a_release_command())

    again = await registry.answers(a_release_command(why="other words"))

    assert again == first
