"""Commands on one model take turns within a process: together they would only make each other decide anew."""

import asyncio
from weakref import WeakValueDictionary


class Turns:
    """A lock for each model that somebody holds or waits for. Between processes, the store decides who came first."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def of(self, workspace: str, model: str) -> asyncio.Lock:
        return self._locks.setdefault((workspace, model), asyncio.Lock())
