"""Commands that judge versions: compare two, find the best, say how one is made again and whether another one is it."""

from typing import Annotated

import typer

from modelkin.client import Client, NotAnswered
from modelkin.commands.terminal import LOCAL_NATS, Json, Model, Nats, Workspace, check_names, named, print_answer, run
from modelkin.comparing import compare as compared
from modelkin.errors import ModelkinError
from modelkin.judgements import best_line, best_table, check_table, comparison_table, recipe_header, recipe_yaml
from modelkin.lacking import RecipeBase
from modelkin.paging import all_files, version_of
from modelkin.render import console
from modelkin.reproducing import bases_from, recipe_of
from modelkin.rerunning import check
from shared.naming import DEFAULT_WORKSPACE
from shared.queries import BestVersions, FindBest, GetLineage, LineageGraph, VersionDetails
from shared.values import Edge, File

app = typer.Typer()

NOT_REPRODUCED = 1
Named = tuple[str, str | None]


@app.command()
def compare(
    words: Annotated[
        list[str], typer.Argument(metavar="MODEL VERSION VERSION | MODEL@VERSION MODEL@VERSION", show_default=False)
    ],
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: Json = False,
) -> None:
    """Compare two versions: data, bases, code, parameters, environment, metrics and files.

    Examples: modelkin compare resnet 0.1.0 0.2.0; modelkin compare resnet@champion resnet-small@0.1.0
    """
    left, right = _two(words)
    check_names(workspace)

    async def ask() -> None:
        async with Client.connected(nats) as client:
            before, after = [await version_of(client, workspace, *one) for one in (left, right)]
            files = await _files(client, before, after)
        comparison = compared(before, after, files)
        print_answer(comparison, comparison_table(comparison), as_json=as_json)

    run(ask())


def _two(words: list[str]) -> tuple[Named, Named]:
    match words:
        case [model, left, right]:
            return named(model, left), named(model, right)
        case [left, right] if "@" in left and "@" in right:
            return named(left), named(right)
        case _:
            raise typer.BadParameter("expected MODEL VERSION VERSION, or MODEL@VERSION MODEL@VERSION")


async def _files(client: Client, left: VersionDetails, right: VersionDetails) -> tuple[list[File], list[File]] | None:
    before = await all_files(client, left.package)
    same = left.package.digest == right.package.digest
    after = before if same else await all_files(client, right.package)
    return None if before is None or after is None else (before, after)


@app.command()
def best(
    model: Model,
    metric: Annotated[str, typer.Option(help="The metric to compare by.")],
    lowest: Annotated[bool, typer.Option("--min/--max", help="Whether less or more of it is better.")] = False,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="Such as 'params.lr<0.01' or label=prod; all of several hold."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="The best one and its runners-up.")] = 5,
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: Json = False,
) -> None:
    """Find the best version of a model by a metric, and the runners-up. Of equals the older comes first.

    Example: modelkin best resnet --metric f1 --where 'params.lr<0.01' --where label=prod
    """
    check_names(workspace, model)

    async def ask() -> None:
        query = FindBest(
            workspace=workspace,
            model=model,
            metric=metric,
            goal="min" if lowest else "max",
            where=tuple(where or ()),
            limit=limit,
        )
        async with Client.connected(nats) as client:
            found = await client.ask(query, BestVersions)
        if not found.versions and not as_json:
            raise ModelkinError(f"no version of {model} is left to choose from: {best_line(found)}")
        print_answer(found, best_table(found), as_json=as_json)

    run(ask())


@app.command()
def reproduce(
    model: Annotated[str, typer.Argument(metavar="MODEL[@VERSION]", help="A version is a number or an alias.")],
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="Left out: the highest.")] = None,
    other: Annotated[
        str | None,
        typer.Option(
            "--check", metavar="[MODEL@]VERSION", help="Say whether this one reproduced it; exit status 1: no."
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, max=1, help="With --check: how far a metric may be off, relative to its value.")
    ] = 0.01,
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: Json = False,
) -> None:
    """Print the recipe that makes a version again, as YAML, and what is missing from it.

    Examples: modelkin reproduce resnet 0.1.0 > recipe.yaml; modelkin reproduce resnet 0.1.0 --check 0.2.0 --tolerance 0.005
    """
    model, which = named(model, version)
    check_names(workspace)
    rerun = None if other is None else named(other) if "@" in other else named(model, other)

    async def ask() -> None:
        async with Client.connected(nats) as client:
            made = await version_of(client, workspace, model, which)
            bases = await _bases(client, made)
            if rerun is not None:
                again = await version_of(client, workspace, *rerun)
                _print_check(made, bases, again, await _bases(client, again))
                return
        recipe = recipe_of(made, bases)
        text = recipe.model_dump_json(indent=2) if as_json else f"{recipe_header(recipe)}{recipe_yaml(recipe)}"
        typer.echo(text, nl=as_json)

    def _print_check(
        made: VersionDetails, bases: list[RecipeBase], again: VersionDetails, others: list[RecipeBase]
    ) -> None:
        verdict = check(made, bases, again, others, tolerance)
        if as_json:
            typer.echo(verdict.model_dump_json(indent=2))
        else:
            console().print(check_table(verdict), soft_wrap=True)
        if not verdict.reproduced:
            raise typer.Exit(NOT_REPRODUCED)

    run(ask())


async def _bases(client: Client, version: VersionDetails) -> list[RecipeBase]:
    query = GetLineage(
        workspace=version.workspace, model=version.model, version=version.version, direction="up", depth=0
    )
    graph = await client.ask(query, LineageGraph)
    edges = [edge for edge in graph.edges if edge.source == graph.root and edge.kind == "derived-from"]
    return bases_from(version, edges, {edge.target: await _base(client, edge) for edge in edges})


async def _base(client: Client, edge: Edge) -> VersionDetails | None:
    workspace, _, rest = edge.target.removeprefix("version:").partition("/")
    model, _, number = rest.partition("@")
    try:
        return await version_of(client, workspace, model, number)
    except NotAnswered:
        return None
