"""Where the work can be watched: an event that is published, a stage of longer work. Most often nobody watches."""

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import Protocol, Self

from shared.messages import Message


class Saying:
    """An event on its way to the stream, for the time of a block. This one watches nothing."""

    headers: Mapping[str, str] = {}
    """To be published beside those of the envelope; no part of the event."""

    def __enter__(self) -> Self:
        return self

    def kept(self, *, new: bool) -> None:
        """The stream has it; `new`: and did not have it before."""

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None: ...


class Watcher(Protocol):
    """Watches how one message is handled."""

    def saying(self, event: Message) -> Saying: ...

    def stage(self, name: str) -> AbstractContextManager[None]: ...


watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)
"""Of the message that is being handled."""

_NOBODY = Saying()


def saying(event: Message) -> Saying:
    """An event that is about to be published."""
    watching = watcher.get()
    return _NOBODY if watching is None else watching.saying(event)


def stage(name: str) -> AbstractContextManager[None]:
    """A stage of the work on the message that is being handled, for the time of a block."""
    watching = watcher.get()
    return contextlib.nullcontext() if watching is None else watching.stage(name)
