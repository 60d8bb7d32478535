"""The manifest of a package: every file with its digest and size, in one canonical form, so that equal packages are equal."""

import heapq
import json
from collections.abc import Sequence

from shared.values import File, Package

# Larger packages are listed in full by their manifest; an event must stay far below 1 MiB.
LISTED_FILES = 256


def manifest_of(files: Sequence[File]) -> bytes:
    """The canonical bytes: JSON in UTF-8, no spaces, keys sorted, files sorted by the bytes of their path.

    Their SHA-256 is the package digest.
    """
    listed = [file.model_dump() for file in sorted(files, key=lambda file: file.path.encode())]
    document = {"files": listed, "schema": "modelkin.manifest.v1"}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def package_of(files: Sequence[File], digest: str, *, in_place: bool = False) -> Package:
    """What events say of a package.

    Args:
        files: all of them.
        digest: of the manifest.
        in_place: whether the bytes are where they were found, and nowhere else.
    """
    largest = heapq.nlargest(LISTED_FILES, files, key=lambda file: file.size_bytes)
    return Package(
        digest=digest,
        size_bytes=sum(file.size_bytes for file in files),
        file_count=len(files),
        in_place=in_place,
        files=tuple(sorted(largest, key=lambda file: file.path.encode())),
    )
