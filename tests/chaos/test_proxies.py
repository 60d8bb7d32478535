"""The wire of a chaos run breaks as it should."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.chaos.proxies import HOST, Proxy


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """In front of a server that says everything again."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(100):
            writer.write(chunk)
        writer.close()

    server = await asyncio.start_server(echo, HOST, 0)
    proxy = Proxy(server.sockets[0].getsockname()[1])
    await proxy.open()
    yield proxy
    await proxy.close()
    server.close()


async def test_what_is_said_gets_through_both_ways(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    writer.write(b"hello")

    assert await asyncio.wait_for(reader.readexactly(5), 60) == b"hello"
    writer.close()


async def test_a_stalled_wire_holds_everything_until_it_flows_again(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    proxy.stall()
    writer.write(b"hello")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readexactly(5), 0.2)
    proxy.flow()
    assert await asyncio.wait_for(reader.readexactly(5), 60) == b"hello"
    writer.close()


async def test_a_reset_breaks_connections_and_lets_new_ones_in(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    writer.write(b"hello")
    await asyncio.wait_for(reader.readexactly(5), 60)
    proxy.reset()

    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.readexactly(1), 60)
    writer.close()
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    writer.write(b"again")
    assert await asyncio.wait_for(reader.readexactly(5), 60) == b"again"
    writer.close()


async def test_a_wire_to_nowhere_refuses(proxy: Proxy) -> None:
    proxy.target_port = 1
    reader, writer = await asyncio.open_connection(HOST, proxy.port)

    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 60)
    writer.close()
