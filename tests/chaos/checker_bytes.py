"""Invariant 6, bytes: what is registered and not deleted is kept under its digests, and is what the digests say."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.chaos.checker_records import Violation, World


def kept_bytes(world: World) -> Iterator[Violation]:
    folder = _Folder(world.artifacts)
    for registered in world.of("model.registered"):
        assigned = world.said.get(registered.cause or "")
        imported = world.imported_of(assigned) if assigned else None
        if imported is not None and registered.version_key not in world.deleted:
            faults = _package(folder, imported.fields["package"])
            yield from (Violation(6, fault, str(registered)) for fault in faults)


class _Folder:
    """The artifact store as files: blobs/sha256/ab/abcd… Each is read once, however many versions it is part of."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found: dict[str, str | None] = {}

    def path_of(self, digest: str) -> Path:
        name = digest.removeprefix("sha256:")
        return self._root / "blobs" / "sha256" / name[:2] / name

    def fault_of(self, digest: str) -> str | None:
        if digest not in self._found:
            self._found[digest] = self._read(digest)
        return self._found[digest]

    def _read(self, digest: str) -> str | None:
        try:
            with self.path_of(digest).open("rb") as file:
                found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        except OSError as error:
            return f"{digest} cannot be read: {error.strerror}"
        return None if found == digest else f"{digest} holds the bytes of {found}"


def _package(folder: _Folder, package: Mapping[str, Any]) -> Iterator[str]:
    fault = folder.fault_of(package["digest"])
    if fault is not None:
        yield f"the manifest {fault}"
        return
    files = json.loads(folder.path_of(package["digest"]).read_bytes())["files"]
    listed = {(file["path"], file["digest"], file["size_bytes"]) for file in files}
    told = {(file["path"], file["digest"], file["size_bytes"]) for file in package["files"]}
    if not told <= listed:
        yield f"the manifest lists no {sorted(told - listed)}"
    if (len(files), sum(file["size_bytes"] for file in files)) != (package["file_count"], package["size_bytes"]):
        yield f"the manifest lists {len(files)} files of other sizes than was told"
    for file in () if package["in_place"] else files:
        fault = folder.fault_of(file["digest"])
        if fault is not None:
            yield f"{file['path']}: {fault}"
        elif folder.path_of(file["digest"]).stat().st_size != file["size_bytes"]:
            yield f"{file['path']}: {file['digest']} has another size than {file['size_bytes']} bytes"
