"""How a service lives: settings, logs, waiting for what it needs, running, stopping cleanly."""

import asyncio
import contextlib
import functools
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TypeVar

import structlog
from faststream import FastStream
from faststream.nats import NatsBroker
from faststream.nats.security import NatsUserPassword
from faststream.security import BaseSecurity
from pydantic import ValidationError

from shared.casting import NoCasting
from shared.connection import BROKER_AWAY, settle
from shared.delivery import STREAM_TIMEOUT_S
from shared.errors import Transient
from shared.generations import Generations
from shared.login import Credentials, Login
from shared.observing.measures import Measure
from shared.observing.observation import observe
from shared.reaching import check_nats
from shared.rebuilding import Projection
from shared.serving import Looking, Serving
from shared.settings import ServiceSettings, faults_of
from shared.stepping import stepped
from shared.store import Database, timed_commands
from shared.subjects import Consumer
from shared.suspects import Suspecting, Suspects
from shared.telemetry import WarningsOnly, configure_logs

log = structlog.get_logger()

Settings = TypeVar("Settings", bound=ServiceSettings)
Hook = Callable[[], Awaitable[None]]

RECONNECT_EVERY_S = 1
REMIND_EVERY_S = 10.0
LONGEST_START_S = 10.0
SOON_S = 2


def utc_now() -> datetime:
    return datetime.now(UTC)


class ServiceBroker(NatsBroker):
    """A broker that can also stop where NATS is away: what was not acknowledged is delivered again."""

    stopping = False
    cut_off = False
    """Whether NATS closed the connection for good: it no longer lets this service in, or was sent too much."""
    _starting: asyncio.Event | None = None

    async def start(self) -> None:
        self._starting = started = asyncio.Event()
        try:
            await super().start()
        finally:
            started.set()

    async def stop(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        self.stopping = True
        if self._starting is not None:  # half of the subscriptions made, none of them ends in order
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._starting.wait(), LONGEST_START_S)
        try:
            await super().stop(exc_type, exc_val, exc_tb)
        except* BROKER_AWAY as errors:  # one for each subscription
            log.warning("stopped while NATS was away", error=repr(errors.exceptions[0]))


def make_broker(settings: ServiceSettings) -> NatsBroker:
    """A broker that connects when the service starts, and again for as long as it runs."""
    if settings.http_port is not None:
        timed_commands()  # of the clients that are made from here on

    async def closed() -> None:
        if not broker.stopping:
            log.error("NATS closed the connection for good")
            broker.cut_off = True
            broker.context.get("app").exit()

    broker = ServiceBroker(
        settings.nats_url,
        closed_cb=closed,
        graceful_timeout=settings.stop_timeout_s,
        max_reconnect_attempts=-1,
        reconnect_time_wait=RECONNECT_EVERY_S,
        logger=WarningsOnly(),
        serializer=NoCasting(),
        log_level=logging.DEBUG,
        js_options={"timeout": STREAM_TIMEOUT_S},
        **_security(settings.nats.as_whom),
    )
    return broker


def _security(login: Login) -> dict[str, Any]:
    credentials = Credentials(login)
    security: BaseSecurity | None = BaseSecurity(ssl_context=credentials.tls) if credentials.tls else None
    if credentials.user is not None:
        # nats-py, to which it goes, asks for the password at each connection.
        password: Any = credentials.password
        security = NatsUserPassword(credentials.user, password, ssl_context=credentials.tls)
    return {"security": security, "inbox_prefix": credentials.inbox_prefix}


def make_app(  # noqa: PLR0913 - what a service is made of
    broker: NatsBroker,
    settings: ServiceSettings,
    *,
    consumers: Iterable[Consumer],
    prepare: Mapping[str, Hook],
    database: Database,
    parts: Mapping[str, Any],
    memory: Projection | None = None,
    measure: Measure | None = None,
) -> FastStream:
    """A service that waits for what it needs, then handles messages until it is told to stop.

    Args:
        broker: with its routers.
        settings: where NATS is.
        consumers: the durables that must be there.
        prepare: what to make ready first, by name; each is tried until it stops raising Transient.
        database: the service's own.
        parts: what handlers take by name (`Given`).
        memory: what is made of EVENTS; its parts are added to the others, and exchanged when it is made anew.
        measure: what it counts beside what all services do.
    """
    consumers = tuple(consumers)
    broker.add_middleware(Suspecting)
    serving = _serving(broker, settings, database, memory) if memory else None

    async def ready() -> None:
        needed = {**prepare, "NATS": lambda: check_nats(settings.nats, consumers)}
        if serving is not None:
            needed["what the events say"] = serving.open
        needed["MongoDB, for suspects"] = suspects.process_started
        for what, hook in needed.items():
            await wait_until(observation.noting(what, hook), what)

    async def check_store() -> None:
        await broker.context.get("store").ping()

    context = broker.context
    suspects = Suspects(database)
    _install(broker, {**parts, "suspects": suspects})
    checks: dict[str, Hook] = {"MongoDB": check_store}
    if serving is not None:
        checks["what the events say"] = functools.partial(serving.look, handling=False)
    observation = observe(broker, settings, consumers, checks, measure)

    async def started() -> None:
        await wait_until(functools.partial(_heard, broker), "NATS")
        await observation.started()
        log.info("started")

    async def stopped() -> None:
        if serving is not None:
            await serving.close()
        await observation.close()
        log.info("stopped")

    return FastStream(
        broker,
        context=context,
        logger=None,
        on_startup=[observation.open, ready],
        after_startup=[started],
        after_shutdown=[stopped],
    )


async def _heard(broker: NatsBroker) -> None:
    """Whether NATS knows what this service answers.

    Raises:
        Transient: it went away meanwhile.
    """
    try:
        await settle(broker.connection, SOON_S)
    except BROKER_AWAY as error:
        raise Transient(f"NATS went away before it heard what this service answers: {error!r}") from error


def _install(broker: NatsBroker, parts: Mapping[str, Any]) -> None:
    for name, part in parts.items():
        broker.context.set_global(name, stepped(name, part))


def _serving(broker: NatsBroker, settings: ServiceSettings, database: Database, memory: Projection) -> Serving:
    generations = Generations(database)
    serving = Serving(memory, generations, settings.nats, lambda parts: _install(broker, parts))
    broker.context.set_global("serving", serving)
    # Before `open` they serve nobody; nothing is read or written by making them.
    _install(broker, {**memory.open(database).parts, "rebuilder": serving.rebuilder})
    broker.add_middleware(Looking)
    return serving


async def wait_until(check: Hook, what: str) -> None:
    """Run `check` until it passes; say at once, and now and then, what is being waited for."""
    waited_s = 0.0
    said = ""
    while True:
        try:
            await check()
        except Transient as error:
            if str(error) != said or waited_s % REMIND_EVERY_S == 0:
                said = str(error)
                log.warning("waiting", what=what, waited_s=int(waited_s), missing=str(error))
        else:
            if waited_s:
                log.info("found", what=what, waited_s=int(waited_s))
            return
        await asyncio.sleep(1)
        waited_s += 1


def run(name: str, settings_type: type[Settings], build: Callable[[Settings], FastStream]) -> None:
    """Run a service from the environment until SIGTERM or SIGINT. Exit status 2: a setting is wrong; 1: NATS turned it away."""
    try:
        settings = settings_type()
    except ValidationError as error:
        for fault in faults_of(error):
            sys.stderr.write(f"{name}: {fault}\n")
        sys.exit(2)
    configure_logs(name, settings.log_format)
    try:
        app = build(settings)
    except ValueError as error:
        sys.stderr.write(f"{name}: {error}\n")
        sys.exit(2)
    asyncio.run(app.run())
    if any(broker.cut_off for broker in app.brokers if isinstance(broker, ServiceBroker)):
        sys.exit(1)
