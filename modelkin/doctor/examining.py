"""What ails a system: everything that is looked at, one finding each. Each part works where others are away."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from modelkin.client import ASK_TIMEOUT_S, Client, in_words
from modelkin.doctor.clocks import clock_finding
from modelkin.doctor.services import examined
from modelkin.doctor.streams import consumers, dead_letters, garbage, oldest_import, streams
from modelkin.errors import ModelkinError
from shared.clocks import HERE, Offset
from shared.connection import BROKER_AWAY
from shared.errors import Malformed
from shared.queries import Finding
from shared.subjects import EVENTS_STREAM

# A consumer of this system works off some hundreds of messages a second.
USUAL_LAG = 1000
STATUS = {"ok": 0, "warning": 1, "wrong": 2}


def status_of(findings: Sequence[Finding]) -> int:
    """0: all ok, 1: a warning, 2: something is wrong."""
    return max(STATUS[one.level] for one in findings)


async def examine(url: str, most_waiting: int = USUAL_LAG) -> list[Finding]:
    """Look at NATS, at streams and consumers, and ask every process of every service.

    Args:
        url: of NATS.
        most_waiting: a consumer with so many messages waiting is warned of.
    """
    try:
        async with Client.connected(url) as client:
            return [one async for one in _findings(client, most_waiting)]
    except ModelkinError as error:
        what, _, remedy = str(error).partition(": ")
        return [Finding(check="nats", level="wrong", message=what, remedy=remedy)]


async def _findings(client: Client, most_waiting: int) -> AsyncIterator[Finding]:
    services = asyncio.create_task(_server_clock_and_services(client))
    nats = await _looked("nats", lambda: _nats(client))
    for one in nats:
        yield one
    if all(one.level != "wrong" for one in nats):
        parts: dict[str, Callable[[], Awaitable[list[Finding]]]] = {
            "streams": lambda: streams(client.jetstream),
            "consumers": lambda: consumers(client.jetstream, most_waiting),
            "dead letters": lambda: dead_letters(client.jetstream),
            "oldest import": lambda: oldest_import(client.jetstream),
            "orphaned bytes": lambda: garbage(client.jetstream),
        }
        for name, look in parts.items():
            for one in await _looked(name, look):
                yield one
    for one in await services:
        yield one


async def _looked(name: str, look: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    try:
        return await look()
    except (Malformed, *BROKER_AWAY) as error:
        message = f"NATS does not say: {in_words(error)}"
        return [Finding(check=name, level="wrong", message=message, remedy="look at the log of nats-server")]


async def _nats(client: Client) -> list[Finding]:
    begun = time.perf_counter()
    await client.connection.flush()
    took_s = time.perf_counter() - begun
    number = client.connection.connected_server_version
    server = f"nats-server {number.major}.{number.minor}.{number.patch} at {client.url}"
    try:
        await client.unless_denied(client.jetstream.account_info())
    except BROKER_AWAY as error:
        message = f"{server}: JetStream does not answer: {in_words(error)}"
        return [Finding(check="nats", level="wrong", message=message, remedy="start nats-server with -js")]
    return [Finding(check="nats", message=f"{server}, with JetStream, answers in {took_s * 1000:.1f} ms")]


async def _server_clock_and_services(client: Client) -> list[Finding]:
    try:
        server = await Offset.of_nats(client.connection, f"$JS.API.STREAM.INFO.{EVENTS_STREAM}", ASK_TIMEOUT_S)
    except BROKER_AWAY:
        server = None  # what else is said of NATS says why
    found = [] if server is None else [clock_finding("nats clock", [("this machine's", server.apart_s(HERE))])]
    return [*found, *await examined(client, server)]
