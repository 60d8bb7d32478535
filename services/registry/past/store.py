"""How things stood at a time, read from the history in MongoDB. The layout is drawn in changes/store.py."""

from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from motor.motor_asyncio import AsyncIOMotorCollection, AsyncIOMotorDatabase

from services.registry.changes.documents import rank
from services.registry.documents import read, read_any, until
from services.registry.domain import RegisteredVersion
from services.registry.rules.placement import Placement, Report, mode_in, state_in, weights_in
from services.registry.store import MongoModelStore
from shared.messages import (
    AliasMoved,
    DeploymentReport,
    DeploymentRequested,
    Message,
    RolloutRequested,
    VersionDeleted,
    VersionEdited,
    VersionRestricted,
)
from shared.naming import VersionNumber
from shared.store import Document, translated
from shared.subjects import REPORTS

Collection = AsyncIOMotorCollection[Document]
Request = DeploymentRequested | RolloutRequested
Said = TypeVar("Said", bound=Message)

_REQUESTS = [DeploymentRequested.address, RolloutRequested.address]
_REPORTS = [kind.address for kind in REPORTS]
_PAGE = 100


class MongoPast:
    """The Past."""

    def __init__(self, database: AsyncIOMotorDatabase[Document], versions: MongoModelStore) -> None:
        self._whole = versions
        self._versions: Collection = database["versions"]
        self._history: Collection = database["history"]
        self._deployments: Collection = database["deployments"]

    async def alias(self, workspace: str, model: str, alias: str, at: datetime) -> str | None:
        about = {"workspace": workspace, "model": model, "alias": alias}
        moved = await self._newest(about, at)
        return moved.new if isinstance(moved, AliasMoved) else None

    async def latest(self, workspace: str, model: str, at: datetime) -> str | None:
        below = 1_000_000
        while True:
            about = {"workspace": workspace, "model": model, "number": {"$gte": 0, "$lt": below}}
            registered = {**about, "registered": {"$lt": _after(at)}}
            with translated():
                found = self._versions.find(registered, {"number": 1, "deleted": 1}).sort("number", -1)
                page = await found.to_list(_PAGE)
                whole = await self._whole.whole(page, ())
            for document in whole:
                if not _was_deleted(document, at):
                    return str(VersionNumber.from_rank(document["number"]))
            if len(page) < _PAGE:
                return None
            below = page[-1]["number"]

    async def version(self, version: RegisteredVersion, at: datetime) -> RegisteredVersion:
        about = {"workspace": version.workspace, "model": version.model, "numbers": version.number.rank}
        edited = version.edited
        if edited is not None and edited.envelope.time > at:
            found = await self._newest({**about, "address": VersionEdited.address}, at)
            edited = found if isinstance(found, VersionEdited) else None
        return replace(
            version,
            released=_by_then(version.released, at),
            edited=edited,
            lifted=_by_then(version.lifted, at),
            deleted=_by_then(version.deleted, at),
            found_later=await self._found_later(about, at) if version.found_later else (),
        )

    async def _found_later(self, about: Document, at: datetime) -> tuple[str, ...]:
        wanted = {**about, "address": VersionRestricted.address, "when": {"$lt": _after(at)}}
        with translated():
            found = await self._history.find(wanted).to_list(None)
        events = (read(VersionRestricted, document) for document in found)
        return tuple(sorted({node for event in events for node in event.restricted_by}))

    async def aliases_of(self, workspace: str, model: str, version: str, at: datetime) -> list[str]:
        about = {"workspace": workspace, "model": model}
        touched = {**about, "numbers": rank(version), "address": AliasMoved.address, "when": {"$lt": _after(at)}}
        with translated():
            found = await self._history.find(touched, {"alias": 1}).to_list(None)
        names = sorted({document["alias"] for document in found})
        return [alias for alias in names if await self.alias(workspace, model, alias, at) == version]

    async def placements_of(self, workspace: str, model: str, version: str, at: datetime) -> list[Placement]:
        about = {"workspace": workspace, "model": model, "number": rank(version)}
        with translated():
            found = await self._deployments.find(about, {"service": 1}).to_list(None)
        services = sorted(document["service"] for document in found)
        placements = [await self._placement(workspace, service, version, at) for service in services]
        return [placement for placement in placements if placement is not None]

    async def _placement(self, workspace: str, service: str, version: str, at: datetime) -> Placement | None:
        about = {"workspace": workspace, "service": service}
        of_version = {**about, "numbers": rank(version)}
        newest = await self._newest({**about, "address": {"$in": _REQUESTS}}, at)
        naming = await self._newest({**of_version, "address": {"$in": _REQUESTS}}, at)
        said = await self._newest({**of_version, "address": {"$in": _REPORTS}}, at)
        if not isinstance(naming, Request):
            return None
        return Placement(
            service=service,
            mode=mode_in(naming),
            version=version,
            weight=weights_in(naming)[version],
            named=naming == newest,
            requested_at=naming.envelope.time,
            report=_report(said) if isinstance(said, DeploymentReport) else None,
        )

    async def _newest(self, about: Document, at: datetime) -> Message | None:
        with translated():
            found = self._history.find({**about, "when": {"$lt": _after(at)}}).sort("when", -1)
            documents = await found.limit(1).to_list(1)
        return read_any(documents[0]) if documents else None


def _after(at: datetime) -> str:
    """Comes after everything that happened at that time, which had happened then."""
    return until(at, included=True)


def _by_then(event: Said | None, at: datetime) -> Said | None:
    return event if event is not None and event.envelope.time <= at else None


def _was_deleted(document: Document, at: datetime) -> bool:
    return "deleted" in document and read(VersionDeleted, document["deleted"]).envelope.time <= at


def _report(said: DeploymentReport) -> Report:
    return Report(said.envelope.time, state_in(said), said.message)
