"""What the probe asks of a Docker engine: pull, start without a network, watch, remove. Everything here blocks."""

import contextlib
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import LogConfig
from docker.utils import kwargs_from_env

from services.importer.domain import Unacceptable
from services.importer.images.login import Login
from services.importer.images.platforms import Platform
from shared.errors import Transient
from shared.values import Reason

DEFAULT_HOST = "unix:///var/run/docker.sock"
# Its value is the time (seconds since 1970) after which nobody watches the container any more.
LABEL = "modelkin.probe"
# An image may bring that label, but no name: what has both is ours.
NAME_PREFIX = "modelkin-probe-"
MOST_PROCESSES = 512
PULL_TIMEOUT_S = 1800.0
# Longer than an engine is silent while it unpacks a layer.
SILENCE_S = 120.0
REMOVED_WITHIN_S = 20.0
REMOVE_AGAIN_S = 0.2
SHOWN_LENGTH = 80
SHOWN_LINES = 3
# Folders of the engine's machine, and addresses of its network.
_PLACES = re.compile(
    r"(?:/(?:var|run|etc|root|mnt|srv|proc|sys)(?=/)[^\s:\"']*)|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\[[0-9a-f:]{4,}\](?::\d+)?",
    re.IGNORECASE,
)
# Who nobody is on most systems.
_NOBODY = "65534:65534"
# No rights, bounded logs. It may write: most images need to.
_CONFINED: Final[dict[str, Any]] = {
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": MOST_PROCESSES,
    "ipc_mode": "private",
    "log_config": LogConfig(type=LogConfig.types.JSON, config={"max-size": "1m", "max-file": "1"}),
}


class NotStarted(Exception):
    """The engine could not start a container; the message says why, shortened."""


class Start(NamedTuple):
    """A container that is wanted."""

    image: str
    network: str
    """`none`, or `container:<id>`: that of another container."""
    memory_bytes: int
    program: tuple[str, ...] = ()
    """What is run instead of what the image runs, as nobody, and without writing."""


class State(NamedTuple):
    ended: bool
    status: int
    """With which a container ended."""
    out_of_memory: bool


class _Api(docker.APIClient):
    """The SDK waits for ever for the next line of a pull, and never closes one that is not read to its end."""

    def __init__(self, **options: Any) -> None:
        self._streams: list[requests.Response] = []
        super().__init__(**options)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        if options.get("timeout") is None:
            options["timeout"] = SILENCE_S
        response = super().send(request, **options)
        if options.get("stream"):
            self._streams.append(response)
        return response

    def close(self) -> None:
        for stream in self._streams:
            stream.close()
        super().close()


class Engine:
    """A Docker engine that answers, until it is closed.

    Args:
        docker_host: where it listens; None: where DOCKER_HOST says, else the socket of this machine.

    Raises:
        Unacceptable: none answers.
    """

    def __init__(self, docker_host: str | None) -> None:
        environment = {
            "DOCKER_HOST": DEFAULT_HOST,
            **os.environ,
            **({"DOCKER_HOST": docker_host} if docker_host else {}),
        }
        socket = Path(environment["DOCKER_HOST"].removeprefix("unix://"))
        # The SDK never closes a socket that it could not connect.
        if environment["DOCKER_HOST"].startswith("unix://") and not socket.is_socket():
            raise _unavailable()
        try:
            self._api = _Api(**kwargs_from_env(environment))
            version = self._api.version()
        except (DockerException, requests.RequestException) as error:
            raise _unavailable() from error
        self.platform = Platform.of(str(version.get("Os")), str(version.get("Arch")))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()

    def has(self, image: str) -> bool:
        try:
            self._api.inspect_image(image)  # type: ignore[no-untyped-call]  # the stubs say nothing of it
        except ImageNotFound:
            return False
        return True

    def pull(self, repository: str, digest: str, login: Login | None, stopped: Callable[[], bool]) -> None:
        """Fetch an image; returns early where `stopped`.

        Raises:
            Unacceptable: the engine cannot, or not in time.
        """
        ends = time.monotonic() + PULL_TIMEOUT_S
        try:
            for line in self._api.pull(repository, digest, stream=True, decode=True, auth_config=_told(login)):
                if stopped():
                    return
                if "error" in line:
                    raise _no_pull(str(line["error"]), login)
                if time.monotonic() > ends:
                    raise _no_pull(f"it takes more than {PULL_TIMEOUT_S:.0f} s", login)
        except APIError as error:
            raise _no_pull(_why(error), login) from None

    def remove_image(self, image: str) -> bool:
        """Whether it is gone; not where somebody else uses it."""
        try:
            self._api.remove_image(image)
        except ImageNotFound:
            return True
        except APIError:
            return False
        return True

    @contextlib.contextmanager
    def running(self, start: Start, watched_s: float) -> Iterator[str]:
        """The id of a container, which is removed at the end whatever happens.

        Args:
            start: what is wanted.
            watched_s: for how long; what a process that dies leaves is for `sweep` to find after that.

        Raises:
            NotStarted: the engine cannot.
            Transient: it has no such image any more.
        """
        name = f"{NAME_PREFIX}{uuid.uuid4().hex}"
        try:
            yield self._started(start, name, int(time.time() + watched_s))
        finally:
            self._remove(name)

    def _started(self, start: Start, name: str, watched_until: int) -> str:
        ours = bool(start.program)
        try:
            created = self._api.create_container(
                start.image,
                name=name,
                labels={LABEL: str(watched_until)},
                entrypoint=list(start.program) or None,
                user=_NOBODY if ours else None,
                healthcheck={"test": ["NONE"]},
                use_config_proxy=False,  # the machine's user may have a password in there
                host_config=self._api.create_host_config(
                    network_mode=start.network,
                    mem_limit=start.memory_bytes,
                    memswap_limit=start.memory_bytes,
                    read_only=ours,
                    **_CONFINED,
                ),
            )
            self._api.start(name)
        except ImageNotFound as error:
            raise Transient("an image was removed from the Docker engine before it was started") from error
        except APIError as error:
            raise NotStarted(tail(_why(error))) from error
        return str(created["Id"])

    def state(self, container: str) -> State:
        state = self._api.inspect_container(container)["State"]
        return State(state["Status"] in {"exited", "dead"}, state["ExitCode"], state["OOMKilled"])

    def output(self, container: str) -> str:
        """What a container wrote to its standard output."""
        return self._api.logs(container, stderr=False).decode(errors="replace")

    def last_lines(self, container: str) -> str:
        """The end of what a container said, shortened."""
        said = self._api.logs(container, tail=SHOWN_LINES).decode(errors="replace")
        lines = [line.strip()[-SHOWN_LENGTH:] for line in said.splitlines() if line.strip()]
        return " | ".join(lines[-SHOWN_LINES:])

    def sweep(self) -> None:
        """Remove what processes that died left running."""
        for container in self._api.containers(all=True, filters={"label": LABEL, "name": NAME_PREFIX}):
            until = container["Labels"].get(LABEL, "")
            names = [name.removeprefix("/") for name in container["Names"]]
            if until.isdecimal() and int(until) < time.time() and names[0].startswith(NAME_PREFIX):
                self._remove(names[0])

    def _remove(self, name: str) -> None:
        """Until it is gone: another sweep may be at it, and a busy engine may fail to stop it at once."""
        ends = time.monotonic() + REMOVED_WITHIN_S
        while not self._is_removed(name, raising=time.monotonic() > ends):
            time.sleep(REMOVE_AGAIN_S)

    def _is_removed(self, name: str, *, raising: bool) -> bool:
        try:
            self._api.remove_container(name, force=True, v=True)
        except NotFound:
            return True
        except APIError:
            if raising:
                raise
            return False
        return True


@contextlib.contextmanager
def engine_faults() -> Iterator[None]:
    """What the engine refuses is said; an engine that went away is asked again."""
    try:
        yield
    except APIError as error:
        raise Unacceptable(
            Reason.PROBE_UNAVAILABLE, f"the Docker engine answers {error.status_code}: expected a container"
        ) from error
    except (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise Transient(f"the Docker engine went away: {type(error).__name__}") from error


def _unavailable() -> Unacceptable:
    names = "MODELKIN_DOCKER_HOST, else DOCKER_HOST, else the socket of this machine"
    return Unacceptable(Reason.PROBE_UNAVAILABLE, f"no Docker engine answers: expected one at {names}")


def tail(text: str) -> str:
    """Engines put what matters last. Where the engine is, and where it keeps things, is nobody's business."""
    text = _PLACES.sub("…", text)
    return repr(text if len(text) <= SHOWN_LENGTH else f"…{text[-SHOWN_LENGTH:]}")


def _why(error: APIError) -> str:
    return str(error.explanation or error.status_code)


def _told(login: Login | None) -> dict[str, str]:
    """A login as the engine wants it. Empty and not None: the SDK would look for one of the machine's user."""
    if login is None:
        return {}
    return {"registrytoken": login.token} if login.token else {"username": login.username, "password": login.password}


def _no_pull(why: str, login: Login | None) -> Unacceptable:
    for secret in (login.username, login.password, login.token) if login else ():
        why = why.replace(secret, "…") if secret else why
    return Unacceptable(Reason.PROBE_FAILED, f"the engine cannot pull the image: {tail(why)}")
