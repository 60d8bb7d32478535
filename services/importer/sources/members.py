"""What the members of an archive may be, whatever its format."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from services.importer.domain import Unacceptable
from services.importer.ports import Opener
from services.importer.sources.limits import LONGEST_PATH_BYTES, Limits, is_path, too_large, too_many_files
from shared.texts import shown
from shared.values import Reason

# Weights hardly shrink; text shrinks to a tenth. Deflate ends at about 1,000.
HIGHEST_RATIO = 200
# Below this, nothing that an archive unpacks to does harm.
HARMLESS_BYTES = 64 * 1024 * 1024
# Resource forks, which a Mac's Finder adds beside what was to be packed.
_FORKS = "__MACOSX/"
_DRIVE = re.compile(r"[A-Za-z]:")


class Member(NamedTuple):
    """A file in an archive."""

    path: str
    size_bytes: int
    open_in: Callable[[Opener], Opener]
    """From how to open the archive to how to open this file in it."""


def unsafe(what: str) -> Unacceptable:
    return Unacceptable(Reason.UNSAFE_ARCHIVE, f"the archive is not safe: {what}")


def path_of(name: bytes) -> str:
    """The path that a member's name stands for; '' for the root itself.

    Raises:
        Unacceptable: it leads out of the package, or is no printable UTF-8.
    """
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise unsafe(f"the name {shown(repr(name)[2:-1])} is not UTF-8") from None
    if "\\" in text or text.startswith("/") or _DRIVE.match(text):
        raise unsafe(f"{shown(text)} is no relative path with '/' between folders")
    parts = [part for part in text.rstrip("/").split("/") if part != "."]
    if ".." in parts or (parts and "" in parts and parts != [""]):
        raise unsafe(f"{shown(text)} leads out of the package, or has a folder without a name")
    path = "/".join(parts)
    if not is_path(path):
        raise unsafe(f"the name {shown(text)} is not at most {LONGEST_PATH_BYTES} bytes of printable UTF-8")
    return path


class Judge:
    """Takes the members one by one, as they are found, and refuses the archive as soon as it breaks a rule."""

    def __init__(self, limits: Limits, archive_bytes: int) -> None:
        self._limits = limits
        self._archive_bytes = archive_bytes
        self._size_bytes = 0
        self._members: dict[str, Member] = {}

    def add(self, member: Member) -> None:
        if member.path.startswith(_FORKS):
            return
        if member.path in self._members:
            raise unsafe(f"{shown(member.path)} is there twice")
        if len(self._members) >= self._limits.max_files:
            raise too_many_files(self._limits, "the archive")
        self._size_bytes += member.size_bytes
        check_ratio(self._size_bytes, self._archive_bytes)
        if self._size_bytes > self._limits.max_package_bytes:
            raise too_large(self._limits)
        self._members[member.path] = member

    def members(self) -> Sequence[Member]:
        """Below the one folder that all share, where people packed a folder and not what is in it."""
        self._check_folders()
        if not self._members:
            raise Unacceptable(Reason.LOCATION_EMPTY, "the archive holds no file: expected a model")
        tops = {path.split("/", 1)[0] if "/" in path else "" for path in self._members}
        top = tops.pop() if len(tops) == 1 else ""
        if top in {"", "model"}:
            return list(self._members.values())
        return [member._replace(path=member.path[len(top) + 1 :]) for member in self._members.values()]

    def _check_folders(self) -> None:
        for path in self._members:
            for folder in _above(path):
                if folder in self._members:
                    raise unsafe(f"{shown(folder)} is both a file and a folder")


def check_ratio(size_bytes: int, packed_bytes: int) -> None:
    if size_bytes > HARMLESS_BYTES and size_bytes > HIGHEST_RATIO * packed_bytes:
        raise unsafe(f"it unpacks to more than {HIGHEST_RATIO} times its size")


def _above(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))
