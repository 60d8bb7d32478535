"""HTTP to the hosts that may be asked: the address that was looked at is the one that is connected to."""

import contextlib
import socket
import ssl
import urllib.request
from collections.abc import Iterable, Iterator
from typing import Any, Final

import anyio
import httpx

from services.importer.domain import Unacceptable
from services.importer.network.addresses import Address, address_of
from services.importer.network.hosts import Hosts, port_of
from shared.texts import shown
from shared.values import Reason

# A name may have any number of addresses, and each may be silent for as long as a connection is waited for.
MOST_ADDRESSES = 8
_NOBODY_THERE: Final = (httpx.ConnectError, httpx.ConnectTimeout)


class GuardedTransport(httpx.BaseTransport):
    """Sends requests to hosts that are admitted, and raises Unacceptable for all others."""

    def __init__(self, hosts: Hosts, tls: ssl.SSLContext) -> None:
        self._hosts = hosts
        self._tls = tls
        # One for each host: a connection is not used for another host that has the same address.
        self._senders: dict[str, httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._hosts.check(request.url)
        proxy = proxy_of(request.url)
        sender = self._sender(request.url, proxy)
        *first, last = self._targets(request, proxy)
        for target in first:
            with contextlib.suppress(*_NOBODY_THERE):
                return sender.handle_request(target)
        return sender.handle_request(last)

    def _targets(self, request: httpx.Request, proxy: str | None) -> list[httpx.Request]:
        try:
            with _resolving(request.url):
                found = socket.getaddrinfo(_host_of(request.url), port_of(request.url), type=socket.SOCK_STREAM)
        except httpx.ConnectError:
            if proxy is None:
                raise
            return [request]
        return _targets(request, self._hosts.admitted(request.url, _addresses(found)), proxy)

    def _sender(self, url: httpx.URL, proxy: str | None) -> httpx.HTTPTransport:
        key = url.netloc.decode()
        if key not in self._senders:
            self._senders[key] = httpx.HTTPTransport(verify=self._tls, proxy=proxy)
        return self._senders[key]

    def close(self) -> None:
        for sender in self._senders.values():
            sender.close()


class AsyncGuardedTransport(httpx.AsyncBaseTransport):
    """The same for an asynchronous client."""

    def __init__(self, hosts: Hosts, tls: ssl.SSLContext) -> None:
        self._hosts = hosts
        self._tls = tls
        self._senders: dict[str, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._hosts.check(request.url)
        proxy = proxy_of(request.url)
        sender = self._sender(request.url, proxy)
        *first, last = await self._targets(request, proxy)
        for target in first:
            with contextlib.suppress(*_NOBODY_THERE):
                return await sender.handle_async_request(target)
        return await sender.handle_async_request(last)

    async def _targets(self, request: httpx.Request, proxy: str | None) -> list[httpx.Request]:
        patience_s = request.extensions.get("timeout", {}).get("connect")
        try:
            with _resolving(request.url), anyio.fail_after(patience_s):
                found = await anyio.getaddrinfo(_host_of(request.url), port_of(request.url), type=socket.SOCK_STREAM)
        except httpx.ConnectError:
            if proxy is None:
                raise
            return [request]
        return _targets(request, self._hosts.admitted(request.url, _addresses(found)), proxy)

    def _sender(self, url: httpx.URL, proxy: str | None) -> httpx.AsyncHTTPTransport:
        key = url.netloc.decode()
        if key not in self._senders:
            self._senders[key] = httpx.AsyncHTTPTransport(verify=self._tls, proxy=proxy)
        return self._senders[key]

    async def aclose(self) -> None:
        for sender in self._senders.values():
            await sender.aclose()


def proxy_of(url: httpx.URL) -> str | None:
    """The proxy of the environment that leads to a URL. It asks a resolver of its own: what it must not reach, it must know."""
    host = url.host
    address = _address(host)
    if host == "localhost" or (address and address.is_loopback) or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _host_of(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii")


def _addresses(found: Iterable[tuple[Any, ...]]) -> list[str]:
    return [str(one[4][0]) for one in found][:MOST_ADDRESSES]


@contextlib.contextmanager
def _resolving(url: httpx.URL) -> Iterator[None]:
    """What a resolver raises, as an HTTP client says it."""
    try:
        yield
    except TimeoutError as error:
        raise httpx.ConnectTimeout("no resolver answers in time") from error
    except UnicodeError:
        message = f"{shown(url.host)} cannot be a host: expected a name or an address"
        raise Unacceptable(Reason.INVALID_LOCATION, message) from None
    except OSError as error:
        raise httpx.ConnectError(str(error)) from error


def _targets(request: httpx.Request, addresses: Iterable[str], proxy: str | None) -> list[httpx.Request]:
    """The same request to each address; whose certificate is expected there stays as it was."""
    if proxy is not None:
        return [request]
    host = _host_of(request.url)
    named = {} if _address(host) else {"sni_hostname": host}
    return [
        httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, **named},
        )
        for address in addresses
    ]


def _address(host: str) -> Address | None:
    try:
        return address_of(host)
    except ValueError:
        return None
