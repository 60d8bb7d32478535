"""As whom the command line connects: the environment says it, for a password has no place among its words."""

import asyncio
import re
from collections.abc import Coroutine
from typing import Any, TypeVar

import nats.errors
from pydantic import ValidationError

from modelkin.errors import ModelkinError
from shared.connection import Nats
from shared.settings import NatsSettings, faults_of

T = TypeVar("T")
# What nats-py has of it is a text alone.
_VIOLATION = re.compile(r'permissions violation for (publish|subscription) to "?([^"\s]+)', re.IGNORECASE)
_MAY_NOT = {"publish": "publish on", "subscription": "hear"}


def nats_at(url: str) -> Nats:
    """A server, and the user of MODELKIN_NATS_USER.

    Raises:
        ModelkinError: a variable is wrong; says which.
    """
    try:
        return NatsSettings(nats_url=url).nats
    except ValidationError as error:
        raise ModelkinError("; ".join(faults_of(error))) from error


class Denied(ModelkinError):
    """NATS does not let this user do this."""


class Denials:
    """What NATS does not allow on a connection: it says so beside the answer, which never comes."""

    def __init__(self) -> None:
        self._said = asyncio.Event()
        self._first = ""

    async def hear(self, error: Exception) -> None:
        """To be the `error_cb` of the connection."""
        found = _VIOLATION.search(str(error)) if isinstance(error, nats.errors.Error) else None
        if found and not self._said.is_set():
            self._first = f"NATS does not let this user {_MAY_NOT[found[1].lower()]} {found[2]}"
            self._said.set()

    async def unless_denied(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something over the connection.

        Raises:
            Denied: that was not allowed, or something before it.
        """
        working, denied = asyncio.ensure_future(work), asyncio.ensure_future(self._said.wait())
        try:
            await asyncio.wait((working, denied), return_when=asyncio.FIRST_COMPLETED)
            if self._said.is_set():
                self._said.clear()
                raise Denied(self._first)
            return await working
        finally:
            for task in (working, denied):
                task.cancel()
            await asyncio.gather(working, denied, return_exceptions=True)
