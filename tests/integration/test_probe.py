"""Images started in a real Docker engine: healthy ones, sick ones, and nothing left of either."""

import asyncio
import contextlib
import io
import tarfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import ImageNotFound

from services.importer.domain import Unacceptable
from services.importer.images.engine import LABEL, NAME_PREFIX
from services.importer.images.images import ContainerImages
from services.importer.images.login import Login
from services.importer.images.probe import DockerProbe
from services.importer.images.registry import OciRegistry
from services.importer.images.transport import Transport
from shared.messages import ImportRefused, ModelRegistered
from shared.values import FromImage, Image, Reason
from tests.engine import running_engine
from tests.integration.system import System
from tests.integration.test_methods import ask
from tests.oci import LOCAL, Registry, basic, htpasswd_auth, start_registry
from tests.packages import valid_config

# The first test waits for an engine, which on a bare machine is installed first.
pytestmark = pytest.mark.timeout(400)

PYTHON = "python:3.11-slim-bookworm"
NAME = "team/service"

# What the image under test runs. Its health has a page for each thing that can go wrong.
SERVER = """
import errno, http.server, os, socket, sys, time

time.sleep(float(os.environ.get("DELAY_S", "0")))

def outside():
    try:
        socket.create_connection(("192.0.2.1", 80), timeout=2)
    except OSError as error:
        only_loopback = [name for _, name in socket.if_nameindex() if name != "lo"] == []
        return 200 if error.errno == errno.ENETUNREACH and only_loopback else 500
    return 500

def rights():
    lines = open("/proc/self/status").read().splitlines()
    facts = dict(line.split(":", 1) for line in lines)
    return 200 if int(facts["CapEff"], 16) == 0 and facts["NoNewPrivs"].strip() == "1" else 500

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/hang":
            time.sleep(600)
        if self.path == "/drip":
            while True:
                self.wfile.write(b"HTTP/1.1 100 Continue\\r\\n\\r\\n")
                time.sleep(0.1)
        if self.path == "/end":
            print("no weights here", flush=True)
            os._exit(3)
        if self.path == "/eat":
            hold = bytearray(512 * 1024 * 1024)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/health")
        else:
            pages = {"/health": lambda: 204, "/outside": outside, "/rights": rights, "/sick": lambda: 503}
            self.send_response(pages.get(self.path, lambda: 404)())
        self.send_header("Content-Length", "0")
        self.end_headers()

http.server.ThreadingHTTPServer(("", int(os.environ.get("PORT", "8080"))), Page).serve_forever()
"""


@pytest.fixture(scope="session")
def engine_url() -> Iterator[str]:
    with running_engine() as engine:
        yield engine.url


@pytest.fixture(scope="session")
def client(engine_url: str) -> Iterator[docker.DockerClient]:
    """An engine with Python, from which the image under test is made and from which it is called."""
    with contextlib.closing(docker.DockerClient(base_url=engine_url)) as client:
        try:
            client.images.get(PYTHON)
        except ImageNotFound:
            client.images.pull(PYTHON)
        yield client


@pytest.fixture(scope="session")
def service(client: docker.DockerClient, image_registry: Registry) -> Registry:
    """The registry that holds the images under test; the engine itself has none of them."""
    _push(client, image_registry, "1", "EXPOSE 8080", 'CMD ["python", "/server.py"]')
    _push(client, image_registry, "slow", "ENV DELAY_S=3 PORT=9000", "EXPOSE 9000", 'CMD ["python", "/server.py"]')
    _push(client, image_registry, "ends", """CMD ["python", "-c", "print('no model at /opt'); raise SystemExit(7)"]""")
    _push(client, image_registry, "no-program", 'ENTRYPOINT ["/no/such/program"]')
    _push(client, image_registry, "silent", 'CMD ["python", "-c", "import time; time.sleep(600)"]')
    return image_registry


def _push(client: docker.DockerClient, registry: Registry, tag: str, *lines: str, login: Login | None = None) -> None:
    dockerfile = "\n".join([f"FROM {PYTHON}", "COPY server.py /server.py", *lines])
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name, text in (("Dockerfile", dockerfile), ("server.py", SERVER)):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    context.seek(0)
    reference = f"{registry.host}/{NAME}:{tag}"
    client.images.build(fileobj=context, custom_context=True, tag=reference, rm=True)
    auth = {"username": login.username, "password": login.password} if login else {}
    for line in client.images.push(reference, stream=True, decode=True, auth_config=auth):
        assert "error" not in line, line
    client.images.remove(reference, noprune=True)


@pytest.fixture
def probe(engine_url: str) -> DockerProbe:
    return DockerProbe(docker_host=engine_url, probe_image=PYTHON)


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test, the engine runs no container of a probe."""
    yield
    if "client" in request.fixturenames or "service" in request.fixturenames:
        client: docker.DockerClient = request.getfixturevalue("client")
        assert ours(client) == []


def ours(client: docker.DockerClient) -> list[str]:
    """The names of what probes have running or left."""
    # The SDK's list of containers looks at each once more, and fails where one is gone by then.
    found = client.api.containers(all=True, filters={"label": LABEL})
    return [container["Names"][0].removeprefix("/") for container in found]


async def image(registry: Registry, tag: str, login: Login | None = None) -> Image:
    found = OciRegistry(Transport(allowed=LOCAL), lambda *_: login)
    return (await found.resolve(FromImage(image=f"{registry.host}/{NAME}:{tag}"), "0")).image


def health(url: str = "/health", delay_s: float = 0, timeout_s: float = 30) -> dict[str, object]:
    return {"url": url, "protocol": "http", "initial_delay_seconds": delay_s, "timeout_seconds": timeout_s}


# What comes of a call before the image listens.
NOT_YET = ("came ConnectionRefusedError", "came TimeoutError", "came nothing")


async def answers(probe: DockerProbe, image: Image, url: str, came: str) -> None:
    """The probe fails for this answer; where the machine is so busy that it has not come yet, it is given longer."""
    for timeout_s in (2, 8, 32):
        reason, message = await refusal(probe, image, health(url, timeout_s=timeout_s))
        if message.endswith(f"came {came}") or not message.endswith(NOT_YET):
            break
    assert (reason, message) == (
        Reason.PROBE_FAILED,
        f"expected 2xx from http://127.0.0.1:8080{url} within {timeout_s} s: came {came}",
    )


async def refusal(probe: DockerProbe, image: Image, health: dict[str, object]) -> tuple[Reason, str]:
    with pytest.raises(Unacceptable) as caught:
        await probe.probe(image, health, "0")
    return caught.value.refusal.reason, caught.value.refusal.message


async def test_an_image_that_answers_with_2xx_passes(service: Registry, probe: DockerProbe):
    await probe.probe(await image(service, "1"), health(), "0")


async def test_what_was_pulled_for_the_probe_is_removed_from_the_engine(
    service: Registry, probe: DockerProbe, client: docker.DockerClient
):
    found = await image(service, "1")

    await probe.probe(found, health(), "0")

    with pytest.raises(ImageNotFound):
        client.images.get(f"{service.host}/{NAME}@{found.digest}")


async def test_an_image_that_the_engine_had_stays_there(
    service: Registry, probe: DockerProbe, client: docker.DockerClient
):
    found = await image(service, "1")
    pinned = f"{service.host}/{NAME}@{found.digest}"
    client.images.pull(pinned)

    await probe.probe(found, health(), "0")

    assert client.images.get(pinned)
    client.images.remove(pinned)


async def test_the_port_joins_both_parts(service: Registry, engine_url: str):
    images = ContainerImages(
        OciRegistry(Transport(allowed=LOCAL)), lambda: DockerProbe(docker_host=engine_url, probe_image=PYTHON)
    )

    found = await images.resolve(FromImage(image=f"{service.host}/{NAME}:1"), "0")
    await images.probe(found.image, health(), "0")

    assert found.image.ports == ("8080/tcp",)


async def test_a_slow_start_is_waited_for_on_the_port_that_is_exposed(service: Registry, probe: DockerProbe):
    await probe.probe(await image(service, "slow"), health(delay_s=1), "0")


async def test_the_initial_delay_is_waited_for(service: Registry, probe: DockerProbe):
    began = time.monotonic()

    await probe.probe(await image(service, "1"), health(delay_s=5), "0")

    assert time.monotonic() - began >= 5


async def test_a_path_that_is_not_there_fails(service: Registry, probe: DockerProbe):
    await answers(probe, await image(service, "1"), "/missing", "404")


@pytest.mark.parametrize(("url", "came"), [("/sick", "503"), ("/moved", "302"), ("/hang", "TimeoutError")])
async def test_another_answer_than_2xx_fails(service: Registry, probe: DockerProbe, url: str, came: str):
    await answers(probe, await image(service, "1"), url, came)


async def test_an_image_that_listens_nowhere_fails(service: Registry, probe: DockerProbe):
    await answers(probe, await image(service, "silent"), "/health", "ConnectionRefusedError")


async def test_an_image_that_ends_at_once_fails_with_its_last_words(service: Registry, probe: DockerProbe):
    reason, message = await refusal(probe, await image(service, "ends"), health())

    assert reason is Reason.PROBE_FAILED
    assert message.endswith("within 30 s: it ended with status 7, saying 'no model at /opt'")


async def test_an_image_that_ends_when_it_is_called_fails_with_its_last_words(service: Registry, probe: DockerProbe):
    _, message = await refusal(probe, await image(service, "1"), health("/end"))

    assert message.startswith("expected 2xx from http://127.0.0.1:8080/end within 30 s: it ended with status 3, saying")
    assert "no weights here" in message


async def test_an_image_without_its_program_fails(service: Registry, probe: DockerProbe):
    reason, message = await refusal(probe, await image(service, "no-program"), health())

    assert reason is Reason.PROBE_FAILED
    assert "it could not be started" in message
    assert "no such file or directory" in message


async def test_an_answer_that_never_ends_is_given_up(
    service: Registry, probe: DockerProbe, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("services.importer.images.probe.GRACE_S", 5.0)

    await answers(probe, await image(service, "1"), "/drip", "nothing")


async def test_the_image_reaches_nothing_outside(service: Registry, probe: DockerProbe):
    await probe.probe(await image(service, "1"), health("/outside", timeout_s=60), "0")


async def test_the_image_has_no_rights(service: Registry, probe: DockerProbe):
    await probe.probe(await image(service, "1"), health("/rights", timeout_s=60), "0")


async def test_the_image_has_no_more_memory_than_it_is_given(service: Registry, engine_url: str):
    probe = DockerProbe(docker_host=engine_url, probe_image=PYTHON, memory_bytes=64 * 1024 * 1024)

    _, message = await refusal(probe, await image(service, "1"), health("/eat", timeout_s=60))

    assert "it ended with status 137, out of memory" in message


async def test_probes_of_one_image_side_by_side_all_come_to_an_answer_and_leave_no_image(
    service: Registry, probe: DockerProbe, client: docker.DockerClient
):
    found = await image(service, "1")

    await asyncio.gather(*(probe.probe(found, health(), "0") for _ in range(3)))

    with pytest.raises(ImageNotFound):
        client.images.get(f"{service.host}/{NAME}@{found.digest}")


async def test_a_probe_that_is_cancelled_leaves_nothing(
    service: Registry, probe: DockerProbe, client: docker.DockerClient
):
    running = asyncio.ensure_future(probe.probe(await image(service, "silent"), health(timeout_s=300), "0"))
    await _until(lambda: len(ours(client)) == 2)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert ours(client) == []


async def test_a_probe_that_is_cancelled_at_its_start_leaves_nothing(
    service: Registry, probe: DockerProbe, client: docker.DockerClient
):
    found = await image(service, "silent")
    for delay_s in (0.0, 0.1, 0.3, 0.6):
        running = asyncio.ensure_future(probe.probe(found, health(timeout_s=300), "0"))
        await asyncio.sleep(delay_s)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        assert ours(client) == []


async def _until(condition: object, timeout_s: float = 60) -> None:
    ends = time.monotonic() + timeout_s
    while not await asyncio.to_thread(condition):  # type: ignore[arg-type]
        assert time.monotonic() < ends
        await asyncio.sleep(0.1)


async def test_what_a_killed_process_left_is_removed_and_nothing_else(
    service: Registry, probe: DockerProbe, client: docker.DockerClient
):
    def start(name: str, until: str) -> str:
        command = ["python", "-c", "import time; time.sleep(600)"]
        client.containers.run(PYTHON, command, name=name, labels={LABEL: until}, detach=True, network_mode="none")
        return name

    now = int(time.time())
    left = start(f"{NAME_PREFIX}left", str(now - 1))
    others = [start(f"{NAME_PREFIX}at-work", str(now + 600)), start("service-of-somebody", "0")]
    await probe.probe(await image(service, "1"), health(), "0")

    there = ours(client)
    for name in others:
        client.containers.get(name).remove(force=True)
    assert left not in there
    assert sorted(there) == sorted(others)


@pytest.fixture
async def guarded(tmp_path: Path, client: docker.DockerClient) -> AsyncIterator[Registry]:
    plain = await start_registry(tmp_path, auth=htpasswd_auth(tmp_path, "robot", "hunter2"))
    registry = Registry(plain.process, plain.host, plain.url, headers=basic("robot", "hunter2"))
    login = Login(username="robot", password="hunter2")
    await asyncio.to_thread(_push, client, registry, "1", 'CMD ["python", "/server.py"]', login=login)
    yield registry
    registry.process.stop()


async def test_the_engine_pulls_with_the_login_of_the_workspace(guarded: Registry, engine_url: str):
    login = Login(username="robot", password="hunter2")
    found = await image(guarded, "1", login)

    await DockerProbe(lambda *_: login, engine_url, PYTHON).probe(found, health(), "0")
    for wrong in (None, Login(username="robot", password="wr0ng")):
        reason, message = await refusal(DockerProbe(lambda *_, wrong=wrong: wrong, engine_url, PYTHON), found, health())
        assert reason is Reason.PROBE_FAILED
        assert "the engine cannot pull the image: " in message
        assert "wr0ng" not in message


async def test_an_image_that_is_not_in_its_registry_cannot_be_pulled(service: Registry, probe: DockerProbe):
    missing = (await image(service, "1")).model_copy(update={"digest": "sha256:" + "0" * 64})

    reason, message = await refusal(probe, missing, health())

    assert reason is Reason.PROBE_FAILED
    assert "the engine cannot pull the image" in message


async def test_an_image_for_another_platform_is_not_tried(service: Registry, probe: DockerProbe):
    foreign = (await image(service, "1")).model_copy(update={"platform": "linux/s390x"})

    reason, message = await refusal(probe, foreign, health())

    assert reason is Reason.PROBE_UNAVAILABLE
    assert message.startswith("the image is for linux/s390x: expected linux/")


async def test_without_the_image_that_calls_nothing_is_tried(service: Registry, engine_url: str):
    probe = DockerProbe(docker_host=engine_url, probe_image="missing:local")

    reason, message = await refusal(probe, await image(service, "1"), health())

    assert reason is Reason.PROBE_UNAVAILABLE
    assert message.startswith("the Docker engine lacks the image 'missing:local'")


@pytest.mark.parametrize("url", ["unix:///no/such/docker.sock", "tcp://127.0.0.1:1", "ftp://127.0.0.1:1"])
async def test_without_an_engine_nothing_is_tried(image_registry: Registry, url: str):
    anything = Image(
        reference=f"{image_registry.host}/{NAME}:1",
        digest="sha256:" + "0" * 64,
        media_type="application/vnd.oci.image.manifest.v1+json",
        platform="linux/amd64",
        size_bytes=0,
        layers=(),
    )

    reason, message = await refusal(DockerProbe(docker_host=url), anything, health())

    looked = "MODELKIN_DOCKER_HOST, else DOCKER_HOST, else the socket of this machine"
    assert reason is Reason.PROBE_UNAVAILABLE
    assert message == f"no Docker engine answers: expected one at {looked}"


async def test_an_import_that_asks_for_a_probe_is_refused_where_the_image_is_sick(
    bare_system: System, service: Registry, engine_url: str
):
    await bare_system.start("versioning", "registry")
    await bare_system.start("importer", docker_host=engine_url, probe_image=PYTHON)
    for model, page in (("well", "/health"), ("sick", "/sick")):
        health = {"url": page, "protocol": "http", "initial_delay_seconds": 1, "timeout_seconds": 10}
        config = valid_config("Image", swr_location=None, health=health)
        place = {"method": "container-image", "image": f"{service.host}/{NAME}:1", "config": config, "probe": True}
        await ask(bare_system, place, model=model)

    assert (await bare_system.hear(ModelRegistered, "well", timeout_s=120)).version == "0.0.1"
    refused = await bare_system.hear(ImportRefused, "sick", timeout_s=120)
    assert refused.reason is Reason.PROBE_FAILED
    assert "503" in refused.message
