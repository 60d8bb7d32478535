"""Commands that change a version that is registered: release."""

from typing import Annotated

import typer

from modelkin.client import Client
from modelkin.commands.requests import envelope, message_of
from modelkin.commands.terminal import LOCAL_NATS, Json, Model, Nats, Workspace, check_names, check_number, run
from modelkin.errors import ModelkinError
from shared.messages import CommandRefused, ReleaseVersion
from shared.naming import DEFAULT_WORKSPACE

app = typer.Typer()


@app.command()
def release(
    model: Model,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version number.")],
    why: Annotated[str, typer.Option(help="Why its files may be trusted.")],
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: Json = False,
) -> None:
    """Take a version out of quarantine: it may be downloaded and deployed from then on."""
    check_names(workspace, model)
    check_number(version)
    command = message_of(
        ReleaseVersion, envelope=envelope(), workspace=workspace, model=model, version=version, why=why
    )

    async def send() -> None:
        async with Client.connected(nats) as client:
            answer = await client.release(command)
        if isinstance(answer, CommandRefused):
            raise ModelkinError(f"refused ({answer.reason}): {answer.message}")
        typer.echo(answer.model_dump_json() if as_json else f"{model} {version} is released")

    run(send())
