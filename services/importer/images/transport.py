"""HTTP as image registries need it: bounded answers, redirects that take no login along, faults with their reason."""

import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from services.importer.domain import Unacceptable
from services.importer.network.guarded import AsyncGuardedTransport
from services.importer.network.hosts import ANY_HOST, Hosts
from shared.errors import Transient
from shared.values import Reason

# A registry answers in milliseconds; one that is this slow is as good as away.
TIMEOUT = httpx.Timeout(15.0, connect=5.0)
MOST_REDIRECTS = 5
# What comes with an error is read so that the connection can be used again, and not further than this.
ERROR_BYTES = 64 * 1024
ALLOWED_REGISTRIES = "MODELKIN_ALLOWED_REGISTRIES"
_HEADERS = {"User-Agent": "modelkin", "Accept-Encoding": "identity"}


class Answer(NamedTuple):
    status: int
    headers: httpx.Headers
    body: bytes


class Transport:
    """Opens connections to registries.

    Args:
        ca_file: certificates (PEM) of authorities that are trusted beside the system's.
        insecure: hosts, each as an image reference says it, that may be spoken to without
            TLS. Those of this machine (loopback) always may.
        allowed: hosts, as network/hosts.py reads them, that are asked, also where a registry sends us there;
            those of `insecure` are listed by that.

    Raises:
        ValueError: the file holds no certificate, or what is listed is no host.
    """

    def __init__(
        self, ca_file: Path | None = None, insecure: Collection[str] = (), allowed: Collection[str] = (ANY_HOST,)
    ) -> None:
        self._insecure = {host.lower() for host in insecure}
        self._hosts = Hosts((*allowed, *insecure), ALLOWED_REGISTRIES)
        self._tls = ssl.create_default_context()
        if ca_file is not None:
            try:
                self._tls.load_verify_locations(cafile=ca_file)
            except (OSError, ssl.SSLError) as error:
                raise ValueError(f"{ca_file}: expected certificates in PEM ({error})") from error

    def may_be_plain(self, host: str) -> bool:
        return host.lower() in self._insecure or _is_loopback(host)

    @asynccontextmanager
    async def connected(self, host: str) -> AsyncIterator["Connection"]:
        """For the requests that one image takes.

        Raises:
            Unacceptable: no host can be called that.
        """
        try:
            httpx.URL(f"https://{host}").host  # noqa: B018 - reading it decodes it
        except (httpx.InvalidURL, UnicodeError) as error:
            raise Unacceptable(
                Reason.INVALID_IMAGE, f"{host!r} cannot be a host: expected that of a registry"
            ) from error
        guarded = AsyncGuardedTransport(self._hosts, self._tls)
        async with httpx.AsyncClient(transport=guarded, timeout=TIMEOUT, headers=_HEADERS) as client:
            yield Connection(client, host, self)


class Connection:
    """Requests to one registry, and to where it sends us."""

    def __init__(self, client: httpx.AsyncClient, host: str, transport: Transport) -> None:
        self._client = client
        self._host = host
        self._transport = transport
        self._plain: bool | None = None if transport.may_be_plain(host) else False

    async def get(self, path: str, headers: Mapping[str, str], limit_bytes: int, *, authorization: str = "") -> Answer:
        """Read from the registry; redirects are followed, without `authorization` where they leave it.

        Raises:
            Unacceptable: more than `limit_bytes`, a wrong redirect, or TLS that is not to be trusted.
            Transient: no answer.
        """
        own = await self._origin()
        url = own.join(path)
        for _ in range(MOST_REDIRECTS + 1):
            secret = {"Authorization": authorization} if authorization and _same_origin(url, own) else {}
            answer = await self.fetch(url, {**headers, **secret}, limit_bytes)
            if not (answer.status in {301, 302, 303, 307, 308} and "Location" in answer.headers):
                return answer
            url = self.checked(answer.headers["Location"], base=url)
        raise Unacceptable(Reason.LOCATION_UNREADABLE, f"{self._host} redirects more than {MOST_REDIRECTS} times")

    async def fetch(self, url: httpx.URL, headers: Mapping[str, str], limit_bytes: int) -> Answer:
        """One GET. Raises as `get` does."""
        try:
            async with self._client.stream("GET", url, headers=headers) as response:
                body = await self._body(response, limit_bytes if response.is_success else ERROR_BYTES)
                return Answer(response.status_code, response.headers, body)
        except httpx.HTTPError as error:
            raise _fault(_host_of(url), error) from error
        except (httpx.InvalidURL, UnicodeError) as error:
            raise self._misled("what is no host") from error

    def checked(self, location: str, base: httpx.URL | None = None) -> httpx.URL:
        """A URL that the registry sent us to: https, or http where both it and the registry may be plain.

        Raises:
            Unacceptable: another scheme, a login inside, or no URL.
        """
        try:
            url = base.join(location) if base else httpx.URL(location)
            named = bool(url.host) and not url.userinfo
            plain = self._transport.may_be_plain(self._host) and self._transport.may_be_plain(_host_of(url))
        except (httpx.InvalidURL, ValueError) as error:
            raise self._misled("what is no URL") from error
        if url.scheme != "https" and not (url.scheme == "http" and plain):
            raise self._misled(f"{_host_of(url)[:80]!r} by {url.scheme[:20]!r}: expected https")
        if not named:
            raise self._misled("a URL without a host, or with a login inside")
        return url

    def _misled(self, where: str) -> Unacceptable:
        return Unacceptable(Reason.LOCATION_UNREADABLE, f"{self._host} sends us to {where}")

    async def _origin(self) -> httpx.URL:
        """TLS comes first, also where plain HTTP may be spoken: a server that speaks HTTP answers it with an error."""
        if self._plain is None:
            try:
                await self.fetch(httpx.URL(f"https://{self._host}/v2/"), {}, ERROR_BYTES)
                self._plain = False
            except (_NoTls, _HungUp):
                self._plain = True
        return httpx.URL(f"{'http' if self._plain else 'https'}://{self._host}")

    async def _body(self, response: httpx.Response, limit_bytes: int) -> bytes:
        if response.is_success and int(response.headers.get("Content-Length") or 0) > limit_bytes:
            raise _too_large(self._host, limit_bytes)
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > limit_bytes:
                if response.is_success:
                    raise _too_large(self._host, limit_bytes)
                break
        return bytes(body)


class _NoTls(Unacceptable):
    """What listens there answers in no TLS."""


class _HungUp(Transient):
    """What listens there ended the connection instead of speaking TLS."""


def passes(status: int) -> bool:
    """Whether what the status says is not for ever: too much asked at once, or the server's own trouble."""
    return (
        status in {httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS}
        or status >= httpx.codes.INTERNAL_SERVER_ERROR
    )


def _too_large(host: str, limit_bytes: int) -> Unacceptable:
    return Unacceptable(
        Reason.UNSUPPORTED_IMAGE,
        f"{host} answers with more than {limit_bytes} bytes: expected a description of an image",
    )


def _same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def _host_of(url: httpx.URL) -> str:
    return url.netloc.decode()


def _is_loopback(host: str) -> bool:
    name = host.rpartition("]")[0].lstrip("[") or host.partition(":")[0]
    try:
        return name.lower() == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _fault(host: str, error: httpx.HTTPError) -> Exception:
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                expected = "expected one of an authority of the system, or of MODELKIN_REGISTRY_CA"
                shown = f"shows a certificate that is not trusted ({cause.verify_message}): {expected}"
                return Unacceptable(Reason.LOCATION_UNREADABLE, f"{host} {shown}")
            case ssl.SSLEOFError() | ssl.SSLZeroReturnError() | ConnectionResetError():
                return _HungUp(f"{host} hangs up")
            case ssl.SSLError():
                hint = "expected TLS; hosts that may be plain are named in MODELKIN_INSECURE_REGISTRIES"
                return _NoTls(Reason.LOCATION_UNREADABLE, f"{host} refuses TLS ({cause.reason}): {hint}")
            case socket.gaierror(errno=socket.EAI_NONAME):
                return Unacceptable(Reason.IMAGE_NOT_FOUND, f"there is no host {host!r}: expected that of a registry")
    return Transient(f"{host} cannot be reached: {type(error).__name__}")
