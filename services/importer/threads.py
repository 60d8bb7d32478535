"""Blocking work in threads, none of which outlives the call that started it."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")
# Most of them wait for a server, so there are more than cores.
_executor = ThreadPoolExecutor(32, "importer-io")
_executor_apart = ThreadPoolExecutor(32, "importer-io-apart")
_current = contextvars.ContextVar("executor", default=_executor)


class Stopped(Exception):
    """Whoever asked for the work no longer waits for it."""


class Stop:
    """Asks work in a thread to end early."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ask(self) -> None:
        self._event.set()

    def check(self) -> None:
        """Raise Stopped once that was asked for."""
        if self._event.is_set():
            raise Stopped


@contextlib.contextmanager
def on_threads_apart() -> Iterator[None]:
    """For the time of this block, blocking work waits only for threads that others of its like hold."""
    token = _current.set(_executor_apart)
    try:
        yield
    finally:
        _current.reset(token)


async def to_its_end(work: Callable[[], Result], stop: Stop | None = None) -> Result:
    """Run in a thread. Where this is cancelled, wait for the thread: it uses files that are closed after it."""
    run = contextvars.copy_context().run
    running = asyncio.get_running_loop().run_in_executor(_current.get(), run, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        if stop is not None:
            stop.ask()
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # seen, so that nobody complains of it
        raise
