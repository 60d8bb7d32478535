"""What a registry answers to who may not read: the header WWW-Authenticate, read into challenges. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

# A header that is longer tells nothing that is needed.
HEADER_LENGTH = 4096

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a token of the HTTP grammar
_SCHEME = re.compile(rf"[ \t,]*(?P<scheme>{_TOKEN})(?=[ \t,]|$)")
_PARAMETER = re.compile(rf'[ \t,]*(?P<name>{_TOKEN})[ \t]*=[ \t]*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>{_TOKEN}))')


class Challenge(NamedTuple):
    scheme: str
    """In lower case: basic, bearer."""
    parameters: Mapping[str, str]


def challenges_in(headers: Iterable[str]) -> Iterator[Challenge]:
    """The challenges of all WWW-Authenticate headers, in order; ends at what breaks the grammar."""
    for header in headers:
        if len(header) <= HEADER_LENGTH:
            yield from _challenges(header)


def _challenges(header: str) -> Iterator[Challenge]:
    position = 0
    while scheme := _SCHEME.match(header, position):
        position = scheme.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, position):
            position = parameter.end()
            quoted = parameter["quoted"]
            value = parameter["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters.setdefault(parameter["name"].lower(), value)
        yield Challenge(scheme["scheme"].lower(), parameters)
