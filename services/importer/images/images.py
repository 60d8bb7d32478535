"""Container images for the importer: found in their registries, tried in an engine."""

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from services.importer.images.registry import OciRegistry
from services.importer.ports import ResolvedImage
from shared.values import FromImage, Image

if TYPE_CHECKING:
    from services.importer.images.probe import DockerProbe


class ContainerImages:
    """The port Images: over HTTP to resolve, with a Docker engine to probe.

    Args:
        registry: resolves.
        open_probe: is called once, by the first probe: most importers never need one, nor what it loads.
    """

    def __init__(self, registry: OciRegistry, open_probe: "Callable[[], DockerProbe]") -> None:
        self._registry = registry
        self._the_probe = functools.cache(open_probe)

    async def resolve(self, source: FromImage, workspace: str) -> ResolvedImage:
        return await self._registry.resolve(source, workspace)

    async def probe(self, image: Image, health: Mapping[str, object], workspace: str) -> None:
        await self._the_probe().probe(image, health, workspace)
