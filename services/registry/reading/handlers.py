"""What is answered about one version, one model or one service: now, or as it stood at a time."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated

from services.registry.domain import RegisteredVersion
from services.registry.ports import ChangeStore, ListingStore, ModelStore, Past, Readings
from services.registry.reading.entries import cursor, entry, key_of
from services.registry.rules.known import Known
from services.registry.rules.placement import Placement
from services.registry.rules.versions import why_restricted
from shared.errors import Malformed, NotFound, Refused
from shared.given import Given
from shared.naming import NUMBER_RULE, VersionNumber, is_name, is_number
from shared.queries import (
    AliasPage,
    GetGrant,
    GetHistory,
    GetService,
    GetVersion,
    GrantDetails,
    HistoryPage,
    ListAliases,
    ModelSummary,
    ServiceDetails,
    VersionDetails,
    fitting,
)
from shared.texts import shown

Store = Annotated[ModelStore, Given("store")]
Lists = Annotated[ListingStore, Given("listings")]
Changes = Annotated[ChangeStore, Given("changes")]
Reads = Annotated[Readings, Given("readings")]
Then = Annotated[Past, Given("past")]
Now = Annotated[Callable[[], datetime], Given("now")]


async def on_get_version(
    query: GetVersion, store: Store, listings: Lists, changes: Changes, readings: Reads, past: Then
) -> VersionDetails:
    model = await _model(query.workspace, query.model, listings)
    number = await _number(query, listings, readings, past)
    version = await store.version(query.workspace, query.model, VersionNumber.parse(number))
    if version is None:
        message = f"{query.model} has no version {number}; its latest is {model.latest}"
        raise NotFound("version-not-found", message)
    about = (query.workspace, query.model, number)
    if query.at is None:
        aliases = await readings.aliases_of(*about)
        placements = await changes.placements_of(query.workspace, query.model, [number])
        return _details(version, aliases, placements)
    if version.registered_at > query.at:
        message = f"{query.model} {number} was registered at {version.registered_at.isoformat()}: after {query.at.isoformat()}"
        raise NotFound("version-not-found", message)
    then = await past.version(version, query.at)
    return _details(then, await past.aliases_of(*about, query.at), await past.placements_of(*about, query.at))


def _details(version: RegisteredVersion, aliases: Sequence[str], placements: Sequence[Placement]) -> VersionDetails:
    return version.details(tuple(aliases), tuple(one.shown() for one in placements if one.counts))


async def _number(query: GetVersion, listings: ListingStore, readings: Readings, past: Past) -> str:
    """The number that is meant by a number, an alias, or nothing."""
    about = (query.workspace, query.model)
    if query.version is None:
        return await _latest(query, listings, past)
    if is_number(query.version):
        return query.version
    if not is_name(query.version) or query.version.isdigit():
        raise Malformed(f"version {shown(query.version)}: expected {NUMBER_RULE}; or an alias")
    at = query.at
    pointed = await (past.alias(*about, query.version, at) if at else readings.alias(*about, query.version))
    if pointed is None:
        when = f" at {at.isoformat()}" if at else ""
        raise NotFound("alias-not-found", f"{query.model} has no alias {query.version!r}{when}")
    return pointed


async def _latest(query: GetVersion, listings: ListingStore, past: Past) -> str:
    if query.at is not None:
        then = await past.latest(query.workspace, query.model, query.at)
        if then is None:
            raise NotFound("version-not-found", f"{query.model} had no version at {query.at.isoformat()}")
        return then
    latest = await listings.latest(query.workspace, query.model)
    if latest is None:
        message = f"every version of {query.model} was deleted; named by its number, one can still be shown"
        raise NotFound("version-not-found", message)
    return str(latest)


async def _model(workspace: str, model: str, listings: ListingStore) -> ModelSummary:
    found = await listings.model(workspace, model) if is_name(workspace) and is_name(model) else None
    if found is None:
        raise NotFound("model-not-found", f"there is no model {shown(model)} in workspace {shown(workspace)}")
    return found


async def on_list_aliases(query: ListAliases, listings: Lists, readings: Reads) -> AliasPage:
    await _model(query.workspace, query.model, listings)
    return AliasPage(aliases=tuple(fitting(await readings.aliases(query.workspace, query.model))))


async def on_get_history(query: GetHistory, store: Store, listings: Lists, readings: Reads) -> HistoryPage:
    await _model(query.workspace, query.model, listings)
    after = key_of(query.after)
    if query.version is not None:
        await _check_version(query.workspace, query.model, query.version, store)
    told = await readings.history(query.workspace, query.model, query.version, after, query.limit + 1)
    page = fitting(map(entry, told[: query.limit]))
    more = len(page) < len(told)
    return HistoryPage(changes=tuple(page), next=cursor(told[len(page) - 1].key) if more else None)


async def _check_version(workspace: str, model: str, version: str, store: ModelStore) -> None:
    if not is_number(version):
        raise Malformed(f"version {shown(version)}: expected {NUMBER_RULE}")
    if await store.version(workspace, model, VersionNumber.parse(version)) is None:
        raise NotFound("version-not-found", f"{model} has no version {version}")


async def on_get_service(query: GetService, changes: Changes, readings: Reads) -> ServiceDetails:
    named = is_name(query.workspace) and is_name(query.service)
    service = await changes.service(query.workspace, query.service) if named else None
    if service is None:
        message = f"there is no service {shown(query.service)} in workspace {shown(query.workspace)}"
        raise NotFound("service-not-found", message)
    placements = await readings.placements_in(query.workspace, query.service)
    return ServiceDetails(
        workspace=query.workspace,
        service=query.service,
        model=service.model,
        mode=service.mode,
        versions=tuple(one.shown() for one in placements if one.counts),
    )


async def on_get_grant(query: GetGrant, store: Store, changes: Changes, readings: Reads, now: Now) -> GrantDetails:
    """Whether a grant may still be used: what was allowed when it was given may be forbidden by now."""
    granted = await readings.grant(query.grant)
    if granted is None:
        raise NotFound("grant-not-found", f"there is no grant {shown(query.grant)}")
    name = f"{granted.model} {granted.version}"
    if granted.grant.expires_at <= now():
        raise Refused("grant-expired", f"the grant for {name} ended at {granted.grant.expires_at.isoformat()}")
    version = await store.version(granted.workspace, granted.model, VersionNumber.parse(granted.version))
    if version is None or version.deleted:
        raise Refused("version-deleted", f"{name} was deleted")
    if granted.grant.service is None:
        twin = await changes.twin(version)
        twins = {granted.version: twin} if twin else {}
        why_not = why_restricted(Known(versions={granted.version: version}, twins=twins), granted.version)
        if why_not:
            raise Refused("version-restricted", f"{name} {why_not}")
    return GrantDetails(
        **granted.grant.model_dump(), workspace=granted.workspace, model=granted.model, version=granted.version
    )
