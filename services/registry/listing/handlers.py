"""Handlers of questions about what there is: models, versions, the best of them."""

from collections.abc import Sequence
from typing import Annotated, Protocol

from services.registry.listing.questions import Library, existing_model, find_best, list_models, list_versions
from shared.given import Given
from shared.queries import (
    AliasState,
    BestVersions,
    FindBest,
    GetModel,
    ListModels,
    ListVersions,
    ModelPage,
    ModelSummary,
    VersionPage,
)


class Aliases(Protocol):
    async def aliases(self, workspace: str, model: str) -> Sequence[AliasState]: ...


Kept = Annotated[Library, Given("listings")]
Named = Annotated[Aliases, Given("readings")]


async def on_list_models(query: ListModels, listings: Kept) -> ModelPage:
    return await list_models(query, listings)


async def on_get_model(query: GetModel, listings: Kept) -> ModelSummary:
    return await existing_model(query.workspace, query.model, listings)


async def on_list_versions(query: ListVersions, listings: Kept) -> VersionPage:
    return await list_versions(query, listings)


async def on_find_best(query: FindBest, listings: Kept, readings: Named) -> BestVersions:
    best = await find_best(query, listings)
    pointing: dict[str, list[str]] = {}
    for one in await readings.aliases(query.workspace, query.model):
        pointing.setdefault(one.version, []).append(one.alias)
    named = (one.model_copy(update={"aliases": tuple(pointing.get(one.version, ()))}) for one in best.versions)
    return best.model_copy(update={"versions": tuple(named)})
