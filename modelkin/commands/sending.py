"""How commands ask for a change: they name the version, send, and print what comes of it."""

from typing import Annotated

import typer

from modelkin.client import Client
from modelkin.commands.requests import envelope, message_of
from modelkin.commands.terminal import check_names, named, run
from modelkin.errors import ModelkinError
from modelkin.paging import number_of
from modelkin.sentences import essence
from modelkin.wording import printable
from shared.messages import CommandRefused, Message

Version = Annotated[
    str | None, typer.Argument(metavar="[VERSION]", help="The number or an alias; or MODEL@VERSION in one word.")
]
Why = Annotated[str, typer.Option(help="Why; it is kept with the change.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the change.", show_default=False)]


def change(
    kind: type[Message],
    answer: type[Message],
    model: str,
    version: str | None,
    nats: str,
    workspace: str,
    *,
    as_json: bool,
    **facts: object,
) -> None:
    """Send a command about one version, and print its answer."""
    model, which = version_of(model, version, workspace)

    async def send() -> None:
        async with Client.connected(nats) as client:
            number = await number_of(client, workspace, model, which)
            about = {"workspace": workspace, "model": model, "version": number}
            await carry_out(client, message_of(kind, envelope=envelope(), **about, **facts), answer, as_json=as_json)

    run(send())


async def carry_out(client: Client, command: Message, end: type[Message], *, as_json: bool) -> Message:
    """Print every answer as it comes; with --json one JSON object a line."""
    async for answer in client.carry_out(command, end):
        if isinstance(answer, CommandRefused):
            raise ModelkinError(f"refused ({answer.reason}): {answer.message}")
        typer.echo(answer.model_dump_json() if as_json else printable(f"{answer.topic} {essence(answer)}"))
    return answer


def version_of(model: str, version: str | None, workspace: str) -> tuple[str, str]:
    name, which = named(model, version)
    check_names(workspace)
    if which is None:
        raise ModelkinError(f"which version of {name}? expected MODEL VERSION or MODEL@VERSION")
    return name, which
