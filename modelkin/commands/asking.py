"""Commands that ask and listen: models, versions, show, aliases, service, events, watch, ping."""

from datetime import datetime
from typing import Annotated, Literal

import typer

from modelkin import render
from modelkin.asyncapi import as_text, asyncapi_document
from modelkin.client import Client, Unreadable, subject_of
from modelkin.commands.filters import TIME, FilterOptions, time_of
from modelkin.commands.options import taking
from modelkin.commands.terminal import (
    LOCAL_NATS,
    Json,
    Model,
    Nats,
    Workspace,
    check_names,
    named,
    print_answer,
    print_event,
    run,
)
from modelkin.details import details_table
from modelkin.errors import ModelkinError
from modelkin.paging import lines
from modelkin.wording import printable
from shared.messages import Message
from shared.naming import DEFAULT_WORKSPACE
from shared.queries import (
    SERVICES,
    AliasPage,
    GetService,
    GetVersion,
    ListAliases,
    ListModels,
    ListVersions,
    ModelPage,
    Ping,
    Pong,
    ServiceDetails,
    VersionDetails,
    VersionPage,
)

app = typer.Typer()


@app.command()
@taking(FilterOptions)
def models(
    filters: FilterOptions,
    sort: Annotated[Literal["name", "created", "updated", "size"], typer.Option(help="What comes first.")] = "name",
    nats: Nats = LOCAL_NATS,
    as_json: Json = False,
) -> None:
    """List the models of a workspace, by name. Filters look at the highest version of each.

    Examples: modelkin models --label prod --sort updated; modelkin models --metric 'f1>=0.9' --since 2026-11-01
    """
    check_names(filters.workspace)

    async def ask() -> None:
        query = ListModels(sort=sort, **filters.asked())
        async with Client.connected(nats) as client:
            page = await lines(client, query, ModelPage, every=filters.every_page)
        print_answer(page, render.models_table(page), as_json=as_json, more=page.next)

    run(ask())


@app.command()
@taking(FilterOptions)
def versions(
    filters: FilterOptions,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Left out: all of the workspace.")] = None,
    sort: Annotated[
        Literal["number", "created", "size"] | None,
        typer.Option(help="What comes first. Left out: number for one model, else created."),
    ] = None,
    nats: Nats = LOCAL_NATS,
    as_json: Json = False,
) -> None:
    """List the versions of a model, lowest number first; without a model those of the workspace, newest first.

    Examples: modelkin versions resnet --desc --limit 5; modelkin versions --engine ONNX --metric 'f1>=0.9' --all --json
    """
    check_names(filters.workspace, model)

    async def ask() -> None:
        query = ListVersions(model=model, sort=sort, **filters.asked())
        async with Client.connected(nats) as client:
            page = await lines(client, query, VersionPage, every=filters.every_page)
        table = render.versions_table(page, of_several=model is None)
        print_answer(page, table, as_json=as_json, more=page.next)

    run(ask())


@app.command()
def show(
    model: Annotated[str, typer.Argument(metavar="MODEL[@VERSION]", help="A version is a number or an alias.")],
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="Left out: the highest.")] = None,
    at: Annotated[
        datetime | None, typer.Option(parser=time_of, metavar="TIME", help=f"As the registry stood then: {TIME}.")
    ] = None,
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: Json = False,
) -> None:
    """Show one version: what may be done with it, where it came from, what it was made with, its files.

    Examples: modelkin show resnet; modelkin show resnet@champion; modelkin show resnet 0.1.0 --at 2026-11-01T12:00Z
    """
    model, which = named(model, version)
    check_names(workspace)

    async def ask() -> None:
        query = GetVersion(workspace=workspace, model=model, version=which, at=at)
        async with Client.connected(nats) as client:
            details = await client.ask(query, VersionDetails)
        print_answer(details, details_table(details, at), as_json=as_json)

    run(ask())


@app.command()
def aliases(
    model: Model, nats: Nats = LOCAL_NATS, workspace: Workspace = DEFAULT_WORKSPACE, as_json: Json = False
) -> None:
    """List the aliases of a model, and which version each points to.

    Example: modelkin aliases resnet
    """
    check_names(workspace, model)

    async def ask() -> None:
        async with Client.connected(nats) as client:
            page = await client.ask(ListAliases(workspace=workspace, model=model), AliasPage)
        print_answer(page, render.aliases_table(page), as_json=as_json)

    run(ask())


@app.command()
def service(
    name: Annotated[str, typer.Argument(metavar="SERVICE", help="The name of the service.")],
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: Json = False,
) -> None:
    """Show what a service serves: which versions, with which part of the traffic, in which state.

    Example: modelkin service shop
    """
    check_names(workspace)

    async def ask() -> None:
        async with Client.connected(nats) as client:
            details = await client.ask(GetService(workspace=workspace, service=name), ServiceDetails)
        print_answer(details, render.service_table(details), as_json=as_json)

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
                _print_event(event, as_json=as_json)
        if not count:
            raise ModelkinError(f"nothing has happened to a model {model!r} in workspace {workspace!r}")

    run(read())


def _print_event(event: Message | Unreadable, *, as_json: bool) -> None:
    if isinstance(event, Unreadable):
        typer.echo(printable(str(event)), err=True)
    else:
        print_event(event, as_json=as_json)


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
