"""Everything that an import says of a version, beside its number: the same in the event and in the answers of the registry."""

from pydantic import Field, JsonValue

from shared.contents import Contents
from shared.values import Image, Package, Profile, Provenance, Restriction, Source

DEPLOYMENT_TYPES = ("real-time", "batch")


class VersionFacts(Provenance, Profile):
    source: Source
    package: Package
    deployment_types: tuple[str, ...] = Field(
        default=DEPLOYMENT_TYPES, description="how it may be deployed: any of real-time and batch"
    )
    engine: str | None = Field(default=None, description="the model_type of its config.json")
    runtime: str | None = None
    config: dict[str, JsonValue] | None = Field(default=None, description="its config.json, where it has one")
    requirements: tuple[str, ...] = Field(default=(), description="its dependencies, a line of requirements.txt each")
    inference_code: str | None = Field(default=None, description="path of customize_service.py inside the package")
    image: Image | None = None
    contents: Contents = Field(default_factory=Contents)
    restrictions: tuple[Restriction, ...] = ()
