"""What every question is, and how much a reply may hold."""

from collections.abc import Iterable
from typing import ClassVar, TypeVar

from shared.values import Value

Fitted = TypeVar("Fitted", bound=Value)
PAGE = 100
# A reply must fit into one message of 1 MiB, also after it was put together with its page.
LARGEST_REPLY_BYTES = 768 * 1024
# Stands on a reply that is a QueryFailed, with its `error`.
ERROR_HEADER = "modelkin-error"


class Query(Value):
    """A question, one JSON object, with the subject it is asked on."""

    address: ClassVar[str]
    reply: ClassVar[type[Value]]


def is_of_workspace(query: type[Query]) -> bool:
    """Whether it may also be asked on `<address>.<workspace>`, where the broker can hold the asker to that workspace."""
    return "workspace" in query.model_fields


def fitting(values: Iterable[Fitted]) -> list[Fitted]:
    """As many of the values, in order, as one reply can hold; at least one."""
    taken: list[Fitted] = []
    room_bytes = LARGEST_REPLY_BYTES
    for value in values:
        room_bytes -= len(value.model_dump_json().encode())
        if room_bytes < 0 and taken:
            break
        taken.append(value)
    return taken


class QueryFailed(Value):
    """Why there is no answer. `error` is for programs, `message` for people."""

    error: str
    message: str
