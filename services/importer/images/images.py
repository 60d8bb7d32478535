"""Container images for the importer: found in their registries, tried in an engine."""

from collections.abc import Mapping

from services.importer.images.probe import DockerProbe
from services.importer.images.registry import OciRegistry
from services.importer.ports import ResolvedImage
from shared.values import FromImage, Image


class ContainerImages:
    """The port Images: over HTTP to resolve, with a Docker engine to probe."""

    def __init__(self, registry: OciRegistry, probe: DockerProbe) -> None:
        self._registry = registry
        self._probe = probe

    async def resolve(self, source: FromImage, workspace: str) -> ResolvedImage:
        return await self._registry.resolve(source, workspace)

    async def probe(self, image: Image, health: Mapping[str, object], workspace: str) -> None:
        await self._probe.probe(image, health, workspace)
