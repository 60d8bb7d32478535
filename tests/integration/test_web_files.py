"""Archives and JSON documents on a real web server: redirects, refusals, and what is never said back."""

import asyncio
import contextlib
import io
import ssl
import threading
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from services.importer.domain import Unacceptable
from services.importer.sources import http
from services.importer.sources.http import WebFiles
from services.importer.sources.limits import Limits
from services.importer.sources.spool import Spool
from shared.errors import Transient
from shared.values import Reason

Answer = Callable[[BaseHTTPRequestHandler], None]
LIMITS = Limits(max_files=10, max_package_bytes=10_000)


def a_zip(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return packed.getvalue()


PACKAGE = a_zip({"model/w.pt": b"weights"})


class Web:
    """A web server on this machine, and what it answers to each path."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append((self.path, dict(self.headers)))
                web.answers[self.path.partition("?")[0]](self)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._serving = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._serving.start()
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"{'http' if context is None else 'https'}://{self.host}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._serving.join()


def giving(body: bytes, length: int | None = None) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def status(code: int, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    yield server
    server.stop()


@pytest.fixture
def source(web: Web, tmp_path: Path) -> WebFiles:
    return WebFiles([web.host], LIMITS, Spool(tmp_path / "spool"))


async def bytes_at(source: WebFiles, location: str) -> dict[str, bytes]:
    async with source.found(location, "0") as files:
        held = {}
        for file in files:
            with file.open() as content:
                held[file.path] = content.read()
        return held


async def refusal(source: WebFiles, location: str) -> Unacceptable:
    with pytest.raises(Unacceptable) as caught:
        await bytes_at(source, location)
    return caught.value


async def test_an_archive_is_read_once_and_a_query_goes_along_unchanged(web: Web, source: WebFiles):
    web.answers["/runs/run%207.zip"] = giving(PACKAGE)

    found = await bytes_at(source, f"{web.url}/runs/run%207.zip?X-Sig=a%2Fb%3D&list=1+2")

    assert found == {"model/w.pt": b"weights"}
    [(path, headers)] = web.asked
    assert path == "/runs/run%207.zip?X-Sig=a%2Fb%3D&list=1+2"
    assert headers["Accept-Encoding"] == "identity"


async def test_a_json_document_is_a_file_under_its_own_name(web: Web, source: WebFiles):
    web.answers["/a/config.json"] = giving(b"{}")

    assert await bytes_at(source, f"{web.url}/a/config.json") == {"config.json": b"{}"}


@pytest.mark.parametrize("path", ["/", "/run", "/weights.pt", "/a.zip/", "/zip"])
async def test_nothing_else_is_asked_for(web: Web, source: WebFiles, path: str):
    if path == "/a.zip/":
        web.answers[path] = giving(PACKAGE)
        assert await bytes_at(source, web.url + path) == {"model/w.pt": b"weights"}
        return

    refused = await refusal(source, web.url + path)

    assert refused.refusal.reason is Reason.UNSUPPORTED_FILE
    assert str(refused).endswith("expected a name that ends with .zip, .tar, .tar.gz, .tgz, .json")
    assert web.asked == []


async def test_redirects_are_followed_as_far_as_five(web: Web, source: WebFiles):
    for number in range(6):
        web.answers[f"/{number}.zip"] = status(302, Location=f"{number + 1}.zip")
    web.answers["/6.zip"] = giving(PACKAGE)

    assert await bytes_at(source, f"{web.url}/1.zip") == {"model/w.pt": b"weights"}
    refused = await refusal(source, f"{web.url}/0.zip")
    assert refused.refusal[:2] == (Reason.LOCATION_UNREADABLE, "'0.zip' leads to more than 5 redirects")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://127.0.0.2/a.zip", Reason.LOCATION_NOT_ALLOWED),
        ("//127.0.0.1:1/a.zip", Reason.LOCATION_NOT_ALLOWED),
        ("http://user:secret@127.0.0.1/a.zip", Reason.INVALID_LOCATION),
        ("file:///etc/passwd", Reason.INVALID_LOCATION),
    ],
)
async def test_no_redirect_leads_where_a_location_may_not(web: Web, source: WebFiles, target: str, reason: Reason):
    web.answers["/a.zip"] = status(307, Location=target)

    refused = await refusal(source, f"{web.url}/a.zip")

    assert refused.refusal.reason is reason
    assert "secret" not in str(refused)


async def test_no_redirect_leads_from_https_to_http(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    web.answers["/a.zip"] = giving(PACKAGE)
    secure = Web(context)
    try:
        secure.answers["/a.zip"] = giving(PACKAGE)
        secure.answers["/down.zip"] = status(302, Location=f"{web.url}/a.zip")
        web.answers["/up.zip"] = status(302, Location=f"{secure.url}/a.zip")
        source = WebFiles(["127.0.0.1"], LIMITS, Spool(tmp_path / "spool"))

        assert await bytes_at(source, f"{web.url}/up.zip") == {"model/w.pt": b"weights"}
        refused = await refusal(source, f"{secure.url}/down.zip")
    finally:
        secure.stop()

    assert refused.refusal[:2] == (Reason.LOCATION_NOT_ALLOWED, "the web server redirects from https to http")


@pytest.mark.parametrize("hosts", [[], ["localhost"], ["127.0.0.1:1"]])
async def test_a_host_that_is_not_allowed_is_not_asked(web: Web, tmp_path: Path, hosts: list[str]):
    refused = await refusal(WebFiles(hosts, LIMITS, Spool(tmp_path)), f"{web.url}/a.zip?signature=secret")

    assert refused.refusal.reason is Reason.LOCATION_NOT_ALLOWED
    assert str(refused).startswith(f"host '{web.host}' is none that the importer may ask")
    assert "MODELKIN_ALLOWED_HOSTS" in str(refused)
    assert web.asked == []


@pytest.mark.parametrize(
    "location",
    ["http://user:secret@127.0.0.1/a.zip", "https://secret@127.0.0.1/a.zip", "http:///a.zip", "http://host:port/a.zip"],
)
async def test_a_location_with_credentials_or_without_a_host_is_refused(source: WebFiles, location: str):
    refused = await refusal(source, location)

    assert refused.refusal.reason is Reason.INVALID_LOCATION
    assert "secret" not in "".join(traceback.format_exception(refused))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (401, Reason.NOT_AUTHORIZED),
        (403, Reason.NOT_AUTHORIZED),
        (404, Reason.LOCATION_NOT_FOUND),
        (410, Reason.LOCATION_NOT_FOUND),
        (400, Reason.LOCATION_UNREADABLE),
        (204, Reason.LOCATION_UNREADABLE),
        (304, Reason.LOCATION_UNREADABLE),
    ],
)
async def test_an_answer_that_gives_nothing_refuses(web: Web, source: WebFiles, code: int, reason: Reason):
    web.answers["/a.zip"] = status(code)

    refused = await refusal(source, f"{web.url}/a.zip?signature=secret")

    assert refused.refusal.reason is reason
    assert str(code) in str(refused)
    assert "secret" not in str(refused)


@pytest.mark.parametrize("code", [408, 429, 500, 503])
async def test_a_server_that_cannot_now_is_asked_again(web: Web, source: WebFiles, code: int):
    web.answers["/a.zip"] = status(code)

    with pytest.raises(Transient, match=f"answers {code}"):
        await bytes_at(source, f"{web.url}/a.zip")


async def test_a_server_that_is_away_or_cuts_off_is_asked_again(web: Web, tmp_path: Path):
    source = WebFiles(["127.0.0.1"], LIMITS, Spool(tmp_path / "spool"))
    web.answers["/a.zip"] = giving(PACKAGE[:50], len(PACKAGE))

    for location in ("http://127.0.0.1:1/a.zip?signature=secret", f"{web.url}/a.zip?signature=secret"):
        with pytest.raises(Transient) as caught:
            await bytes_at(source, location)
        assert "secret" not in "".join(traceback.format_exception(caught.value))
    assert not [*(tmp_path / "spool").iterdir()]


async def test_a_server_that_is_silent_is_not_waited_for(web: Web, source: WebFiles, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http, "TIMEOUT", 0.1)
    web.answers["/a.zip"] = lambda _: time.sleep(0.5)

    with pytest.raises(Transient, match="is away"):
        await bytes_at(source, f"{web.url}/a.zip")


async def test_a_server_that_drips_is_not_waited_for(web: Web, source: WebFiles, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http, "SLOWEST_AFTER_S", 0.1)

    def drip(handler: BaseHTTPRequestHandler) -> None:
        giving(b"", 9000)(handler)
        with contextlib.suppress(OSError):  # the importer went
            while True:
                time.sleep(0.05)
                handler.wfile.write(b"x")

    web.answers["/a.zip"] = drip

    with pytest.raises(Transient, match="less than 1 KiB a second"):
        await bytes_at(source, f"{web.url}/a.zip")


async def test_more_than_a_package_may_have_is_not_read(web: Web, source: WebFiles, tmp_path: Path):
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(bytes(1000))
        except OSError:
            """The importer went."""

    web.answers["/said.json"] = giving(b"", 10_001)
    web.answers["/unsaid.json"] = endless

    said = await refusal(source, f"{web.url}/said.json")
    unsaid = await refusal(source, f"{web.url}/unsaid.json")

    expected = "expected at most 10000 bytes (MODELKIN_MAX_PACKAGE_BYTES)"
    assert said.refusal[:2] == (Reason.PACKAGE_TOO_LARGE, f"the package holds 10001 bytes: {expected}")
    assert unsaid.refusal[:2] == (Reason.PACKAGE_TOO_LARGE, f"the package holds more: {expected}")
    assert not [*(tmp_path / "spool").iterdir()]


async def test_a_download_that_is_cancelled_leaves_nothing(web: Web, source: WebFiles, tmp_path: Path):
    begun = threading.Event()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        giving(b"", 10)(handler)
        begun.set()
        for _ in range(4):
            handler.wfile.write(b"x")
            time.sleep(0.05)

    web.answers["/a.zip"] = slow
    reading = asyncio.create_task(bytes_at(source, f"{web.url}/a.zip"))
    assert await asyncio.to_thread(begun.wait, 60)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert not [*(tmp_path / "spool").iterdir()]
