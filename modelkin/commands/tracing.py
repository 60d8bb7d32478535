"""Commands that trace: what a version came from, what hangs on something, what happened to a model and who did it."""

import json
from typing import Annotated

import typer

from modelkin.client import Client
from modelkin.commands.requests import dataset_of
from modelkin.commands.terminal import LOCAL_NATS, Json, Model, Nats, Workspace, check_names, named, run
from modelkin.drawing import Direction, dot, lineage_tree, mermaid
from modelkin.openlineage import run_events
from modelkin.paging import number_of, pages, whole_graph
from modelkin.render import affected_line, console, history_line
from modelkin.wording import counted, printable
from shared.naming import DEFAULT_WORKSPACE
from shared.queries import AffectedPage, GetAffected, GetHistory, GetLineage, HistoryPage, LineageGraph

app = typer.Typer()

LARGEST_PAGE = 1000


@app.command()
def lineage(
    model: Annotated[str, typer.Argument(metavar="MODEL[@VERSION]", help="A version is a number or an alias.")],
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="Left out: the highest.")] = None,
    up: Annotated[bool, typer.Option("--up", help="Only what it came from.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Only what came from it.")] = False,
    depth: Annotated[int, typer.Option(min=0, max=1000, help="Steps of descent, each way.")] = 10,
    as_dot: Annotated[bool, typer.Option("--dot", help="Print it in the language of Graphviz.")] = False,
    as_mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a mermaid flowchart.")] = False,
    as_openlineage: Annotated[
        bool, typer.Option("--openlineage", help="Print OpenLineage events, a line of JSON for each version.")
    ] = False,
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: Json = False,
) -> None:
    """Draw what a version came from, and what came from it.

    Examples: modelkin lineage resnet 0.2.0 --up --depth 3; modelkin lineage resnet@champion --dot | dot -Tsvg > lineage.svg
    """
    if sum((as_json, as_dot, as_mermaid, as_openlineage)) > 1:
        raise typer.BadParameter("expected at most one of --json, --dot, --mermaid and --openlineage")
    model, which = named(model, version)
    check_names(workspace)
    direction: Direction = "up" if up and not down else "down" if down and not up else "both"

    async def ask() -> None:
        async with Client.connected(nats) as client:
            number = await number_of(client, workspace, model, which)
            query = GetLineage(workspace=workspace, model=model, version=number, direction=direction, depth=depth)
            graph = await whole_graph(client, query)
        if as_json:
            typer.echo(graph.model_dump_json(indent=2))
        elif as_dot or as_mermaid:
            typer.echo(dot(graph) if as_dot else mermaid(graph), nl=False)
        elif as_openlineage:
            _print_events(graph)
        else:
            console().print(lineage_tree(graph, direction), soft_wrap=True)

    run(ask())


def _print_events(graph: LineageGraph) -> None:
    for event in run_events(graph):
        typer.echo(json.dumps(event, ensure_ascii=False))


@app.command()
def affected(
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME[@VERSION]", help="What was trained on it; VERSION may be a digest.")
    ] = None,
    job: Annotated[str | None, typer.Option(metavar="ID[@VERSION]", help="What the job made.")] = None,
    version: Annotated[str | None, typer.Option(metavar="MODEL@VERSION", help="What was made from it.")] = None,
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: Json = False,
) -> None:
    """List every version that hangs on a data set, a job or a version, at any distance, and the services it is deployed as.

    Examples: modelkin affected --dataset cats@2; modelkin affected --job train-7; modelkin affected --version resnet@0.1.0
    """
    if [dataset, job, version].count(None) != 2:  # noqa: PLR2004 - two of the three are left out
        raise typer.BadParameter("expected exactly one of --dataset, --job and --version")
    if version is not None and not version.partition("@")[2]:
        raise typer.BadParameter(f"--version {version!r}: expected MODEL@VERSION")
    if "" in {dataset, job}:
        raise typer.BadParameter("the name is empty: expected NAME[@VERSION]")
    check_names(workspace)
    query = GetAffected(workspace=workspace, limit=LARGEST_PAGE, **_origin(dataset, job))

    async def ask() -> None:
        async with Client.connected(nats) as client:
            about = query if version is None else query.model_copy(update=await _version(client, workspace, version))
            await _print_affected(client, about, as_json=as_json)

    run(ask())


def _origin(dataset: str | None, job: str | None) -> dict[str, str | None]:
    if dataset is not None:
        said = dataset_of(dataset)
        return {"dataset": said["name"], "dataset_version": said["version"] or said["digest"]}
    if job is not None:
        name, _, job_version = job.partition("@")
        return {"job": name, "job_version": job_version or None}
    return {}


async def _version(client: Client, workspace: str, text: str) -> dict[str, str]:
    model, which = named(text)
    return {"model": model, "version": await number_of(client, workspace, model, which)}


async def _print_affected(client: Client, query: GetAffected, *, as_json: bool) -> None:
    screen, services = console(), set[str]()
    async for page in pages(client, query, AffectedPage):
        for one in page.versions:
            services.update(one.services)
            if as_json:
                typer.echo(one.model_dump_json())
            else:
                screen.print(affected_line(one), soft_wrap=True)
    if not as_json:
        counts = f"{counted(page.total, 'version')} and {counted(len(services), 'service')}"
        typer.echo(f"{counts} hang on {printable(page.root)}")


@app.command()
def history(
    model: Model,
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="Only what is about this one: a number or an alias.")
    ] = None,
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: Json = False,
) -> None:
    """List every change of a model, oldest first: when, what, who and why. With --json: one change a line.

    Examples: modelkin history resnet; modelkin history resnet 0.1.0 --json
    """
    model, which = named(model, version)
    check_names(workspace)

    async def ask() -> None:
        screen = console()
        async with Client.connected(nats) as client:
            number = await number_of(client, workspace, model, which) if which else None
            query = GetHistory(workspace=workspace, model=model, version=number)
            async for page in pages(client, query, HistoryPage):
                for entry in page.changes:
                    if as_json:
                        typer.echo(entry.model_dump_json())
                    else:
                        screen.print(history_line(entry), soft_wrap=True)

    run(ask())
