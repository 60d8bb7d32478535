"""More steps than the calls of a service's parts: each round trip to MongoDB, each publish, acknowledgement and file kept.

Installed into a process of a service before it starts. Where nothing asks for steps, nothing is changed.
"""

import functools
import os
import re
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, SupportsIndex

from nats.aio.msg import Msg
from nats.js import JetStreamContext
from pymongo import monitoring

import shared.delivery
from shared.queries import SERVICES
from shared.stepping import Steps, steps_of_process

# Handshakes and signs of life belong to no handler.
OF_NO_HANDLER = {"hello", "ismaster", "ping", "endSessions", "saslStart", "saslContinue"}

# Seconds after which a message that nobody answered is delivered again, where that is not the usual.
ACK_WAIT = "CHAOS_ACK_WAIT_S"
# So many lanes of a consumer, where that is not the usual.
LANES = "CHAOS_LANES"

# A projection that was made anew is in collections of its own.
GENERATION = re.compile(r"^g[0-9]+\.")


def install() -> None:
    if "FAKETIME_TIMESTAMP_FILE" in os.environ:
        time.sleep = _sleep
    if ACK_WAIT in os.environ:
        shared.delivery.ACK_WAIT_S = float(os.environ[ACK_WAIT])
    if LANES in os.environ:
        _cap_lanes(int(os.environ[LANES]))
    steps = steps_of_process()
    if steps is None:
        return
    monitoring.register(_Commands(steps))
    _around(JetStreamContext, "publish", steps, lambda subject: f"nats.publish {_kind(subject)}")
    for how in ("ack", "nak", "term"):
        _around(Msg, how, steps, lambda _, how=how: f"nats.{how}")  # type: ignore[misc]
    _around_call(os, "fsync", steps, "disk.fsync")
    _around_call(Path, "rename", steps, "disk.rename")


def _cap_lanes(most: int) -> None:
    for service in SERVICES:
        app = sys.modules[f"services.{service}.app"]
        app.consume = functools.partial(_in_few_lanes, app.consume, most)  # type: ignore[attr-defined]  # it imports that


def _in_few_lanes(consume: Callable[..., None], most: int, *what: Any, lanes: int) -> None:
    consume(*what, lanes=min(lanes, most))


def _sleep(seconds: float | SupportsIndex) -> None:
    """As time.sleep, which libfaketime breaks."""
    select.select([], [], [], float(seconds))


class _Commands(monitoring.CommandListener):
    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._names: dict[int, str] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name in OF_NO_HANDLER:
            return
        about = event.command.get("collection") or event.command[event.command_name]
        name = f"mongo.{event.command_name} {GENERATION.sub('', str(about))}"
        self._names[event.request_id] = name
        self._steps(f"{name}:before")

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        name = self._names.pop(event.request_id, None)
        if name is not None:
            self._steps(f"{name}:after")

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self._names.pop(event.request_id, None)


def _kind(subject: str) -> str:
    """Entity and predicate of a subject."""
    return ".".join(subject.split(".")[3:5]) or "dead letter"


def _around(kind: type, method: str, steps: Steps, name_of: Callable[[str], str]) -> None:
    original = getattr(kind, method)

    async def around(self: Any, *args: Any, **named: Any) -> Any:
        name = name_of(args[0] if args else named.get("subject", ""))
        steps(f"{name}:before")
        result = await original(self, *args, **named)
        steps(f"{name}:after")
        return result

    setattr(kind, method, around)


def _around_call(holder: Any, function: str, steps: Steps, name: str) -> None:
    original = getattr(holder, function)

    def around(*args: Any, **named: Any) -> Any:
        steps(f"{name}:before")
        result = original(*args, **named)
        steps(f"{name}:after")
        return result

    setattr(holder, function, around)
