"""Where models are found: archives and JSON documents on web servers, read by GET."""

import contextlib
import functools
import io
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import BinaryIO, NamedTuple, cast
from urllib.parse import unquote

import httpx
from typing_extensions import Buffer

from services.importer.domain import Unacceptable
from services.importer.network.guarded import GuardedTransport
from services.importer.network.hosts import Hosts
from services.importer.ports import FoundFile
from services.importer.sources.archives import SUFFIXES, chunks_of, is_archive, open_kept, unpacked
from services.importer.sources.limits import Limits, check_path, in_order, too_large, top_folders
from services.importer.sources.spool import Spool
from services.importer.threads import Stop, to_its_end
from shared.errors import Transient
from shared.texts import shown
from shared.values import Reason

MOST_REDIRECTS = 5
TIMEOUT = httpx.Timeout(30.0)
# A server that gives a byte now and then never times out.
SLOWEST_BYTES_PER_S = 1024
SLOWEST_AFTER_S = 60.0
_DOCUMENT = ".json"
ALLOWED_HOSTS = "MODELKIN_ALLOWED_HOSTS"


class WebFiles:
    """`http://` and `https://` locations on the hosts that the operator allows."""

    def __init__(self, allowed_hosts: Sequence[str], limits: Limits, spool: Spool) -> None:
        """`allowed_hosts`: as network/hosts.py reads them."""
        self._hosts = Hosts(allowed_hosts, ALLOWED_HOSTS)
        self._limits = limits
        self._spool = spool

    @contextlib.asynccontextmanager
    async def found(self, location: str, workspace: str) -> AsyncIterator[Sequence[FoundFile]]:  # noqa: ARG002 - the hosts are everybody's
        asked = _Asked(location, _name_of(location), self._hosts, self._limits)
        if is_archive(asked.name):
            archive = FoundFile(asked.name, 0, functools.partial(_open, asked))
            async with unpacked(archive, self._limits, self._spool, in_place=False) as members:
                yield members
            return
        stop = Stop()
        with contextlib.ExitStack() as stack:
            chunks = chunks_of(functools.partial(_open, asked), stop, self._limits)
            path = await to_its_end(lambda: stack.enter_context(self._spool.holding(chunks)), stop)
            size_bytes = path.stat().st_size
            yield in_order([FoundFile(asked.name, size_bytes, functools.partial(open_kept, path))], self._limits)

    async def folders(self, location: str, workspace: str) -> Sequence[str]:
        async with self.found(location, workspace) as files:
            return top_folders(file.path for file in files)


class _Asked(NamedTuple):
    location: str
    name: str
    """The file's own. Of a location no more is ever said: what follows may be a signature."""
    hosts: Hosts
    limits: Limits


def _name_of(location: str) -> str:
    name = unquote(_url(location).path).rstrip("/").rpartition("/")[2]
    if not is_archive(name) and not name.lower().endswith(_DOCUMENT):
        known = ", ".join((*SUFFIXES, _DOCUMENT))
        raise Unacceptable(
            Reason.UNSUPPORTED_FILE, f"a web server's {shown(name)}: expected a name that ends with {known}"
        )
    check_path(name)
    return name


def _url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError, TypeError):
        raise Unacceptable(Reason.INVALID_LOCATION, "the location is no URL: expected https://host/name") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise Unacceptable(Reason.INVALID_LOCATION, f"scheme {shown(url.scheme)}: expected http or https, and a host")
    if url.userinfo:
        raise Unacceptable(Reason.INVALID_LOCATION, "credentials stand in the location: expected a URL without them")
    return url


def _open(asked: _Asked) -> BinaryIO:
    return cast("BinaryIO", _Answer(asked))


class _Answer(io.RawIOBase):
    """The body of an answer, as it comes."""

    def __init__(self, asked: _Asked) -> None:
        super().__init__()
        self._name = shown(asked.name)
        self._stack = contextlib.ExitStack()
        self._rest = b""
        try:
            self._chunks = _pieces(_answer(asked, self._stack))
        except BaseException:
            self._stack.close()
            raise

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        target = memoryview(buffer).cast("B")
        try:
            self._rest = self._rest or next(self._chunks, b"")
        except httpx.HTTPError:
            raise Transient(f"the web server of {self._name} went away") from None
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        self._stack.close()
        super().close()


def _pieces(answer: httpx.Response) -> Iterator[bytes]:
    """As they are on the wire: a .tar.gz that is said to be an encoded .tar stays what it is called."""
    started, size_bytes = time.monotonic(), 0
    for piece in answer.iter_raw():
        size_bytes += len(piece)
        took_s = time.monotonic() - started
        if took_s > SLOWEST_AFTER_S and size_bytes < took_s * SLOWEST_BYTES_PER_S:
            raise Transient("a web server gives less than 1 KiB a second")
        yield piece


def _answer(asked: _Asked, stack: contextlib.ExitStack) -> httpx.Response:
    """The answer that follows all redirects. Cookies and credentials go nowhere: there are none."""
    guarded = GuardedTransport(asked.hosts, httpx.create_ssl_context())
    client = stack.enter_context(httpx.Client(transport=guarded, timeout=TIMEOUT, follow_redirects=False))
    url = _url(asked.location)
    for _ in range(MOST_REDIRECTS + 1):
        try:
            answer = stack.enter_context(client.stream("GET", url, headers={"Accept-Encoding": "identity"}))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _fault(error, asked) from None
        if answer.next_request is None:
            _check(answer, asked)
            return answer
        url = _redirected(url, answer.next_request.url)
    message = f"{shown(asked.name)} leads to more than {MOST_REDIRECTS} redirects"
    raise Unacceptable(Reason.LOCATION_UNREADABLE, message)


def _fault(error: Exception, asked: _Asked) -> Exception:
    match error.__cause__:
        case socket.gaierror(errno=socket.EAI_NONAME):
            return Unacceptable(
                Reason.LOCATION_NOT_FOUND, f"there is no host of {shown(asked.name)}: expected that of a web server"
            )
    return Transient(f"the web server of {shown(asked.name)} is away")


def _redirected(url: httpx.URL, target: httpx.URL) -> httpx.URL:
    there = _url(str(target))
    if url.scheme == "https" and there.scheme != "https":
        raise Unacceptable(Reason.LOCATION_NOT_ALLOWED, "the web server redirects from https to http")
    return there


def _check(answer: httpx.Response, asked: _Asked) -> None:
    name, status = shown(asked.name), answer.status_code
    if status in {401, 403}:
        raise Unacceptable(Reason.NOT_AUTHORIZED, f"the web server does not give {name}: status {status}")
    if status in {404, 410}:
        raise Unacceptable(Reason.LOCATION_NOT_FOUND, f"the web server does not have {name}: status {status}")
    if status in {408, 425, 429} or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise Transient(f"the web server of {name} answers {status}")
    if status != httpx.codes.OK:
        raise Unacceptable(Reason.LOCATION_UNREADABLE, f"the web server answers {status} for {name}: expected 200")
    length = answer.headers.get("Content-Length", "")
    if not length.isdecimal():
        return
    size_bytes = int(length[:20])
    if size_bytes > asked.limits.max_package_bytes:
        raise too_large(asked.limits, size_bytes)
    asked.limits.tell_size(size_bytes)
