"""Reads everything that is there to judge: with a plain NATS client, plain pymongo, and nothing of ours."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nats
import nats.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from pymongo import MongoClient
from pymongo.database import Database

from tests.chaos.checker_records import Collections, Letter, Record, World
from tests.chaos.sent import Sent

AT_ONCE = 500
# A pull of what is there takes milliseconds.
FETCH_TIMEOUT_S = 10.0
COLLECTIONS = {
    "importer": ("imports",),
    "versioning": ("versions", "late", "deployments", "recall_answers"),
    "registry": ("imports", "versions", "history", "answers", "aliases", "services", "deployments", "heads"),
}


async def read_world(nats_url: str, mongo_uri: str, database: str, artifacts: Path, sent: Sequence[Sent]) -> World:
    events, commands, letters, left = await _streams(nats_url)
    stores = await asyncio.to_thread(_databases, mongo_uri, database)
    redriven = {event.fields.get("letter") for event in events if event.kind == "letter.redriven"}
    added = [event for event in events if event.kind == "letter.added" and event.ours and not event.broken]
    told = [_told(event) for event in added if event.fields["letter"] not in redriven]
    return World(
        events=events,
        commands=commands,
        # A letter that was dropped is gone from its stream; the event that told of it stays.
        letters=list({(one.durable, one.stream, one.sequence): one for one in (*told, *letters)}.values()),
        left=left,
        artifacts=artifacts,
        sent=sent,
        **stores,
    )


async def _streams(url: str) -> tuple[list[Record], list[Record], list[Letter], Mapping[str, int]]:
    client = await nats.connect(url)
    try:
        jetstream = client.jetstream(timeout=FETCH_TIMEOUT_S)
        left = {name: count for stream in ("EVENTS", "COMMANDS") async for name, count in _left(jetstream, stream)}
        events = [_record(message) async for message in _messages(jetstream, "EVENTS")]
        commands = [_record(message) async for message in _messages(jetstream, "COMMANDS")]
        letters = [_letter(message) async for message in _messages(jetstream, "DEAD_LETTERS")]
    finally:
        await client.close()
    return events, commands, letters, left


async def _left(jetstream: JetStreamContext, stream: str) -> AsyncIterator[tuple[str, int]]:
    """How many messages each durable consumer has not handled."""
    offset = 0
    while page := await jetstream.consumers_info(stream, offset=offset):
        for info in page:
            if info.config.durable_name:
                yield info.name, (info.num_pending or 0) + (info.num_ack_pending or 0)
        offset += len(page)


async def _messages(jetstream: JetStreamContext, stream: str) -> AsyncIterator[Msg]:
    if not (await jetstream.stream_info(stream)).state.messages:
        return
    config = ConsumerConfig(ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL, inactive_threshold=60.0)
    subscription = await jetstream.pull_subscribe("", stream=stream, config=config)
    pending = 1
    while pending:
        for message in await subscription.fetch(AT_ONCE, timeout=FETCH_TIMEOUT_S):
            pending = message.metadata.num_pending
            yield message
    await subscription.unsubscribe()


def _record(message: Msg) -> Record:
    place = message.metadata
    return Record.of(
        place.stream, place.sequence.stream, message.subject, message.headers or {}, message.data, place.timestamp
    )


def _letter(message: Msg) -> Letter:
    told = {name.lower(): unquote(value) for name, value in (message.headers or {}).items()}
    durable, stream, sequence, reason, why = (
        told.get(f"modelkin-dead-{name}", "") for name in ("durable", "stream", "sequence", "reason", "message")
    )
    return Letter(durable, stream, int(sequence or 0), reason, why)


def _told(event: Record) -> Letter:
    fields = event.fields
    return Letter(fields["durable"], fields["stream"], fields["sequence"], fields["reason"], fields["message"])


def _databases(uri: str, database: str) -> dict[str, Collections]:
    client: MongoClient[dict[str, Any]] = MongoClient(uri, tz_aware=True)
    try:
        return {
            service: {name: _documents(client[f"{database}_{service}"], name) for name in names}
            for service, names in COLLECTIONS.items()
        }
    finally:
        client.close()


def _documents(database: Database[dict[str, Any]], name: str) -> Mapping[str, Mapping[str, Any]]:
    return {document["_id"]: document for document in database[_now_called(database, name)].find({})}


def _now_called(database: Database[dict[str, Any]], name: str) -> str:
    """The collection that a service reads now: a database that was made anew has a pointer to its generation."""
    pointer = database["generations"].find_one({"_id": "current"}) or {}
    generation = pointer.get("generation") or 0
    return f"g{generation}.{name}" if generation else name
