"""What both kinds of artifact store say of a digest."""

import re

from services.importer.ports import Damaged

_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")


def is_hex_digest(name: str) -> bool:
    """Whether bytes may be kept under this name; what else lies there is not ours."""
    return _HEX_DIGEST.fullmatch(name) is not None


def missing(name: str) -> Damaged:
    return Damaged(f"sha256:{name} is not in the artifact store", "missing")


def too_short(name: str, size_bytes: int, needed_bytes: int) -> Damaged:
    message = f"sha256:{name} holds {size_bytes} bytes in the artifact store: expected {needed_bytes} at least"
    return Damaged(message, f"{size_bytes} bytes")


def unreadable(name: str, why: str | None) -> Damaged:
    return Damaged(f"sha256:{name} cannot be read in the artifact store: {why}", f"cannot be read: {why}")
