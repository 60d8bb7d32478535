"""The registry's handlers: two halves make a version, in either order; what is whole can be asked for."""

from typing import Any

import pytest

from services.registry import handlers
from shared.errors import Malformed, NotFound
from shared.messages import Event, ModelImported, ModelRegistered, VersionAssigned, VersionRefused
from shared.queries import (
    GetImport,
    GetModel,
    GetVersion,
    ImportStatus,
    ListModels,
    ListVersions,
    ModelSummary,
    VersionDetails,
    VersionSummary,
)
from tests.fakes import InMemoryModelStore, RecordingEvents
from tests.samples import a_refusal, an_assignment, an_import, at, digest


class Registry:
    """The service without its wires. Its clock goes on by a second with each event."""

    def __init__(self) -> None:
        self.store = InMemoryModelStore()
        self.events = RecordingEvents()

    async def hears(self, *heard: Event) -> None:
        for event in heard:
            match event:
                case ModelImported():
                    await handlers.on_model_imported(event, self.store, self.events)
                case VersionAssigned():
                    await handlers.on_version_assigned(event, self.store, self.events)
                case VersionRefused():
                    await handlers.on_version_refused(event, self.store)

    async def registers(self, model: str, *versions: str, **changes: Any) -> None:
        for ordinal, version in enumerate(versions, start=1):
            imported = an_import(f"{model}-{version}", model=model, **changes)
            await self.hears(imported, an_assignment(imported, version, ordinal, time=at(ordinal)))


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.mark.parametrize("first", ["import", "number"])
async def test_a_version_is_registered_when_both_halves_are_there_whichever_came_first(registry: Registry, first: str):
    imported = an_import()
    halves: list[Event] = [imported, an_assignment(imported)]

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
