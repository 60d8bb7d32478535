"""Stored bytes of a package, read again against their digests."""

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from services.importer.copying import each
from services.importer.domain import Refusal, expected
from services.importer.manifests import Listed, Manifests
from services.importer.ports import ArtifactStore, Damaged, ImportStore, Kept
from shared.errors import NotFound
from shared.messages import ArtifactCorrupted, CommandRefused, PackageVerified, VerifyPackage
from shared.naming import NAME_RULE, NUMBER_RULE, is_name, is_number
from shared.ports import Events
from shared.texts import shown
from shared.values import Reason

PART_BYTES = 4 * 1024 * 1024
FILES_AT_ONCE = 4
# Where the manifest of a package is said to be damaged: no file has this path.
MANIFEST = ""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class _Blob(NamedTuple):
    """Stored bytes, and the files that they are."""

    digest: str
    size_bytes: int
    paths: Sequence[str]


@dataclass(frozen=True, slots=True)
class Verifying:
    store: ImportStore
    artifacts: ArtifactStore
    events: Events
    now: Callable[[], datetime]

    async def verified(self, command: VerifyPackage) -> PackageVerified | CommandRefused:
        """Read every stored byte of a package again, and say what is damaged, as it is found.

        A repeat reads again, and says under the same ids what it finds then.

        Raises:
            Transient: a store or NATS is away.
        """
        refusal = refusal_of(command) or await self._kept_elsewhere(command)
        if refusal is not None:
            return self._refused(command, refusal)
        try:
            files = (await Manifests(self.artifacts).of(command.package_digest)).files
        except Damaged as damaged:
            return await self._without_manifest(command, damaged.found)
        except NotFound as not_found:
            if await self.store.kept(command.package_digest) is Kept.WHOLE:
                return await self._without_manifest(command, "missing")
            return self._refused(command, Refusal(Reason.PACKAGE_NOT_FOUND, str(not_found)))
        damaged_paths: list[str] = []

        async def verify(blob: _Blob) -> None:
            found = await self._found(blob.digest)
            if found != blob.digest:
                damaged_paths.extend(blob.paths)
                for path in blob.paths:
                    await self._say(command, Listed(path, blob.digest, blob.size_bytes), found)

        await each(_by_digest(files), verify, FILES_AT_ONCE)
        return self._verified(command, files, len(damaged_paths))

    async def _kept_elsewhere(self, command: VerifyPackage) -> Refusal | None:
        if await self.store.kept(command.package_digest) is not Kept.IN_PLACE:
            return None
        message = (
            f"{command.model} {command.version} was registered in place: expected a version whose bytes are kept here"
        )
        return Refusal(Reason.KEPT_IN_PLACE, message)

    async def _found(self, digest: str) -> str:
        """The digest of what is there, or why it cannot be read."""
        size_bytes = await self.artifacts.size_of(digest)
        if size_bytes is None:
            return "missing"
        whole = hashlib.sha256()
        for offset in range(0, size_bytes, PART_BYTES):
            try:
                part = await self.artifacts.read(digest, offset, min(PART_BYTES, size_bytes - offset))
            except Damaged as damaged:
                return damaged.found
            await asyncio.to_thread(whole.update, part)
        return f"sha256:{whole.hexdigest()}"

    async def _without_manifest(self, command: VerifyPackage, found: str) -> PackageVerified:
        await self._say(command, Listed(MANIFEST, command.package_digest, 0), found)
        return self._verified(command, (), 1)

    async def _say(self, command: VerifyPackage, file: Listed, found: str) -> None:
        facts = {"version": command.version, "package_digest": command.package_digest, **file._asdict()}
        corrupted = command.answer(ArtifactCorrupted, self.now(), part=file.path, found=found, **facts)
        await self.events.publish(corrupted)

    def _verified(self, command: VerifyPackage, files: Sequence[Listed], corrupted: int) -> PackageVerified:
        return command.answer(
            PackageVerified,
            self.now(),
            version=command.version,
            package_digest=command.package_digest,
            file_count=len(files),
            size_bytes=sum(file.size_bytes for file in files),
            corrupted=corrupted,
        )

    def _refused(self, command: VerifyPackage, refusal: Refusal) -> CommandRefused:
        return command.answer(
            CommandRefused,
            self.now(),
            said_by=PackageVerified.said_by,
            workspace=command.workspace[:100],
            model=command.model[:100],
            command=command.address,
            by=command.envelope.source,
            reason=refusal.reason,
            message=refusal.message,
        )


def refusal_of(command: VerifyPackage) -> Refusal | None:
    """The first rule of the command's own fields that is broken, None when all hold."""
    return next(_refusals(command), None)


def _refusals(command: VerifyPackage) -> Iterator[Refusal]:
    if not is_name(command.workspace):
        yield Refusal(Reason.INVALID_WORKSPACE, expected("workspace", command.workspace, NAME_RULE))
    if not is_name(command.model):
        yield Refusal(Reason.INVALID_NAME, expected("model name", command.model, NAME_RULE))
    if not is_number(command.version):
        yield Refusal(Reason.INVALID_VERSION, expected("version", command.version, NUMBER_RULE))
    if not _DIGEST.fullmatch(command.package_digest):
        message = f"package {shown(command.package_digest)}: expected sha256: and 64 hex digits"
        yield Refusal(Reason.PACKAGE_NOT_FOUND, message)


def _by_digest(files: Sequence[Listed]) -> list[_Blob]:
    """Equal files are the same bytes: they are read once."""
    blobs: dict[str, tuple[int, list[str]]] = {}
    for file in files:
        blobs.setdefault(file.digest, (file.size_bytes, []))[1].append(file.path)
    return [_Blob(digest, size_bytes, paths) for digest, (size_bytes, paths) in blobs.items()]
