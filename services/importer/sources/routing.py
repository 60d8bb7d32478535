"""The ModelSource of the importer: by a location's scheme, one of folders, object stores and web servers."""

import functools
import os
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from services.importer.domain import Unacceptable
from services.importer.ports import FoundFile, ModelSource
from services.importer.secrets import Secrets
from services.importer.sources.buckets import SCHEMES, Place
from services.importer.sources.folders import LocalFolders
from services.importer.sources.http import WebFiles
from services.importer.sources.limits import Limits
from services.importer.sources.objects import ObjectStores
from services.importer.sources.spool import Spool
from services.importer.threads import to_its_end
from shared.errors import Transient
from shared.texts import shown
from shared.values import Reason


class Sources:
    """Every place that the operator lets models come from."""

    def __init__(
        self,
        allowed_roots: Sequence[Path],
        allowed_hosts: Sequence[str],
        secrets: Secrets,
        limits: Limits,
        spool: Path,
        artifacts: str = "",
    ) -> None:
        """`artifacts` is where the artifact store is, a path or a URL: nobody imports from there."""
        self._folder = spool
        self._spool = Spool(spool)
        private = Place.parse(artifacts) if artifacts.startswith(tuple(f"{scheme}://" for scheme in SCHEMES)) else None
        web = WebFiles(allowed_hosts, limits, self._spool)
        objects = ObjectStores(secrets, limits, self._spool, private)
        self._by_scheme: dict[str, ModelSource] = {
            "file": LocalFolders(allowed_roots, limits, self._spool),
            **dict.fromkeys(SCHEMES, objects),
            "http": web,
            "https": web,
        }

    async def prepare(self) -> None:
        """Make the spool, and remove what processes that died left there. Raises Transient where it cannot be written."""
        try:
            await to_its_end(functools.partial(self._spool.prepare))
        except OSError as error:
            why = f"{self._folder}: {error.strerror}"
            expected = f"expected a folder that uid {os.getuid()} may write (MODELKIN_SPOOL)"
            raise Transient(f"the importer's spool cannot be written: {why}: {expected}") from None

    def found(self, location: str, workspace: str) -> AbstractAsyncContextManager[Sequence[FoundFile]]:
        return self._source(location).found(location, workspace)

    async def folders(self, location: str, workspace: str) -> Sequence[str]:
        return await self._source(location).folders(location, workspace)

    def _source(self, location: str) -> ModelSource:
        scheme, colon, _ = location.partition(":")
        source = self._by_scheme.get(scheme) if colon else None
        if source is None:
            known = ", ".join(f"{name}://" for name in self._by_scheme)
            came = f"the scheme {shown(scheme)}" if colon else "no scheme"
            raise Unacceptable(Reason.UNSUPPORTED_SCHEME, f"the location has {came}: expected one of {known}")
        return source
