"""What is done about one model is done in turns within a process."""

import asyncio
from weakref import WeakValueDictionary


class Turns:
    """A lock for each model that somebody holds or waits for. Between processes, the store decides who came first."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def of(self, workspace: str, model: str) -> asyncio.Lock:
        return self._locks.setdefault((workspace, model), asyncio.Lock())
