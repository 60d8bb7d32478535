"""How far recalls have come, in MongoDB.

recalls         _id <id of the cause> <page>; a page of those that are told, until all are
    cause, page, nodes, services
    events      what is still to be said: body and envelope each; gone once it was
recall_answers  _id the id of the cause; how it ended: address, body, envelope
"""

from collections.abc import AsyncIterator
from typing import Any

from pymongo import IndexModel

from services.versioning.ports import RecallAnswer, RecallPage
from shared.envelope import Envelope
from shared.errors import Transient
from shared.messages import CommandRefused, Message, RecallTraced, VersionAffected
from shared.store import Database, Document, insert_once, translated


class MongoRecallStore:
    """The RecallStore."""

    def __init__(self, database: Database) -> None:
        self._pages = database["recalls"]
        self._answers = database["recall_answers"]

    async def prepare(self) -> None:
        """Make the index; a no-op where it is."""
        with translated():
            await self._pages.create_indexes([IndexModel([("cause", 1), ("page", 1)])])

    async def answer(self, cause_id: str) -> RecallAnswer | None:
        with translated():
            document = await self._answers.find_one({"_id": cause_id})
        return _answer(document) if document else None

    async def pages(self, cause_id: str) -> AsyncIterator[RecallPage]:
        with translated():
            async for document in self._pages.find({"cause": cause_id}).sort("page", 1):
                yield RecallPage(
                    document["page"],
                    tuple(document["nodes"]),
                    tuple(document["services"]),
                    tuple(_affected(event) for event in document.get("events", ())),
                )

    async def write(self, cause_id: str, page: RecallPage) -> None:
        document = {
            "_id": _page_id(cause_id, page.number),
            "cause": cause_id,
            "page": page.number,
            "nodes": list(page.nodes),
            "services": list(page.services),
            "events": [_written(event) for event in page.events],
        }
        if not await insert_once(self._pages, document):
            raise Transient(f"recall {cause_id} is at work in another process")
        # Pages go after the answer has come: one that could be written since then is no page of it.
        if await self.answer(cause_id):
            with translated():
                await self._pages.delete_one({"_id": document["_id"]})
            raise Transient(f"recall {cause_id} was ended by another process")

    async def said(self, cause_id: str, number: int) -> None:
        with translated():
            await self._pages.update_one({"_id": _page_id(cause_id, number)}, {"$unset": {"events": ""}})

    async def close(self, answer: RecallAnswer) -> RecallAnswer:
        cause_id = answer.envelope.answered_id
        first = await insert_once(self._answers, {"_id": cause_id, "address": answer.address, **_written(answer)})
        with translated():
            await self._pages.delete_many({"cause": cause_id})
        return answer if first else await self.answer(cause_id) or answer


def _page_id(cause_id: str, number: int) -> str:
    return f"{cause_id} {number}"


def _written(event: Message) -> dict[str, Any]:
    return {"body": event.body(), "envelope": event.envelope.model_dump_json()}


def _affected(written: dict[str, Any]) -> VersionAffected:
    return VersionAffected.read(written["body"], Envelope.model_validate_json(written["envelope"]))


def _answer(document: Document) -> RecallAnswer:
    kind = RecallTraced if document["address"] == RecallTraced.address else CommandRefused
    return kind.read(document["body"], Envelope.model_validate_json(document["envelope"]))
