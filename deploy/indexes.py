"""The indexes of the services' databases, made or planned before the services start.

Each service makes its own when it starts; here the same is done earlier, by the same stores, or only told. Versioning
and the registry keep generations: those of the one in use are looked at. Where there is none, or one of another
layout, the service makes all of it from EVENTS.
"""

from collections.abc import AsyncIterator, Callable, Mapping

from services.importer.examining import importer_stores
from services.registry.app import PROJECTION as REGISTRY
from services.versioning.app import PROJECTION as VERSIONING
from shared.errors import Transient
from shared.examining import Prepares, wanted_indexes
from shared.generations import Generations
from shared.rebuilding import Projection
from shared.settings import ServiceSettings
from shared.store import Database, connect, ping

PROJECTIONS: Mapping[str, Projection] = {"versioning": VERSIONING, "registry": REGISTRY}
Stores = Callable[[Database], Prepares]


async def index_lines(settings: ServiceSettings, *, plan: bool) -> AsyncIterator[str]:
    """Make the indexes that lack; with `plan`, only say which. A line each; what cannot be looked at is said as well."""
    try:
        client = connect(settings.mongo_uri, settings.mongo_login)
    except ValueError as error:
        yield f"{'left':8} indexes: {error}"
        return
    try:
        for service in ("importer", *PROJECTIONS):
            try:
                for line in await _lines(service, client[f"{settings.mongo_database}_{service}"], plan=plan):
                    yield line
            except Exception as error:  # noqa: BLE001 - whatever it is, the service makes its indexes when it starts
                why = str(error) if isinstance(error, Transient) else type(error).__name__
                yield _line("left", service, f"indexes are made when the service starts: {why[:200]}")
    finally:
        client.close()


async def _lines(service: str, database: Database, *, plan: bool) -> list[str]:
    await ping(database)
    if service not in PROJECTIONS:
        return await _made(service, database, importer_stores, plan=plan)
    projection, generations = PROJECTIONS[service], Generations(database)
    standing = await generations.standing()
    if standing is None or standing.generation is None:
        return [_line("left", service, "the service makes its database from EVENTS when it starts")]
    if standing.layout != projection.layout:
        layouts = f"layout {standing.layout}, this release has {projection.layout}"
        return [_line("left", service, f"{layouts}: the service makes its database anew when it starts")]

    def stores(one: Database) -> Prepares:
        return projection.open(one).prepare

    return await _made(service, generations.of(standing.generation), stores, plan=plan)


async def _made(service: str, database: Database, stores: Stores, *, plan: bool) -> list[str]:
    wanted = await wanted_indexes(stores)
    there = {name: set(await database[name].index_information()) - {"_id_"} for name in sorted(wanted)}
    missing = [f"{name}.{index}" for name in there for index in sorted(wanted[name] - there[name])]
    foreign = [f"{name}.{index}" for name in there for index in sorted(there[name] - wanted[name])]
    if missing and not plan:
        for prepare in stores(database):
            await prepare()
    return [
        *(_line("created", service, f"index {one}") for one in missing),
        *(
            _line("foreign", service, f"index {one}: no service made it, and it costs at every write")
            for one in foreign
        ),
        *([] if missing or foreign else [_line("kept", service, f"{sum(map(len, wanted.values()))} indexes")]),
    ]


def _line(done: str, service: str, what: str) -> str:
    return f"{done:8} {service}: {what}"
