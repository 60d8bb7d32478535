"""Large imports: few at a time in a process, on threads of their own, so that lanes and threads stay free for small ones."""

import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import TypeVar

from services.importer.ports import FoundFile, Inspector
from services.importer.threads import on_threads_apart
from shared.contents import Contents
from shared.errors import Transient

Result = TypeVar("Result")

# More wait in the stream at any time only where an operator lets it give out so many; one that is forgotten is looked at again.
MOST_KNOWN = 10_000
# Of the import that runs here; None where none does: whoever lists an archive for a query waits for it.
_is_apart: ContextVar[bool | None] = ContextVar("is_apart", default=None)


class TurnsOutLarge(Transient):
    """What is imported among the small ones is no small one."""


class LargeImports:
    """Where the large imports of this process run."""

    def __init__(self, from_bytes: int, at_once: int) -> None:
        """`from_bytes`: of a package, or of an archive that must be fetched to be listed, that is large."""
        self._from_bytes = from_bytes
        self._at_once = at_once
        self._under_way = 0
        self._known: OrderedDict[str, None] = OrderedDict()

    async def run(self, request_id: str, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do the work of an import; it is begun anew, apart from the small ones, where it turns out to be large.

        Raises:
            Transient: it is large, and as many as may be are under way here; other processes may have room.
        """
        if request_id not in self._known:
            try:
                with _marked(apart=False):
                    return await work()
            except TurnsOutLarge:
                self._learn(request_id)
        with self._place(), _marked(apart=True), on_threads_apart():
            result = await work()
        self._known.pop(request_id, None)
        return result

    def check(self, size_bytes: int) -> None:
        """Told how many bytes an import is known to have, wherever that is found out.

        Raises:
            TurnsOutLarge: it is large, and runs among the small ones.
        """
        if size_bytes >= self._from_bytes and _is_apart.get() is False:
            raise TurnsOutLarge(f"{size_bytes} bytes: a large import (MODELKIN_LARGE_PACKAGE_BYTES)")

    def _learn(self, request_id: str) -> None:
        self._known[request_id] = None
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        if self._under_way >= self._at_once:
            raise Transient(
                f"{self._under_way} large imports are under way in this process, which is as many as may be"
                " (MODELKIN_CONCURRENT_LARGE_IMPORTS): this one waits in the stream"
            )
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1


class InspectorApart:
    """An Inspector of two: small packages do not wait until a large one is inspected."""

    def __init__(self, small: Inspector, large: Inspector) -> None:
        self._small = small
        self._large = large

    async def inspect(self, files: Sequence[FoundFile]) -> Contents:
        return await (self._large if _is_apart.get() else self._small).inspect(files)


@contextlib.contextmanager
def _marked(*, apart: bool) -> Iterator[None]:
    token = _is_apart.set(apart)
    try:
        yield
    finally:
        _is_apart.reset(token)
