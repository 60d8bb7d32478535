"""Commands about templates: list them, show one."""

from typing import Annotated

import typer

from modelkin import render
from modelkin.client import Client
from modelkin.commands.terminal import LOCAL_NATS, Json, Nats, print_answer, run
from modelkin.errors import ModelkinError
from shared.queries import GetTemplate, ListTemplates, TemplatePage
from shared.templates import Template

app = typer.Typer()


@app.command()
def templates(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORD] | show ID", help="A word in their text; or 'show' and the id of one."),
    ] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Of this type only.")] = None,
    engine: Annotated[str | None, typer.Option(help="For this engine only.")] = None,
    environment: Annotated[str | None, typer.Option(help="For this environment only.")] = None,
    nats: Nats = LOCAL_NATS,
    as_json: Json = False,
) -> None:
    """List the templates, or show one whole.

    Examples: modelkin templates --engine PyTorch; modelkin templates show onnx-general
    """
    match words or []:
        case ["show", template]:
            run(_show(template, nats, as_json=as_json))
        case [] | [_] as word:
            query = ListTemplates(type=type_, engine=engine, environment=environment, word=next(iter(word), None))
            run(_list(query, nats, as_json=as_json))
        case _:
            raise ModelkinError(f"{' '.join(words or [])!r}: expected one word, or 'show' and an id")


async def _list(query: ListTemplates, nats: str, *, as_json: bool) -> None:
    async with Client.connected(nats) as client:
        page = await client.ask(query, TemplatePage)
    print_answer(page, render.templates_table(page), as_json=as_json)


async def _show(template: str, nats: str, *, as_json: bool) -> None:
    async with Client.connected(nats) as client:
        found = await client.ask(GetTemplate(template=template), Template)
    print_answer(found, render.template_table(found), as_json=as_json)
