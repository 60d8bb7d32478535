"""The registry in MongoDB.

versions, one document an import
    _id            the id of its ModelImported
    workspace, model, import_id
    imported       that event: body and envelope
    assigned, refused    the answer of versioning, likewise
    released       how it came out of quarantine, likewise
    number         rank of the version number
    failed         whether it was refused
    seen_at        time of the newest event on it
  Only what has both halves is visible. Every field comes from an event, so that a rebuild gives the same again.
refusals
    _id            the id of the command that was refused
    body, envelope    the CommandRefused
models
    _id            <workspace>/<model>
    versions, latest, created_at, updated_at    all kept by $max and $min, so that a repeat changes nothing
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo import IndexModel, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from services.registry.domain import RegisteredVersion
from shared.coalesce import Coalescer
from shared.envelope import Envelope
from shared.errors import Transient
from shared.messages import CommandRefused, Message, ModelImported, VersionAssigned, VersionRefused, VersionReleased
from shared.naming import VersionNumber
from shared.queries import ImportStatus, ModelSummary
from shared.store import Document, only_duplicates, ping, translated

Kind = TypeVar("Kind", bound=Message)
WHOLE: Document = {"imported": {"$exists": True}, "assigned": {"$exists": True}}


class _Half(NamedTuple):
    """What one event says of a version."""

    version_id: str
    event: ModelImported | VersionAssigned | VersionRefused
    facts: Document


class MongoModelStore:
    """The ModelStore. Concurrent calls share their round trips."""

    def __init__(self, database: AsyncIOMotorDatabase[Document]) -> None:
        self._database = database
        self._versions = database["versions"]
        self._models = database["models"]
        self._refusals = database["refusals"]
        self._record_together: Coalescer[_Half, RegisteredVersion | None] = Coalescer(self._record)

    async def prepare(self) -> None:
        """Make the indexes; a no-op where they are."""
        with translated():
            await self._versions.create_indexes(
                [
                    IndexModel([("workspace", 1), ("model", 1), ("number", 1)]),
                    IndexModel([("import_id", 1)]),
                ]
            )

    async def ping(self) -> None:
        await ping(self._database)

    async def record_import(self, imported: ModelImported) -> RegisteredVersion | None:
        facts = {"import_id": imported.import_id, "imported": _written(imported)}
        return await self._record_together(_Half(imported.envelope.id, imported, facts))

    async def record_version(self, assigned: VersionAssigned) -> RegisteredVersion | None:
        facts = {"number": VersionNumber.parse(assigned.version).rank, "assigned": _written(assigned)}
        return await self._record_together(_Half(_cause(assigned), assigned, facts))

    async def record_refusal(self, refused: VersionRefused) -> None:
        facts = {"import_id": refused.import_id, "refused": _written(refused), "failed": True}
        with translated():
            await self._versions.bulk_write([_half_write(_Half(_cause(refused), refused, facts))])

    async def record_release(self, released: VersionReleased) -> VersionReleased:
        wanted = {
            "workspace": released.workspace,
            "model": released.model,
            "number": VersionNumber.parse(released.version).rank,
            **WHOLE,
        }
        with translated():
            await self._versions.update_one(
                {**wanted, "released": {"$exists": False}}, {"$set": {"released": _written(released)}}
            )
            document = await self._versions.find_one(wanted)
        if document is None:
            raise Transient(f"{released.model} {released.version} is not whole yet")
        return _read(VersionReleased, document["released"])

    async def refusal_of(self, command_id: str) -> CommandRefused | None:
        with translated():
            document = await self._refusals.find_one({"_id": command_id})
        return _read(CommandRefused, document) if document else None

    async def record_command_refusal(self, refused: CommandRefused) -> CommandRefused:
        try:
            with translated():
                await self._refusals.insert_one({"_id": _cause(refused), **_written(refused)})
        except DuplicateKeyError:
            return await self.refusal_of(_cause(refused)) or refused
        return refused

    async def models(self, workspace: str, after: str, limit: int) -> list[ModelSummary]:
        names = {"$gt": f"{workspace}/{after}", "$lt": f"{workspace}0"}  # '0' comes right after '/'
        with translated():
            found = self._models.find({"_id": names}).sort("_id", 1).limit(limit)
            return [_model_summary(document) async for document in found]

    async def model(self, workspace: str, model: str) -> ModelSummary | None:
        with translated():
            document = await self._models.find_one({"_id": f"{workspace}/{model}"})
        return _model_summary(document) if document else None

    async def versions(
        self, workspace: str, model: str, after: VersionNumber | None, limit: int
    ) -> list[RegisteredVersion]:
        above = {"workspace": workspace, "model": model, "number": {"$gt": after.rank if after else -1}}
        with translated():
            found = self._versions.find(above | WHOLE).sort("number", 1).limit(limit)
            return [_registered(document) async for document in found]

    async def version(self, workspace: str, model: str, number: VersionNumber) -> RegisteredVersion | None:
        wanted = {"workspace": workspace, "model": model, "number": number.rank, **WHOLE}
        with translated():
            document = await self._versions.find_one(wanted)
        return _registered(document) if document else None

    async def import_status(self, import_id: str) -> ImportStatus | None:
        # Descending, a field that is missing comes last, ascending it comes first: numbered, then not failed, then newest.
        best = [("number", -1), ("failed", 1), ("seen_at", -1)]
        with translated():
            document = await self._versions.find_one({"import_id": import_id}, sort=best)
        return _status(document) if document else None

    async def _record(self, halves: Sequence[_Half]) -> list[RegisteredVersion | None]:
        """Write the halves, read back what is whole: two round trips, a third for the models."""
        ids = list({half.version_id for half in halves})
        with translated():
            try:
                await self._versions.bulk_write([_half_write(half) for half in halves], ordered=True)
            except BulkWriteError as error:
                if not only_duplicates(error):
                    raise
                raise Transient("both halves of a version were written first at once") from error
            whole = self._versions.find({"_id": {"$in": ids}, **WHOLE})
            registered = {document["_id"]: _registered(document) async for document in whole}
            if registered:
                await self._models.bulk_write([_model_write(version) for version in registered.values()], ordered=False)
        # Where both halves came at once, one of them is enough to announce it; if that fails, its redelivery finds it whole.
        return [registered.pop(half.version_id, None) for half in halves]


def _half_write(half: _Half) -> UpdateOne:
    about = {"workspace": half.event.workspace, "model": half.event.model}
    said = {"$set": about | half.facts, "$max": {"seen_at": half.event.envelope.time}}
    return UpdateOne({"_id": half.version_id}, said, upsert=True)


def _model_write(version: RegisteredVersion) -> UpdateOne:
    assigned, at = version.assigned, version.registered_at
    return UpdateOne(
        {"_id": f"{assigned.workspace}/{assigned.model}"},
        {
            "$max": {
                "versions": assigned.ordinal,
                "latest": VersionNumber.parse(assigned.version).rank,
                "updated_at": at,
            },
            "$min": {"created_at": at},
        },
        upsert=True,
    )


def _cause(answer: Message) -> str:
    return answer.envelope.cause_id or answer.envelope.id


def _written(event: Message) -> Document:
    """As text: parameters may have names and numbers that BSON has not."""
    return {"body": event.body(), "envelope": event.envelope.model_dump_json()}


def _read(kind: type[Kind], written: dict[str, Any]) -> Kind:
    return kind.read(written["body"], Envelope.model_validate_json(written["envelope"]))


def _registered(document: Document) -> RegisteredVersion:
    return RegisteredVersion(
        imported=_read(ModelImported, document["imported"]),
        assigned=_read(VersionAssigned, document["assigned"]),
        released=_read(VersionReleased, document["released"]) if "released" in document else None,
    )


def _status(document: Document) -> ImportStatus:
    about = {name: document[name] for name in ("import_id", "workspace", "model")}
    if "refused" in document:
        refused = _read(VersionRefused, document["refused"])
        return ImportStatus(**about, status="failed", reason=refused.reason, message=refused.message)
    if all(half in document for half in WHOLE):
        version = str(VersionNumber.from_rank(document["number"]))
        return ImportStatus(**about, status="published", version=version)
    return ImportStatus(**about, status="publishing")


def _model_summary(document: Document) -> ModelSummary:
    workspace, _, model = document["_id"].partition("/")
    return ModelSummary(
        workspace=workspace,
        model=model,
        versions=document["versions"],
        latest=str(VersionNumber.from_rank(document["latest"])),
        created_at=document["created_at"],
        updated_at=document["updated_at"],
    )
