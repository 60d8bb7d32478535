"""An S3 server that tells what it was asked: SeaweedFS, which counts by bucket.

It counts reads (GET and HEAD, which it does not tell apart), writes, and the bytes of objects that came and went.
"""

import asyncio
import contextlib
import re
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from modelkin.processes import HOST
from tests import s3
from tests.s3 import S3Server

_METRICS_PORT = "metricsPort"
_COUNTED = re.compile(r'^SeaweedFS_s3_(\w+)\{bucket="([^"]*)"(?:,code="\d+",type="(\w+)")?\} (\S+)$', re.MULTILINE)
_FIELD_OF = {
    ("request_total", "GET"): "reads",
    ("request_total", "HEAD"): "reads",
    ("request_total", "PUT"): "writes",
    ("request_total", "POST"): "writes",
    ("bucket_traffic_sent_bytes_total", ""): "sent_bytes",
    ("bucket_traffic_received_bytes_total", ""): "received_bytes",
}


class Traffic(NamedTuple):
    """What one bucket was asked so far."""

    reads: int = 0
    writes: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0

    def since(self, before: "Traffic") -> "Traffic":
        return Traffic(*(now - then for now, then in zip(self, before, strict=True)))


@dataclass(frozen=True, slots=True)
class ObjectStore:
    server: S3Server
    metrics_url: str

    def traffic(self, bucket: str) -> Traffic:
        with urllib.request.urlopen(self.metrics_url, timeout=10) as answer:
            text = answer.read().decode()
        counts = dict.fromkeys(Traffic._fields, 0)
        for name, of, kind, value in _COUNTED.findall(text):
            field = _FIELD_OF.get((name, kind))
            if field and of == bucket:
                counts[field] += int(float(value))
        return Traffic(**counts)

    def remove(self, bucket: str) -> None:
        """With all that is in it."""
        self.server.asked("DELETE", f"/{bucket}")


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[ObjectStore]:
    server = await s3.start_s3(folder)
    try:
        store = ObjectStore(server, f"http://{HOST}:{_port_of(server)}/metrics")
        # Were its counts named otherwise, it would look as if nothing ever moved.
        assert store.traffic("ready").received_bytes, (
            "expected the server to count what was put to see that it is ready"
        )
        yield store
    finally:
        # It waits a long time for those who keep a connection.
        await asyncio.to_thread(server.process.kill)


def _port_of(server: S3Server) -> str:
    command = Path(f"/proc/{server.process.pid}/cmdline").read_text().split("\0")
    [port] = [
        port for name, _, port in (argument.partition("=") for argument in command) if name == f"-{_METRICS_PORT}"
    ]
    return port
