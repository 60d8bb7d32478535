"""Handlers of the registry: each event adds its half of a version; commands change whole ones, queries read them."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from faststream import Context

from services.registry.domain import RegisteredVersion, release
from services.registry.ports import ModelStore
from shared.errors import Malformed, NotFound
from shared.messages import (
    CommandRefused,
    ModelImported,
    ReleaseVersion,
    VersionAssigned,
    VersionRefused,
    VersionReleased,
)
from shared.naming import NUMBER_RULE, VersionNumber, is_number
from shared.ports import Events
from shared.queries import (
    GetImport,
    GetModel,
    GetVersion,
    ImportStatus,
    ListModels,
    ListVersions,
    ModelPage,
    ModelSummary,
    VersionDetails,
    VersionPage,
    fitting,
)

Store = Annotated[ModelStore, Context("store")]
Bus = Annotated[Events, Context("events")]
Now = Annotated[Callable[[], datetime], Context("now")]


async def on_model_imported(imported: ModelImported, store: Store, events: Bus) -> None:
    await _announce(await store.record_import(imported), events)


async def on_version_assigned(assigned: VersionAssigned, store: Store, events: Bus) -> None:
    await _announce(await store.record_version(assigned), events)


async def _announce(version: RegisteredVersion | None, events: Events) -> None:
    """Say that a version is whole; its first half alone says nothing.

    Both halves may find it whole: they say the same event, under the same id.
    """
    if version is not None:
        await events.publish(version.announcement())


async def on_version_refused(refused: VersionRefused, store: Store) -> None:
    await store.record_refusal(refused)


async def on_version_released(released: VersionReleased, store: Store) -> None:
    """Keep a release that was said. Most often it is kept already; a registry that lost its database has it from here.

    Raises:
        Transient: the version is not whole yet.
    """
    await store.record_release(released)


async def on_release_version(command: ReleaseVersion, store: Store, events: Bus, now: Now) -> None:
    """Take a version out of quarantine. Of two commands at once, the one that was recorded first is the one that is said."""
    standing = await store.refusal_of(command.envelope.id)
    await events.publish(standing or await _release(command, store, now()))


async def _release(command: ReleaseVersion, store: ModelStore, time: datetime) -> VersionReleased | CommandRefused:
    version = None
    if is_number(command.version):
        version = await store.version(command.workspace, command.model, VersionNumber.parse(command.version))
    answer = release(command, version, time)
    if isinstance(answer, VersionReleased):
        return await store.record_release(answer)
    return await store.record_command_refusal(answer)


async def on_list_models(query: ListModels, store: Store) -> ModelPage:
    models = await store.models(query.workspace, query.after, query.limit)
    full = len(models) == query.limit
    return ModelPage(models=tuple(models), next=models[-1].model if full else None)


async def on_get_model(query: GetModel, store: Store) -> ModelSummary:
    model = await store.model(query.workspace, query.model)
    if model is None:
        raise NotFound("model-not-found", f"there is no model {query.model!r} in workspace {query.workspace!r}")
    return model


async def on_list_versions(query: ListVersions, store: Store) -> VersionPage:
    await on_get_model(GetModel(workspace=query.workspace, model=query.model), store)
    after = _number(query.after) if query.after else None
    versions = await store.versions(query.workspace, query.model, after, query.limit)
    page = fitting(version.summary() for version in versions)
    full = len(page) == query.limit or len(page) < len(versions)
    return VersionPage(versions=tuple(page), next=page[-1].version if full else None)


async def on_get_version(query: GetVersion, store: Store) -> VersionDetails:
    model = await on_get_model(GetModel(workspace=query.workspace, model=query.model), store)
    number = query.version or model.latest
    version = await store.version(query.workspace, query.model, _number(number))
    if version is None:
        raise NotFound("version-not-found", f"{query.model} has no version {number}; its latest is {model.latest}")
    return version.details()


async def on_get_import(query: GetImport, store: Store) -> ImportStatus:
    status = await store.import_status(query.import_id)
    if status is None:
        raise NotFound("import-not-found", f"no import {query.import_id} has reached the registry")
    return status


def _number(text: str) -> VersionNumber:
    if not is_number(text):
        raise Malformed(f"version {text!r}: expected {NUMBER_RULE}")
    return VersionNumber.parse(text)
