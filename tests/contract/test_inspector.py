"""The Inspector in processes of its own: files that take all time, all memory, or the process with them."""

import asyncio
import functools
import io
import os
import time
from typing import BinaryIO

import pytest

from services.importer.domain import Unacceptable
from services.importer.inspection.worker import ProcessInspector
from services.importer.ports import FoundFile, Inspector
from shared.errors import Transient
from shared.values import Reason
from tests.unit.inspection.files import HARMLESS, OS_SYSTEM, found, safetensors
from tests.unit.inspection.test_formats import WEIGHTS

pytestmark = pytest.mark.enable_socket  # the event loop of the worker's pipes


class Slow(io.BytesIO):
    def readinto(self, _: object) -> int:
        time.sleep(60)
        return 0


class Fatal(io.BytesIO):
    def readinto(self, _: object) -> int:
        os._exit(9)


class Greedy(io.BytesIO):
    def readinto(self, _: object) -> int:
        return len(bytearray(8 * 1024**3))


def opened(kind: type[io.BytesIO], content: bytes) -> BinaryIO:
    return kind(content)


def gone(error: Exception) -> BinaryIO:
    raise error


def missing() -> BinaryIO:
    raise Unacceptable(Reason.LOCATION_UNREADABLE, "'m.pkl' cannot be read: No such file or directory")


def hostile(path: str, kind: type[io.BytesIO]) -> FoundFile:
    return FoundFile(path, 100, functools.partial(opened, kind, OS_SYSTEM))


@pytest.fixture
def inspector() -> Inspector:
    return ProcessInspector()


async def test_what_is_in_a_package_is_told(inspector: Inspector):
    files = [found("m.safetensors", safetensors(WEIGHTS, bytes(26))), found("m.pkl", OS_SYSTEM)]

    contents = await inspector.inspect(files)

    assert [(file.path, file.format) for file in contents.files] == [
        ("m.pkl", "pickle"),
        ("m.safetensors", "safetensors"),
    ]
    assert [(file.path, file.verdict) for file in contents.unsafe] == [("m.pkl", "dangerous")]


async def test_a_package_without_anything_to_inspect_needs_no_process(inspector: Inspector):
    files = [FoundFile("README.md", 10, missing), FoundFile("empty.pkl", 0, missing)]

    assert (await inspector.inspect(files)).files == ()


async def test_the_event_loop_goes_on_meanwhile():
    inspector = ProcessInspector(timeout_s=1)
    inspecting = asyncio.create_task(inspector.inspect([hostile("slow.pkl", Slow)]))
    longest_s, before = 0.0, time.monotonic()

    while not inspecting.done():
        await asyncio.sleep(0.005)
        longest_s, before = max(longest_s, time.monotonic() - before), time.monotonic()

    assert longest_s < 0.5


async def test_a_file_that_takes_all_time_is_unreadable_and_so_is_what_comes_after_it():
    inspector = ProcessInspector(timeout_s=3)
    files = [found("a.pkl", HARMLESS), hostile("b.pkl", Slow), found("c.pt", HARMLESS), found("d.onnx", b"x")]
    started = time.monotonic()

    contents = await inspector.inspect(files)

    assert time.monotonic() - started < 10
    assert [(file.path, file.verdict) for file in contents.unsafe][-2:] == [
        ("b.pkl", "unreadable"),
        ("c.pt", "unreadable"),
    ]
    assert contents.unsafe[-1].message.startswith("could not be judged within 3 s")


async def test_a_file_that_kills_the_process_is_unreadable_and_the_others_are_judged(inspector: Inspector):
    files = [found("a.pkl", OS_SYSTEM), hostile("b.pkl", Fatal), found("c.pkl", OS_SYSTEM)]

    contents = await inspector.inspect(files)

    assert [(file.path, file.verdict) for file in contents.unsafe] == [
        ("a.pkl", "dangerous"),
        ("b.pkl", "unreadable"),
        ("c.pkl", "dangerous"),
    ]


async def test_a_file_that_takes_all_memory_is_unreadable_and_the_others_are_judged(inspector: Inspector):
    files = [hostile("a.pkl", Greedy), found("c.pkl", OS_SYSTEM)]

    contents = await inspector.inspect(files)

    assert [(file.path, file.verdict) for file in contents.unsafe] == [("a.pkl", "unreadable"), ("c.pkl", "dangerous")]
    assert contents.unsafe[0].message == "needs more memory than an inspection may take"


async def test_a_file_that_cannot_be_opened_is_refused_with_its_reason(inspector: Inspector):
    with pytest.raises(Unacceptable) as caught:
        await inspector.inspect([FoundFile("m.pkl", 9, missing)])

    assert caught.value.refusal.reason is Reason.LOCATION_UNREADABLE
    assert caught.value.refusal.message == "'m.pkl' cannot be read: No such file or directory"


async def test_a_server_that_is_away_is_transient(inspector: Inspector):
    with pytest.raises(Transient, match="the store is away"):
        await inspector.inspect([FoundFile("m.pkl", 9, functools.partial(gone, Transient("the store is away")))])


async def test_many_packages_at_once(inspector: Inspector):
    packages = [[found("m.pkl", OS_SYSTEM if number % 2 else HARMLESS)] for number in range(40)]

    judged = await asyncio.gather(*(inspector.inspect(package) for package in packages))

    assert [len(contents.unsafe) for contents in judged] == [0, 1] * 20


async def test_an_inspection_that_is_cancelled_leaves_the_inspector_usable(inspector: Inspector):
    inspecting = asyncio.create_task(inspector.inspect([hostile("slow.pkl", Slow)]))
    await asyncio.sleep(0.5)
    inspecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await inspecting

    assert len((await inspector.inspect([found("m.pkl", OS_SYSTEM)])).unsafe) == 1
