"""What may be read out of the artifact store, by whom: the files of a package are listed to all, their bytes need a grant."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from services.importer.manifests import Manifests
from services.importer.ports import ArtifactStore, Grants
from shared.errors import Refused
from shared.naming import UNNAMEABLE
from shared.queries import FilePage, GrantDetails, ListFiles, ReadBytes, fitting
from shared.texts import shown

# The last token of the subject that a person's download is asked on.
PERSON = UNNAMEABLE


@dataclass(frozen=True, slots=True)
class ReadingOut:
    artifacts: ArtifactStore
    manifests: Manifests
    grants: Grants
    now: Callable[[], datetime]

    async def files(self, query: ListFiles) -> FilePage:
        """A page of the files of a package, by path.

        Raises:
            Refused: there is no such package, or its manifest is damaged.
            Transient: the artifact store is away.
        """
        manifest = await self.manifests.of(query.package_digest)
        page, more = manifest.page(query.after, query.limit)
        files = fitting(page)
        more = more or len(files) < len(page)
        return FilePage(files=tuple(files), next=files[-1].path if more and files else None)

    async def read(self, query: ReadBytes, workspace: str, reader: str) -> bytes:
        """Some bytes of a package.

        Args:
            query: which.
            workspace: as the subject says it.
            reader: who asks, as the subject says it: the broker answers for that.

        Raises:
            Refused: the grant does not let this reader have these bytes, or they are damaged.
            Transient: the registry or the artifact store is away.
        """
        grant = await self.grants.get(query.grant)
        check_grant(grant, workspace, reader, self.now())
        sizes = (await self.manifests.of(grant.package_digest)).sizes
        if query.digest not in sizes:
            message = f"{query.digest} is no file of {grant.package_digest}, which the grant is for"
            raise Refused("not-in-package", message)
        end = query.offset + query.size_bytes
        if end > sizes[query.digest]:
            message = f"bytes {query.offset} to {end} of {query.digest}: expected at most {sizes[query.digest]}"
            raise Refused("out-of-range", message)
        return await self.artifacts.read(query.digest, query.offset, query.size_bytes)


def check_grant(grant: GrantDetails, workspace: str, reader: str, now: datetime) -> None:
    """Raises Refused where the grant is another's, or has expired."""
    bound_to = grant.service or PERSON
    if (grant.workspace, bound_to) != (workspace, reader):
        whose = f"the service {grant.service!r}" if grant.service else "a download by a person"
        message = f"grant {shown(grant.id)} is for {whose} in workspace {grant.workspace!r}: expected it to be asked with by that"
        raise Refused("grant-of-another-reader", message)
    if now >= grant.expires_at:
        raise Refused("grant-expired", f"grant {shown(grant.id)} expired at {grant.expires_at.isoformat()}")
