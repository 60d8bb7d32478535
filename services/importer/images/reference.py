"""Image references: [host[:port]/]name[:tag][@digest], by the grammar of the distribution project. Pure."""

import ipaddress
import re
from typing import NamedTuple

from services.importer.domain import Unacceptable
from shared.values import Reason

EXPECTED = "host[:port]/name[:tag][@sha256:…]"
NAME_LENGTH = 255
TAG_LENGTH = 128
# A host of 253 characters, its port, a name, a tag and a digest have room.
REFERENCE_LENGTH = 800
SHOWN_LENGTH = 80

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]{0,61}[a-zA-Z0-9])"
_HOST = re.compile(rf"(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::(?P<port>[0-9]{{1,5}}))?")
_NAME = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(rf"[a-zA-Z0-9_][a-zA-Z0-9_.-]{{0,{TAG_LENGTH - 1}}}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Reference(NamedTuple):
    """Where an image is. With a digest, the tag is a remark."""

    host: str
    """With its port, where it names one; in lower case."""
    name: str
    tag: str | None
    digest: str | None

    @property
    def target(self) -> str:
        """What the registry is asked for: the digest, else the tag."""
        return self.digest or self.tag or "latest"

    @property
    def repository(self) -> str:
        return f"{self.host}/{self.name}"


def parse(text: str) -> Reference:
    """Read a reference. Without tag and digest, the tag is `latest`.

    Raises:
        Unacceptable: it breaks the grammar, or names no host: which one is meant is not guessed.
    """
    if len(text) > REFERENCE_LENGTH:
        raise _wrong(text, f"{EXPECTED}, at most {REFERENCE_LENGTH} characters")
    if "://" in text:
        raise _wrong(text, f"{EXPECTED}, without {text.partition('://')[0][:20] + '://'!r} in front")
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise _wrong(text, "'@sha256:' with 64 hex digits in lower case")
    host, slash, path = rest.partition("/")
    if not slash or not _is_host(host):
        raise _wrong(text, "a registry host in front, as in registry.example.com/team/model:1.0")
    name, colon, tag = path.partition(":")
    _check_host(text, host)
    _check_name(text, name)
    if colon and not _TAG.fullmatch(tag):
        raise _wrong(text, f"a tag of 1 to {TAG_LENGTH} letters, digits, '_', '.' or '-'")
    return Reference(host.lower(), name, tag if colon else None if at else "latest", digest if at else None)


def _is_host(first: str) -> bool:
    """Whether the part before the first '/' is meant as a host: registries tell it from a name by these marks."""
    return first.lower() == "localhost" or any(mark in first for mark in ".:[")


def _check_host(text: str, host: str) -> None:
    found = _HOST.fullmatch(host)
    if not found or int(found["port"] or 443) not in range(1, 65536):
        raise _wrong(text, "a registry host, with a port from 1 to 65535 if any")
    if found["host"].startswith("["):
        try:
            ipaddress.IPv6Address(found["host"][1:-1])
        except ValueError as error:
            raise _wrong(text, "an IPv6 address between '[' and ']'") from error


def _check_name(text: str, name: str) -> None:
    if _NAME.fullmatch(name) and len(name) <= NAME_LENGTH:
        return
    if _NAME.fullmatch(name.lower()) and len(name) <= NAME_LENGTH:
        raise _wrong(text, f"the name in lower case: {name.lower()[:SHOWN_LENGTH]!r}")
    rule = "parts of lower-case letters and digits with single '.', '_', '__' or '-' between them, '/' between parts"
    raise _wrong(text, f"a name of {rule}")


def _wrong(text: str, expected: str) -> Unacceptable:
    shown = _without_secrets(text)
    shown = shown if len(shown) <= SHOWN_LENGTH else f"{shown[:SHOWN_LENGTH]}…"
    return Unacceptable(Reason.INVALID_IMAGE, f"image {shown!r}: expected {expected}")


def _without_secrets(text: str) -> str:
    """In user:password@host, which is no reference, what stands before '@' is not said back."""
    before, at, after = text.rpartition("@")
    if at and not after.startswith("sha"):
        return f"…@{after}"
    return f"…@{before.rpartition('@')[2]}@{after}" if "@" in before else text
