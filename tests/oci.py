"""Image registries for the tests: a real one as a process, small images pushed without an engine, and a server that says anything."""

import asyncio
import base64
import gzip
import hashlib
import io
import json
import shutil
import ssl
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import bcrypt
import httpx

from modelkin.processes import HOST, Process, StartFailed, free_port, start, wait_for

# What an operator lists whose registries are on this machine.
LOCAL = ("*", "127.0.0.0/8")
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def described(media_type: str, content: bytes, **more: object) -> dict[str, object]:
    """A descriptor of some bytes."""
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **more}


class Parts(NamedTuple):
    """The bytes of an image."""

    manifest: bytes
    configuration: bytes
    layer: bytes

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)


def small_image(
    *,
    platform: str = "linux/amd64",
    docker: bool = False,
    config: Mapping[str, object] | None = None,
    text: str = "hello",
) -> Parts:
    """An image of one layer with one file, which says `text`."""
    types = (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER) if docker else (OCI_MANIFEST, OCI_CONFIG, OCI_LAYER)
    unpacked = _tar_of("greeting", text.encode())
    layer = gzip.compress(unpacked, mtime=0)
    system, architecture, *variant = platform.split("/")
    configuration = json.dumps(
        {
            "created": "2026-01-02T03:04:05Z",
            "os": system,
            "architecture": architecture,
            **({"variant": variant[0]} if variant else {}),
            "config": dict(config or {}),
            "rootfs": {"type": "layers", "diff_ids": [digest_of(unpacked)]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": types[0],
            "config": described(types[1], configuration),
            "layers": [described(types[2], layer)],
        }
    ).encode()
    return Parts(manifest, configuration, layer)


def _tar_of(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry process, and who pushes to it."""

    process: Process
    host: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    verify: ssl.SSLContext | bool = False

    def push(self, name: str, tag: str, parts: Parts, media_type: str = OCI_MANIFEST) -> str:
        """Push an image; returns its digest."""
        self.push_blob(name, parts.configuration)
        self.push_blob(name, parts.layer)
        return self.push_manifest(name, tag, parts.manifest, media_type)

    def push_blob(self, name: str, content: bytes) -> None:
        with self._client() as client:
            begun = client.post(f"/v2/{name}/blobs/uploads/").raise_for_status()
            where = httpx.URL(begun.headers["Location"]).copy_merge_params({"digest": digest_of(content)})
            client.put(where, content=content).raise_for_status()

    def push_manifest(self, name: str, reference: str, manifest: bytes, media_type: str) -> str:
        with self._client() as client:
            path = f"/v2/{name}/manifests/{reference}"
            client.put(path, content=manifest, headers={"Content-Type": media_type}).raise_for_status()
        return digest_of(manifest)

    def push_index(self, name: str, tag: str, images: Mapping[str, Parts], *, docker: bool = False) -> str:
        """Push an index of images, by platform; returns its digest."""
        manifest_type, index_type = (DOCKER_MANIFEST, DOCKER_LIST) if docker else (OCI_MANIFEST, OCI_INDEX)
        entries = []
        for platform, parts in images.items():
            self.push(name, parts.digest, parts, manifest_type)
            named = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
            entries.append(described(manifest_type, parts.manifest, platform=named))
        index = json.dumps({"schemaVersion": 2, "mediaType": index_type, "manifests": entries}).encode()
        return self.push_manifest(name, tag, index, index_type)

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=dict(self.headers), verify=self.verify, trust_env=False)


async def start_registry(
    folder: Path, *, auth: Mapping[str, object] | None = None, tls: Mapping[str, str] | None = None
) -> Registry:
    """A registry of this machine, its data in `folder`.

    Raises:
        StartFailed: it is not installed, or does not come up.
    """
    command = shutil.which("docker-registry")
    if command is None:
        raise StartFailed("docker-registry is not installed: apt-get install docker-registry")
    host = f"{HOST}:{free_port()}"
    config = _config(folder, {"addr": host, **({"tls": dict(tls)} if tls else {})}, auth)
    process = start("docker-registry", [command, "serve", str(config)], folder / "registry.log")
    await wait_for(lambda: _listens(host), process)
    return Registry(process, host, f"{'https' if tls else 'http'}://{host}")


def _config(folder: Path, http: Mapping[str, object], auth: Mapping[str, object] | None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"secret": "of-the-tests", **http},
        **({"auth": dict(auth)} if auth else {}),
    }
    file = folder / "config.yml"
    file.write_text(json.dumps(config))  # JSON is YAML
    return file


async def _listens(host: str) -> bool:
    name, _, port = host.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(name, int(port))
    except OSError:
        return False
    writer.close()
    return True


def htpasswd_auth(folder: Path, username: str, password: str) -> dict[str, object]:
    """The setting of a registry that lets in one user."""
    folder.mkdir(parents=True, exist_ok=True)
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    (folder / "htpasswd").write_text(f"{username}:{hashed}\n")
    return {"htpasswd": {"realm": "modelkin-tests", "path": str(folder / "htpasswd")}}


def basic(username: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"}


class Request(NamedTuple):
    path: str
    """With its query."""
    headers: Mapping[str, str]
    """By name in lower case."""


Responder = Callable[[Request], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class RawServer:
    """A server that answers with the bytes it is told to."""

    host: str
    url: str
    requests: list[Request]


@asynccontextmanager
async def serving(
    respond: Callable[[Request], bytes | Awaitable[bytes]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    """HTTP/1.1, one request a connection."""
    requests: list[Request] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first = await reader.read(1)
            if first == b"\x16":  # a client that wants TLS
                writer.write(response(400))
            elif first:
                head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
                request = _request(head)
                requests.append(request)
                answer = respond(request)
                writer.write(answer if isinstance(answer, bytes) else await answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client hung up
        finally:
            writer.close()

    server = await asyncio.start_server(handle, HOST, 0, ssl=tls)
    host = f"{HOST}:{server.sockets[0].getsockname()[1]}"
    try:
        yield RawServer(host, f"{'https' if tls else 'http'}://{host}", requests)
    finally:
        server.close()
        await server.wait_closed()


def _request(head: str) -> Request:
    start_line, *lines = head.rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(start_line.split(" ")[1], headers)


def response(status: int, body: bytes = b"", **headers: str) -> bytes:
    """HTTP/1.1 that ends with its connection; `_` in the name of a header stands for '-'."""
    given: dict[str, Any] = {"Content-Length": len(body), "Connection": "close"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in given.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode() + body


def image_responder(parts: Parts, name: str = "team/model", **headers: str) -> Callable[[Request], bytes]:
    """Answers as a registry that holds one image, under each tag and its digest."""
    answers = {parts.digest: parts.manifest, digest_of(parts.configuration): parts.configuration}

    def respond(request: Request) -> bytes:
        kind, _, target = request.path.removeprefix(f"/v2/{name}/").partition("/")
        if kind == "manifests":
            return response(200, parts.manifest, **{"Content_Type": OCI_MANIFEST, **headers})
        return response(200, answers[target], Content_Type="application/octet-stream")

    return respond
