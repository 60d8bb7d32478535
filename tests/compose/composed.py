"""The whole system in containers, and what an operator of this machine does with it: compose, commands, published port."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr

from shared.connection import BROKER_AWAY, Nats, connected
from shared.login import Login
from tests.engine import Engine

T = TypeVar("T")

TREE = Path(__file__).resolve().parents[2]
MODELKIN = str(Path(sys.executable).parent / "modelkin")
PROJECT = "modelkin-test"
MONGO, STANDIN = "mongo:8", "mongo-standin:local"
# Building takes most of it, where pip has to fetch everything.
UP_S = 400.0
# Services wait between attempts while something is away.
DEADLINE_S = 240.0


@dataclass(frozen=True, slots=True)
class Composed:
    """A compose project of the test's own."""

    engine: Engine
    folder: Path
    port: int
    files: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    """Variables that compose reads, beside those of every test."""

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def ca(self) -> Path | None:
        """Whom clients trust; None: nobody speaks TLS."""
        return self.secrets / "tls" / "ca.pem" if self.settings.get("MODELKIN_TLS") == "on" else None

    @property
    def models(self) -> Path:
        """What containers see as /models."""
        return self.folder / "models"

    def make(self) -> None:
        """Everything that `up` wants to be there."""
        self.models.mkdir(mode=0o755)
        for module in ("deploy.secrets", "deploy.certs"):
            subprocess.run([sys.executable, "-m", module, "--folder", str(self.secrets)], check=True, cwd=TREE)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """All of it, from building the image to nothing left."""
        self.make()
        try:
            self.up("--build")
            yield
        finally:
            down = self.compose("down", "--volumes", "--timeout", "5")
        left = self.docker("volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}")
        assert (down.returncode, left) == (0, "")

    def compose(self, *words: str, timeout_s: float = DEADLINE_S, **variables: str) -> subprocess.CompletedProcess[str]:
        files = [word for file in self.files for word in ("--file", file)]
        return self._docker("compose", "--project-name", PROJECT, *files, *words, timeout_s=timeout_s, **variables)

    def docker(self, *words: str) -> str:
        done = self._docker(*words, timeout_s=DEADLINE_S)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _docker(self, *words: str, timeout_s: float, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            **self.engine.environment,
            "MODELKIN_SECRETS_FOLDER": str(self.secrets),
            "MODELKIN_MODELS": str(self.models),
            "MODELKIN_SECRETS": str(self.secrets / "workspaces"),
            "MODELKIN_TEMPLATES": str(self.folder / "templates"),
            "MODELKIN_NATS_PORT": str(self.port),
            # Stays in the engine, so that the next build is short.
            "MODELKIN_IMAGE": "modelkin:test",
            **self.settings,
            **variables,
        }
        return subprocess.run(
            ["docker", *words],
            cwd=TREE,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def up(self, *words: str, **variables: str) -> None:
        done = self.compose("up", "--detach", "--wait", *words, timeout_s=UP_S, **variables)
        assert done.returncode == 0, f"{done.stderr[-2000:]}\n{self.compose('logs', '--tail', '20').stdout}"

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "--quiet", service).stdout.split()

    def inspected(self, container: str) -> dict[str, Any]:
        return dict(json.loads(self.docker("inspect", container))[0])

    def ready(self, container: str) -> bool:
        """Whether the service in it says of itself that it is ready."""
        look = "import urllib.request as web; web.urlopen('http://127.0.0.1:8080/readyz', timeout=5)"
        return self._docker("exec", container, "python", "-c", look, timeout_s=DEADLINE_S).returncode == 0

    def modelkin(self, *words: str, user: str = "operator-0", **variables: str) -> subprocess.CompletedProcess[str]:
        """A command of somebody outside, with the password of a user."""
        environment = {
            **os.environ,
            "MODELKIN_NATS_URL": f"nats://127.0.0.1:{self.port}",
            "MODELKIN_NATS_USER": user,
            **({"MODELKIN_TLS_CA": str(self.ca)} if self.ca else {}),
            **(variables or {"MODELKIN_NATS_PASSWORD_FILE": str(self.secrets / "nats" / f"{user}.password")}),
        }
        command = [MODELKIN, *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=UP_S, check=False)

    def versions(self, model: str) -> list[str]:
        done = self.modelkin("versions", model, "--json")
        listed = json.loads(done.stdout)["versions"] if done.returncode == 0 else []
        return sorted(one["version"] for one in listed)

    def nats(self, user: str, port: int | None = None) -> Nats:
        password = (self.secrets / "nats" / f"{user}.password").read_text()
        return Nats(f"nats://127.0.0.1:{port or self.port}", Login(user, SecretStr(password.strip()), ca=self.ca))

    async def trained(self, model: str, count: int, port: int | None = None) -> None:
        """Say as a training system that so many runs succeeded, each with an output of its own, until NATS has them."""
        events = [json.dumps(self._run_of(model, number)).encode() for number in range(count)]
        subject = f"modelkin.evt.v1.training.succeeded.0.{model}"
        async with connected(self.nats("training-0", port), "test") as connection:
            says = connection.jetstream()

            async def said(event: bytes) -> None:
                async with asyncio.timeout(DEADLINE_S):
                    while True:
                        with contextlib.suppress(*BROKER_AWAY):
                            await says.publish(subject, event)
                            return
                        await asyncio.sleep(0.2)

            await asyncio.gather(*map(said, events))

    def _run_of(self, model: str, number: int) -> Mapping[str, Any]:
        folder = self.models / f"{model}-{number}"
        folder.mkdir(mode=0o755)
        (folder / "model.bin").write_text(f"{model} {number}")
        return {
            "model": model,
            "job": {"id": f"train-{model}", "version": f"V{number + 1:03}"},
            "location": f"file:///models/{folder.name}",
            "built_in_algorithm": "resnet_v1_50",
        }


def compose_files(engine: Engine, *, cluster: bool = False) -> tuple[str, ...]:
    """With the official image of MongoDB where the engine has it; else with the stand-in."""
    have = subprocess.run(
        ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"],
        env={**os.environ, **engine.environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    system = ("docker-compose.yml", *(["deploy/compose.cluster.yml"] if cluster else []))
    if MONGO in have:
        return system
    assert STANDIN in have, f"the engine has neither {MONGO} nor {STANDIN}"
    return (*system, "deploy/compose.standin.yml", *(["deploy/compose.cluster-standin.yml"] if cluster else []))


def eventually(look: Callable[[], T], what: str, timeout_s: float = DEADLINE_S) -> T:
    deadline = time.monotonic() + timeout_s
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(0.5)
    return seen


def numbers(count: int) -> Sequence[str]:
    """The first versions of a model, sorted as texts are."""
    return sorted(f"0.0.{number}" for number in range(1, count + 1))
