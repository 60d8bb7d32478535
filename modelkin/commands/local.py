"""Commands that run everything on this machine: up, demo."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from modelkin import demo as demonstration
from modelkin import render
from modelkin.backup.restoring import restore_backup
from modelkin.client import Client
from modelkin.commands.terminal import LOCAL_NATS, run
from modelkin.errors import ModelkinError
from modelkin.launcher import Local, running
from modelkin.progress import Steps

app = typer.Typer()


@app.command()
def up(
    data: Annotated[Path, typer.Option(help="The folder of everything that is kept.")] = Path("modelkin-data"),
    allow: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="A folder that models may be imported from. Left out: the current one."),
    ] = None,
    restore: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A backup that is restored first. --data must be new; copy the artifacts to its folder 'artifacts' before.",
        ),
    ] = None,
) -> None:
    """Run everything on this machine until Ctrl-C: NATS, a store, the artifact folder, the three services."""

    async def bring_back(url: str, artifacts: str) -> None:
        assert restore is not None
        with Steps() as steps:
            await restore_backup(url, restore.resolve(), artifacts, steps)

    async def stay() -> None:
        roots = allow or [Path.cwd()]
        first = None if restore is None else bring_back
        async with running(data.resolve(), roots, _step(), usual_port=True, restore=first) as local:
            typer.echo(_welcome(local, roots))
            ended = await local.until_one_ends()
            raise ModelkinError(f"{ended.name} ended: {ended.last_words()} (log: {ended.log})")

    run(stay(), stop_status=0)


@app.command()
def demo(
    data: Annotated[
        Path | None, typer.Option(help="Keep everything in this folder. Left out: nothing is kept.")
    ] = None,
) -> None:
    """Run everything, import three versions of a real model, show them and their lineage, and end."""

    async def show_all() -> None:
        step = _step()
        wheels = await demonstration.fetch(step)
        step("the released files are at hand")
        with _folder(data) as folder:
            async with running(folder, [folder / "jobs"], step) as local, Client.connected(local.nats_url) as client:
                await demonstration.publish_releases(client, wheels, folder / "jobs", step)
                await demonstration.show(client, render.console())
                typer.echo("\nThe files are real releases; data set, commit, parameters and metrics are sample values.")
                step("stopping")
            step("everything is stopped")

    run(show_all())


@contextlib.contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="modelkin-demo-") as folder:
        yield Path(folder)


def _welcome(local: Local, roots: list[Path]) -> str:
    lines = [
        "",
        "Modelkin is up. Ctrl-C stops it.",
        f"  NATS     {local.nats_url}",
        f"  data     {local.data}",
        f"  imports  from {', '.join(str(root.resolve()) for root in roots)}",
    ]
    if local.nats_url != LOCAL_NATS:
        lines.append(f"In other terminals: export MODELKIN_NATS_URL={local.nats_url}")
    return "\n".join(lines)


def _step() -> Callable[[str], None]:
    """A teller of steps: each with the time since the one before."""
    last = time.monotonic()

    def say(text: str) -> None:
        nonlocal last
        now = time.monotonic()
        typer.echo(f"{now - last:6.2f} s  {text}")
        last = now

    return say
