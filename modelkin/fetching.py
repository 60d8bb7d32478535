"""Bytes of one version, asked for from the importer with a grant, some at once, again and again where nobody answers."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import nats
import nats.errors
from nats.aio.client import Client as Nats

from modelkin.client import Client
from modelkin.connecting import nats_at
from modelkin.errors import ModelkinError
from shared.connection import BROKER_AWAY, opened
from shared.messages import CommandRefused, DownloadGranted, DownloadVersion
from shared.naming import UNNAMEABLE
from shared.queries import ERROR_HEADER, LARGEST_READ_BYTES, QueryFailed, ReadBytes
from shared.values import File, Grant

AT_ONCE: Final = 8
# Of one file, so many parts are asked for ahead of what is written.
AHEAD: Final = 4
READ_TIMEOUT_S: Final = 15.0
CONNECT_TIMEOUT_S: Final = 10.0
RETRY_EVERY_S: Final = 1.0
# What a new grant mends, and what passes.
_GRANT_ENDED = {"grant-expired", "grant-not-found"}
_PASSING = {"unavailable", "internal"}
MOST_RENEWALS_IN_VAIN = 3

Granting = Callable[[], Awaitable[Grant]]


class DownloadRefused(ModelkinError):
    """The registry does not give the bytes out. `reason` is its code."""

    def __init__(self, refused: CommandRefused) -> None:
        super().__init__(f"refused ({refused.reason}): {refused.message}")
        self.reason = refused.reason


class _Passing(Exception):
    """It may work a little later."""


@contextlib.asynccontextmanager
async def lasting_connection(url: str, **options: Any) -> AsyncIterator[Nats]:
    """A connection that is made anew whenever NATS comes back.

    Raises:
        ModelkinError: nobody listens there now.
    """
    try:
        connection = await asyncio.wait_for(
            opened(
                nats_at(url), name="modelkin-download", max_reconnect_attempts=-1, reconnect_time_wait=0.5, **options
            ),
            CONNECT_TIMEOUT_S,
        )
    except BROKER_AWAY as error:
        raise ModelkinError(f"NATS does not answer: {error or type(error).__name__}") from error
    try:
        yield connection
    finally:
        await connection.close()


async def granted(client: Client, command: DownloadVersion) -> DownloadGranted:
    """Ask for the bytes of a version.

    Raises:
        DownloadRefused: they are not given out.
        ModelkinError: nobody answers.
    """
    async for event in client.carry_out(command, DownloadGranted):
        if isinstance(event, CommandRefused):
            raise DownloadRefused(event)
        if isinstance(event, DownloadGranted):
            return event
    raise ModelkinError("the download was not answered")


class Fetching:
    """Reads bytes with a grant, and asks for another when it ends."""

    def __init__(self, connection: Nats, workspace: str, grant: Grant, renew: Granting, patience_s: float) -> None:
        """`patience_s`: how long nothing may be read at all, before it is given up."""
        self._nats = connection
        self._subject = f"{ReadBytes.address}.{workspace}.{UNNAMEABLE}"
        self._grant = grant
        self._renew = renew
        self._renewing = asyncio.Lock()
        self._renewed_in_vain = 0
        self._patience_s = patience_s
        self._failing_since: float | None = None
        self._room = asyncio.Semaphore(AT_ONCE)

    async def parts(self, file: File, offset: int) -> AsyncIterator[bytes]:
        """The bytes of a file from an offset on, in order; some are asked for ahead.

        Raises:
            ModelkinError: they are not to be had.
        """
        asked: list[asyncio.Task[bytes]] = []
        try:
            while offset < file.size_bytes or asked:
                while offset < file.size_bytes and len(asked) < AHEAD:
                    size_bytes = min(LARGEST_READ_BYTES, file.size_bytes - offset)
                    asked.append(asyncio.create_task(self._read(file, offset, size_bytes)))
                    offset += size_bytes
                yield await asked.pop(0)
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def _read(self, file: File, offset: int, size_bytes: int) -> bytes:
        async with self._room:
            while True:
                grant = self._grant
                try:
                    part = await self._asked(grant, file, offset, size_bytes)
                except _Passing as passing:
                    await self._wait(passing)
                else:
                    self._failing_since, self._renewed_in_vain = None, 0
                    return part

    async def _asked(self, grant: Grant, file: File, offset: int, size_bytes: int) -> bytes:
        query = ReadBytes(grant=grant.id, digest=file.digest, offset=offset, size_bytes=size_bytes)
        try:
            reply = await self._nats.request(self._subject, query.model_dump_json().encode(), timeout=READ_TIMEOUT_S)
        except nats.errors.NoRespondersError:
            raise _Passing("the importer does not run") from None
        except BROKER_AWAY as error:
            raise _Passing(str(error) or type(error).__name__) from error
        if ERROR_HEADER not in (reply.headers or {}):
            if len(reply.data) != size_bytes:
                raise ModelkinError(f"{file.path!r}: {len(reply.data)} bytes came where {size_bytes} were asked for")
            return reply.data
        failure = QueryFailed.model_validate_json(reply.data)
        if failure.error in _GRANT_ENDED:
            await self._replace(grant, failure)
            raise _Passing(failure.message)
        if failure.error in _PASSING:
            raise _Passing(failure.message)
        raise ModelkinError(f"{file.path!r} ({failure.error}): {failure.message}")

    async def _replace(self, ended: Grant, failure: QueryFailed) -> None:
        async with self._renewing:
            if self._grant is not ended:
                return  # another part that was asked for at the same time has done it
            self._renewed_in_vain += 1
            if self._renewed_in_vain > MOST_RENEWALS_IN_VAIN:
                raise ModelkinError(f"no grant holds ({failure.error}): {failure.message}")
            try:
                renewed = await self._renew()
            except DownloadRefused:
                raise
            except ModelkinError as error:
                raise _Passing(str(error)) from error
            if renewed.package_digest != ended.package_digest:
                raise ModelkinError("the version holds another package than when the download began")
            self._grant = renewed

    async def _wait(self, passing: _Passing) -> None:
        self._failing_since = self._failing_since or time.monotonic()
        if time.monotonic() - self._failing_since > self._patience_s:
            raise ModelkinError(
                f"nothing could be read for {self._patience_s:.0f} s ({passing}): the same command goes on from here"
            ) from passing
        await asyncio.sleep(0 if self._renewed_in_vain == 1 else RETRY_EVERY_S)
