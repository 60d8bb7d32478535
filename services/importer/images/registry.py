"""Images in their registries: found over HTTP, checked against their digests, pinned."""

import asyncio
import hashlib
from typing import NamedTuple

import httpx

from services.importer.domain import Unacceptable
from services.importer.images.authorization import Authorizer
from services.importer.images.challenges import challenges_in
from services.importer.images.documents import (
    ACCEPTED,
    CONFIGURATION_BYTES,
    MANIFEST_BYTES,
    Descriptor,
    Kind,
    choose,
    created_at,
    kind_of,
    labels_of,
    platform_not_found,
    ports_of,
    read_configuration,
    read_index,
    read_manifest,
)
from services.importer.images.login import LoginFor, no_login
from services.importer.images.platforms import Platform, host_platform, parse_platform
from services.importer.images.reference import Reference, parse
from services.importer.images.transport import Answer, Connection, Transport, passes
from services.importer.ports import ResolvedImage
from shared.errors import Transient
from shared.values import FromImage, Image, Layer, Reason

# Three documents and a token; a registry that takes longer trickles.
RESOLVE_TIMEOUT_S = 60.0
SHOWN_LENGTH = 80


class OciRegistry:
    """Any registry that speaks the distribution protocol.

    Args:
        transport: how registries are reached.
        login_for: who we are there.
        platform: which one is taken of an image for several, where the request does not
            say; None: what this machine runs.
    """

    def __init__(self, transport: Transport, login_for: LoginFor = no_login, platform: str | None = None) -> None:
        self._transport = transport
        self._authorizer = Authorizer(login_for)
        self._platform = parse_platform(platform) if platform else host_platform()

    async def resolve(self, source: FromImage, workspace: str) -> ResolvedImage:
        """Find an image and pin it by digest. Raises as the port Images does."""
        reference = parse(source.image)
        asked = parse_platform(source.platform) if source.platform else None
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT_S), self._transport.connected(reference.host) as connection:
                reader = _Reader(connection, reference, workspace, self._authorizer)
                return await self._resolved(reader, source.image, asked)
        except TimeoutError as error:
            raise Transient(f"{reference.host} took more than {RESOLVE_TIMEOUT_S:.0f} s for one image") from error

    async def _resolved(self, reader: "_Reader", reference: str, asked: Platform | None) -> ResolvedImage:
        found = await reader.document(reader.reference.target)
        index, chosen = None, None
        if found.kind == "index":
            index, chosen = found, choose(read_index(found.body), asked or self._platform)
            found = await reader.document(chosen.digest)
            if found.kind == "index":
                raise Unacceptable(Reason.UNSUPPORTED_IMAGE, "an index that holds an index: expected one of images")
        manifest = read_manifest(found.body)
        body = await reader.configuration(manifest.config)
        configuration = read_configuration(body)
        # An index is believed; without one, the image itself says what it is for.
        platform = ((chosen and chosen.platform) or configuration).platform
        if asked and platform not in asked.served_by():
            raise platform_not_found(asked, [platform])
        image = Image(
            reference=reference,
            digest=found.digest,
            index_digest=index and index.digest,
            media_type=found.media_type,
            platform=str(platform),
            size_bytes=manifest.size_bytes,
            layers=tuple(Layer(digest=layer.digest, size_bytes=layer.size) for layer in manifest.layers),
            labels=labels_of(configuration),
            ports=ports_of(configuration),
            created=created_at(configuration),
        )
        return ResolvedImage(image, found.body, body)


class _Found(NamedTuple):
    """An index or a manifest."""

    kind: Kind
    media_type: str
    digest: str
    body: bytes


class _Reader:
    """The requests for one image."""

    def __init__(self, connection: Connection, reference: Reference, workspace: str, authorizer: Authorizer) -> None:
        self.reference = reference
        self._connection = connection
        self._workspace = workspace
        self._authorizer = authorizer
        self._authorization = authorizer.known(reference, workspace)

    async def document(self, target: str) -> _Found:
        """The index or manifest with this tag or digest."""
        answer = await self._get(f"manifests/{target}", MANIFEST_BYTES)
        what = "digest" if target.startswith("sha256:") else "tag"
        self._check(answer, f"{self.reference.name[:SHOWN_LENGTH]!r} with the {what} {target[:SHOWN_LENGTH]!r}")
        digest = _digest_of(answer.body)
        said = answer.headers.get("Docker-Content-Digest", digest)
        for expected in (said, target if what == "digest" else digest):
            if digest != expected:
                raise self._lied(f"{expected[:SHOWN_LENGTH]!r}", digest)
        media_type, kind = kind_of(answer.headers.get("Content-Type", ""), answer.body)
        return _Found(kind, media_type, digest, answer.body)

    async def configuration(self, described: Descriptor) -> bytes:
        if described.size > CONFIGURATION_BYTES:
            raise Unacceptable(
                Reason.UNSUPPORTED_IMAGE,
                f"the configuration has {described.size} bytes: expected at most {CONFIGURATION_BYTES}",
            )
        answer = await self._get(f"blobs/{described.digest}", CONFIGURATION_BYTES)
        self._check(answer, f"the configuration {described.digest!r} of {self.reference.name[:SHOWN_LENGTH]!r}")
        digest = _digest_of(answer.body)
        if digest != described.digest or len(answer.body) != described.size:
            raise self._lied(f"{described.digest!r} of {described.size} bytes", f"{digest} of {len(answer.body)}")
        return answer.body

    async def _get(self, what: str, limit_bytes: int) -> Answer:
        """Ask; where the registry wants to know who we are, say it and ask once more."""
        path = f"/v2/{self.reference.name}/{what}"
        answer = await self._once(path, limit_bytes)
        if answer.status == httpx.codes.UNAUTHORIZED:
            challenges = challenges_in(answer.headers.get_list("WWW-Authenticate"))
            self._authorization = await self._authorizer.answer(
                challenges, self.reference, self._workspace, self._connection
            )
            answer = await self._once(path, limit_bytes)
        return answer

    async def _once(self, path: str, limit_bytes: int) -> Answer:
        return await self._connection.get(path, {"Accept": ACCEPTED}, limit_bytes, authorization=self._authorization)

    def _check(self, answer: Answer, what: str) -> None:
        host = self.reference.host
        match answer.status:
            case httpx.codes.OK:
                return
            case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
                raise self._authorizer.refused(self.reference, self._workspace)
            case httpx.codes.NOT_FOUND:
                raise Unacceptable(Reason.IMAGE_NOT_FOUND, f"{host} has no {what}: expected an image that is there")
            case status if passes(status):
                raise Transient(f"{host} answers {status}")
            case status:
                raise Unacceptable(Reason.LOCATION_UNREADABLE, f"{host} answers {status} to {what}: expected 200")

    def _lied(self, expected: str, came: str) -> Unacceptable:
        return Unacceptable(
            Reason.LOCATION_UNREADABLE,
            f"{self.reference.host} gives other bytes than it says: expected {expected}, came {came}",
        )


def _digest_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
