"""Images in real registries: found, pinned, let in or not, and every way in which a registry can mislead."""

import asyncio
import base64
import gzip
import hashlib
import json
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.importer.domain import Unacceptable
from services.importer.images import registry as registry_module
from services.importer.images.login import Login, LoginFor, no_login
from services.importer.images.registry import OciRegistry
from services.importer.images.transport import Transport
from services.importer.ports import ResolvedImage
from shared.errors import Transient
from shared.values import FromImage, Layer, Reason
from tests.oci import (
    DOCKER_MANIFEST,
    LOCAL,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Registry,
    Request,
    basic,
    described,
    digest_of,
    htpasswd_auth,
    image_responder,
    response,
    serving,
    small_image,
    start_registry,
)

NAME = "team/model"
PARTS = small_image()


async def resolve(
    image: str,
    platform: str | None = None,
    *,
    workspace: str = "0",
    login_for: LoginFor = no_login,
    transport: Transport | None = None,
) -> ResolvedImage:
    registry = OciRegistry(transport or Transport(allowed=LOCAL), login_for, platform="linux/amd64")
    return await registry.resolve(FromImage(image=image, platform=platform), workspace)


async def refusal(image: str, platform: str | None = None, **options: object) -> tuple[Reason, str]:
    with pytest.raises(Unacceptable) as caught:
        await resolve(image, platform, **options)  # type: ignore[arg-type]  # as resolve takes them
    return caught.value.refusal.reason, caught.value.refusal.message


@pytest.fixture
def name() -> str:
    """A repository of the test's own."""
    return f"team/{secrets.token_hex(6)}"


# What is found.


async def test_a_tag_is_pinned_by_the_digest_of_its_manifest(image_registry: Registry, name: str):
    parts = small_image(config={"Labels": {"org.example.a": "b"}, "ExposedPorts": {"8080/tcp": {}, "53/udp": {}}})
    image_registry.push(name, "1.0", parts)

    found = await resolve(f"{image_registry.host}/{name}:1.0")

    assert found.image.digest == f"sha256:{hashlib.sha256(parts.manifest).hexdigest()}"
    assert found.image.reference == f"{image_registry.host}/{name}:1.0"
    assert found.image.index_digest is None
    assert found.image.media_type == "application/vnd.oci.image.manifest.v1+json"
    assert found.image.platform == "linux/amd64"
    assert found.image.size_bytes == len(parts.configuration) + len(parts.layer)
    assert found.image.layers == (Layer(digest=digest_of(parts.layer), size_bytes=len(parts.layer)),)
    assert found.image.labels == {"org.example.a": "b"}
    assert found.image.ports == ("53/udp", "8080/tcp")
    assert found.image.created == "2026-01-02T03:04:05Z"
    assert (found.manifest, found.configuration) == (parts.manifest, parts.configuration)


async def test_without_a_tag_it_is_latest(image_registry: Registry, name: str):
    digest = image_registry.push(name, "latest", small_image())

    assert (await resolve(f"{image_registry.host}/{name}")).image.digest == digest


async def test_a_digest_finds_the_image_that_it_names_whatever_the_tag_is_now(image_registry: Registry, name: str):
    before = image_registry.push(name, "1", small_image(text="before"))
    image_registry.push(name, "1", small_image(text="after"))

    found = await resolve(f"{image_registry.host}/{name}:1@{before}")

    assert found.image.digest == before


async def test_docker_media_types_are_read_as_well(image_registry: Registry, name: str):
    image_registry.push(name, "1", small_image(docker=True), DOCKER_MANIFEST)

    found = await resolve(f"{image_registry.host}/{name}:1")

    assert found.image.media_type == "application/vnd.docker.distribution.manifest.v2+json"


@pytest.mark.parametrize("docker", [False, True], ids=["oci", "docker"])
@pytest.mark.parametrize(
    ("asked", "platform"), [(None, "linux/amd64"), ("linux/arm64", "linux/arm64"), ("linux/arm/v7", "linux/arm/v6")]
)
async def test_of_an_index_the_platform_asked_for_is_pinned(
    image_registry: Registry, name: str, asked: str | None, platform: str, *, docker: bool
):
    images = {
        each: small_image(platform=each, docker=docker) for each in ("linux/arm64/v8", "linux/amd64", "linux/arm/v6")
    }
    index_digest = image_registry.push_index(name, "1", images, docker=docker)

    found = await resolve(f"{image_registry.host}/{name}:1", asked)

    expected = {str(each).removesuffix("/v8"): parts for each, parts in images.items()}[platform]
    assert found.image.platform == platform
    assert found.image.digest == expected.digest
    assert found.image.index_digest == index_digest
    assert found.configuration == expected.configuration


async def test_an_index_is_found_by_its_digest(image_registry: Registry, name: str):
    index_digest = image_registry.push_index(name, "1", {"linux/amd64": small_image()})

    found = await resolve(f"{image_registry.host}/{name}@{index_digest}")

    assert (found.image.digest, found.image.index_digest) == (small_image().digest, index_digest)


async def test_an_image_for_one_platform_is_taken_where_none_is_asked_for(image_registry: Registry, name: str):
    image_registry.push(name, "1", small_image(platform="linux/s390x"))

    assert (await resolve(f"{image_registry.host}/{name}:1")).image.platform == "linux/s390x"


# What is not there.


async def test_a_missing_tag_is_named(image_registry: Registry, name: str):
    image_registry.push(name, "1", small_image())

    assert await refusal(f"{image_registry.host}/{name}:2") == (
        Reason.IMAGE_NOT_FOUND,
        f"{image_registry.host} has no {name!r} with the tag '2': expected an image that is there",
    )


async def test_a_missing_digest_is_named(image_registry: Registry, name: str):
    missing = "sha256:" + "0" * 64

    assert await refusal(f"{image_registry.host}/{name}@{missing}") == (
        Reason.IMAGE_NOT_FOUND,
        f"{image_registry.host} has no {name!r} with the digest {missing!r}: expected an image that is there",
    )


async def test_a_platform_that_an_index_lacks_is_refused_with_those_it_has(image_registry: Registry, name: str):
    images = {each: small_image(platform=each) for each in ("linux/amd64", "linux/arm64")}
    image_registry.push_index(name, "1", images)

    assert await refusal(f"{image_registry.host}/{name}:1", "linux/riscv64") == (
        Reason.PLATFORM_NOT_FOUND,
        "the image is not for linux/riscv64: expected one of linux/amd64, linux/arm64",
    )


async def test_an_image_for_another_platform_than_asked_for_is_refused(image_registry: Registry, name: str):
    image_registry.push(name, "1", small_image(platform="linux/arm64"))

    assert await refusal(f"{image_registry.host}/{name}:1", "linux/amd64") == (
        Reason.PLATFORM_NOT_FOUND,
        "the image is not for linux/amd64: expected one of linux/arm64",
    )


async def test_an_artifact_that_is_no_image_is_refused(image_registry: Registry, name: str):
    chart = b"{}"
    kind = "application/vnd.cncf.helm.config.v1+json"
    manifest = json.dumps(
        {"schemaVersion": 2, "config": described(kind, chart), "layers": [described(OCI_LAYER, chart)]}
    )
    image_registry.push_blob(name, chart)
    image_registry.push_manifest(name, "1", manifest.encode(), OCI_MANIFEST)

    reason, message = await refusal(f"{image_registry.host}/{name}:1")

    assert reason is Reason.UNSUPPORTED_IMAGE
    assert f"its configuration is {kind!r}" in message


async def test_a_registry_that_was_stopped_is_tried_again(tmp_path: Path):
    registry = await start_registry(tmp_path)
    registry.push(NAME, "1", small_image())
    registry.process.stop()

    with pytest.raises(Transient, match="cannot be reached: ConnectError"):
        await resolve(f"{registry.host}/{NAME}:1")


# Logins.


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Registry]:
    """A registry that lets in robot with hunter2, and holds an image."""
    plain = await start_registry(tmp_path, auth=htpasswd_auth(tmp_path, "robot", "hunter2"))
    registry = Registry(plain.process, plain.host, plain.url, headers=basic("robot", "hunter2"))
    registry.push(NAME, "1", small_image())
    yield registry
    registry.process.stop()


def with_login(**parts: str) -> LoginFor:
    return lambda *_: Login(**parts)


async def test_a_login_lets_in(guarded: Registry):
    found = await resolve(f"{guarded.host}/{NAME}:1", login_for=with_login(username="robot", password="hunter2"))

    assert found.image.digest == small_image().digest


async def test_a_login_is_asked_for_by_workspace_and_host(guarded: Registry):
    asked: list[tuple[str, str]] = []

    def login_for(workspace: str, host: str) -> Login:
        asked.append((workspace, host))
        return Login(username="robot", password="hunter2")

    await resolve(f"{guarded.host}/{NAME}:1", workspace="lab", login_for=login_for)

    assert set(asked) == {("lab", guarded.host)}


async def test_without_a_login_nobody_is_let_in(guarded: Registry):
    assert await refusal(f"{guarded.host}/{NAME}:1") == (
        Reason.NOT_AUTHORIZED,
        f"{guarded.host} does not let us read 'team/model' without a login of workspace '0': expected an image that we may pull",
    )


async def test_a_wrong_password_lets_nobody_in_and_is_not_said(guarded: Registry, caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG")

    reason, message = await refusal(
        f"{guarded.host}/{NAME}:1", login_for=with_login(username="robot", password="wr0ng")
    )

    assert reason is Reason.NOT_AUTHORIZED
    assert "with the login of workspace '0'" in message
    for hidden in ("wr0ng", "robot", basic("robot", "wr0ng")["Authorization"].removeprefix("Basic ")):
        assert hidden not in message + caplog.text


# Tokens.


class TokenServer:
    """Gives tokens that a real registry believes: signed, with the certificate that the registry trusts."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[Request] = []
        self.life_s = 300
        self.answer: bytes | None = None
        authority = trustme.CA(key_type=trustme.KeyType.RSA)
        leaf = authority.issue_cert("tokens.example", key_type=trustme.KeyType.RSA)
        folder.mkdir(parents=True, exist_ok=True)
        authority.cert_pem.write_to_path(str(folder / "tokens.pem"))
        self._bundle = folder / "tokens.pem"
        key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        self._key = key
        pem = leaf.cert_chain_pems[0].bytes().decode()
        self._certificate = "".join(pem.split("-----")[2].split())

    def auth(self, realm: str) -> Mapping[str, object]:
        settings = {"realm": realm, "service": "tests", "issuer": "issuer", "rootcertbundle": str(self._bundle)}
        return {"token": settings}

    def token(self, name: str, *actions: str) -> str:
        now = int(time.time())
        header = {"typ": "JWT", "alg": "RS256", "x5c": [self._certificate]}
        access = [{"type": "repository", "name": name, "actions": list(actions)}] if actions else []
        times = {"iat": now, "nbf": now - 10, "exp": now + 3600}
        claims = {"iss": "issuer", "sub": "robot", "aud": "tests", "jti": "1", "access": access, **times}
        signed = ".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{_base64(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def respond(self, request: Request) -> bytes:
        self.asked.append(request)
        if self.answer is not None:
            return self.answer
        let_in = request.headers.get("authorization") == basic("robot", "hunter2")["Authorization"]
        token = self.token(NAME, *(["pull"] if let_in else []))
        return response(200, json.dumps({"token": token, "expires_in": self.life_s}).encode())


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


ROBOT = with_login(username="robot", password="hunter2")


@pytest.fixture
def tokens(tmp_path: Path) -> TokenServer:
    return TokenServer(tmp_path)


@pytest.fixture
async def token_guarded(tmp_path: Path, tokens: TokenServer) -> AsyncIterator[Registry]:
    """A registry that sends those who ask to the token server, and holds an image."""
    async with serving(tokens.respond) as server:
        plain = await start_registry(tmp_path, auth=tokens.auth(f"{server.url}/token?account=x"))
        headers = {"Authorization": f"Bearer {tokens.token(NAME, 'pull', 'push')}"}
        registry = Registry(plain.process, plain.host, plain.url, headers=headers)
        registry.push(NAME, "1", small_image())
        yield registry
        registry.process.stop()


async def test_a_token_to_pull_is_asked_for_with_the_login(token_guarded: Registry, tokens: TokenServer):
    found = await resolve(f"{token_guarded.host}/{NAME}:1", login_for=ROBOT)

    [asked] = tokens.asked
    assert found.image.digest == small_image().digest
    assert parse_qs(urlsplit(asked.path).query) == {
        "account": ["x"],
        "service": ["tests"],
        "scope": ["repository:team/model:pull"],
    }
    assert asked.headers["authorization"] == basic("robot", "hunter2")["Authorization"]


async def test_nobody_asks_for_a_token_without_a_login_and_is_not_let_in(token_guarded: Registry, tokens: TokenServer):
    reason, message = await refusal(f"{token_guarded.host}/{NAME}:1")

    assert reason is Reason.NOT_AUTHORIZED
    assert "without a login of workspace '0'" in message
    assert [request.headers.get("authorization") for request in tokens.asked] == [None]


async def test_a_token_of_ones_own_is_shown_to_the_registry_alone(token_guarded: Registry, tokens: TokenServer):
    login = with_login(token=tokens.token(NAME, "pull"))

    found = await resolve(f"{token_guarded.host}/{NAME}:1", login_for=login)

    assert found.image.digest == small_image().digest
    assert tokens.asked == []


async def test_a_token_is_used_until_it_ends_and_for_its_workspace_alone(token_guarded: Registry, tokens: TokenServer):
    registry = OciRegistry(Transport(allowed=LOCAL), ROBOT)
    source = FromImage(image=f"{token_guarded.host}/{NAME}:1")

    await registry.resolve(source, "0")
    await registry.resolve(source, "0")
    assert len(tokens.asked) == 1
    await registry.resolve(source, "lab")
    assert len(tokens.asked) == 2


async def test_a_token_that_has_ended_is_asked_for_anew(token_guarded: Registry, tokens: TokenServer):
    tokens.life_s = 3
    registry = OciRegistry(Transport(allowed=LOCAL), ROBOT)
    source = FromImage(image=f"{token_guarded.host}/{NAME}:1")

    await registry.resolve(source, "0")
    await registry.resolve(source, "0")

    assert len(tokens.asked) == 2


async def test_a_kept_token_that_the_registry_takes_no_more_is_asked_for_anew(
    token_guarded: Registry, tokens: TokenServer
):
    login = ROBOT("0", "")
    logins: list[Login | None] = [None, login]
    registry = OciRegistry(Transport(allowed=LOCAL), lambda *_: logins[0])
    source = FromImage(image=f"{token_guarded.host}/{NAME}:1")
    with pytest.raises(Unacceptable):
        await registry.resolve(source, "0")
    logins.pop(0)

    found = await registry.resolve(source, "0")

    assert found.image.digest == small_image().digest


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (response(401), Reason.NOT_AUTHORIZED),
        (response(403), Reason.NOT_AUTHORIZED),
        (response(302, Location="http://127.0.0.1:1/"), Reason.NOT_AUTHORIZED),
        (response(200, b"not json"), Reason.NOT_AUTHORIZED),
        (response(200, b"{}"), Reason.NOT_AUTHORIZED),
        (response(200, b'{"token": "a b"}'), Reason.NOT_AUTHORIZED),
        (response(200, b'{"token": "a\\r\\nX: y"}'), Reason.NOT_AUTHORIZED),
        (response(200, b'{"token": "wrong"}'), Reason.NOT_AUTHORIZED),
        (response(200, b'{"token": "' + b"x" * 300_000 + b'"}'), Reason.UNSUPPORTED_IMAGE),
    ],
)
async def test_a_token_server_that_gives_none_lets_nobody_in(
    token_guarded: Registry, tokens: TokenServer, answer: bytes, reason: Reason
):
    tokens.answer = answer

    refused, message = await refusal(f"{token_guarded.host}/{NAME}:1", login_for=ROBOT)

    assert refused is reason
    assert "hunter2" not in message


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_token_server_in_trouble_is_tried_again(token_guarded: Registry, tokens: TokenServer, status: int):
    tokens.answer = response(status)

    with pytest.raises(Transient, match=f"answers {status}"):
        await resolve(f"{token_guarded.host}/{NAME}:1", login_for=ROBOT)


async def test_a_token_that_no_header_can_hold_is_not_sent(token_guarded: Registry):
    reason, message = await refusal(f"{token_guarded.host}/{NAME}:1", login_for=with_login(token="se cret\n"))

    assert reason is Reason.NOT_AUTHORIZED
    assert "cret" not in message


@pytest.mark.parametrize(
    "realm",
    ["http://auth.invalid/token", "ftp://127.0.0.1/token", "/token", "", "http://[", "https://user:pw@127.0.0.1/token"],
)
async def test_a_login_is_not_sent_where_anybody_could_read_it(realm: str):
    challenge = f'Bearer realm="{realm}",service="x"'
    async with serving(lambda _: response(401, WWW_Authenticate=challenge)) as server:
        reason, _ = await refusal(f"{server.host}/{NAME}:1", login_for=ROBOT)

    assert reason is Reason.LOCATION_UNREADABLE


@pytest.mark.parametrize("challenge", ['Digest realm="x"', "", "Basic", 'Basic realm="x'])
async def test_who_asks_for_another_kind_of_login_than_there_is_refuses(challenge: str):
    async with serving(lambda _: response(401, WWW_Authenticate=challenge)) as server:
        reason, _ = await refusal(f"{server.host}/{NAME}:1", login_for=ROBOT)

    assert reason is Reason.NOT_AUTHORIZED


# TLS.


@pytest.fixture
async def private(tmp_path: Path) -> AsyncIterator[tuple[Registry, Path]]:
    """A registry with a certificate of a private authority, and the file of that authority."""
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    files = {name: tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem")}
    authority.cert_pem.write_to_path(str(files["ca.pem"]))
    leaf.cert_chain_pems[0].write_to_path(str(files["cert.pem"]))
    leaf.private_key_pem.write_to_path(str(files["key.pem"]))
    tls = {"certificate": str(files["cert.pem"]), "key": str(files["key.pem"])}
    plain = await start_registry(tmp_path, tls=tls)
    registry = Registry(plain.process, plain.host, plain.url, verify=ssl.create_default_context(cafile=files["ca.pem"]))
    registry.push(NAME, "1", small_image())
    yield registry, files["ca.pem"]
    registry.process.stop()


async def test_a_private_authority_is_trusted_where_it_is_named(private: tuple[Registry, Path]):
    registry, ca_file = private

    found = await resolve(f"{registry.host}/{NAME}:1", transport=Transport(ca_file, allowed=LOCAL))

    assert found.image.digest == small_image().digest


async def test_a_private_authority_is_not_trusted_otherwise(private: tuple[Registry, Path]):
    registry, _ = private

    reason, message = await refusal(f"{registry.host}/{NAME}:1")

    assert reason is Reason.LOCATION_UNREADABLE
    assert message.startswith(f"{registry.host} shows a certificate that is not trusted (")
    assert message.endswith("expected one of an authority of the system, or of MODELKIN_REGISTRY_CA")


async def test_the_name_in_a_certificate_is_checked(private: tuple[Registry, Path]):
    registry, ca_file = private
    host = registry.host.replace("127.0.0.1", "localhost")

    reason, message = await refusal(f"{host}/{NAME}:1", transport=Transport(ca_file, allowed=LOCAL))

    assert reason is Reason.LOCATION_UNREADABLE
    assert "not trusted" in message


def test_a_file_without_certificates_is_refused_at_the_start(tmp_path: Path):
    (tmp_path / "ca.pem").write_text("nothing")

    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(ValueError, match=rf"{name}: expected certificates in PEM"):
            Transport(tmp_path / name)


async def test_on_this_machine_tls_is_used_where_it_is_spoken(private: tuple[Registry, Path]):
    registry, ca_file = private

    assert registry.url.startswith("https://")
    assert Transport(ca_file).may_be_plain(registry.host)


async def test_a_host_that_is_not_named_is_not_spoken_to_without_tls(monkeypatch: pytest.MonkeyPatch):
    # The server of this machine stands for one elsewhere.
    monkeypatch.setattr(Transport, "may_be_plain", lambda *_: False)
    async with serving(image_responder(PARTS)) as server:
        reason, message = await refusal(f"{server.host}/{NAME}:1")

    assert reason is Reason.LOCATION_UNREADABLE
    assert message.endswith("expected TLS; hosts that may be plain are named in MODELKIN_INSECURE_REGISTRIES")
    assert server.requests == []


async def test_no_proxy_leads_to_this_machine(monkeypatch: pytest.MonkeyPatch):
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")

    async with serving(image_responder(PARTS)) as server:
        found = await resolve(f"{server.host}/{NAME}:1")

    assert found.image.digest == PARTS.digest


# Registries that mislead.


async def test_a_server_that_says_what_a_registry_says_is_one():
    async with serving(image_responder(PARTS)) as server:
        found = await resolve(f"{server.host}/{NAME}:1")

    assert found.image.digest == PARTS.digest


async def test_all_four_kinds_of_documents_are_asked_for():
    async with serving(image_responder(PARTS)) as server:
        await resolve(f"{server.host}/{NAME}:1")

    assert set(server.requests[0].headers["accept"].split(", ")) == {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    }


async def test_a_manifest_whose_digest_lies_is_refused():
    lie = "sha256:" + "0" * 64
    async with serving(image_responder(PARTS, Docker_Content_Digest=lie)) as server:
        reason, message = await refusal(f"{server.host}/{NAME}:1")

    assert reason is Reason.LOCATION_UNREADABLE
    assert f"expected {lie!r}, came {PARTS.digest}" in message


async def test_a_manifest_of_another_digest_than_asked_for_is_refused():
    asked = "sha256:" + "0" * 64
    async with serving(image_responder(PARTS)) as server:
        reason, message = await refusal(f"{server.host}/{NAME}@{asked}")

    assert reason is Reason.LOCATION_UNREADABLE
    assert f"expected {asked!r}, came {PARTS.digest}" in message


async def test_a_manifest_that_an_index_names_is_checked_against_its_digest():
    entry = described(OCI_MANIFEST, b"another", platform={"os": "linux", "architecture": "amd64"})
    index = json.dumps({"manifests": [entry]}).encode()

    def respond(request: Request) -> bytes:
        asked_for_tag = request.path.endswith("/1")
        return response(
            200, index if asked_for_tag else PARTS.manifest, Content_Type=OCI_INDEX if asked_for_tag else OCI_MANIFEST
        )

    async with serving(respond) as server:
        reason, _ = await refusal(f"{server.host}/{NAME}:1")

    assert reason is Reason.LOCATION_UNREADABLE


async def test_an_index_inside_an_index_is_refused():
    inner = json.dumps({"manifests": []}).encode()
    entry = described(OCI_INDEX, inner, platform={"os": "linux", "architecture": "amd64"})
    index = json.dumps({"manifests": [entry]}).encode()

    async with serving(
        lambda request: response(200, index if request.path.endswith("/1") else inner, Content_Type=OCI_INDEX)
    ) as server:
        reason, message = await refusal(f"{server.host}/{NAME}:1")

    assert (reason, message) == (Reason.UNSUPPORTED_IMAGE, "an index that holds an index: expected one of images")


@pytest.mark.parametrize("configuration", [b"{}", PARTS.configuration + b" ", b""])
async def test_a_configuration_of_other_bytes_is_refused(configuration: bytes):
    def respond(request: Request) -> bytes:
        if "/blobs/" in request.path:
            return response(200, configuration)
        return response(200, PARTS.manifest, Content_Type=OCI_MANIFEST)

    async with serving(respond) as server:
        reason, _ = await refusal(f"{server.host}/{NAME}:1")

    assert reason is Reason.LOCATION_UNREADABLE


async def test_a_configuration_of_another_size_than_described_is_refused():
    manifest = json.loads(PARTS.manifest)
    manifest["config"]["size"] += 1
    parts = PARTS._replace(manifest=json.dumps(manifest).encode())

    async with serving(image_responder(parts)) as server:
        reason, _ = await refusal(f"{server.host}/{NAME}:1")

    assert reason is Reason.LOCATION_UNREADABLE


async def test_schema_1_is_refused():
    kind = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    async with serving(lambda _: response(200, b'{"schemaVersion": 1}', Content_Type=kind)) as server:
        reason, message = await refusal(f"{server.host}/{NAME}:1")

    assert reason is Reason.UNSUPPORTED_IMAGE
    assert "schema 1" in message


async def test_a_web_site_is_no_registry():
    async with serving(lambda _: response(200, b"<html>", Content_Type="text/html")) as server:
        reason, _ = await refusal(f"{server.host}/{NAME}:1")

    assert reason is Reason.UNSUPPORTED_IMAGE


@pytest.mark.parametrize("length", [None, 5 * 1024 * 1024], ids=["unsaid", "said"])
async def test_a_manifest_that_is_too_large_is_refused(length: int | None):
    large = b'{"a":"' + b"x" * (5 * 1024 * 1024) + b'"}'
    answer = response(200, large, Content_Type=OCI_MANIFEST, Content_Length=length)  # type: ignore[arg-type]  # None: left out
    async with serving(lambda _: answer) as server:
        reason, message = await refusal(f"{server.host}/{NAME}:1")

    assert reason is Reason.UNSUPPORTED_IMAGE
    assert "more than 4194304 bytes" in message


async def test_a_configuration_that_is_said_to_be_too_large_is_not_asked_for():
    manifest = {
        "config": {**described(OCI_CONFIG, b"{}"), "size": 9 * 1024 * 1024},
        "layers": [described(OCI_LAYER, b"")],
    }
    parts = PARTS._replace(manifest=json.dumps(manifest).encode())

    async with serving(image_responder(parts)) as server:
        reason, message = await refusal(f"{server.host}/{NAME}:1")

    assert (reason, message) == (
        Reason.UNSUPPORTED_IMAGE,
        "the configuration has 9437184 bytes: expected at most 8388608",
    )
    assert not any("/blobs/" in request.path for request in server.requests)


async def test_what_is_packed_is_not_unpacked():
    packed = gzip.compress(bytes(50_000_000))
    async with serving(lambda _: response(200, packed, Content_Type=OCI_MANIFEST, Content_Encoding="gzip")) as server:
        reason, _ = await refusal(f"{server.host}/{NAME}:1")

    assert reason is Reason.UNSUPPORTED_IMAGE
    assert server.requests[0].headers["accept-encoding"] == "identity"


async def test_a_registry_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(registry_module, "RESOLVE_TIMEOUT_S", 0.5)

    async def respond(_: Request) -> bytes:
        await asyncio.sleep(5)
        return b""

    async with serving(respond) as server:
        with pytest.raises(Transient, match="took more than"):
            await resolve(f"{server.host}/{NAME}:1")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_registry_in_trouble_is_tried_again(status: int):
    async with serving(lambda _: response(status, b"x" * 200_000)) as server:
        with pytest.raises(Transient, match=f"answers {status}"):
            await resolve(f"{server.host}/{NAME}:1")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, Reason.LOCATION_UNREADABLE),
        (401, Reason.NOT_AUTHORIZED),
        (403, Reason.NOT_AUTHORIZED),
        (404, Reason.IMAGE_NOT_FOUND),
        (418, Reason.LOCATION_UNREADABLE),
        (204, Reason.LOCATION_UNREADABLE),
        (301, Reason.LOCATION_UNREADABLE),
    ],
)
async def test_a_registry_that_says_no_is_believed(status: int, reason: Reason):
    async with serving(lambda _: response(status)) as server:
        refused, _ = await refusal(f"{server.host}/{NAME}:1")

    assert refused is reason


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"INFO {}\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ],
)
async def test_a_server_that_speaks_no_http_or_hangs_up_is_tried_again(answer: bytes):
    async with serving(lambda _: answer) as server:
        with pytest.raises(Transient, match="cannot be reached"):
            await resolve(f"{server.host}/{NAME}:1")


# Redirects.


async def test_a_redirect_to_another_server_is_followed_without_the_login():
    async with serving(image_responder(PARTS)) as store:

        def respond(request: Request) -> bytes:
            if "authorization" not in request.headers:
                return response(401, WWW_Authenticate='Basic realm="x"')
            return response(307, Location=f"{store.url}{request.path}")

        async with serving(respond) as server:
            found = await resolve(f"{server.host}/{NAME}:1", login_for=ROBOT)

    assert found.image.digest == PARTS.digest
    assert [request.headers.get("authorization") for request in store.requests] == [None, None]


async def test_a_redirect_on_the_same_server_keeps_the_login():
    content = image_responder(PARTS)

    def respond(request: Request) -> bytes:
        if "authorization" not in request.headers:
            return response(401, WWW_Authenticate='Basic realm="x"')
        if request.path.startswith("/moved"):
            return content(request._replace(path=request.path.removeprefix("/moved")))
        return response(307, Location=f"/moved{request.path}")

    async with serving(respond) as server:
        found = await resolve(f"{server.host}/{NAME}:1", login_for=ROBOT)

    assert found.image.digest == PARTS.digest


async def test_redirects_come_to_an_end():
    async with serving(lambda request: response(307, Location=request.path)) as server:
        assert await refusal(f"{server.host}/{NAME}:1") == (
            Reason.LOCATION_UNREADABLE,
            f"{server.host} redirects more than 5 times",
        )
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    "location",
    [
        "http://registry.invalid/",
        "file:///etc/passwd",
        "http://[",
        "http://u:p@127.0.0.1/",
        "https:///x",
        "https://xn--a/",
    ],
)
async def test_a_redirect_to_where_nobody_should_go_is_refused(location: str):
    async with serving(lambda _: response(307, Location=location)) as server:
        reason, message = await refusal(f"{server.host}/{NAME}:1")

    assert reason is Reason.LOCATION_UNREADABLE
    assert message.startswith(f"{server.host} sends us to ")
