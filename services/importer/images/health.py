"""Where and how long an image is asked whether it is well, from the `health` of its configuration. Pure."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from services.importer.domain import Unacceptable
from shared.values import Reason

DEFAULT_PORT = 8080
LONGEST_S = 3600.0
SHOWN_LENGTH = 80

# A path, with host and port in front of it at will; nothing that could break out of a request line.
_URL = re.compile(r"(?:http://[A-Za-z0-9.-]{1,253}(?::(?P<port>[0-9]{1,5}))?)?(?P<path>/[!-~]{0,1000})?")


class Health(NamedTuple):
    port: int
    path: str
    initial_delay_s: float
    timeout_s: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """As health_call takes them."""
        return tuple(str(part) for part in self)


def health_of(health: Mapping[str, object], ports: Sequence[str]) -> Health:
    """Read `health`; where its URL has no port, the only TCP port that the image exposes is meant, else 8080.

    Raises:
        Unacceptable: a part of it cannot be called.
    """
    url = health.get("url")
    found = _URL.fullmatch(url) if isinstance(url, str) and url else None
    if not found or int(found["port"] or DEFAULT_PORT) not in range(1, 65536):
        raise _wrong("url", url, "a path such as /health")
    exposed = [int(port.removesuffix("/tcp")) for port in ports if port.endswith("/tcp")]
    port = exposed[0] if len(exposed) == 1 else DEFAULT_PORT
    return Health(
        port=int(found["port"] or port),
        path=found["path"] or "/",
        initial_delay_s=_seconds(health, "initial_delay_seconds"),
        timeout_s=_seconds(health, "timeout_seconds"),
    )


def _seconds(health: Mapping[str, object], name: str) -> float:
    value = health.get(name, 0)
    try:
        seconds = float(value) if isinstance(value, int | float | str) and len(str(value)) <= SHOWN_LENGTH else math.nan
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LONGEST_S:
        raise _wrong(name, value, f"seconds from 0 to {LONGEST_S:.0f}")
    return seconds


def _wrong(name: str, came: object, expected: str) -> Unacceptable:
    return Unacceptable(Reason.INVALID_CONFIG, f"health.{name} {str(came)[:SHOWN_LENGTH]!r}: expected {expected}")
