"""Request and reply: how a service answers queries, and what the asker hears when it cannot."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

import structlog
from faststream import BaseMiddleware
from faststream.nats import NatsBroker, NatsMessage, NatsRouter

from shared.errors import Malformed, Refused, Transient
from shared.messages import read_json
from shared.queries import (
    ERROR_HEADER,
    AffectedPage,
    GetAffected,
    GetLineage,
    LineageGraph,
    Query,
    QueryFailed,
    is_of_workspace,
)

log = structlog.get_logger()


class Replies(BaseMiddleware[Any, Any]):
    """Whatever goes wrong with a question, the asker is told."""

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
        said = await call_next(msg)
        if not isinstance(said, LineageGraph | AffectedPage):
            return said
        workspace = _workspace(GetLineage if isinstance(said, LineageGraph) else GetAffected, self.msg.subject)
        return said if workspace is None else said.seen_from(workspace)

    async def after_processed(
        self,
        exc_type: type[BaseException] | None = None,  # noqa: ARG002 - the hook is called with three
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,  # noqa: ARG002
    ) -> bool | None:
        if not isinstance(exc_val, Exception):
            return False
        match exc_val:
            case Refused():
                failure = QueryFailed(error=exc_val.code, message=str(exc_val))
            case Malformed():
                failure = QueryFailed(error="malformed", message=str(exc_val))
            case Transient():
                failure = QueryFailed(error="unavailable", message="the store is away; ask again later")
            case _:
                failure = QueryFailed(error="internal", message="the service failed; its log says how")
        if failure.error == "unavailable":
            log.warning("query failed", subject=self.msg.subject, error=str(exc_val))
        elif failure.error == "internal":
            log.error("query failed", subject=self.msg.subject, exc_info=exc_val)
        if self.msg.reply:
            broker: NatsBroker = self.context.get("broker")
            body, headers = failure.model_dump_json().encode(), {ERROR_HEADER: failure.error}
            await broker.connection.publish(self.msg.reply, body, headers=headers)
        return True


def query_router() -> NatsRouter:
    """Where the handlers of queries are added, with `reply`."""
    return NatsRouter(middlewares=[Replies])


def reply(
    router: NatsRouter, query: type[Query], handler: Callable[..., Any], *, queue: str, to: str = "", at_once: int = 1
) -> None:
    """Reply to a query with what the handler returns. Processes of one `queue` share the questions.

    Args:
        router: from `query_router`.
        query: which question.
        handler: takes the query first.
        queue: the service that replies.
        to: the last tokens of the subject, where it says more than the question.
        at_once: how many are replied to side by side.
    """
    subjects = [f"{query.address}.{to}" if to else query.address]
    if is_of_workspace(query):
        subjects.append(f"{query.address}.*")
    for subject in subjects:
        router.subscriber(subject, queue=queue, decoder=_query_decoder(query), max_workers=at_once)(handler)


def _query_decoder(kind: type[Query]) -> Callable[[NatsMessage], Awaitable[Query]]:
    async def decode(message: NatsMessage) -> Query:
        query = read_json(kind, message.body)
        asked_in = _workspace(kind, message.raw_message.subject)
        return query if asked_in is None else _asked_in(asked_in, query)

    return decode


def _workspace(kind: type[Query], subject: str) -> str | None:
    """The workspace that a subject says, None where it says none."""
    return subject.removeprefix(f"{kind.address}.") if is_of_workspace(kind) and subject != kind.address else None


def _asked_in(workspace: str, query: Query) -> Query:
    """The broker let the asker say this workspace, and no other.

    Raises:
        Refused: the body says another.
    """
    said = getattr(query, "workspace", None)
    if "workspace" in query.model_fields_set and said not in {None, workspace}:
        message = f"the body is about workspace {said!r}, the question was asked in {workspace!r}: expected the same"
        raise Refused("another-workspace", message)
    return query.model_copy(update={"workspace": workspace})
