"""The contract as an AsyncAPI 3 document, made from the message classes: what anyone who speaks NATS needs to know."""

import json
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.dead_letters import DeadLetter
from shared.envelope import CONTENT_TYPE, MESSAGE_ID_HEADER
from shared.messages import (
    ARTIFACTS,
    COMMANDS,
    EVENTS,
    LIVE,
    AutoLearningDeployed,
    CollectGarbage,
    Command,
    DatasetRecalled,
    GarbageCollected,
    Message,
)
from shared.naming import NAME_RULE
from shared.queries import ERROR_HEADER, QUERIES, SERVICES, FileBytes, Ping, Query, QueryFailed, ReadBytes
from shared.subjects import CONSUMERS, DEAD_LETTERS

Json = dict[str, Any]

HEARD = {kind for consumer in CONSUMERS for kind in consumer.kinds}
# What the last token of a subject names, where it is no model.
TOPICS: dict[type[Message], str] = {
    AutoLearningDeployed: "project",
    DatasetRecalled: "dataset",
    CollectGarbage: ARTIFACTS,
    GarbageCollected: ARTIFACTS,
}
TEXT: Json = {"type": "string"}
ACTOR: Json = {
    "description": f"who sends it, and stands in every answer: the name of the NATS user; {NAME_RULE}. '~' stands for a"
    " sender whose name breaks the rule: it is the ce-source then. Otherwise the ce-source of a command says nothing."
}
EVENT_HEADERS: Json = {
    "type": "object",
    "description": "CloudEvents 1.0 in binary mode. A plain publisher may leave all of it out; an id of its own makes a"
    " repeat a repeat. Values escape the space, '\"', '%' and what is not printable ASCII, as in a URL.",
    "properties": {
        "ce-specversion": {"const": "1.0"},
        "ce-id": {"type": "string", "minLength": 1, "maxLength": 200, "description": "the id of the message"},
        "ce-source": {"type": "string", "description": "who says it; of a command, its subject says who"},
        "ce-type": {"type": "string", "description": "the subject without workspace, model and sender"},
        "ce-time": {"type": "string", "format": "date-time"},
        "ce-subject": {"type": "string", "description": "<workspace>/<model>"},
        "ce-correlationid": {"type": "string", "description": "the id of the request that began it all"},
        "ce-causationid": {"type": "string", "description": "the id of the message that this one answers"},
        MESSAGE_ID_HEADER: {"type": "string", "description": "the same as ce-id: the stream drops repeats of it"},
        "content-type": {"const": CONTENT_TYPE},
    },
}


FAILURE_HEADERS: Json = {"type": "object", "properties": {ERROR_HEADER: {"type": "string", "description": "its error"}}}
QUERY_PARAMETERS: dict[type[Query], Json] = {
    Ping: {"service": {"enum": list(SERVICES)}},
    ReadBytes: {
        "workspace": {"description": NAME_RULE},
        "reader": {"description": "the service that the grant is bound to; '~' for a download by a person"},
    },
}


def asyncapi_document() -> Json:
    """The whole document, as JSON values in a fixed order."""
    events = (*EVENTS, *COMMANDS, *LIVE)
    bodies: list[type[BaseModel]] = [*events, *QUERIES, *(query.reply for query in QUERIES), QueryFailed]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Modelkin",
            "version": version("modelkin"),
            "description": "Events about models, their versions and their lineage, and questions about them, over NATS."
            " Events are kept in the JetStream stream EVENTS, commands in COMMANDS.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {"local": {"host": "127.0.0.1:4222", "protocol": "nats"}},
        "channels": {
            **{event.__name__: _event_channel(event) for event in events},
            **{name: channel for query in QUERIES for name, channel in _query_channels(query)},
            "DeadLetter": _dead_letter_channel(),
        },
        "operations": {
            **{name: operation for event in events for name, operation in _event_operations(event)},
            **{f"answer{query.__name__}": _query_operation(query) for query in QUERIES},
            "sayDeadLetter": _operation("send", "DeadLetter"),
        },
        "components": {
            "messages": {
                **{event.__name__: _message(event, headers=EVENT_HEADERS) for event in events},
                **{body.__name__: _message(body) for body in bodies if not issubclass(body, Message | QueryFailed)},
                "QueryFailed": _message(QueryFailed, headers=FAILURE_HEADERS),
                "DeadLetter": _dead_letter(),
            },
            "schemas": _schemas(bodies),
        },
    }


def as_text(document: Json) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _schemas(bodies: Iterable[type[BaseModel]]) -> Json:
    _, schemas = models_json_schema(
        [(body, "validation") for body in dict.fromkeys(bodies)], ref_template="#/components/schemas/{model}"
    )
    return dict(sorted(schemas["$defs"].items()))


def _event_channel(event: type[Message]) -> Json:
    topic = TOPICS.get(event, "model")
    rule: Json = {"description": f"{NAME_RULE}; '~' stands for a name that breaks the rule"}
    parameters: Json = {
        "workspace": {"description": f"{NAME_RULE}; '0' is the default workspace"},
        topic: {"enum": [ARTIFACTS]} if topic == ARTIFACTS else rule,
    }
    address = f"{event.address}.{{workspace}}.{{{topic}}}"
    messages = _references("components/messages", event.__name__)
    if not issubclass(event, Command):
        return {"address": address, "messages": messages, "parameters": parameters}
    return {
        "address": f"{address}.{{actor}}",
        "description": f"Without its last token, as '{address}', a command is read too: its sender is its ce-source then.",
        "messages": messages,
        "parameters": {**parameters, "actor": ACTOR},
    }


def _query_channels(query: type[Query]) -> Iterable[tuple[str, Json]]:
    parameters = QUERY_PARAMETERS.get(query, {})
    address = ".".join((query.address, *(f"{{{name}}}" for name in parameters)))
    messages = _references("components/messages", query.__name__)
    yield query.__name__, {"address": address, "messages": messages, "parameters": parameters}
    replies = _references("components/messages", query.reply.__name__, QueryFailed.__name__)
    yield f"{query.__name__}Reply", {"address": None, "description": "the inbox of the asker", "messages": replies}


def _event_operations(event: type[Message]) -> Iterable[tuple[str, Json]]:
    name = event.__name__
    if event.said_by.startswith("modelkin/"):
        yield f"say{name}", _operation("send", name)
    if event in HEARD:
        yield f"hear{name}", _operation("receive", name)


def _operation(action: str, channel: str) -> Json:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}


def _query_operation(query: type[Query]) -> Json:
    reply = {"channel": {"$ref": f"#/channels/{query.__name__}Reply"}}
    return {**_operation("receive", query.__name__), "reply": reply}


def _message(body: type[BaseModel], headers: Json | None = None) -> Json:
    if body is FileBytes:
        return {"name": body.__name__, "summary": _summary(body), "contentType": "application/octet-stream"}
    described = {"headers": headers} if headers else {}
    return {
        "name": body.__name__,
        "summary": _summary(body),
        "contentType": CONTENT_TYPE,
        **described,
        "payload": {"$ref": f"#/components/schemas/{body.__name__}"},
    }


def _summary(body: type[BaseModel]) -> str:
    return (body.__doc__ or body.__name__).split("\n", 1)[0]


def _dead_letter_channel() -> Json:
    return {
        "address": f"{DEAD_LETTERS}.{{durable}}",
        "messages": _references("components/messages", "DeadLetter"),
        "parameters": {"durable": {"enum": [consumer.durable for consumer in CONSUMERS]}},
    }


def _dead_letter() -> Json:
    facts = dict.fromkeys(DeadLetter.header_names().values(), TEXT)
    return {
        "name": "DeadLetter",
        "summary": (DeadLetter.__doc__ or "").split("\n", 1)[0],
        "headers": {"type": "object", "properties": facts, "required": sorted(facts)},
        "payload": {"description": "the original bytes"},
    }


def _references(where: str, *names: str) -> Json:
    return {name: {"$ref": f"#/{where}/{name}"} for name in names}
