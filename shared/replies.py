"""Request and reply: how a service answers queries, and what the asker hears when it cannot."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

import structlog
from faststream import BaseMiddleware
from faststream.nats import NatsMessage, NatsRouter

from shared.errors import Malformed, Refused, Transient
from shared.messages import read_json
from shared.queries import Query, QueryFailed

log = structlog.get_logger()


class Replies(BaseMiddleware[Any, Any]):
    """Whatever goes wrong with a question, the asker is told."""

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
        if failure.error in {"unavailable", "internal"}:
            log.error("query failed", subject=self.msg.subject, exc_info=exc_val)
        if self.msg.reply:
            await self.msg.respond(failure.model_dump_json().encode())
        return True


def query_router() -> NatsRouter:
    """Where the handlers of queries are added, with `reply`."""
    return NatsRouter(middlewares=[Replies])


def reply(router: NatsRouter, query: type[Query], handler: Callable[..., Any], *, queue: str, to: str = "") -> None:
    """Reply to a query with what the handler returns. Processes of one `queue` share the questions.

    Args:
        router: from `query_router`.
        query: which question.
        handler: takes the query first.
        queue: the service that replies.
        to: a last token of the subject, where each service is asked by name.
    """
    subject = f"{query.address}.{to}" if to else query.address
    router.subscriber(subject, queue=queue, decoder=_query_decoder(query))(handler)


def _query_decoder(kind: type[Query]) -> Callable[[NatsMessage], Awaitable[Query]]:
    async def decode(message: NatsMessage) -> Query:
        return read_json(kind, message.body)

    return decode
