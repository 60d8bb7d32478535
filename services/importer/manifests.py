"""Manifests of packages, read out of the artifact store: those that were asked for last are kept in memory."""

import asyncio
import bisect
import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from services.importer.ports import ArtifactStore, Damaged
from services.importer.threads import to_its_end
from shared.errors import NotFound
from shared.values import File, Reason

# From the most files that a package may have by default, with paths of usual length; a weights file is not parsed as one.
LARGEST_BYTES = 128 * 1024 * 1024
# A package of 100,000 files takes some 40 MB.
MOST_FILES = 200_000


class Listed(NamedTuple):
    path: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Every file of a package."""

    files: tuple[Listed, ...]
    """By the bytes of their path."""
    sizes: dict[str, int]
    """digest → size of each, and of the manifest itself."""

    def page(self, after: str | None, limit: int) -> tuple[Sequence[File], bool]:
        """So many files after a path, and whether there are more."""
        start = 0
        if after is not None:
            start = bisect.bisect_right(self.files, after.encode(errors="replace"), key=lambda one: one.path.encode())
        files = [File(**one._asdict()) for one in self.files[start : start + limit]]
        return files, start + limit < len(self.files)


class Manifests:
    """A cache, bounded by the number of files in all that it holds."""

    def __init__(self, artifacts: ArtifactStore, most_files: int = MOST_FILES) -> None:
        self._artifacts = artifacts
        self._most_files = most_files
        self._held: OrderedDict[str, Manifest] = OrderedDict()
        self._reading = asyncio.Lock()

    async def of(self, package_digest: str) -> Manifest:
        """The manifest of a package.

        Raises:
            NotFound: no package has this digest.
            Damaged: its manifest holds other bytes than it should.
            Transient: the artifact store is away.
        """
        if package_digest not in self._held:
            async with self._reading:  # many that ask for one at once read it once
                if package_digest not in self._held:
                    self._keep(package_digest, await self._read(package_digest))
        self._held.move_to_end(package_digest)
        return self._held[package_digest]

    def _keep(self, digest: str, manifest: Manifest) -> None:
        self._held[digest] = manifest
        while len(self._held) > 1 and sum(len(one.files) for one in self._held.values()) > self._most_files:
            self._held.popitem(last=False)

    async def _read(self, package_digest: str) -> Manifest:
        size_bytes = await self._artifacts.size_of(package_digest)
        if size_bytes is None or size_bytes > LARGEST_BYTES:
            raise _not_found(package_digest)
        content = await self._artifacts.read(package_digest, 0, size_bytes)
        return await to_its_end(lambda: parse(package_digest, content))


def parse(package_digest: str, content: bytes) -> Manifest:
    """Read a manifest. Raises NotFound where it is none, Damaged where it is another than its digest says."""
    found = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if found != package_digest:
        raise Damaged(f"the manifest {package_digest} holds other bytes than it should", found)
    if not content.startswith(b'{"files":['):
        raise _not_found(package_digest)
    try:
        files = tuple(Listed(one["path"], one["digest"], one["size_bytes"]) for one in json.loads(content)["files"])
    except (ValueError, KeyError, TypeError):  # a file of somebody's that begins like one
        raise _not_found(package_digest) from None
    sizes = {one.digest: one.size_bytes for one in files}
    return Manifest(files, {**sizes, package_digest: len(content)})


def _not_found(package_digest: str) -> NotFound:
    return NotFound(Reason.PACKAGE_NOT_FOUND, f"no package {package_digest} is kept")
