"""A service as a process of its own that writes down every command it sends to MongoDB.

    BENCH_COMMANDS=FILE python -m tests.bench.counted registry

A line a command: the database, the command, how many documents or updates it holds. The driver's
own heartbeats are no commands here.
"""

import os
import runpy
import sys
from pathlib import Path
from typing import Final, NamedTuple

from pymongo import monitoring

FILE_VARIABLE: Final = "BENCH_COMMANDS"
_HELD: Final = {"insert": "documents", "update": "updates", "delete": "deletes"}


class Commands(NamedTuple):
    """What one service has sent to MongoDB. Each command is a round trip that somebody waits for."""

    reads: int = 0
    writes: int = 0
    inserted: int = 0
    """Documents, in all those writes."""
    updates: int = 0
    """Likewise: statements that change or upsert a document."""

    def plus(self, more: "Commands") -> "Commands":
        return Commands(*(one + other for one, other in zip(self, more, strict=True)))

    def since(self, before: "Commands") -> "Commands":
        return Commands(*(now - then for now, then in zip(self, before, strict=True)))


def command_line(service: str) -> list[str]:
    return [sys.executable, "-m", "tests.bench.counted", service]


def commands_in(file: Path) -> dict[str, Commands]:
    """What was written down so far, by the service that owns the database."""
    commands: dict[str, Commands] = {}
    for line in file.read_text().splitlines():
        database, command, held = line.split()
        service = database.rpartition("_")[2]
        commands[service] = commands.get(service, Commands()).plus(_counted(command, int(held)))
    return commands


def _counted(command: str, held: int) -> Commands:
    match command:
        case "insert":
            return Commands(writes=1, inserted=held)
        case "update" | "delete":
            return Commands(writes=1, updates=held)
        case _:
            return Commands(reads=1)


class _Listener(monitoring.CommandListener):
    def __init__(self, file: Path) -> None:
        # A short write to a file opened for appending is atomic: the services share the file.
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        held = event.command.get(_HELD.get(event.command_name, ""), ())
        os.write(self._file, f"{event.database_name} {event.command_name} {len(held)}\n".encode())

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


if __name__ == "__main__":
    monitoring.register(_Listener(Path(os.environ[FILE_VARIABLE])))
    runpy.run_module(f"services.{sys.argv[1]}", run_name="__main__")
