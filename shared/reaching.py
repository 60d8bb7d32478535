"""What a service needs of NATS before it starts: an answer, a way in, its consumers; and whether both have the same time."""

from collections.abc import Iterable
from typing import Final

import structlog
from nats.aio.client import Client

from shared.clocks import HERE, KEEP_CLOCKS, Offset, difference
from shared.connection import BROKER_AWAY, Nats, NotLetIn, connected
from shared.delivery import missing_topology
from shared.errors import Transient
from shared.subjects import Consumer

log = structlog.get_logger()

ANSWER_TIMEOUT_S: Final = 2


async def check_nats(nats: Nats, consumers: Iterable[Consumer]) -> None:
    """Look whether all is there; a clock that differs is warned of, and no reason to wait.

    Raises:
        Transient: something is missing; says what, where it was looked for, and which variable names it.
    """
    consumers = tuple(consumers)
    try:
        async with connected(nats, "modelkin-startup") as connection:
            missing = await missing_topology(connection.jetstream(timeout=ANSWER_TIMEOUT_S), consumers)
            if not missing and consumers:
                await _compare_clocks(connection, consumers[0])
    except NotLetIn as error:
        raise Transient(f"NATS at {nats.shown}: {error}") from error
    except BROKER_AWAY as error:
        why = str(error) or repr(error)
        raise Transient(f"NATS with JetStream does not answer at {nats.shown} (MODELKIN_NATS_URL): {why}") from error
    if missing:
        raise Transient(missing)


async def _compare_clocks(connection: Client, consumer: Consumer) -> None:
    question = f"$JS.API.CONSUMER.INFO.{consumer.stream}.{consumer.durable}"  # which every service may ask of its own
    server = await Offset.of_nats(connection, question, ANSWER_TIMEOUT_S)
    differs = server and difference(HERE.apart_s(server), "that of NATS")
    if differs:
        log.warning("clocks differ", clock=differs, remedy=KEEP_CLOCKS)
