"""Which hosts the importer may ask, as an operator writes it down.

*                         every host outside
files.example             this name, wherever in the network it leads; with `:8443`, on this port alone
10.1.2.3, [fd00::1]:5000  this address, by any name
10.0.0.0/8                these addresses, by any name
"""

import contextlib
import re
from collections.abc import Collection, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple

import httpx

from services.importer.domain import Unacceptable
from services.importer.network.addresses import Address, address_of, is_outside, is_usual, meant_by
from shared.texts import shown
from shared.values import Reason

ANY_HOST = "*"
EXPECTED = "expected '*', a host, an address or a range such as 10.0.0.0/8, with ':port' behind it at will"
_WRITTEN = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(?P<port>[0-9]{1,5}))?")
_PORTS = {"http": 80, "https": 443}


class _Entry(NamedTuple):
    what: str | IPv4Network | IPv6Network
    port: int | None

    def is_for(self, port: int) -> bool:
        return self.port in {None, port}


class Hosts:
    """Hosts that may be asked. Where none is listed, none may."""

    def __init__(self, written: Collection[str], setting: str) -> None:
        """`setting` is the variable that `written` comes from. Raises ValueError where an entry is none."""
        entries = [_entry(text) for text in written if text != ANY_HOST]
        self._any = ANY_HOST in written
        self._setting = setting
        self._names = [(entry.what, entry) for entry in entries if isinstance(entry.what, str)]
        self._networks = [(entry.what, entry) for entry in entries if not isinstance(entry.what, str)]

    def check(self, url: httpx.URL) -> None:
        """Before anybody is asked what the name means.

        Raises:
            Unacceptable: whatever it means, the host is none of those listed.
        """
        by_address = any(entry.is_for(port_of(url)) for _, entry in self._networks)
        if not (self._any or by_address or self._lists(url)):
            raise Unacceptable(
                Reason.LOCATION_NOT_ALLOWED,
                f"host {_shown(url)} is none that the importer may ask: expected one of those in {self._setting}",
            )

    def admitted(self, url: httpx.URL, found: Iterable[str]) -> list[str]:
        """Those addresses of a host that may be connected to, in the order in which they were found.

        Raises:
            Unacceptable: none of them may.
        """
        admitted = [text for text in found if self._admits(url, address_of(text))]
        if not admitted:
            raise Unacceptable(
                Reason.LOCATION_NOT_ALLOWED,
                f"host {_shown(url)} is inside the network, or none that the importer may ask: expected one outside,"
                f" or one that {self._setting} lists",
            )
        return admitted

    def _admits(self, url: httpx.URL, address: Address) -> bool:
        if self._any and is_outside(address):
            return True
        if self._lists(url) and is_usual(address):
            return True
        return any(meant_by(address) in network and entry.is_for(port_of(url)) for network, entry in self._networks)

    def _lists(self, url: httpx.URL) -> bool:
        return any(name == _name_of(url) and entry.is_for(port_of(url)) for name, entry in self._names)


def port_of(url: httpx.URL) -> int:
    return url.port or _PORTS.get(url.scheme, 0)


def _name_of(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii").lower().rstrip(".")


def _shown(url: httpx.URL) -> str:
    return shown(url.netloc.decode(errors="replace"))


def _entry(text: str) -> _Entry:
    with contextlib.suppress(ValueError):
        return _Entry(ip_network(text), None)
    parts = _WRITTEN.fullmatch(text)
    if parts is None or int(parts["port"] or 1) not in range(1, 65536):
        raise ValueError(f"{text!r}: {EXPECTED}")
    port = int(parts["port"]) if parts["port"] else None
    try:
        name = _name_of(httpx.URL(f"http://{parts['host']}"))
    except httpx.InvalidURL as error:
        raise ValueError(f"{text!r}: {EXPECTED}") from error
    try:
        return _Entry(ip_network(name), port)
    except ValueError:
        return _Entry(name, port)
