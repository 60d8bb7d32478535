"""An import as a person follows it: each step as it happens, a bar while bytes are copied, and the outcome."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TaskID, TextColumn, TransferSpeedColumn

from modelkin.client import Client
from modelkin.errors import ModelkinError
from modelkin.wording import fault_line, files, size
from shared.messages import (
    DeadLetterAdded,
    ImportProgressed,
    ImportRefused,
    ImportRequest,
    ImportStarted,
    Message,
    ModelImported,
    ModelRegistered,
    VersionAssigned,
    VersionRefused,
)
from shared.queries import ImportStatus

Said = Message | ImportStatus


class ImportFailed(ModelkinError):
    """An import ended without a version; `facts` say why, for programs."""

    def __init__(self, message: str, facts: dict[str, Any]) -> None:
        super().__init__(message)
        self.facts = facts


@dataclass(frozen=True, slots=True)
class Result:
    """How an import ended."""

    request: ImportRequest
    version: str
    known: bool
    """Whether the version had been there before."""


async def follow_import(client: Client, request: ImportRequest, *, timeout_s: float) -> Result:
    """Publish a request and show on standard error what becomes of it, until it has ended.

    Raises:
        ImportFailed: it was refused, or set aside.
        ModelkinError: nothing was heard of it for `timeout_s`.
    """
    with _bar() as bar:
        shown = bar.add_task(f"{request.model_name}: asked", total=None)
        async for said in _patiently(client.import_and_follow(request), timeout_s):
            _show(bar, shown, said)
    version, known = _version_of(said)
    return Result(request, version, known)


def show_result(result: Result, *, as_json: bool) -> None:
    name = result.request.model_name
    if as_json:
        answer = {
            "import_id": result.request.import_id,
            "model": name,
            "version": result.version,
            "registered_before": result.known,
        }
        typer.echo(json.dumps(answer, ensure_ascii=False))
    else:
        typer.echo(f"{name} {result.version} {'had been registered before' if result.known else 'is registered'}")


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
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )


def _show(bar: Progress, task: TaskID, said: Said) -> None:
    match said:
        case ImportProgressed():
            bar.update(task, description=f"{said.model}: copying", total=said.total_bytes, completed=said.done_bytes)
        case ImportStarted():
            what = f"{files(said.file_count)}, {size(said.size_bytes)}"
            bar.update(task, description=f"{said.model}: reading {what}", total=said.size_bytes, completed=0)
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
        case ImportRefused():
            facts = outcome.model_dump(
                mode="json", include={"import_id", "model", "reason", "message", "faults", "unsafe"}
            )
            raise ImportFailed("\n".join(_refusal_lines(outcome)), facts)
        case VersionRefused():
            facts = outcome.model_dump(mode="json", include={"import_id", "model", "reason", "message"})
            raise ImportFailed(f"refused ({outcome.reason}): {outcome.message}", facts)
        case DeadLetterAdded():
            message = f"set aside by {outcome.durable} ({outcome.reason}): {outcome.message}"
            raise ImportFailed(message, {"reason": outcome.reason, "message": outcome.message})
        case _:
            raise ModelkinError(f"the import ended without an outcome: {outcome!r}")


def _refusal_lines(refused: ImportRefused) -> Iterator[str]:
    yield f"refused ({refused.reason}): {refused.message}"
    yield from map(fault_line, refused.faults)
    for file in refused.unsafe:
        yield f"  {file.path}: {file.verdict}: {', '.join(file.imports) or file.message}"
