"""The documents of an image: index, manifest and configuration, OCI's and Docker's. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from services.importer.domain import Unacceptable
from services.importer.images.platforms import Platform
from shared.naming import Digest
from shared.values import Reason

INDEX_TYPES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFEST_TYPES = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
# All four are asked for: a registry may answer with schema 1, or 404, to who leaves one out.
ACCEPTED = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
MANIFEST_BYTES = 4 * 1024 * 1024
CONFIGURATION_BYTES = 8 * 1024 * 1024

_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"
_CONFIGURATION_TYPES = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
_LAYER_TYPES = ("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.")
# Engines stop at 127 layers.
MOST_LAYERS = 500
MOST_PLATFORMS = 1000
# A petabyte: sums of sizes stay numbers that every store can hold.
LARGEST_BYTES = 2**50
MOST_LABELS = 64
LABELS_BYTES = 16 * 1024
MOST_PORTS = 64
SHOWN_LENGTH = 80
SHOWN_PLATFORMS = 12

Kind = Literal["index", "manifest"]
_KINDS: Mapping[str, Kind] = {**dict.fromkeys(INDEX_TYPES, "index"), **dict.fromkeys(MANIFEST_TYPES, "manifest")}
_PORT = re.compile(r"(?P<number>[0-9]{1,5})(?:/(?P<protocol>tcp|udp|sctp))?")

Text = Annotated[str, Field(max_length=255)]
PlatformWord = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,40}$")]


class _Document(BaseModel):
    model_config = ConfigDict(
        frozen=True, strict=True, extra="ignore", alias_generator=to_camel, hide_input_in_errors=True
    )


class PlatformOf(_Document):
    os: PlatformWord = ""
    architecture: PlatformWord = ""
    variant: PlatformWord | None = None

    @property
    def platform(self) -> Platform:
        return Platform.of(self.os, self.architecture, self.variant or "")


class Descriptor(_Document):
    media_type: Text = ""
    digest: Digest
    size: int = Field(ge=0, le=LARGEST_BYTES)
    platform: PlatformOf | None = None


class Index(_Document):
    manifests: tuple[Descriptor, ...] = Field(max_length=MOST_PLATFORMS)


class Manifest(_Document):
    artifact_type: Text | None = None
    config: Descriptor
    layers: tuple[Descriptor, ...] = Field(min_length=1, max_length=MOST_LAYERS)

    @property
    def size_bytes(self) -> int:
        return self.config.size + sum(layer.size for layer in self.layers)


class _Settings(BaseModel):
    """The part of a configuration that says how the image is run; its names begin with capitals."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)

    labels: dict[str, str | None] | None = Field(default=None, alias="Labels")
    exposed_ports: dict[str, object] | None = Field(default=None, alias="ExposedPorts")


class Configuration(PlatformOf):
    created: str | None = None
    config: _Settings | None = None


class _Shape(_Document):
    """What tells one document from another."""

    media_type: str | None = None
    schema_version: int | None = None
    manifests: object = None
    layers: object = None
    fs_layers: object = None


D = TypeVar("D", bound=_Document)


def kind_of(content_type: str, body: bytes) -> tuple[str, Kind]:
    """The media type of what a registry answered with, and which kind that is.

    Raises:
        Unacceptable: it is not of an image, or the document says that it is another than the registry says.
    """
    said = content_type.partition(";")[0].strip().lower()
    if said.startswith(_SCHEMA_1):
        raise _schema_1()
    shape = _read(_Shape, body, "manifest")
    if shape.schema_version == 1 or shape.fs_layers is not None:
        raise _schema_1()
    media_type = said if said in _KINDS else shape.media_type or said
    # A document that can be read as both would be another image to another reader.
    both = shape.manifests is not None and shape.layers is not None
    if media_type not in _KINDS or shape.media_type not in {None, media_type} or both:
        raise _unsupported(f"it is {(shape.media_type or said)[:SHOWN_LENGTH]!r}")
    return media_type, _KINDS[media_type]


def read_index(body: bytes) -> Index:
    """Raises Unacceptable where it is none."""
    return _read(Index, body, "index")


def read_manifest(body: bytes) -> Manifest:
    """Raises Unacceptable where it is none of an image: of a chart, of a signature, of loose files."""
    manifest = _read(Manifest, body, "manifest")
    if manifest.config.media_type not in _CONFIGURATION_TYPES:
        raise _unsupported(f"its configuration is {manifest.config.media_type[:SHOWN_LENGTH]!r}")
    for layer in manifest.layers:
        if not layer.media_type.startswith(_LAYER_TYPES):
            raise _unsupported(f"a layer is {layer.media_type[:SHOWN_LENGTH]!r}")
    if manifest.artifact_type not in {None, "", *_CONFIGURATION_TYPES}:
        raise _unsupported(f"it is an artifact of type {(manifest.artifact_type or '')[:SHOWN_LENGTH]!r}")
    return manifest


def read_configuration(body: bytes) -> Configuration:
    """Raises Unacceptable where it is none, or names no platform."""
    configuration = _read(Configuration, body, "configuration")
    if not (configuration.os and configuration.architecture):
        raise _unsupported("its configuration names no platform")
    return configuration


def choose(index: Index, wanted: Platform) -> Descriptor:
    """The manifest for a platform: of several that serve it, the best; of equals, the first.

    Raises:
        Unacceptable: there is none.
    """
    there: dict[Platform, Descriptor] = {}
    for entry in index.manifests:
        # Builders put attestations beside images, for the platform unknown/unknown.
        if entry.platform and entry.platform.os not in {"", "unknown"}:
            there.setdefault(entry.platform.platform, entry)
    for platform in wanted.served_by():
        if platform in there:
            return there[platform]
    raise platform_not_found(wanted, tuple(there))


def platform_not_found(wanted: Platform, there: Sequence[Platform]) -> Unacceptable:
    shown = [str(platform) for platform in there[:SHOWN_PLATFORMS]] + ["…"] * (len(there) > SHOWN_PLATFORMS)
    expected = f"expected one of {', '.join(shown)}" if shown else "it names no platform at all"
    return Unacceptable(Reason.PLATFORM_NOT_FOUND, f"the image is not for {wanted}: {expected}")


def labels_of(configuration: Configuration) -> dict[str, str]:
    """The labels, by name; those beyond the limits are left out, the first by name are kept."""
    labels: dict[str, str] = {}
    room_bytes = LABELS_BYTES
    for name, value in sorted(((configuration.config and configuration.config.labels) or {}).items()):
        needed_bytes = len(name.encode()) + len((value or "").encode())
        if name.isprintable() and name and needed_bytes <= room_bytes and len(labels) < MOST_LABELS:
            labels[name] = value or ""
            room_bytes -= needed_bytes
    return labels


def ports_of(configuration: Configuration) -> tuple[str, ...]:
    """The ports that the image says it listens on, as number/protocol, by number."""
    ports = set()
    for text in (configuration.config and configuration.config.exposed_ports) or {}:
        found = _PORT.fullmatch(text)
        if found and 1 <= int(found["number"]) <= 65535:  # noqa: PLR2004 - the numbers of ports
            ports.add((int(found["number"]), found["protocol"] or "tcp"))
    return tuple(f"{number}/{protocol}" for number, protocol in sorted(ports)[:MOST_PORTS])


def created_at(configuration: Configuration) -> str | None:
    created = configuration.created or ""
    return created if created.isprintable() and 1 <= len(created) <= SHOWN_LENGTH else None


def _read(document: type[D], body: bytes, what: str) -> D:
    try:
        return document.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:SHOWN_LENGTH]
        raise _unsupported(f"its {what} is not valid ({where!r}: {first['msg'][:SHOWN_LENGTH]})") from None


def _schema_1() -> Unacceptable:
    return _unsupported("its manifest is of schema 1, which pins no configuration")


def _unsupported(what: str) -> Unacceptable:
    return Unacceptable(
        Reason.UNSUPPORTED_IMAGE,
        f"what the registry holds is no container image: {what}; expected an OCI or Docker image",
    )
