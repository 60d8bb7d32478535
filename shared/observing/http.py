"""The HTTP port of a service: a few pages for machines, in the service's own event loop.

So `/healthz` answers only while that loop turns. FastStream's ASGI application would start and stop the service its own
way; here it starts, waits and ends as without a port.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from typing import Any, Final, NamedTuple

import uvicorn

from shared.telemetry import forward

STOP_TIMEOUT_S: Final = 1
# Far more than those who ask: whoever holds connections open leaves some for NATS and MongoDB.
MOST_AT_ONCE: Final = 256
_BACKLOG: Final = 16


class Page(NamedTuple):
    status: int
    content_type: str
    body: bytes


Pages = Mapping[str, Callable[[], Awaitable[Page]]]
_ABSENT = Page(404, "text/plain; charset=utf-8", b"expected /healthz, /readyz or /metrics\n")
_GET_ALONE = Page(405, "text/plain; charset=utf-8", b"expected GET\n")


class _Server(uvicorn.Server):
    """Leaves signals to the service."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Port:
    """Taken when this is made, so that a port that is taken already is told before anything starts."""

    def __init__(self, host: str, port: int) -> None:
        """Raises ValueError where it cannot be taken."""
        try:
            self._socket = socket.create_server((host, port), backlog=_BACKLOG, family=_family(host))
        except OSError as error:
            raise ValueError(
                f"MODELKIN_HTTP_PORT: {host}:{port} cannot be listened on ({_words(error)}): "
                "expected a free port and an address of this machine (MODELKIN_HTTP_HOST)"
            ) from error
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def open(self, pages: Pages) -> None:
        """Serve from now on."""
        forward("uvicorn", logging.ERROR)  # a request that is no HTTP is answered, and not worth a line
        config = uvicorn.Config(
            _application(pages),
            http="h11",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            limit_concurrency=MOST_AT_ONCE,
            timeout_graceful_shutdown=STOP_TIMEOUT_S,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._serve(self._server))

    async def close(self) -> None:
        """End what is being answered, and leave the port."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving

    async def _serve(self, server: _Server) -> None:
        try:
            await server.serve([self._socket])
        finally:
            self._socket.close()


def _words(error: OSError) -> str:
    """Without what Python adds to some."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _application(pages: Pages) -> Callable[..., Awaitable[None]]:
    async def application(scope: MutableMapping[str, Any], _: Any, send: Callable[..., Awaitable[None]]) -> None:
        page = await _page(pages, scope["method"], scope["path"])
        headers = [(b"content-type", page.content_type.encode()), (b"content-length", str(len(page.body)).encode())]
        await send({"type": "http.response.start", "status": page.status, "headers": headers})
        await send({"type": "http.response.body", "body": page.body})

    return application


async def _page(pages: Pages, method: str, path: str) -> Page:
    if path not in pages:
        return _ABSENT
    return await pages[path]() if method in {"GET", "HEAD"} else _GET_ALONE
