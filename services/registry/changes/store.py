"""The changes of each model in MongoDB, and what they make of aliases, services and versions.

history    what happened to a model: changes, reports of deployers, what versioning found later
    _id          the id of the event
    workspace, model
    ordinal      of a change; unique within the model. Of what is no change: its own id, so that no two are alike
    cause        the command, of a change
    when         sorts by time
    numbers      ranks of the versions that it is about
    alias, service, grants    what else it is about
    founds       <workspace>/<service>, of the first change that names a service; unique: a service has one model
    address, body, envelope   the event as it was said
heads      _id <workspace>/<model>; how far the changes were shown (ordinal, when, deletions) and published (said)
aliases    _id <workspace>/<model>/<alias>; where it points (number, null: nowhere), by which change
services   _id <workspace>/<service>; its newest request
deployments    _id <workspace>/<service>/<version>
    the newest request that named the version: ordinal, requested_at, mode, weight
    said         the newest report on it
answers    _id the id of a command; how it ended, where no change says that

A change is inserted at the ordinal after the newest, by a process that knew all before it: so no lock is needed. What
it changes is shown after that, in order; a head tells how far that has come, and whoever decides next first shows what
a process that died has left. So rules may read what is shown.
"""

import asyncio
from collections.abc import Sequence

from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from services.registry.changes.documents import (
    alias_facts,
    alias_id,
    changed,
    deployment_facts,
    deployment_id,
    model_id,
    number,
    rank,
    read_placement,
    read_service,
    report_facts,
    reported,
    service_facts,
    service_id,
    told,
)
from services.registry.documents import Fields, read_any, time_of, until, written
from services.registry.domain import RegisteredVersion
from services.registry.ports import Answer, ListingStore
from services.registry.rules.known import Asked, Head, Known
from services.registry.rules.placement import Placement, ServiceState
from services.registry.store import MongoModelStore
from shared.errors import NotYet
from shared.messages import (
    AliasMoved,
    Change,
    DeploymentReport,
    DeploymentRequested,
    LineageExtended,
    Message,
    RestrictionLifted,
    RolloutRequested,
    VersionDeleted,
    VersionEdited,
    VersionReleased,
    VersionRestricted,
)
from shared.naming import VersionNumber
from shared.parts import parts
from shared.store import Collection, Database, Document, insert_once, translated

Shown = VersionReleased | VersionEdited | RestrictionLifted | VersionDeleted

_FIELDS: dict[type[Message], str] = {
    VersionReleased: "released",
    VersionEdited: "edited",
    RestrictionLifted: "lifted",
    VersionDeleted: "deleted",
}
# Where the lowest versions that are there are looked for: so many numbers first, then so many times as many.
FIRST_WINDOW = 128
WIDER = 8
_ALL_NUMBERS = 1_000_000


class MongoChangeStore:
    """The ChangeStore."""

    def __init__(self, database: Database, versions: MongoModelStore, listings: ListingStore) -> None:
        self._whole = versions
        self._listings = listings
        self._imports: Collection = database["imports"]
        self._versions: Collection = database["versions"]
        self._history: Collection = database["history"]
        self._heads: Collection = database["heads"]
        self._aliases: Collection = database["aliases"]
        self._services: Collection = database["services"]
        self._deployments: Collection = database["deployments"]
        self._answers: Collection = database["answers"]

    async def prepare(self) -> None:
        """Make the indexes; a no-op where they are."""
        about = [("workspace", 1), ("model", 1)]
        with translated():
            await self._history.create_indexes(
                [
                    IndexModel([*about, ("ordinal", 1)], unique=True),
                    IndexModel([*about, ("when", 1)]),
                    IndexModel([*about, ("numbers", 1), ("when", 1)]),
                    IndexModel([*about, ("numbers", 1), ("address", 1), ("when", 1)]),
                    IndexModel([*about, ("alias", 1), ("when", 1)]),
                    IndexModel([("workspace", 1), ("service", 1), ("when", 1)]),
                    IndexModel([("cause", 1)], sparse=True),
                    IndexModel([("grants", 1)], sparse=True),
                    IndexModel([("founds", 1)], unique=True, sparse=True),
                ]
            )
            await self._aliases.create_indexes([IndexModel([*about, ("number", 1)])])
            await self._deployments.create_indexes(
                [IndexModel([*about, ("number", 1)]), IndexModel([("workspace", 1), ("service", 1)])]
            )

    # What is known

    async def known(self, workspace: str, model: str, asked: Asked) -> Known:
        head = await self._caught_up(workspace, model)
        numbers = map(VersionNumber.parse, asked.versions)
        summary, versions, aliases, (owner, service), placements = await asyncio.gather(
            self._listings.model(workspace, model),
            self._whole.versions(workspace, model, numbers),
            self._aliases_asked(workspace, model, asked),
            self._service_of(workspace, asked.service),
            self.placements_of(workspace, model, asked.versions if asked.whole else ()),
        )
        return Known(
            head=head,
            had=summary.versions if summary else 0,
            versions=versions,
            aliases=aliases,
            owner=owner,
            service=service,
            placements=placements,
            twins=await self._twins(list(versions.values())) if asked.twins else {},
        )

    async def standing(self, command_id: str) -> list[Message]:
        with translated():
            changes, answer = await asyncio.gather(
                self._history.find({"cause": command_id}).to_list(None), self._answers.find_one({"_id": command_id})
            )
        in_order = sorted(changes, key=lambda one: int(one["ordinal"]))
        return [read_any(document) for document in (*in_order, *([answer] if answer else []))]

    async def lowest_live(self, workspace: str, model: str, limit: int) -> list[str]:
        found: list[Document] = []
        low, width = 0, FIRST_WINDOW
        while low < _ALL_NUMBERS and len(found) < limit:
            window = {"$gte": low, "$lt": low + width}
            live = {"workspace": workspace, "model": model, "deleted.ordinal": None, "number": window}
            with translated():
                some = self._versions.find(live, {"number": 1}).sort("number", 1)
                found += await self._whole.whole(await some.to_list(limit), ())
            low, width = low + width, width * WIDER
        return [number(document["number"]) for document in found[:limit]]

    async def placements_of(self, workspace: str, model: str, versions: Sequence[str]) -> tuple[Placement, ...]:
        """Where versions are deployed."""
        if not versions:
            return ()
        with translated():
            ranks = [rank(version) for version in versions]
            wanted = {"workspace": workspace, "model": model, "number": {"$in": ranks}}
            found = await self._deployments.find(wanted).to_list(None)
        return await self.placements(found)

    async def placements(self, deployments: Sequence[Document]) -> tuple[Placement, ...]:
        """By service, then by number."""
        services = sorted({service_id(one["workspace"], one["service"]) for one in deployments})
        newest: dict[str, int] = {}
        with translated():
            for some in parts(services):
                async for service in self._services.find({"_id": {"$in": some}}, {"ordinal": 1, "service": 1}):
                    newest[service["service"]] = service["ordinal"]
        in_order = sorted(deployments, key=lambda one: (one["service"], one["number"]))
        return tuple(read_placement(one, newest.get(one["service"], 0)) for one in in_order)

    async def _service_of(self, workspace: str, service: str | None) -> tuple[str | None, ServiceState | None]:
        """The model it belongs to, and how it is; the model is known before that is shown."""
        if service is None:
            return None, None
        key = service_id(workspace, service)
        with translated():
            founding = await self._history.find_one({"founds": key}, {"model": 1})
        return (founding["model"] if founding else None), await self.service(workspace, service)

    async def service(self, workspace: str, service: str) -> ServiceState | None:
        with translated():
            document = await self._services.find_one({"_id": service_id(workspace, service)})
        return read_service(document) if document else None

    async def _aliases_asked(self, workspace: str, model: str, asked: Asked) -> dict[str, str]:
        found: list[Document] = []
        with translated():
            if asked.alias is not None:
                wanted = {"_id": alias_id(workspace, model, asked.alias), "number": {"$gte": 0}}
                found += await self._aliases.find(wanted).to_list(1)
            if asked.whole:
                ranks = [rank(version) for version in asked.versions]
                pointing = {"workspace": workspace, "model": model, "number": {"$in": ranks}}
                found += await self._aliases.find(pointing).to_list(None)
        return {document["alias"]: number(document["number"]) for document in found}

    async def _twins(self, versions: Sequence[RegisteredVersion]) -> dict[str, str]:
        twins = [(version.assigned.version, await self.twin(version)) for version in versions]
        return {version: twin for version, twin in twins if twin is not None}

    async def twin(self, version: RegisteredVersion) -> str | None:
        digests = sorted(version.guarded_bytes)
        with translated():
            for some in parts(digests):
                holding = {"restricted_bytes": {"$in": some}}
                async for one in self._imports.find(holding, {"workspace": 1, "model": 1}):
                    if one["workspace"] == version.workspace and one["_id"] != version.imported.envelope.id:
                        assigned = await self._versions.find_one(
                            {"_id": one["_id"], "number": {"$gte": 0}}, {"number": 1}
                        )
                        return f"{one['model']} {number(assigned['number'])}" if assigned else str(one["model"])
        return None

    # Changes

    async def append(self, change: Change, *, founds: bool = False) -> bool:
        try:
            with translated():
                await self._history.insert_one(changed(change, founds=founds))
        except DuplicateKeyError:
            return False
        # Whoever knew what to append has shown what comes before.
        await self._show(change)
        await self._save_head(change)
        return True

    async def record_change(self, change: Change) -> None:
        head = await self._caught_up(change.workspace, change.model)
        if change.ordinal <= head.ordinal:
            return
        founds = (
            isinstance(change, DeploymentRequested)
            and not (await self._service_of(change.workspace, change.service))[0]
        )
        if change.ordinal > head.ordinal + 1 or not await self.append(change, founds=founds):
            raise NotYet(f"{change.model}: what comes before change {change.ordinal} is not there yet")
        await self.mark_said(change)

    async def unsaid_before(self, change: Change) -> list[Change]:
        about = {"workspace": change.workspace, "model": change.model}
        with translated():
            head = await self._heads.find_one({"_id": model_id(change.workspace, change.model)}, {"said": 1})
            said = head.get("said", 0) if head else 0
            if said >= change.ordinal - 1:
                return []
            between = {"ordinal": {"$gt": said, "$lt": change.ordinal}}
            found = await self._history.find({**about, **between}).sort("ordinal", 1).to_list(None)
        events = map(read_any, found)
        return [event for event in events if isinstance(event, Change)]

    async def mark_said(self, change: Change) -> None:
        key = model_id(change.workspace, change.model)
        with translated():
            await self._heads.update_one({"_id": key}, {"$max": {"said": change.ordinal}})

    async def _caught_up(self, workspace: str, model: str) -> Head:
        """Show every change that is not shown yet."""
        with translated():
            saved = await self._heads.find_one({"_id": model_id(workspace, model)})
            head = Head(saved["ordinal"], time_of(saved["when"]), saved["deletions"]) if saved else Head()
            newer = {"workspace": workspace, "model": model, "ordinal": {"$gt": head.ordinal}}
            waiting = await self._history.find(newer).sort("ordinal", 1).to_list(None)
        for document in waiting:
            change = read_any(document)
            assert isinstance(change, Change)
            await self._show(change)
            await self._save_head(change)
            head = _advanced(head, change)
        return head

    async def _save_head(self, change: Change) -> None:
        newest = {"ordinal": change.ordinal, "when": until(change.envelope.time)}
        deleted = {"deletions": change.deletions} if isinstance(change, VersionDeleted) else {}
        first = {} if deleted else {"$setOnInsert": {"deletions": 0}}
        key = model_id(change.workspace, change.model)
        await _upsert(self._heads, {"_id": key}, {"$max": {**newest, **deleted}, **first})

    async def _show(self, change: Change) -> None:
        match change:
            case VersionReleased() | VersionEdited() | RestrictionLifted() | VersionDeleted():
                await self._show_in_version(change)
            case AliasMoved():
                key = alias_id(change.workspace, change.model, change.alias)
                await _set_newer(self._aliases, key, change.ordinal, alias_facts(change))
            case DeploymentRequested() | RolloutRequested():
                key = service_id(change.workspace, change.service)
                await _set_newer(self._services, key, change.ordinal, service_facts(change))
                for version, facts in deployment_facts(change).items():
                    key = deployment_id(change.workspace, change.service, version)
                    await _set_newer(self._deployments, key, change.ordinal, facts)

    async def _show_in_version(self, change: Shown) -> None:
        field = _FIELDS[type(change)]
        wanted = {"workspace": change.workspace, "model": change.model, "number": rank(change.version)}
        older = {"$or": [{field: {"$exists": False}}, {f"{field}.ordinal": {"$lt": change.ordinal}}]}
        with translated():
            facts = {"ordinal": change.ordinal, **written(change)}
            shown = await self._versions.update_one({**wanted, **older}, {"$set": {field: facts}})
            stands = {field + ".ordinal": {"$gte": change.ordinal}}
            # Where it does not stand either, the version was not there, though it may be by now.
            if not (shown.matched_count or await self._versions.find_one({**wanted, **stands}, {"_id": 1})):
                raise NotYet(f"{change.model} {change.version} is not there yet")
        await self._list_anew(change.workspace, change.model, change.version)

    async def _list_anew(self, workspace: str, model: str, version: str) -> None:
        whole = await self._whole.version(workspace, model, VersionNumber.parse(version))
        if whole is None:
            raise NotYet(f"{model} {version} is not whole yet")
        await self._listings.refresh([whole])

    # What others say

    async def record_answer(self, answer: Answer) -> Answer:
        key = answer.envelope.answered_id
        try:
            with translated():
                await self._answers.insert_one({"_id": key, "address": answer.address, **written(answer)})
        except DuplicateKeyError:
            with translated():
                document = await self._answers.find_one({"_id": key})
            standing = read_any(document) if document else answer
            assert isinstance(standing, Answer)
            return standing
        return answer

    async def record_restriction(self, restricted: VersionRestricted) -> None:
        about = {"workspace": restricted.workspace, "model": restricted.model, "number": rank(restricted.version)}
        with translated():
            more = {"$addToSet": {"restricted_by": {"$each": list(restricted.restricted_by)}}}
            kept = await self._versions.update_one(about, more)
        if not kept.matched_count:
            raise NotYet(f"{restricted.model} {restricted.version} is not there yet")
        await self._list_anew(restricted.workspace, restricted.model, restricted.version)
        await insert_once(self._history, told(restricted))

    async def record_extension(self, extended: LineageExtended) -> None:
        await insert_once(self._history, told(extended))

    async def record_report(self, report: DeploymentReport) -> bool:
        key = deployment_id(report.workspace, report.service, report.version)
        said = report_facts(report)
        with translated():
            deployment = await self._deployments.find_one({"_id": key, "model": report.model}, {"_id": 1})
        if deployment is None:
            return False
        await insert_once(self._history, reported(report))
        older = {"$or": [{"said": {"$exists": False}}, {"said.when": {"$lt": said["when"]}}]}
        with translated():
            await self._deployments.update_one({"_id": key, **older}, {"$set": {"said": said}})
        return True


def _advanced(head: Head, change: Change) -> Head:
    deletions = change.deletions if isinstance(change, VersionDeleted) else head.deletions
    return Head(change.ordinal, change.envelope.time, deletions)


async def _set_newer(collection: Collection, key: str, ordinal: int, facts: Fields) -> None:
    """Set the facts of a change, unless those of a newer one stand."""
    older = {"_id": key, "ordinal": {"$lt": ordinal}}
    await _upsert(collection, older, {"$set": facts})


async def _upsert(collection: Collection, wanted: Document, update: Document) -> None:
    """Where the document is there after all, it is updated if it is as wanted, else left alone."""
    for upsert in (True, False):
        try:
            with translated():
                await collection.update_one(wanted, update, upsert=upsert)
        except DuplicateKeyError:
            continue
        return
