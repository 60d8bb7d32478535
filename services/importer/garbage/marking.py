"""Which of some bytes are needed: every manifest of a version that stands is, and every file that one lists."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterator, MutableMapping

from services.importer.ports import ArtifactStore, Damaged, ImportStore

# Where a digest stands in a manifest. It is read as text, in parts: one of 100,000 files would need much memory as objects.
# A path that looks like a digest keeps bytes that nobody needs, and does no harm.
_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")
_DIGEST_BYTES = 71
_PART_BYTES = 1024 * 1024
_READ_AT_ONCE = 8


async def strike_needed(candidates: MutableMapping[str, int], store: ImportStore, artifacts: ArtifactStore) -> None:
    """Take out of the candidates (digest → size) what the packages of the store need.

    Raises:
        Damaged: a manifest cannot be read, so nobody can say what its package needs.
    """
    seen: set[str] = set()
    async for page in store.packages():
        fresh = iter({*page} - seen)
        seen = {*page}  # packages that are imported again and again mostly come side by side

        async def read(packages: Iterator[str]) -> None:
            for package in packages:
                candidates.pop(package, None)
                async for digest in listed_in(package, artifacts):
                    candidates.pop(digest, None)

        await asyncio.gather(*(read(fresh) for _ in range(_READ_AT_ONCE)))


async def listed_in(package_digest: str, artifacts: ArtifactStore) -> AsyncIterator[str]:
    """The digests in a manifest, in constant memory. Raises Damaged where it is not what its own digest says."""
    size_bytes = await artifacts.size_of(package_digest)
    if size_bytes is None:
        raise Damaged(f"the manifest {package_digest} is not in the artifact store", "missing")
    whole, rest = hashlib.sha256(), b""
    for offset in range(0, size_bytes, _PART_BYTES):
        part = await artifacts.read(package_digest, offset, min(_PART_BYTES, size_bytes - offset))
        whole.update(part)
        text = rest + part
        for found in _DIGEST.findall(text):
            yield found.decode()
        rest = text[-_DIGEST_BYTES + 1 :]
    found_digest = f"sha256:{whole.hexdigest()}"
    if found_digest != package_digest:
        raise Damaged(f"the manifest {package_digest} holds other bytes than it should", found_digest)
