"""The command to make a service's database anew from the events."""

from typing import Annotated, Literal

import typer

from modelkin.client import Client
from modelkin.commands.requests import envelope, message_of
from modelkin.commands.terminal import LOCAL_NATS, Json, Nats, run
from modelkin.errors import ModelkinError
from modelkin.progress import Bar, bar_of_events
from modelkin.wording import counted
from shared.messages import (
    CommandRefused,
    ProjectionRebuilt,
    RebuildProgressed,
    RebuildProjection,
    RebuildRegistry,
    RebuildVersioning,
)
from shared.queries import Ping, Pong

app = typer.Typer()

Service = Literal["registry", "versioning"]
COMMANDS: dict[str, type[RebuildProjection]] = {kind.service: kind for kind in (RebuildRegistry, RebuildVersioning)}
Timeout = Annotated[
    float, typer.Option(metavar="SECONDS", min=1, help="How long to wait without any sign of progress.")
]


@app.command()
def rebuild(
    service: Annotated[Service, typer.Argument(help="Whose database.", show_default=False)],
    nats: Nats = LOCAL_NATS,
    timeout: Timeout = 120.0,
    as_json: Json = False,
) -> None:
    """Make what a service knows anew from EVENTS, while it answers from what it has.

    Example: modelkin rebuild registry
    """
    command = message_of(COMMANDS[service], envelope=envelope())

    async def make() -> None:
        async with Client.connected(nats) as client:
            await client.ask(Ping(), Pong, to=service)
            with bar_of_events(f"{service}: events") as bar:
                rebuilt = await _rebuilt(client, command, bar, timeout)
        typer.echo(rebuilt.model_dump_json() if as_json else _line(rebuilt))

    run(make())


async def _rebuilt(client: Client, command: RebuildProjection, bar: Bar, timeout_s: float) -> ProjectionRebuilt:
    async for event in client.carry_out(command, ProjectionRebuilt, patience_s=timeout_s):
        match event:
            case RebuildProgressed():
                bar.show(event.events_done, event.events_total)
            case ProjectionRebuilt():
                return event
            case CommandRefused():
                raise ModelkinError(f"refused ({event.reason}): {event.message}")
            case _:
                pass
    raise AssertionError("what is carried out ends with an answer")


def _line(rebuilt: ProjectionRebuilt) -> str:
    return f"{rebuilt.service} is made anew: {counted(rebuilt.events, 'event')} read in {rebuilt.seconds:.1f} s"
