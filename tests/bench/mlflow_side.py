"""MLflow's tracking server, for comparison: installed into an environment of its own, filled, started and asked.

The environment is kept in ~/.cache/modelkin-bench, so that it is installed once.
"""

import asyncio
import contextlib
import http.client
import json
import os
import subprocess
import sys
import urllib.parse
from collections.abc import AsyncIterator, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from modelkin.processes import HOST, Process, free_port, start, wait_for
from tests.bench.workload import Lost

VERSION = "3.17.2"
START_TIMEOUT_S = 120.0
# It is asked on this machine and tells nobody.
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "NO_PROXY": "*"}


class Busy(Lost):
    """MLflow asks to try again: others hold its database."""


class Mlflow:
    """A running server, asked over one connection that stays open."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection(HOST, port, timeout=60)

    def ask(self, method: str, path: str, question: Mapping[str, Any]) -> dict[str, Any]:
        """A question of its REST API.

        Raises:
            Busy: it is to be asked again.
            Lost: it does not answer as it should.
        """
        target, body = f"/api/2.0/mlflow/{path}", None
        if method == "GET":
            target += f"?{urllib.parse.urlencode(question, doseq=True)}"
        else:
            body = json.dumps(question)
        self._connection.request(method, target, body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status == http.client.SERVICE_UNAVAILABLE:
            raise Busy(f"MLflow answered {answer.status} to {target}: {text[:200]!r}")
        if answer.status != http.client.OK:
            raise Lost(f"MLflow answered {answer.status} to {target}: {text[:200]!r}")
        return dict(json.loads(text))


def installed() -> Path:
    """The Python of its environment; installs it where it is not there.

    Raises:
        Lost: it cannot be installed.
    """
    folder = Path.home() / ".cache" / "modelkin-bench" / f"mlflow-{VERSION}"
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists():
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"mlflow=={VERSION}"],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Lost(f"MLflow {VERSION} cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
        ready.touch()
    return python


@contextlib.asynccontextmanager
async def running(folder: Path, versions: Iterable[Mapping[str, Any]]) -> AsyncIterator[Mlflow]:
    """The server with these versions, for the time of a block, on SQLite."""
    python = await asyncio.to_thread(installed)
    database, rows = folder / "mlflow.db", folder / "rows.jsonl"
    await asyncio.to_thread(_write, rows, versions)
    loader = [str(python), str(Path(__file__).with_name("mlflow_load.py")), str(database), str(rows)]
    done = await asyncio.to_thread(
        subprocess.run, loader, capture_output=True, text=True, check=False, env={**os.environ, **QUIET}
    )
    if done.returncode:
        raise Lost(f"MLflow cannot be filled: {done.stderr.strip().splitlines()[-1:]}")
    port = free_port()
    process = _started(python, folder, database, port)
    try:
        await wait_for(partial(_answers, port), process, START_TIMEOUT_S)
        yield Mlflow(port)
    finally:
        process.stop()


def _write(rows: Path, versions: Iterable[Mapping[str, Any]]) -> None:
    rows.parent.mkdir(parents=True)
    with rows.open("w") as lines:
        lines.writelines(f"{json.dumps(version)}\n" for version in versions)


def _started(python: Path, folder: Path, database: Path, port: int) -> Process:
    command = [str(python), "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    store = ["--backend-store-uri", f"sqlite:///{database}", "--artifacts-destination", str(folder / "artifacts")]
    path = f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return start("mlflow", [*command, *store], folder / "mlflow.log", {**QUIET, "PATH": path})


async def _answers(port: int) -> bool:
    try:
        await asyncio.to_thread(Mlflow(port).ask, "GET", "registered-models/search", {"max_results": 1})
    except (OSError, http.client.HTTPException, Lost):
        return False
    return True
