"""A connection to NATS for a question or a command: made now, or not at all."""

import contextlib
from collections.abc import AsyncIterator
from typing import Final

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client

# Everything that nats-py raises where the server is away or does not answer.
BROKER_AWAY: Final = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)


@contextlib.asynccontextmanager
async def connected(url: str, name: str) -> AsyncIterator[Client]:
    """Connect for the time of a block, without waiting for a server that is away.

    Raises:
        one of BROKER_AWAY: nobody listens there.
    """
    connection = await nats.connect(
        url,
        name=name,
        connect_timeout=2,
        # nats-py tries 60 times, two seconds apart, also where reconnecting is off.
        allow_reconnect=False,
        max_reconnect_attempts=1,
        reconnect_time_wait=0,
        error_cb=_quiet,
    )
    try:
        yield connection
    finally:
        await connection.close()


async def _quiet(_: Exception) -> None:
    """Failures are raised where they matter; nats-py would print them a second time."""
