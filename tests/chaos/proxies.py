"""A wire between a service and a server that can stall, break, and refuse."""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field

HOST = "127.0.0.1"
CHUNK_BYTES = 65536
# Closing with this sends a reset, not an orderly end.
RESET = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Proxy:
    """Forwards every connection to one port of this machine."""

    target_port: int
    port: int = 0
    """Where it listens, once it is open."""
    _server: asyncio.Server | None = None
    _admits: bool = True
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def open(self) -> None:
        self._flowing.set()
        self._server = await asyncio.start_server(self._connected, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.flow()
        self.reset()

    def stall(self) -> None:
        """Nothing gets through any more, and nobody is told."""
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    def reset(self) -> None:
        """Break every connection in the middle of whatever it carries."""
        for writer in list(self._writers):
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    def refuse(self) -> None:
        """As if the server were away: connections break, new ones too."""
        self._admits = False
        self.reset()

    def admit(self) -> None:
        self._admits = True

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._admits:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection(HOST, self.target_port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, back}
        self._writers |= ends
        try:
            await asyncio.gather(self._forward(reader, back), self._forward(there, writer))
        finally:
            self._writers -= ends

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                await self._flowing.wait()
                writer.write(chunk)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()
