"""An import as a person follows it: each step as it happens, a bar while bytes are copied, and the outcome."""

import asyncio
import json
from collections.abc import AsyncIterator

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TaskID, TextColumn, TransferSpeedColumn

from modelkin.client import Client
from modelkin.errors import ModelkinError
from modelkin.render import files, size
from shared.dead_letters import DeadLetter
from shared.messages import (
    Event,
    ImportProgressed,
    ImportRefused,
    ModelImported,
    ModelRegistered,
    TrainingSucceeded,
    VersionAssigned,
    VersionRefused,
)
from shared.queries import ImportStatus

Said = Event | DeadLetter | ImportStatus


async def report_import(client: Client, request: TrainingSucceeded, *, timeout_s: float, as_json: bool) -> None:
    """Publish a request and show what becomes of it. The outcome goes to standard output, progress to standard error.

    Raises:
        ModelkinError: it was refused, set aside, or nothing was heard of it for `timeout_s`.
    """
    with _bar() as bar:
        shown = bar.add_task(f"{request.model}: asked", total=None)
        async for said in _patiently(client.import_and_follow(request), timeout_s):
            _show(bar, shown, said)
    version, known = _version_of(said)
    if as_json:
        answer = {
            "import_id": request.import_id,
            "model": request.model,
            "version": version,
            "registered_before": known,
        }
        typer.echo(json.dumps(answer, ensure_ascii=False))
    else:
        typer.echo(f"{request.model} {version} {'had been registered before' if known else 'is registered'}")


async def _patiently(following: AsyncIterator[Said], timeout_s: float) -> AsyncIterator[Said]:
    while True:
        try:
            async with asyncio.timeout(timeout_s):
                said = await anext(following)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise ModelkinError(
                f"nothing was heard of the import for {timeout_s:g} s: the stream keeps the request; are the services running?"
            ) from error
        yield said


def _bar() -> Progress:
    screen = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )


def _show(bar: Progress, task: TaskID, said: Said) -> None:
    match said:
        case ImportProgressed():
            bar.update(task, description=f"{said.model}: copying", total=said.total_bytes, completed=said.done_bytes)
        case ModelImported():
            copied = size(said.package.size_bytes)
            bar.update(
                task,
                description=f"{said.model}: imported {files(said.package.file_count)}, {copied}",
                total=said.package.size_bytes,
                completed=said.package.size_bytes,
            )
        case VersionAssigned():
            bar.update(task, description=f"{said.model}: is to be {said.version}")
        case _:
            pass


def _version_of(outcome: Said) -> tuple[str, bool]:
    """The version, and whether it had been there before.

    Raises:
        ModelkinError: there is none, and why.
    """
    match outcome:
        case ModelRegistered():
            return outcome.version, False
        case ImportStatus(version=str(version)):
            return version, True
        case ImportRefused() | VersionRefused():
            raise ModelkinError(f"refused ({outcome.reason}): {outcome.message}")
        case DeadLetter():
            raise ModelkinError(f"set aside by {outcome.durable} ({outcome.reason}): {outcome.message}")
        case _:
            raise ModelkinError(f"the import ended without an outcome: {outcome!r}")
