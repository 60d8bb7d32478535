"""Which artifact store a setting names."""

from collections.abc import Mapping
from pathlib import Path

from services.importer.artifacts.folder import ArtifactFolder
from services.importer.artifacts.objects import ObjectArtifacts
from services.importer.domain import Unacceptable
from services.importer.ports import ArtifactStore
from services.importer.sources.buckets import Place, operators_bucket
from services.importer.sources.folders import path_of


def open_artifacts(place: str, spool: Path, environment: Mapping[str, str]) -> ArtifactStore:
    """The store at a path, a `file://` URL, or a URL of a bucket with a prefix, reached as the environment says.

    Raises:
        ValueError: the place names no store, or the environment does not say how to reach it.
    """
    if "://" not in place:
        return ArtifactFolder(Path(place))
    try:
        if place.startswith("file://"):
            return ArtifactFolder(path_of(place))
        named = Place.parse(place)
        return ObjectArtifacts(operators_bucket(named, environment), named.key, spool)
    except Unacceptable as unacceptable:
        raise ValueError(f"the artifact store: {unacceptable}") from None
