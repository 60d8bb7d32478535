"""How large a package may be, and what its files may be called, wherever they come from."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from services.importer.domain import Unacceptable
from services.importer.ports import FoundFile
from shared.texts import SHOWN_LENGTH
from shared.values import Reason

LONGEST_PATH_BYTES = 1024


def _any_size(_: int) -> None:
    """For where nobody asks."""


class Limits(NamedTuple):
    max_files: int
    max_package_bytes: int
    tell_size: Callable[[int], None] = _any_size
    """Told of what must be fetched before it can be listed how large it is, as soon as that is known; may raise."""


def shown_end(path: object) -> str:
    """Likewise of a path, whose end tells more than its start."""
    text = str(path)
    return repr(text if len(text) <= SHOWN_LENGTH else f"…{text[-SHOWN_LENGTH:]}")


def check_path(path: str) -> None:
    """Refuse a path that no message can hold."""
    if not is_path(path):
        expected = f"at most {LONGEST_PATH_BYTES} bytes of printable UTF-8"
        raise Unacceptable(Reason.UNSUPPORTED_FILE, f"path {path[:SHOWN_LENGTH]!r}: expected {expected}")


def is_path(path: str) -> bool:
    return path.isprintable() and len(path.encode(errors="replace")) <= LONGEST_PATH_BYTES


def too_many_files(limits: Limits, what: str = "the package") -> Unacceptable:
    message = f"{what} holds more than {limits.max_files} files (MODELKIN_MAX_FILES)"
    return Unacceptable(Reason.TOO_MANY_FILES, message)


def too_large(limits: Limits, size_bytes: int | None = None) -> Unacceptable:
    came = "more" if size_bytes is None else f"{size_bytes} bytes"
    expected = f"expected at most {limits.max_package_bytes} bytes (MODELKIN_MAX_PACKAGE_BYTES)"
    return Unacceptable(Reason.PACKAGE_TOO_LARGE, f"the package holds {came}: {expected}")


def in_order(files: Iterable[FoundFile], limits: Limits) -> list[FoundFile]:
    """By path, once it is sure that together they are not too large."""
    ordered = sorted(files, key=lambda file: file.path)
    size_bytes = sum(file.size_bytes for file in ordered)
    if size_bytes > limits.max_package_bytes:
        raise too_large(limits, size_bytes)
    return ordered


def top_folders(paths: Iterable[str]) -> list[str]:
    return sorted({path.split("/", 1)[0] for path in paths if "/" in path})
