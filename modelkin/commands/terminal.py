"""What commands share: their options, how they run and print."""

import asyncio
import json
import signal
from collections.abc import Coroutine
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import RenderableType

from modelkin import render
from modelkin.errors import ModelkinError
from shared.messages import Message
from shared.naming import DEFAULT_WORKSPACE, NAME_RULE, NUMBER_RULE, is_name, is_number

Nats = Annotated[str, typer.Option("--nats", envvar="MODELKIN_NATS_URL", metavar="URL", help="Where NATS listens.")]
Workspace = Annotated[str, typer.Option("--workspace", "-w", help="The workspace.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="The name of the model.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")]
LOCAL_NATS = "nats://127.0.0.1:4222"
# What a shell says of a command that Ctrl-C ended.
INTERRUPTED = 130


def check_names(workspace: str, model: str | None = None) -> None:
    for what, name in (("workspace", workspace), ("model name", model)):
        if name is not None and not is_name(name):
            raise ModelkinError(f"{what} {name!r}: expected {NAME_RULE}")


def check_number(version: str | None) -> None:
    if version is not None and not is_number(version):
        raise ModelkinError(f"version {version!r}: expected {NUMBER_RULE}")


def named(model: str, version: str | None = None) -> tuple[str, str | None]:
    """A model, and the number or alias of one of its versions: `M`, `M V`, `M@V` or `M@champion`.

    Raises:
        ModelkinError: one of them breaks its rule, or the version is said twice.
    """
    model, at, said = model.partition("@")
    if at and version is not None:
        raise ModelkinError(f"version {version!r} beside {model}@{said}: expected one of the two")
    which = said if at else version
    check_names(DEFAULT_WORKSPACE, model)
    if which is not None and not (is_number(which) or is_name(which)):
        raise ModelkinError(f"version {which!r}: expected {NUMBER_RULE}; or an alias, which has {NAME_RULE}")
    return model, which


def print_answer(answer: BaseModel, table: RenderableType, *, as_json: bool, more: str | None = None) -> None:
    if as_json:
        typer.echo(answer.model_dump_json(indent=2))
        return
    render.console().print(table)
    if more is not None:
        typer.echo(f"there may be more: --after {more}")


def print_event(event: Message, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(event.cloud_event(), ensure_ascii=False))
    else:
        render.console().print(render.event_line(event))


def run(work: Coroutine[Any, Any, None], *, stop_status: int = INTERRUPTED) -> None:
    """Run to the end; Ctrl-C and SIGTERM stop it in order, with the exit status `stop_status`."""

    async def stoppable() -> None:
        task = asyncio.ensure_future(work)
        for stop in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(stop, task.cancel)
        await task

    try:
        asyncio.run(stoppable())
    except asyncio.CancelledError:
        typer.echo("stopped", err=True)
        raise typer.Exit(stop_status) from None
