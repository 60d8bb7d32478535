"""How one message is handled, watched from its delivery to its end. What goes wrong with watching harms no message."""

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import nats.errors
import structlog
from faststream import BaseMiddleware, ContextRepo
from faststream.exceptions import NackMessage, RejectMessage
from nats.aio.msg import Msg

from shared.messages import Message
from shared.watching import Saying, watcher

if TYPE_CHECKING:  # each is loaded where a setting asks for it
    from shared.observing.measures import Measures
    from shared.observing.metrics import Metrics
    from shared.observing.tracing import Tracing


log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Watch:
    """Who watches in this process."""

    consumers: frozenset[str]
    """The durables whose messages it handles."""
    metrics: "Metrics | None"
    measures: "Measures | None"
    """What the service counts beside what all do."""
    tracing: "Tracing | None"


class Handling:
    """One delivery of a message, or one question."""

    def __init__(self, watch: Watch, message: Msg) -> None:
        self.message = message
        self.begun = time.perf_counter()
        self.consumer = _consumer(message, watch.consumers)
        """None where it is a question."""
        self._watch = watch
        self._span = watch.tracing.handling(message) if watch.tracing and self.consumer else None
        self._token = watcher.set(self)

    @property
    def took_s(self) -> float:
        return time.perf_counter() - self.begun

    def saying(self, event: Message) -> Saying:
        return _Watched(self._watch, self, event)

    def stage(self, name: str) -> AbstractContextManager[None]:
        return _stage(self._watch, name)

    def end(self, error: BaseException | None) -> None:
        watcher.reset(self._token)
        outcome = _outcome(error)
        if self._span is not None:
            self._span.end(outcome, error)
        metrics = self._watch.metrics
        if metrics is None:
            return
        if self.consumer is not None:
            metrics.message_seconds.labels(self.consumer, outcome).observe(self.took_s)
        else:
            metrics.query_seconds.labels(_query(self.message.subject)).observe(self.took_s)


def _consumer(message: Msg, known: frozenset[str]) -> str | None:
    """Of those that are known: who asks a question chooses where it is answered, and may call that anything."""
    try:
        consumer = message.metadata.consumer
    except (nats.errors.Error, ValueError):
        return None
    return consumer if consumer in known else None


def _query(subject: str) -> str:
    """`model.get` of `modelkin.qry.v1.model.get.…`."""
    return ".".join(subject.split(".")[3:5])


def _outcome(error: BaseException | None) -> str:
    match error:
        case None:
            return "done"
        case RejectMessage():
            return "set_aside"
        case NackMessage():
            return "given_back"
        case asyncio.CancelledError():
            return "given_up"
        case _:
            return "failed"


class _Watched(Saying):
    """An event that is counted when it is kept, and says to which trace it belongs."""

    def __init__(self, watch: Watch, handling: Handling, event: Message) -> None:
        self._watch = watch
        self._handling = handling
        self._event = event
        self._span = watch.tracing.publishing(event) if watch.tracing else None
        if self._span is not None:
            self.headers = self._span.headers

    def kept(self, *, new: bool) -> None:
        if new:
            _harmless(self._count)

    def _count(self) -> None:
        if self._watch.metrics is not None:
            self._watch.metrics.published(self._event)
        if self._watch.measures is not None and self._watch.measures.published is not None:
            self._watch.measures.published(self._event, self._handling)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        if self._span is not None:
            self._span.end(exc_val)


@contextlib.contextmanager
def _stage(watch: Watch, name: str) -> Iterator[None]:
    begun = time.perf_counter()
    with watch.tracing.stage(name) if watch.tracing else contextlib.nullcontext():
        yield
    if watch.measures is not None and watch.measures.staged is not None:
        _harmless(functools.partial(watch.measures.staged, name, time.perf_counter() - begun))


def _harmless(watching: Callable[[], None]) -> None:
    """An event that was said, and a message that was handled, are so whether they can be counted or not."""
    try:
        watching()
    except Exception as error:  # noqa: BLE001 - as said
        log.warning("not watched", error=repr(error))


class Observed(BaseMiddleware[Any, Any]):
    """The outermost of the middlewares: it sees what became of a message."""

    def __init__(self, msg: Any, /, *, context: ContextRepo, watch: Watch) -> None:
        super().__init__(msg, context=context)
        self._watch = watch
        self._handling: Handling | None = None

    async def on_receive(self) -> None:
        _harmless(self._begin)

    def _begin(self) -> None:
        self._handling = Handling(self._watch, self.msg)

    async def after_processed(
        self,
        exc_type: type[BaseException] | None = None,  # noqa: ARG002 - the hook is called with three
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,  # noqa: ARG002
    ) -> bool | None:
        if self._handling is not None:
            _harmless(functools.partial(self._handling.end, exc_val))
        return False
