"""A Docker engine for tests: the one that DOCKER_HOST names, or that of this machine, or one of the tests' own."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import docker
import pytest
from docker.errors import DockerException

ENGINE_SCRIPT = Path(__file__).resolve().parents[2] / "shared" / "engine" / "engine.sh"
# Kept from run to run: most of the time of a first start goes into the images of the engine.
ENGINE_FOLDER = Path(tempfile.gettempdir()) / "modelkin-tests-engine"


class Engine(NamedTuple):
    """An engine that answers."""

    url: str
    environment: dict[str, str]
    """What the `docker` command needs to find it, with compose."""


@contextlib.contextmanager
def running_engine() -> Iterator[Engine]:
    given = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if _answers(given):
        yield Engine(given, {"DOCKER_HOST": given})
        return
    if not ENGINE_SCRIPT.exists():
        pytest.fail(f"no Docker engine answers at {given}: start one, or name another by DOCKER_HOST")
    own = f"unix://{ENGINE_FOLDER}/docker.sock"
    try:
        _engine("engine_up")
        assert _answers(own)
        _empty(own)
        yield Engine(own, {"DOCKER_HOST": own, "DOCKER_CONFIG": str(ENGINE_FOLDER / "cfg")})
    finally:
        _engine("engine_down")


def _engine(command: str) -> None:
    subprocess.run(["bash", "-c", f'. "{ENGINE_SCRIPT}" && {command} "{ENGINE_FOLDER}"'], check=True, timeout=300)


def _empty(url: str) -> None:
    """What a run that was killed left in the tests' own engine is none of the next one's."""
    with contextlib.closing(docker.DockerClient(base_url=url)) as client:
        for container in client.containers.list(all=True):
            container.remove(force=True, v=True)


def _answers(url: str) -> bool:
    # The SDK never closes a socket that it could not connect.
    if url.startswith("unix://") and not Path(url.removeprefix("unix://")).is_socket():
        return False
    try:
        with contextlib.closing(docker.DockerClient(base_url=url)) as client:
            return bool(client.ping())
    except DockerException:
        return False
