"""What a fault on the way to a registry means: tried again, or said to who asked."""

import socket
import ssl

import httpx
import pytest

from services.importer.domain import Unacceptable
from services.importer.images.transport import Transport, _fault
from shared.errors import Transient
from shared.values import Reason


def caused_by(cause: Exception) -> httpx.ConnectError:
    """As the HTTP client raises it."""
    error = httpx.ConnectError("All connection attempts failed")
    error.__cause__ = cause
    return error


def test_a_host_without_a_name_is_refused():
    fault = _fault("registry.example.com", caused_by(socket.gaierror(socket.EAI_NONAME, "Name or service not known")))

    assert isinstance(fault, Unacceptable)
    assert fault.refusal.reason is Reason.IMAGE_NOT_FOUND
    assert fault.refusal.message == "there is no host 'registry.example.com': expected that of a registry"


@pytest.mark.parametrize(
    "error",
    [
        caused_by(socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")),
        caused_by(ConnectionRefusedError()),
        caused_by(ConnectionResetError()),
        caused_by(ssl.SSLEOFError()),
        caused_by(TimeoutError()),
        httpx.ReadTimeout(""),
        httpx.RemoteProtocolError("Server disconnected without sending a response."),
    ],
)
def test_a_registry_that_is_away_is_tried_again(error: httpx.HTTPError):
    assert isinstance(_fault("registry.example.com", error), Transient)


def test_a_server_that_refuses_tls_is_refused():
    error = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    error.reason = "WRONG_VERSION_NUMBER"

    fault = _fault("registry.example.com", caused_by(error))

    assert isinstance(fault, Unacceptable)
    assert fault.refusal.reason is Reason.LOCATION_UNREADABLE
    assert fault.refusal.message == (
        "registry.example.com refuses TLS (WRONG_VERSION_NUMBER): expected TLS; hosts that may be plain are named in"
        " MODELKIN_INSECURE_REGISTRIES"
    )


def test_this_machine_and_hosts_that_are_named_may_be_plain():
    transport = Transport(insecure=["Plain.example.com:5000"])

    for host in (
        "plain.example.com:5000",
        "localhost",
        "localhost:5000",
        "127.0.0.1:5000",
        "127.8.9.1",
        "[::1]:5000",
        "[::1]",
    ):
        assert transport.may_be_plain(host)


def test_any_other_host_may_not_be_plain():
    transport = Transport(insecure=["plain.example.com:5000"])

    for host in ("plain.example.com", "127.0.0.1.example.com", "localhost.example.com", "8.8.8.8", "[::2]:80", "[", ""):
        assert not transport.may_be_plain(host)


@pytest.mark.parametrize("host", ["xn--a.example", "256.256.256.256", "xn--a.example:5000"])
async def test_what_can_be_no_host_is_refused_before_it_is_asked(host: str):
    with pytest.raises(Unacceptable) as caught:
        async with Transport().connected(host):
            pass

    assert caught.value.refusal.reason is Reason.INVALID_IMAGE
    assert caught.value.refusal.message == f"{host!r} cannot be a host: expected that of a registry"
