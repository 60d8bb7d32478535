"""The command line: what operators type."""

import asyncio
import contextlib
import json
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from modelkin import demo as demonstration
from modelkin import render
from modelkin.client import Client, subject_of
from modelkin.errors import ModelkinError
from modelkin.following import report_import
from modelkin.launcher import SERVICES, Local, running
from modelkin.requests import training_request
from shared.errors import Malformed
from shared.messages import Event
from shared.naming import DEFAULT_WORKSPACE, NAME_RULE, NUMBER_RULE, is_name, is_number
from shared.queries import (
    PAGE,
    GetLineage,
    GetVersion,
    LineageGraph,
    ListModels,
    ListVersions,
    ModelPage,
    Ping,
    Pong,
    VersionDetails,
    VersionPage,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Modelkin: import every trained model, give it a version, keep what it came from.",
)
imports = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Import a model and wait for what becomes of it."
)
app.add_typer(imports, name="import")

Nats = Annotated[str, typer.Option("--nats", envvar="MODELKIN_NATS_URL", metavar="URL", help="Where NATS listens.")]
Workspace = Annotated[str, typer.Option("--workspace", "-w", help="The workspace.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="The name of the model.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")]
LOCAL_NATS = "nats://127.0.0.1:4222"


@app.command()
def models(
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    limit: Limit = PAGE,
    after: Annotated[str, typer.Option(help="Go on after this model.")] = "",
    as_json: Json = False,
) -> None:
    """List the models of a workspace, by name."""
    _check_names(workspace)

    async def ask() -> None:
        async with Client.connected(nats) as client:
            page = await client.ask(ListModels(workspace=workspace, after=after, limit=limit), ModelPage)
        _print(page, render.models_table(page), as_json=as_json, more=page.next)

    _run(ask())


@app.command()
def versions(
    model: Model,
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    limit: Limit = PAGE,
    after: Annotated[str | None, typer.Option(help="Go on after this version.")] = None,
    as_json: Json = False,
) -> None:
    """List the versions of a model, lowest number first."""
    _check_names(workspace, model)

    async def ask() -> None:
        async with Client.connected(nats) as client:
            query = ListVersions(workspace=workspace, model=model, after=after, limit=limit)
            page = await client.ask(query, VersionPage)
        _print(page, render.versions_table(page), as_json=as_json, more=page.next)

    _run(ask())


@app.command()
def show(
    model: Model,
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="Left out: the highest.")] = None,
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: Json = False,
) -> None:
    """Show one version: its files, where it came from, what it was made with."""
    _check_names(workspace, model)
    _check_number(version)

    async def ask() -> None:
        async with Client.connected(nats) as client:
            details = await client.ask(GetVersion(workspace=workspace, model=model, version=version), VersionDetails)
        _print(details, render.details_table(details), as_json=as_json)

    _run(ask())


@app.command()
def lineage(
    model: Model,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version number.")],
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    depth: Annotated[int, typer.Option(min=0, max=1000, help="Steps of descent, each way.")] = 10,
    as_json: Json = False,
) -> None:
    """Draw what a version came from, and what came from it."""
    _check_names(workspace, model)
    _check_number(version)

    async def ask() -> None:
        async with Client.connected(nats) as client:
            query = GetLineage(workspace=workspace, model=model, version=version, depth=depth)
            graph = await client.ask(query, LineageGraph)
        _print(graph, render.lineage_tree(graph), as_json=as_json)

    _run(ask())


@app.command()
def events(
    model: Model, nats: Nats = LOCAL_NATS, workspace: Workspace = DEFAULT_WORKSPACE, as_json: Json = False
) -> None:
    """Show everything that happened to a model, oldest first. With --json: one CloudEvent a line."""
    _check_names(workspace, model)

    async def read() -> None:
        async with Client.connected(nats) as client:
            count = 0
            async for event in client.history(subject_of(model, workspace)):
                count += 1
                _print_event(event, as_json=as_json)
        if not count:
            raise ModelkinError(f"nothing has happened to a model {model!r} in workspace {workspace!r}")

    _run(read())


@app.command()
def watch(
    watched: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILTER]", help="A model, a kind of event (version.assigned), or a subject. Left out: all."
        ),
    ] = None,
    nats: Nats = LOCAL_NATS,
    workspace: Annotated[str, typer.Option("--workspace", "-w", help="Of this workspace only.")] = "*",
    count: Annotated[int, typer.Option(min=0, help="End after so many events; 0: go on until Ctrl-C.")] = 0,
    as_json: Json = False,
) -> None:
    """Print events as they happen. With --json: one CloudEvent a line."""

    async def follow() -> None:
        seen = 0
        async with Client.connected(nats) as client:
            async for event in client.follow(subject_of(watched, workspace)):
                _print_event(event, as_json=as_json)
                seen += 1
                if seen == count:
                    return

    _run(follow())


@app.command()
def ping(
    services: Annotated[list[str] | None, typer.Argument(metavar="[SERVICE]...", help="Left out: all three.")] = None,
    nats: Nats = LOCAL_NATS,
    as_json: Json = False,
) -> None:
    """Ask services whether they run and reach their store; exit status 0 if all do."""

    async def ask() -> None:
        async with Client.connected(nats) as client:
            for service in services or SERVICES:
                pong = await client.ask(Ping(), Pong, to=service)
                _print(pong, f"{pong.service} {pong.version} is ready", as_json=as_json)

    _run(ask())


@imports.command("job")
def import_job(
    folder: Annotated[str, typer.Argument(metavar="LOCATION", help="The job's output folder: a path or a file:// URL.")],
    model: Annotated[str, typer.Option("--model", "-m", help=f"The name: {NAME_RULE}.")],
    job: Annotated[str, typer.Option(help="The id of the training job.")],
    job_version: Annotated[str, typer.Option(help="Which run of the job, such as V001.")],
    version: Annotated[str | None, typer.Option(help=f"The number to give: {NUMBER_RULE}. Left out: the next.")] = None,
    dataset: Annotated[list[str] | None, typer.Option(metavar="NAME[@VERSION]", help="What it was trained on.")] = None,
    code: Annotated[str | None, typer.Option(metavar="REPOSITORY@COMMIT", help="What trained it.")] = None,
    parameter: Annotated[list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A parameter of the training.")] = None,
    metric: Annotated[list[str] | None, typer.Option(metavar="NAME=NUMBER", help="A measured metric.")] = None,
    base: Annotated[list[str] | None, typer.Option(metavar="MODEL@VERSION[:RELATION]", help="What it was made from; RELATION: resumed, fine-tuned, distilled, quantized, merged, adapter.")] = None,
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the outcome, or print the id of the import and end.")] = True,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="How long to wait without any sign of progress.")] = 300.0,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Publish that a training job succeeded, as a training system would, and wait for the version.

    Example: modelkin import job ./out --model resnet50 --job train-7 --job-version V003 --metric f1=0.93
    """
    _check_names(workspace, model)
    _check_number(version)
    request = training_request(
        request_id=str(uuid.uuid4()),
        time=datetime.now(UTC),
        location=folder,
        about={"workspace": workspace, "model": model, "version": version, "job": {"id": job, "version": job_version}},
        datasets=dataset or [],
        code=code,
        parameters=parameter or [],
        metrics=metric or [],
        bases=base or [],
    )

    async def publish() -> None:
        async with Client.connected(nats) as client:
            if wait:
                await report_import(client, request, timeout_s=timeout, as_json=as_json)
                return
            await client.publish(request)
            typer.echo(json.dumps({"import_id": request.import_id}) if as_json else request.import_id)

    _run(publish())


@app.command()
def up(
    data: Annotated[Path, typer.Option(help="The folder of everything that is kept.")] = Path("modelkin-data"),
    allow: Annotated[
        list[Path] | None, typer.Option(help="A folder that models may be imported from. Left out: the current one.")
    ] = None,
) -> None:
    """Run everything on this machine until Ctrl-C: NATS, a store, the artifact folder, the three services."""

    async def stay() -> None:
        roots = allow or [Path.cwd()]
        async with running(data.resolve(), roots, _step(), usual_port=True) as local:
            typer.echo(_welcome(local, roots))
            ended = await local.until_one_ends()
            raise ModelkinError(f"{ended.name} ended: {ended.last_words()} (log: {ended.log})")

    _run(stay())


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

    _run(show_all())


@contextlib.contextmanager
def _folder(kept: Path | None) -> Any:
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


def _step() -> Any:
    """A teller of steps: each with the time since the one before."""
    last = time.monotonic()

    def say(text: str) -> None:
        nonlocal last
        now = time.monotonic()
        typer.echo(f"{now - last:6.2f} s  {text}")
        last = now

    return say


def _check_names(workspace: str, model: str | None = None) -> None:
    for what, name in (("workspace", workspace), ("model name", model)):
        if name is not None and not is_name(name):
            _fail(f"{what} {name!r}: expected {NAME_RULE}")


def _check_number(version: str | None) -> None:
    if version is not None and not is_number(version):
        _fail(f"version {version!r}: expected {NUMBER_RULE}")


def _print(answer: BaseModel, table: Any, *, as_json: bool, more: str | None = None) -> None:
    if as_json:
        typer.echo(answer.model_dump_json(indent=2))
        return
    render.console().print(table)
    if more is not None:
        typer.echo(f"there may be more: --after {more}")


def _print_event(event: Event, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(event.cloud_event(), ensure_ascii=False))
    else:
        render.console().print(render.event_line(event))


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end; Ctrl-C and SIGTERM stop it in order; what is foreseen ends as one line and exit status 1."""

    async def stoppable() -> None:
        task = asyncio.ensure_future(work)
        for stop in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(stop, task.cancel)
        await task

    try:
        asyncio.run(stoppable())
    except asyncio.CancelledError:
        typer.echo("stopped", err=True)
    except (ModelkinError, Malformed) as error:
        _fail(str(error))


def _fail(message: str) -> None:
    typer.echo(f"modelkin: {message}", err=True)
    raise typer.Exit(1)


def main() -> None:
    """Every error is one line on standard error: exit status 1, or 2 where the command itself was wrong."""
    try:
        status = app(standalone_mode=False, prog_name="modelkin")
    except typer.TyperException as error:
        sys.stderr.write(f"modelkin: {error.format_message()}\n")
        status = error.exit_code
    except BrokenPipeError:
        status = 0
    sys.exit(status)
