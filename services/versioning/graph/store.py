"""The lineage graph in MongoDB: what the documents of versions say of descent, and what came to be known later.

versions, written by services/versioning/store.py; read here
    node, import_id, at, parents, package, weights, partial, waits, relations, automatic, restricted_by, origins
    late       edges that were found later, as JSON; their targets are in `parents` too
    deleted    whether it was
late         what is said because of an import about older versions, and of it after its number was said
    _id        what it says: an edge, or a version and what restricts it; so it is said by one cause
    cause      the id of the ModelImported
    address, body, envelope    the event
deployments  _id <node> <service>; it is deployed there if it was requested, and the newest report says so
    node, service, requested, deployed, at
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo import IndexModel, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from services.versioning.domain import Kin
from services.versioning.edges import version_node
from services.versioning.ports import DeploymentRequest, Late, Recorded, Relative, requested_versions
from shared.coalesce import Coalescer
from shared.envelope import Envelope
from shared.errors import Transient
from shared.messages import (
    DeploymentReady,
    DeploymentReport,
    DeploymentStarted,
    LineageExtended,
    VersionAssigned,
    VersionDeleted,
    VersionRestricted,
)
from shared.parts import IDS_AT_ONCE, parts
from shared.store import Document, only_duplicates, translated
from shared.values import Edge

_KIN: Final = dict.fromkeys(
    (
        "node",
        "import_id",
        "at",
        "parents",
        "package",
        "weights",
        "partial",
        "waits",
        "relations",
        "automatic",
        "restricted_by",
    ),
    1,
)
_RELATIVE: Final = dict.fromkeys(("node", "parents", "restricted_by", "deleted"), 1)
_RECORDED: Final = dict.fromkeys(("node", "body", "envelope", "late", "deleted"), 1)


class MongoLineageStore:
    """The LineageStore."""

    def __init__(self, database: AsyncIOMotorDatabase[Document]) -> None:
        self._versions = database["versions"]
        self._late = database["late"]
        self._deployments = database["deployments"]
        self._read_kin: Coalescer[frozenset[str], dict[str, Kin]] = Coalescer(self._kin)

    async def prepare(self) -> None:
        """Make the indexes; a no-op where they are."""
        with translated():
            await self._versions.create_indexes(
                [IndexModel([(field, 1)], sparse=True) for field in ("node", "parents", "weights", "waits", "origins")]
            )
            await self._late.create_indexes([IndexModel([("cause", 1), ("_id", 1)])])
            await self._deployments.create_indexes([IndexModel([("node", 1)])])

    async def kin(self, nodes: Iterable[str]) -> dict[str, Kin]:
        wanted = frozenset(nodes)
        return await self._read_kin(wanted) if wanted else {}

    async def _kin(self, asked: Sequence[frozenset[str]]) -> list[dict[str, Kin]]:
        """What concurrent handlers ask for, read at once."""
        found = [read_kin(document) for document in await self._of(sorted(frozenset().union(*asked)), _KIN)]
        return [{kin.node: kin for kin in found if kin.node in nodes} for nodes in asked]

    async def relatives(self, nodes: Iterable[str]) -> list[Relative]:
        return [_relative(document) for document in await self._of(nodes, _RELATIVE)]

    async def children(self, nodes: Iterable[str]) -> list[Relative]:
        found = await self._where("parents", nodes, _RELATIVE)
        return list({document["node"]: _relative(document) for document in found}.values())

    async def versions(self, nodes: Iterable[str]) -> dict[str, Recorded]:
        wanted = list(nodes)
        services: dict[str, list[str]] = {}
        with translated():
            for ids in parts(wanted):
                # Asked for by one field: with another beside it some servers read the whole collection.
                async for one in self._deployments.find({"node": {"$in": ids}}):
                    if one["deployed"] and one.get("requested"):
                        services.setdefault(one["node"], []).append(one["service"])
        found = await self._of(wanted, _RECORDED)
        return {one["node"]: _recorded(one, services.get(one["node"], ())) for one in found}

    async def has_model(self, workspace: str, model: str) -> bool:
        # The first version of a model has this ordinal, in every case.
        with translated():
            return (
                await self._versions.find_one({"workspace": workspace, "model": model, "ordinal": 1}, {"_id": 1})
                is not None
            )

    async def containing(self, workspace: str, digest: str) -> AsyncIterator[Kin]:
        async for document in self._stream({"weights": held_id(workspace, digest)}, _KIN):
            yield read_kin(document)

    async def waiting(self, workspace: str, digest: str) -> AsyncIterator[Kin]:
        async for document in self._stream({"waits": held_id(workspace, digest)}, _KIN):
            yield read_kin(document)

    async def made_with(self, origin: str) -> AsyncIterator[Relative]:
        async for document in self._stream({"origins": origin}, _RELATIVE):
            yield _relative(document)

    async def record(self, found: Sequence[Late]) -> None:
        standing = await self._insert(found)
        ids = {one["node"]: one["_id"] for one in await self._of({_about(event) for event in found}, {"node": 1})}
        # By _id: an update by another field costs three times as much on some servers.
        learnt = [UpdateOne({"_id": ids[_about(event)]}, {"$addToSet": _learnt(event)}) for event in standing]
        with translated():
            await self._versions.bulk_write(learnt, ordered=False)

    async def _insert(self, found: Sequence[Late]) -> Sequence[Late]:
        """Returns what stands now: of an edge that another found too, what that one says of it."""
        documents = [_late_document(event) for event in found]
        try:
            with translated():
                await self._late.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            if not only_duplicates(error):
                raise
        else:
            return found
        with translated():
            return [
                _late(document)
                for ids in parts([document["_id"] for document in documents])
                async for document in self._late.find({"_id": {"$in": ids}})
            ]

    async def recorded(self, cause_id: str) -> AsyncIterator[list[Late]]:
        last = ""
        while True:
            with translated():
                page = self._late.find({"cause": cause_id, "_id": {"$gt": last}}).sort("_id", 1).limit(IDS_AT_ONCE)
                documents = [document async for document in page]
            if not documents:
                return
            last = documents[-1]["_id"]
            yield [_late(document) for document in documents]

    async def delete(self, deleted: VersionDeleted) -> None:
        node = version_node(deleted.workspace, deleted.model, deleted.version)
        with translated():
            marked = await self._versions.update_one({"node": node}, {"$set": {"deleted": True}})
        if not marked.matched_count:
            raise Transient(f"{node} is deleted and not there yet")

    async def request(self, requested: DeploymentRequest) -> None:
        with translated():
            for version in requested_versions(requested):
                node = version_node(requested.workspace, requested.model, version)
                known = {"node": node, "service": requested.service, "requested": True}
                await self._deployments.update_one(
                    {"_id": f"{node} {requested.service}"},
                    {"$set": known, "$setOnInsert": {"at": "", "deployed": False}},
                    upsert=True,
                )

    async def report(self, report: DeploymentReport) -> None:
        node = version_node(report.workspace, report.model, report.version)
        # Of two at the same instant, all must come to the same one.
        at = f"{moment(report.envelope.time)} {report.envelope.id}"
        state = {
            "node": node,
            "service": report.service,
            "at": at,
            "deployed": isinstance(report, DeploymentStarted | DeploymentReady),
        }
        try:
            with translated():
                await self._deployments.update_one(
                    {"_id": f"{node} {report.service}", "at": {"$lt": at}}, {"$set": state}, upsert=True
                )
        except DuplicateKeyError:
            return  # a newer report is there, or this one

    async def _of(self, nodes: Iterable[str], fields: Mapping[str, Any]) -> list[Document]:
        return await self._where("node", nodes, fields)

    async def _where(self, field: str, values: Iterable[str], fields: Mapping[str, Any]) -> list[Document]:
        found: list[Document] = []
        with translated():
            for ids in parts(list(values)):
                found += [one async for one in self._versions.find({field: {"$in": ids}}, fields)]
        return found

    async def _stream(self, wanted: Document, fields: Mapping[str, Any]) -> AsyncIterator[Document]:
        with translated():
            async for document in self._versions.find(wanted, fields):
                yield document


def held_id(workspace: str, digest: str) -> str:
    """By what bytes are found, each workspace on its own."""
    return f"{workspace}/{digest}"


def moment(time: datetime) -> str:
    """Compares as times do."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def kin_fields(workspace: str, kin: Kin) -> Document:
    """What the document of a version says of its kin. What is empty is left out, so that no index has to hold it."""
    fields: Document = {
        "node": kin.node,
        "import_id": kin.import_id,
        "at": kin.at,
        "parents": sorted(kin.parents),
        "package": kin.package,
        "weights": [held_id(workspace, digest) for digest in sorted(kin.weights)],
        "partial": kin.partial,
        "waits": [held_id(workspace, digest) for digest in sorted(kin.waits)],
        "relations": dict(kin.waits),
        "automatic": kin.automatic,
        "restricted_by": sorted(kin.restricted_by),
    }
    return {name: value for name, value in fields.items() if value not in ([], {})}


def read_kin(document: Document) -> Kin:
    return Kin(
        node=document["node"],
        import_id=document["import_id"],
        at=document["at"],
        parents=frozenset(document.get("parents", ())),
        package=document["package"],
        weights=frozenset(one.partition("/")[2] for one in document.get("weights", ())),
        partial=document["partial"],
        waits=document.get("relations", {}),
        automatic=document["automatic"],
        restricted_by=frozenset(document.get("restricted_by", ())),
    )


def _relative(document: Document) -> Relative:
    return Relative(
        node=document["node"],
        parents=frozenset(document.get("parents", ())),
        restricted_by=frozenset(document.get("restricted_by", ())),
        deleted=document.get("deleted", False),
    )


def _recorded(document: Document, services: Iterable[str]) -> Recorded:
    return Recorded(
        assigned=VersionAssigned.read(document["body"], Envelope.model_validate_json(document["envelope"])),
        late=tuple(Edge.model_validate_json(edge) for edge in document.get("late", ())),
        services=tuple(sorted(services)),
        deleted=document.get("deleted", False),
    )


def _about(event: Late) -> str:
    return version_node(event.workspace, event.model, event.version)


def _learnt(event: Late) -> Document:
    match event:
        case LineageExtended(edges=edges):
            return {
                "parents": {"$each": [edge.target for edge in edges]},
                "late": {"$each": [edge.model_dump_json() for edge in edges]},
            }
        case VersionRestricted(restricted_by=sources):
            return {"restricted_by": {"$each": list(sources)}}


def late_key(event: Late) -> str:
    """What an event says; who says it, and how it was found, aside. Edges come before the restrictions that follow from them."""
    match event:
        case LineageExtended(edges=edges):
            return "\n".join(("extended", _about(event), *(edge.target for edge in edges)))
        case VersionRestricted(restricted_by=sources):
            return "\n".join(("restricted", _about(event), *sources))


def _late_document(event: Late) -> Document:
    return {
        "_id": late_key(event),
        "cause": event.envelope.answered_id,
        "address": event.address,
        "body": event.body(),
        "envelope": event.envelope.model_dump_json(),
    }


def _late(document: Document) -> Late:
    envelope = Envelope.model_validate_json(document["envelope"])
    if document["address"] == LineageExtended.address:
        return LineageExtended.read(document["body"], envelope)
    return VersionRestricted.read(document["body"], envelope)
