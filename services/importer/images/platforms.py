"""Platforms of images: os/architecture[/variant], and which one serves another. Pure."""

import platform
import re
from typing import NamedTuple, Self

from services.importer.domain import Unacceptable
from shared.values import Reason

_PLATFORM = re.compile(r"(?P<os>[a-z0-9]{1,20})/(?P<architecture>[a-z0-9_]{1,20})(?:/(?P<variant>[a-z0-9.]{1,20}))?")
# Other names of architectures, as machines and some builders say them.
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386", "i686": "386"}
# What no variant means: the least that every machine of that kind runs.
_PLAIN = {"amd64": "v1", "arm64": "v8", "arm": "v7"}
# Machines that also run what was made for lower variants of theirs.
_DOWNWARD = {"amd64": ("v4", "v3", "v2", "v1"), "arm": ("v8", "v7", "v6", "v5")}


class Platform(NamedTuple):
    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def of(cls, system: str, architecture: str, variant: str = "") -> Self:
        """With the usual name of the architecture, and without a variant that says nothing."""
        architecture = _ALIASES.get(architecture.lower(), architecture.lower())
        variant = variant.lower()
        return cls(system.lower(), architecture, "" if variant == _PLAIN.get(architecture) else variant)

    def __str__(self) -> str:
        return "/".join(part for part in self if part)

    def served_by(self) -> tuple["Platform", ...]:
        """The platforms whose images run here, best first."""
        ladder = _DOWNWARD.get(self.architecture, ())
        variant = self.variant or _PLAIN.get(self.architecture, "")
        lower = ladder[ladder.index(variant) :] if variant in ladder else (variant,)
        return tuple(Platform.of(self.os, self.architecture, each) for each in lower)


def parse_platform(text: str) -> Platform:
    """Read os/architecture[/variant].

    Raises:
        Unacceptable: it is not of that form.
    """
    found = _PLATFORM.fullmatch(text.lower())
    if not found:
        shown = text[:80]
        raise Unacceptable(
            Reason.INVALID_IMAGE, f"platform {shown!r}: expected os/architecture[/variant], such as linux/amd64"
        )
    return Platform.of(found["os"], found["architecture"], found["variant"] or "")


def host_platform() -> Platform:
    """Linux on the architecture of this machine: engines run Linux images on other systems, too."""
    return Platform.of("linux", platform.machine() or "amd64")
