"""A request must not make the importer ask inside the network: what is not listed is not connected to."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from services.importer.domain import Refusal, Unacceptable
from services.importer.images.registry import OciRegistry
from services.importer.images.transport import Transport
from services.importer.sources.http import WebFiles
from services.importer.sources.limits import Limits
from services.importer.sources.spool import Spool
from shared.errors import Transient
from shared.messages import ImportRefused
from shared.values import FromImage, Reason
from tests.integration.system import System
from tests.packages import valid_config

LISTED, UNLISTED = "127.0.0.1", "127.0.0.2"
LIMITS = Limits(10, 10_000)


@dataclass
class Server:
    """Counts connections, and gives one answer to each request."""

    port: int = 0
    answer: bytes = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self.answer)
                await writer.drain()
        writer.close()


def redirect(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


@contextlib.asynccontextmanager
async def listening(host: str, port: int = 0) -> AsyncIterator[Server]:
    server = Server()
    async with await asyncio.start_server(server.serve, host, port) as listener:
        server.port = listener.sockets[0].getsockname()[1]
        yield server


@pytest.fixture
async def inside() -> AsyncIterator[Server]:
    """What nobody listed."""
    async with listening(UNLISTED) as server:
        yield server


@pytest.fixture
async def listed() -> AsyncIterator[Server]:
    async with listening(LISTED) as server:
        yield server


def web(tmp_path: Path, *allowed: str) -> WebFiles:
    return WebFiles(allowed, LIMITS, Spool(tmp_path / "spool"))


async def refusal_of_file(source: WebFiles, location: str) -> Refusal:
    with pytest.raises(Unacceptable) as refused:
        async with source.found(location, "0"):
            pass
    return refused.value.refusal


async def refusal_of_image(image: str, *allowed: str) -> Refusal:
    with pytest.raises(Unacceptable) as refused:
        await OciRegistry(Transport(allowed=allowed)).resolve(FromImage(image=image), "0")
    return refused.value.refusal


@pytest.mark.parametrize("host", ["127.0.0.2", "2130706434", "0x7f.2", "127.2", "[::ffff:127.0.0.2]"])
async def test_an_address_inside_is_not_connected_to_however_it_is_written(inside: Server, tmp_path: Path, host: str):
    refused = await refusal_of_file(web(tmp_path, "*"), f"http://{host}:{inside.port}/a.zip")

    assert refused.reason is Reason.LOCATION_NOT_ALLOWED
    assert refused.message == (
        f"host '{host}:{inside.port}' is inside the network, or none that the importer may ask: expected one outside,"
        " or one that MODELKIN_ALLOWED_HOSTS lists"
    )
    assert inside.connections == 0


async def test_a_name_that_leads_inside_is_not_connected_to(listed: Server, tmp_path: Path):
    refused = await refusal_of_file(web(tmp_path, "*"), f"http://localhost:{listed.port}/a.zip")

    assert refused.reason is Reason.LOCATION_NOT_ALLOWED
    assert listed.connections == 0


async def test_a_host_that_is_listed_does_not_redirect_to_one_inside(listed: Server, inside: Server, tmp_path: Path):
    listed.answer = redirect(f"http://{UNLISTED}:{inside.port}/a.zip")

    refused = await refusal_of_file(web(tmp_path, "*", LISTED), f"http://{LISTED}:{listed.port}/a.zip")

    assert refused.reason is Reason.LOCATION_NOT_ALLOWED
    assert (listed.connections, inside.connections) == (1, 0)


async def test_what_was_looked_at_is_what_is_connected_to(
    listed: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A resolver that says something else each time gains nothing: it is asked once."""
    real, asked = socket.getaddrinfo, []

    def rebinding(host: str, *args: Any, **options: Any) -> list[Any]:
        if host != "files.example":
            return real(host, *args, **options)
        asked.append(host)
        return real(LISTED if len(asked) == 1 else UNLISTED, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    async with listening(UNLISTED, listed.port) as inside:
        refused = await refusal_of_file(web(tmp_path, LISTED), f"http://files.example:{listed.port}/a.zip")

    assert refused.reason is Reason.LOCATION_NOT_FOUND
    assert (len(asked), listed.connections, inside.connections) == (1, 1, 0)
    assert f"Host: files.example:{listed.port}".encode() in listed.requests[0]


async def test_where_one_address_is_silent_the_next_is_asked(
    listed: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = socket.getaddrinfo

    def two(host: str, *args: Any, **options: Any) -> list[Any]:
        hosts = ["127.0.0.3", LISTED] if host == "files.example" else [host]
        return [one for host in hosts for one in real(host, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", two)

    refused = await refusal_of_file(web(tmp_path, "127.0.0.0/8"), f"http://files.example:{listed.port}/a.zip")

    assert refused.reason is Reason.LOCATION_NOT_FOUND
    assert listed.connections == 1


async def test_a_registry_inside_is_not_connected_to(inside: Server):
    refused = await refusal_of_image(f"{UNLISTED}:{inside.port}/team/model:1", "*")

    assert refused.reason is Reason.LOCATION_NOT_ALLOWED
    assert refused.message.endswith("expected one outside, or one that MODELKIN_ALLOWED_REGISTRIES lists")
    assert inside.connections == 0


async def test_a_registry_that_is_not_among_those_listed_is_not_connected_to(inside: Server):
    refused = await refusal_of_image(f"{UNLISTED}:{inside.port}/team/model:1", "registry.example")

    assert refused.message == (
        f"host '{UNLISTED}:{inside.port}' is none that the importer may ask: expected one of those in"
        " MODELKIN_ALLOWED_REGISTRIES"
    )
    assert inside.connections == 0


async def test_a_registry_without_tls_that_is_listed_as_such_is_asked(inside: Server):
    host = f"{UNLISTED}:{inside.port}"

    with pytest.raises(Unacceptable) as refused:
        await OciRegistry(Transport(insecure=[host])).resolve(FromImage(image=f"{host}/team/model:1"), "0")

    assert refused.value.refusal.reason is Reason.IMAGE_NOT_FOUND
    assert inside.requests


@pytest.mark.parametrize(
    "answer",
    [
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{inside}/v2/\r\nContent-Length: 0\r\n\r\n",
        'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm="http://{inside}/token"\r\nContent-Length: 0\r\n\r\n',
    ],
    ids=["redirect", "token"],
)
async def test_a_registry_sends_the_importer_to_nobody_inside(listed: Server, inside: Server, answer: str):
    listed.answer = answer.format(inside=f"{UNLISTED}:{inside.port}").encode()

    refused = await refusal_of_image(f"{LISTED}:{listed.port}/team/model:1", "*", LISTED)

    assert refused.reason is Reason.LOCATION_NOT_ALLOWED
    assert listed.requests
    assert inside.connections == 0


async def test_through_a_proxy_an_address_inside_is_refused_and_others_are_left_to_the_proxy(
    listed: Server, inside: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("http_proxy", f"http://{LISTED}:{listed.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    source = web(tmp_path, "*")

    refused = await refusal_of_file(source, "http://169.254.169.254/latest/user.json")
    left = await refusal_of_file(source, "http://files.invalid/a.zip")

    assert refused.reason is Reason.LOCATION_NOT_ALLOWED
    assert left.reason is Reason.LOCATION_NOT_FOUND
    assert [request.split(b" ")[1] for request in listed.requests] == [b"http://files.invalid/a.zip"]


async def test_a_host_that_nobody_knows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def unknown(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    refused = await refusal_of_file(web(tmp_path, "*"), "http://files.invalid/a.zip")

    assert refused.reason is Reason.LOCATION_NOT_FOUND
    assert refused.message == "there is no host of 'a.zip': expected that of a web server"


@pytest.mark.parametrize("named", ["files.example", "other.example"])
async def test_a_certificate_is_checked_against_the_name_and_not_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
):
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **o: real(LISTED if host.endswith(".example") else host, *a, **o)
    )
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("files.example").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    server = Server()
    async with await asyncio.start_server(server.serve, LISTED, 0, ssl=context) as listener:
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises((Unacceptable, Transient)) as fault:
            async with web(tmp_path, "127.0.0.0/8").found(f"https://{named}:{port}/a.zip", "0"):
                pass

    assert isinstance(fault.value, Unacceptable) is (named == "files.example")
    assert len(server.requests) == (named == "files.example")


async def test_a_host_that_cannot_be_one_is_refused(tmp_path: Path):
    refused = await refusal_of_file(web(tmp_path, "*"), f"http://{'a' * 70}.example/a.zip")

    assert refused.reason is Reason.INVALID_LOCATION


async def test_a_host_that_is_away_is_tried_again(tmp_path: Path):
    with pytest.raises(Transient):
        async with web(tmp_path, LISTED).found(f"http://{LISTED}:1/a.zip", "0"):
            pass


async def test_a_request_for_this_machine_is_refused_and_nothing_connects(bare_system: System, inside: Server):
    await bare_system.start("importer", allowed_hosts=("*",), allowed_registries=("*",))
    for source in (
        {"method": "object-storage", "location": f"http://{UNLISTED}:{inside.port}/a.zip"},
        {
            "method": "container-image",
            "image": f"{UNLISTED}:{inside.port}/team/model:1",
            "config": valid_config("Image"),
        },
    ):
        await bare_system.publish(
            {"model": "resnet", "source": source}, subject="modelkin.cmd.v1.model.import.0.resnet"
        )

    await bare_system.hear(ImportRefused, "resnet", count=2)

    refused = await bare_system.all_of(ImportRefused, "resnet")
    assert {one.reason for one in refused} == {Reason.LOCATION_NOT_ALLOWED}
    assert inside.connections == 0
