"""Commands that ask and listen: models, versions, show, lineage, events, watch, ping."""

from typing import Annotated

import typer

from modelkin import render
from modelkin.asyncapi import as_text, asyncapi_document
from modelkin.client import Client, subject_of
from modelkin.commands.terminal import (
    LOCAL_NATS,
    Json,
    Limit,
    Model,
    Nats,
    Workspace,
    check_names,
    check_number,
    print_answer,
    print_event,
    run,
)
from modelkin.details import details_table
from modelkin.errors import ModelkinError
from shared.naming import DEFAULT_WORKSPACE
from shared.queries import (
    PAGE,
    SERVICES,
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

app = typer.Typer()


@app.command()
def models(
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    limit: Limit = PAGE,
    after: Annotated[str, typer.Option(help="Go on after this model.")] = "",
    as_json: Json = False,
) -> None:
    """List the models of a workspace, by name."""
    check_names(workspace)

    async def ask() -> None:
        async with Client.connected(nats) as client:
            page = await client.ask(ListModels(workspace=workspace, after=after, limit=limit), ModelPage)
        print_answer(page, render.models_table(page), as_json=as_json, more=page.next)

    run(ask())


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
    check_names(workspace, model)

    async def ask() -> None:
        async with Client.connected(nats) as client:
            query = ListVersions(workspace=workspace, model=model, after=after, limit=limit)
            page = await client.ask(query, VersionPage)
        print_answer(page, render.versions_table(page), as_json=as_json, more=page.next)

    run(ask())


@app.command()
def show(
    model: Model,
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="Left out: the highest.")] = None,
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: Json = False,
) -> None:
    """Show one version: its files, where it came from, what it was made with."""
    check_names(workspace, model)
    check_number(version)

    async def ask() -> None:
        async with Client.connected(nats) as client:
            details = await client.ask(GetVersion(workspace=workspace, model=model, version=version), VersionDetails)
        print_answer(details, details_table(details), as_json=as_json)

    run(ask())


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
    check_names(workspace, model)
    check_number(version)

    async def ask() -> None:
        async with Client.connected(nats) as client:
            query = GetLineage(workspace=workspace, model=model, version=version, depth=depth)
            graph = await client.ask(query, LineageGraph)
        print_answer(graph, render.lineage_tree(graph), as_json=as_json)

    run(ask())


@app.command()
def events(
    model: Model, nats: Nats = LOCAL_NATS, workspace: Workspace = DEFAULT_WORKSPACE, as_json: Json = False
) -> None:
    """Show everything that happened to a model, oldest first. With --json: one CloudEvent a line."""
    check_names(workspace, model)

    async def read() -> None:
        async with Client.connected(nats) as client:
            count = 0
            async for event in client.history(subject_of(model, workspace)):
                count += 1
                print_event(event, as_json=as_json)
        if not count:
            raise ModelkinError(f"nothing has happened to a model {model!r} in workspace {workspace!r}")

    run(read())


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
                print_event(event, as_json=as_json)
                seen += 1
                if seen == count:
                    return

    run(follow())


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
                print_answer(pong, f"{pong.service} {pong.version} is ready", as_json=as_json)

    run(ask())


@app.command()
def asyncapi() -> None:
    """Print the contract: every subject and message, as an AsyncAPI 3 document."""
    typer.echo(as_text(asyncapi_document()), nl=False)
