"""After a run: the databases that can be made anew from EVENTS are made anew, and compared with what they were."""

from collections.abc import Callable
from uuid import uuid4

from modelkin.client import Client
from modelkin.commands.rebuilding import COMMANDS
from shared.connection import connected
from shared.envelope import Envelope
from shared.messages import ProjectionRebuilt
from shared.service import utc_now
from shared.store import connect
from tests.chaos.draining import Backlog
from tests.chaos.system import DATABASE, System
from tests.dumps import Dump, differences, dump

READY_WITHIN_S = 60.0
# Without any sign of progress.
PATIENCE_S = 120.0
MOST_TOLD = 20


async def made_anew(system: System, say: Callable[[str], None]) -> list[str]:
    """What is not as it was before, a line each; the services run again while that is found out."""
    system.start_services(slot for slot in system.slots if slot.name.endswith("-a"))
    try:
        async with connected(system.nats.url, "chaos-rebuilding") as connection:
            await Backlog(connection).heard(READY_WITHIN_S)
        return [line for service in COMMANDS for line in await _rebuilt(system, service, say)]
    finally:
        await system.stop_services()


async def _rebuilt(system: System, service: str, say: Callable[[str], None]) -> list[str]:
    before = await _kept(system, service)
    command = COMMANDS[service](envelope=Envelope.of_request(uuid4().hex, "operator", utc_now()))
    async with Client.connected(system.nats.url) as client:
        *_, answer = [one async for one in client.carry_out(command, ProjectionRebuilt, patience_s=PATIENCE_S)]
    if not isinstance(answer, ProjectionRebuilt):
        return [f"{service} was not made anew: {answer}"]
    found = differences(before, await _kept(system, service))
    say(account(service, answer, sum(map(len, before.values())), len(found)))
    more = [f"and {len(found) - MOST_TOLD} more"] if len(found) > MOST_TOLD else []
    return [f"5 memory, made anew from EVENTS: {service}.{line}" for line in (*found[:MOST_TOLD], *more)]


def account(service: str, answer: ProjectionRebuilt, documents: int, different: int) -> str:
    """The line of the report."""
    equal = "equal field by field" if not different else f"{different} fields are not as they were"
    return f"{service} made anew from {answer.events} events in {answer.seconds:.1f} s, {documents} documents: {equal}"


async def _kept(system: System, service: str) -> Dump:
    client = connect(system.mongo.url)
    try:
        return await dump(client[f"{DATABASE}_{service}"])
    finally:
        client.close()
