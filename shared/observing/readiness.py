"""Whether a process can do its work now, and if not, what is missing."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from shared.connection import BROKER_AWAY
from shared.errors import Transient

Check = Callable[[], Awaitable[None]]
"""Raises Transient, which says what is missing."""

CHECK_TIMEOUT_S: Final = 2.0
# Who asks more often is told the same: asking costs NATS and the store a little, and anybody who reaches the port may ask.
ASKED_ANEW_AFTER_S: Final = 1.0


class Readiness:
    """What the checks of a process say."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._awaited: dict[str, str] = {}
        self._missing: dict[str, str] = {}
        self._asked_at = -ASKED_ANEW_AFTER_S
        self._asking = asyncio.Lock()
        self.started = False

    def noting(self, what: str, hook: Check) -> Check:
        """The hook; what it lacks is missing until it has it."""

        async def noted() -> None:
            try:
                await hook()
            except Transient as error:
                self._awaited[what] = str(error)
                raise
            self._awaited.pop(what, None)

        return noted

    async def missing(self) -> Mapping[str, str]:
        """What is missing, and in which way; empty where this process is ready."""
        if not self.started:
            return dict(self._awaited) or {"start": "it is starting"}
        async with self._asking:
            if time.monotonic() - self._asked_at >= ASKED_ANEW_AFTER_S:
                self._missing = await self._ask()
                self._asked_at = time.monotonic()
        return self._missing

    async def _ask(self) -> dict[str, str]:
        said = await asyncio.gather(*(_said(check) for check in self._checks.values()))
        return {what: one for what, one in zip(self._checks, said, strict=True) if one}


async def _said(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except Transient as error:
        return str(error)
    except TimeoutError:
        return f"no answer in {CHECK_TIMEOUT_S:g} s"
    except BROKER_AWAY as error:
        return f"NATS does not answer: {error!r}"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is missing
        return f"it could not be looked at: {type(error).__name__}"
    return ""
