"""Part `round-trips`: how often an import goes to NATS and to MongoDB, by service. Counts, not seconds.

The services run as processes. MongoDB: every command the driver sends (tests.bench.counted);
each is waited for, and each write is journaled before it is answered. A write holds documents to
insert, or updates: several where calls that came together share it. NATS: a plain subscriber
listens to what the services publish, and their subjects say whose it is:

    confirmed   an event published to the stream with a reply subject: waited for
    fetches     $JS.API.CONSUMER.MSG.NEXT.<stream>.<durable>: a lane asks for messages, and waits
    acks        $JS.ACK.<stream>.<durable>: one a message, nobody waits

What the driver of the bench publishes is not counted. Lanes that hear nothing ask again every
few seconds: what an idle system does is counted apart, and is inside the other figures.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from nats.aio.client import Client
from nats.aio.msg import Msg

from modelkin import launcher
from shared.connection import settle
from shared.messages import EVENTS
from shared.queries import SERVICES
from shared.subjects import CONSUMERS
from tests.bench import counted
from tests.bench.counted import Commands, commands_in
from tests.bench.tables import say_note, say_table, say_title
from tests.bench.workload import RUN_LIMIT_S, WARM_UP, Driver, small_imports

# In flight → imports. One after the other, the counts are the same each time.
COUNTS = {1: 100, 32: 256}
IDLE_S = 10
SERVICE_OF_DURABLE = {consumer.durable: consumer.durable.partition("-on-")[0] for consumer in CONSUMERS}
SERVICE_OF_EVENT = {event.address: event.said_by.partition("/")[2] for event in EVENTS}


@dataclass(slots=True)
class Tap:
    """Counts what is published, by (service, kind)."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def listen(self, connection: Client) -> None:
        await connection.subscribe("$JS.ACK.>", cb=self._acknowledged)
        await connection.subscribe("$JS.API.CONSUMER.MSG.NEXT.>", cb=self._fetched)
        await connection.subscribe("modelkin.evt.>", cb=self._published)
        await settle(connection)

    async def _acknowledged(self, message: Msg) -> None:
        self.counts[_service_named_in(message.subject), "acks"] += 1

    async def _fetched(self, message: Msg) -> None:
        self.counts[_service_named_in(message.subject), "fetches"] += 1

    async def _published(self, message: Msg) -> None:
        service = SERVICE_OF_EVENT[message.subject.rsplit(".", 2)[0]]
        if message.reply:
            self.counts[service, "confirmed"] += 1


def _service_named_in(subject: str) -> str:
    return next(SERVICE_OF_DURABLE[token] for token in subject.split(".") if token in SERVICE_OF_DURABLE)


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted up to a moment."""

    nats: Counter[tuple[str, str]]
    mongo: Mapping[str, Commands]

    def since(self, before: "Counts") -> "Counts":
        mongo = {name: now.since(before.mongo.get(name, Commands())) for name, now in self.mongo.items()}
        return Counts(self.nats - before.nats, mongo)


async def measure(folder: Path) -> None:
    log = folder / "commands"
    os.environ[counted.FILE_VARIABLE] = str(log)
    # The launcher has no option for this: nobody but the bench starts services in another way.
    with patch.object(launcher, "_module", counted.command_line):
        async with (
            launcher.running(folder / "data", [folder / "models"], lambda _: None) as local,
            Driver.connected(local.nats_url) as driver,
        ):
            tap = Tap()
            await tap.listen(driver.nats)
            await driver.run(small_imports(folder / "models", "warm-up", WARM_UP), max(COUNTS))
            for in_flight, count in COUNTS.items():
                before = await _counted(tap, driver.nats, log)
                run = await driver.run(
                    small_imports(folder / "models", f"flight-{in_flight}", count), in_flight, RUN_LIMIT_S
                )
                _show(in_flight, run.imports, (await _counted(tap, driver.nats, log)).since(before))
            before = await _counted(tap, driver.nats, log)
            await asyncio.sleep(IDLE_S)
            _show_idle((await _counted(tap, driver.nats, log)).since(before))


async def _counted(tap: Tap, connection: Client, log: Path) -> Counts:
    # The last acknowledgements follow the event that the driver waits for.
    await asyncio.sleep(0.5)
    await connection.flush()
    return Counts(tap.counts.copy(), commands_in(log))


def _show(in_flight: int, imports: int, counts: Counts) -> None:
    say_title(f"Round trips per import, {in_flight} in flight, {imports} imports")
    columns = [_columns(counts, service) for service in SERVICES]
    total = [sum(column) for column in zip(*columns, strict=True)]
    say_table(
        ("service", "NATS: confirmed", "fetches", "acks", "MongoDB: reads", "writes", "of documents", "of updates"),
        [
            (name, *(f"{value / imports:.2f}" for value in row))
            for name, row in zip((*SERVICES, "all"), (*columns, total), strict=True)
        ],
    )


def _columns(counts: Counts, service: str) -> list[int]:
    of_nats = (counts.nats[service, kind] for kind in ("confirmed", "fetches", "acks"))
    return [*of_nats, *counts.mongo.get(service, Commands())]


def _show_idle(counts: Counts) -> None:
    fetches = sum(count for (_, kind), count in counts.nats.items() if kind == "fetches")
    commands = sum(of.reads + of.writes for of in counts.mongo.values())
    say_note(
        f"Idle, over {IDLE_S} s: {fetches / IDLE_S:.1f} fetches and {commands / IDLE_S:.1f} MongoDB commands a second"
        " in all; what an import is charged with above includes its share of these."
    )
