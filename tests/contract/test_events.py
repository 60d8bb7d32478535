"""The Events port: what is published is kept once, what is announced is only heard. In memory and on a NATS server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import cast

import nats
import pytest
from faststream.nats import NatsBroker

from deploy import topology
from modelkin.processes import Server
from shared.connection import settle
from shared.delivery import StreamedEvents
from shared.errors import Transient
from shared.messages import CommandRefused, ImportProgressed, ImportStarted, Message, message_of
from shared.ports import Events
from shared.subjects import EVENTS_STREAM
from tests.fakes import RecordingEvents
from tests.samples import NOON, a_deployment, a_release, a_release_command, a_request, an_import, at


@dataclass
class Wires:
    """Where events go, and what arrived."""

    events: Events
    kept: Callable[[], Awaitable[list[Message]]]
    heard: Callable[[int], Awaitable[list[Message]]]
    """Waits for so many announcements."""
    cut: Callable[[], Awaitable[None]]
    """Takes away whatever keeps events."""


@pytest.fixture(params=["fake", "nats"])
def making(request: pytest.FixtureRequest) -> Callable[[], AsyncIterator[Wires]]:
    if request.param == "fake":
        return fake_wires
    server = cast("Server", request.getfixturevalue("nats_server"))
    return lambda: real_wires(server)


@pytest.fixture
async def wires(making: Callable[[], AsyncIterator[Wires]]) -> AsyncIterator[Wires]:
    async for made in making():
        yield made


async def fake_wires() -> AsyncIterator[Wires]:
    events = RecordingEvents()

    async def kept() -> list[Message]:
        return list(events.kept.values())

    async def heard(_: int) -> list[Message]:
        return events.announced

    async def cut() -> None:
        events.away = True

    yield Wires(events, kept, heard, cut)


async def real_wires(server: Server) -> AsyncIterator[Wires]:
    listener = await nats.connect(server.url)
    jetstream = listener.jetstream()
    async for _ in topology.apply(jetstream):
        pass
    live = await listener.subscribe("modelkin.live.>")
    await settle(listener)

    def read(message: nats.aio.msg.Msg | nats.js.api.RawStreamMsg) -> Message:
        body = message.data or b""
        return message_of(message.subject or "", message.headers or {}, body, fallback_id="-", fallback_time=NOON)

    async def kept() -> list[Message]:
        state = (await jetstream.stream_info(EVENTS_STREAM)).state
        return [read(await jetstream.get_msg(EVENTS_STREAM, number)) for number in range(1, state.last_seq + 1)]

    async def heard(count: int) -> list[Message]:
        return [read(await live.next_msg(timeout=5)) for _ in range(count)]

    async def cut() -> None:
        await jetstream.delete_stream(EVENTS_STREAM)

    async with NatsBroker(server.url) as broker:
        yield Wires(StreamedEvents(broker), kept, heard, cut)
    await listener.close()


def progressed() -> ImportProgressed:
    return a_request().answer(ImportProgressed, at(1), import_id="i", done_bytes=1, total_bytes=2)


async def test_what_is_published_is_kept_as_it_was(wires: Wires):
    chinese = an_import("import-模型", workspace="视觉", model="模型", parameters={"a.b": 2**80})

    await wires.events.publish(an_import())
    await wires.events.publish(chinese)

    assert await wires.kept() == [an_import(), chinese]


async def test_what_is_published_again_is_kept_once(wires: Wires):
    await asyncio.gather(*(wires.events.publish(an_import()) for _ in range(5)))

    assert await wires.kept() == [an_import()]


async def test_different_answers_to_one_message_are_all_kept(wires: Wires):
    await wires.events.publish(an_import("import-1"))
    await wires.events.publish(an_import("import-2"))

    assert len(await wires.kept()) == 2


async def test_answers_to_commands_are_kept_among_the_events(wires: Wires):
    command = a_release_command(model="no name")
    refused = command.answer(CommandRefused, at(1), command=command.address, reason="version-not-found", message="m")

    await wires.events.publish(a_release())
    await wires.events.publish(refused)

    assert await wires.kept() == [a_release(), refused]


async def test_a_start_said_again_by_another_process_is_kept_once(wires: Wires):
    facts = {"import_id": a_deployment().import_id, "method": "automatic-learning", "file_count": 1, "size_bytes": 2}
    first, again = (a_deployment().answer(ImportStarted, at(seconds), **facts) for seconds in (1, 2))

    await wires.events.publish(first)
    await wires.events.publish(again)

    assert await wires.kept() == [first]


async def test_what_is_announced_is_heard_and_not_kept(wires: Wires):
    await wires.events.announce(progressed())

    assert await wires.heard(1) == [progressed()]
    assert await wires.kept() == []


async def test_where_nothing_keeps_events_publishing_is_transient_and_announcing_is_quiet(wires: Wires):
    await wires.cut()

    with pytest.raises(Transient):
        await wires.events.publish(an_import())
    await wires.events.announce(progressed())
