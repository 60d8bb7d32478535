"""Limits of the importer, on real servers: large imports beside small ones, imports of one workspace, long requests."""

import contextlib
import json
import signal
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from shared.messages import ImportRefused, ImportStarted, ModelImported, ModelRegistered
from shared.values import Reason
from tests.integration.system import Spawn, System, eventually
from tests.integration.test_web_files import Web, a_zip

PACKAGE = a_zip({"weights.bin": bytes(5000)})


class Slow:
    """A web server with one archive, of which it gives the first half until it is told to go on."""

    def __init__(self, web: Web, *, says_length: bool) -> None:
        self.host = web.host
        self.url = f"{web.url}/package.zip"
        self.go_on = threading.Event()
        self.half_given: set[BaseHTTPRequestHandler] = set()
        """To those who still wait for the rest."""
        self._says_length = says_length
        web.answers["/package.zip"] = self._answer

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if self._says_length:
            handler.send_header("Content-Length", str(len(PACKAGE)))
        handler.end_headers()
        half = len(PACKAGE) // 2
        with contextlib.suppress(OSError):
            handler.wfile.write(PACKAGE[:half])
            self.half_given.add(handler)
            while not (self.go_on.wait(0.02) or _has_hung_up(handler.connection)):
                pass
            self.half_given.discard(handler)
            handler.wfile.write(PACKAGE[half:])


def _has_hung_up(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:  # it had not read all that it was given
        return True


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    yield server
    server.stop()


@pytest.fixture(params=[True, False], ids=["says how long it is", "does not say how long it is"])
def slow(request: pytest.FixtureRequest, web: Web) -> Iterator[Slow]:
    slow = Slow(web, says_length=request.param)
    yield slow
    slow.go_on.set()


@pytest.fixture
def stalling(web: Web) -> Iterator[Slow]:
    slow = Slow(web, says_length=True)
    yield slow
    slow.go_on.set()


async def test_small_imports_are_done_while_large_ones_hold_all_their_places(bare_system: System, slow: Slow):
    system = bare_system
    await system.start("versioning", "registry")
    await system.start(
        "importer",
        allowed_hosts=(slow.host,),
        concurrent_imports=4,
        concurrent_large_imports=2,
        large_package_bytes=len(PACKAGE) // 3,
    )
    for n in range(6):
        await system.publish(system.training(f"large-{n}", location=slow.url))
    await eventually(lambda: len(slow.half_given) == 2)
    for n in range(12):
        await system.publish(system.training(f"small-{n}"))

    await system.hear(ModelRegistered, count=12)
    # One that asks for a place once more has read some of it by then, and hangs up.
    await eventually(lambda: len(slow.half_given) == 2)
    slow.go_on.set()
    await system.hear(ModelRegistered, count=18)
    await system.quiet()
    assert {one.model for one in await system.all_of(ModelRegistered)} == {
        *(f"large-{n}" for n in range(6)),
        *(f"small-{n}" for n in range(12)),
    }
    assert len(await system.all_of(ImportStarted)) == 18
    assert await system.dead_letters() == []


async def test_a_large_folder_waits_too(bare_system: System, stalling: Slow):
    system = bare_system
    await system.start("versioning", "registry")
    await system.start(
        "importer", allowed_hosts=(stalling.host,), concurrent_large_imports=1, large_package_bytes=len(PACKAGE)
    )
    await system.publish(system.training("first", location=stalling.url))
    await eventually(lambda: len(stalling.half_given) == 1)
    folder = system.model_folder("folder", {"a.bin": bytes(len(PACKAGE) - 1), "b.bin": b"1"})
    await system.publish(system.training("second", location=folder))
    await system.publish(system.training("small"))
    await system.hear(ModelRegistered, "small")

    assert await system.all_of(ImportStarted, "second") == []
    stalling.go_on.set()
    await system.hear(ModelRegistered, "second")


async def test_of_one_workspace_no_more_are_imported_at_once_than_the_limit_by_however_many_importers(
    bare_system: System, stalling: Slow
):
    system = bare_system
    settings = {"allowed_hosts": (stalling.host,), "max_imports_per_workspace": 2}
    await system.start("importer", **settings)
    await system.start("importer", **settings)
    for n in range(2):
        await system.publish(system.training(f"slow-{n}", location=stalling.url))
    await eventually(lambda: len(stalling.half_given) == 2)
    await system.publish(system.training("one-too-many"))
    await system.publish(system.training("elsewhere", workspace="视觉"))

    refused = await system.hear(ImportRefused, "one-too-many")
    assert refused.reason is Reason.TOO_MANY_IMPORTS
    assert refused.message == (
        "imports of workspace '0' under way: 2; expected at most 2 at once (MODELKIN_MAX_IMPORTS_PER_WORKSPACE);"
        " ask again under a new id when some are done"
    )
    await system.hear(ModelImported, "elsewhere")
    stalling.go_on.set()
    await system.hear(ModelImported, "slow-0")
    await system.hear(ModelImported, "slow-1")
    await system.quiet()
    await system.publish(system.training("one-too-many"))
    await system.hear(ModelImported, "one-too-many")


async def test_an_import_whose_process_died_finds_its_place_again_and_counts_no_longer_after_it(
    bare_system: System, spawn: Spawn, stalling: Slow
):
    system = bare_system
    await system.redeliver_after(2)
    settings = {"allowed_hosts": stalling.host, "max_imports_per_workspace": "1"}
    dying = spawn("importer", **settings)
    await system.publish(system.training("slow", location=stalling.url))
    await eventually(lambda: len(stalling.half_given) == 1)
    dying.popen.send_signal(signal.SIGKILL)
    dying.popen.wait()
    stalling.go_on.set()
    spawn("importer", **settings)

    await system.hear(ModelImported, "slow")
    await system.quiet()
    await system.publish(system.training("next"))
    await system.hear(ModelImported, "next")
    assert await system.all_of(ImportRefused) == []


@pytest.mark.parametrize("limit_bytes", [None, 2000])
async def test_a_request_longer_than_the_limit_is_refused_by_name(bare_system: System, limit_bytes: int | None):
    system = bare_system
    await system.start("importer", **({} if limit_bytes is None else {"max_event_bytes": limit_bytes}))
    body = system.training("resnet", parameters={"note": "x" * (limit_bytes or 256 * 1024)})

    await system.publish(body)

    refused = await system.hear(ImportRefused)
    assert refused.reason is Reason.METADATA_TOO_LARGE
    assert refused.message == (
        f"the request has {len(json.dumps(body))} bytes: expected at most {limit_bytes or 262144} (MODELKIN_MAX_EVENT_BYTES)"
    )
    assert await system.dead_letters() == []
