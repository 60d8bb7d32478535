"""A real S3 server as a process of this machine: SeaweedFS, with one user who may do everything and one who may list."""

import asyncio
import hashlib
import hmac
import json
import shutil
import sys
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import obstore
from obstore.store import S3Store

from modelkin.processes import HOST, Process, StartFailed, free_port, start, wait_for

if TYPE_CHECKING:
    from obstore.store import RetryConfig

TRIES = 3
REGION = "us-east-1"
KEY_ID, SECRET = "AKIDMODELKIN", "secret-of-the-owner"
LISTER_KEY_ID, LISTER_SECRET = "AKIDLISTER", "secret-of-the-lister"
# Master, volumes and files, beside the S3 door itself.
INNER_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port.grpc",
    "metricsPort",
)


class S3Server(NamedTuple):
    process: Process
    endpoint: str

    def store(self, bucket: str, retry: "RetryConfig | None" = None) -> S3Store:
        """A plain client, as the owner."""
        return S3Store(
            bucket,
            config={"endpoint": self.endpoint, "region": REGION, "access_key_id": KEY_ID, "secret_access_key": SECRET},
            client_options={"allow_http": True},
            retry_config=retry,
        )

    def bucket(self, objects: Mapping[str, bytes] | None = None) -> str:
        """A new bucket that holds these objects."""
        name = f"models-{uuid.uuid4().hex[:12]}"
        store = self.store(name)
        for key, content in ({"-": b""} if objects is None else objects).items():
            obstore.put(store, key, content)
        if objects is None:
            obstore.delete(store, "-")
        return name

    def put_marker(self, bucket: str, key: str) -> None:
        """An empty object whose key ends with '/', as consoles make one to show a folder. The client cannot."""
        self.asked("PUT", f"/{bucket}/{key}")

    def asked(self, method: str, path: str, query: str = "") -> str:
        """The answer to a signed request without a body, for what the client does not do."""
        path = urllib.parse.quote(path)
        request = urllib.request.Request(f"{self.endpoint}{path}?{query}", method=method)
        for name, value in _signature(method, request.host, path, query, datetime.now(UTC)).items():
            request.add_header(name, value)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())

    def secret(self, key_id: str = KEY_ID, secret: str = SECRET) -> dict[str, str]:
        """What stands in a file of secrets."""
        return {
            "endpoint": self.endpoint,
            "region": REGION,
            "access_key_id": key_id,
            "secret_access_key": secret,
        }


def environment_of(server: S3Server) -> dict[str, str]:
    """What an importer is started with, to work as the owner."""
    return {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }


async def start_s3(folder: Path) -> S3Server:
    """Buckets come to be with their first object."""
    for attempt in range(TRIES):
        try:
            return await _start(folder / str(attempt))
        except StartFailed:
            # Somebody else took one of its many ports.
            if attempt == TRIES - 1:
                raise
    raise AssertionError


async def _start(folder: Path) -> S3Server:
    (folder / "data").mkdir(parents=True)
    (folder / "s3.json").write_text(json.dumps({"identities": [_OWNER, _LISTER]}))
    port = free_port()
    command = shutil.which("weed", path=str(Path(sys.executable).parent)) or "weed"
    process = start(
        "weed",
        [
            command,
            "server",
            "-s3",
            f"-dir={folder / 'data'}",
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
            f"-s3.port={port}",
            f"-s3.config={folder / 's3.json'}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.volumeSizeLimitMB=128",
            "-master.volumePreallocate=false",
            "-master.telemetry=false",
            "-volume.max=5000",
            "-volume.minFreeSpace=0",
            *(f"-{name}={free_port()}" for name in INNER_PORTS),
        ],
        folder / "s3.log",
    )
    server = S3Server(process, f"http://{HOST}:{port}")
    try:
        await wait_for(lambda: asyncio.to_thread(_takes_objects, server), process, timeout_s=60.0)
    except StartFailed:
        process.stop()
        raise
    return server


def _takes_objects(server: S3Server) -> bool:
    """The door opens before the rooms behind it are ready."""
    try:
        obstore.put(server.store("ready", {"max_retries": 0}), "ready", b"yes")
    except Exception:  # noqa: BLE001 - whatever it says, it is not ready
        return False
    return True


_OWNER = {
    "name": "owner",
    "credentials": [{"accessKey": KEY_ID, "secretKey": SECRET}],
    "actions": ["Admin", "Read", "Write", "List", "Tagging"],
}
_LISTER = {
    "name": "lister",
    "credentials": [{"accessKey": LISTER_KEY_ID, "secretKey": LISTER_SECRET}],
    "actions": ["List"],
}


def _signature(method: str, host: str, path: str, query: str, time: datetime) -> dict[str, str]:
    """Headers of a request without a body, by AWS Signature Version 4."""
    date, stamp, no_body = f"{time:%Y%m%d}", f"{time:%Y%m%dT%H%M%SZ}", hashlib.sha256().hexdigest()
    signed = "host;x-amz-content-sha256;x-amz-date"
    canonical = f"{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{no_body}\nx-amz-date:{stamp}\n\n{signed}\n{no_body}"
    scope = f"{date}/{REGION}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{SECRET}".encode()
    for part in (date, REGION, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return {
        "x-amz-content-sha256": no_body,
        "x-amz-date": stamp,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={KEY_ID}/{scope}, SignedHeaders={signed}, Signature={signature}",
    }
