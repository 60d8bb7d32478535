"""Commands about services: deploy, rollout, and report as a deployer does."""

from typing import Annotated

import typer

from modelkin.client import Client
from modelkin.commands.requests import envelope, message_of, pair
from modelkin.commands.sending import Version, Why, carry_out, change, version_of
from modelkin.commands.terminal import LOCAL_NATS, Json, Model, Nats, Workspace, check_names, named, run
from modelkin.errors import ModelkinError
from modelkin.paging import number_of
from shared.messages import (
    DeploymentFailed,
    DeploymentReady,
    DeploymentReport,
    DeploymentRequested,
    DeploymentStarted,
    DeploymentStopped,
    DeployVersion,
    RollOut,
    RolloutRequested,
)
from shared.naming import DEFAULT_WORKSPACE
from shared.queries import GetService, ServiceDetails

app = typer.Typer()

Service = Annotated[str, typer.Option("--service", "-s", help="The name of the service.")]
REPORTS: dict[str, type[DeploymentReport]] = {
    "started": DeploymentStarted,
    "ready": DeploymentReady,
    "failed": DeploymentFailed,
    "stopped": DeploymentStopped,
}


@app.command()
def deploy(
    model: Model,
    service: Service,
    version: Version = None,
    mode: Annotated[str, typer.Option(help="real-time or batch.")] = "real-time",
    why: Why = "",
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: Json = False,
) -> None:
    """Ask deployers to let a service serve one version. They answer with deployment.* events: see 'modelkin service'.

    Example: modelkin deploy resnet 1.2.0 --service classify --mode real-time
    """
    facts = {"service": service, "mode": mode, "why": why}
    change(DeployVersion, DeploymentRequested, model, version, nats, workspace, as_json=as_json, **facts)


@app.command()
def rollout(
    service: Annotated[str, typer.Argument(help="A real-time service.")],
    weights: Annotated[list[str], typer.Argument(metavar="MODEL@VERSION=PERCENT...", help="They sum to 100.")],
    why: Why = "",
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: Json = False,
) -> None:
    """Divide the traffic of a service between versions of its model.

    Example: modelkin rollout classify resnet@1.2.0=90 resnet@1.3.0=10
    """
    parts = [_weight(text) for text in weights]
    models = {model for model, _, _ in parts}
    if len(models) > 1:
        raise ModelkinError(f"{', '.join(sorted(models))}: expected versions of one model, for a service serves one")
    check_names(workspace, model := parts[0][0])

    async def send() -> None:
        async with Client.connected(nats) as client:
            shares = [
                {"version": await number_of(client, workspace, model, which), "weight": weight}
                for _, which, weight in parts
            ]
            facts = {"workspace": workspace, "model": model, "service": service, "weights": shares, "why": why}
            command = message_of(RollOut, envelope=envelope(), **facts)
            await carry_out(client, command, RolloutRequested, as_json=as_json)

    run(send())


@app.command()
def report(
    state: Annotated[str, typer.Argument(metavar="STATE", help=f"One of {', '.join(REPORTS)}.")],
    model: Model,
    service: Service,
    version: Version = None,
    message: Annotated[str, typer.Option(help="What there is to say of it.")] = "",
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Say as a deployer what became of a version in a service. Deployers publish the same event themselves.

    Example: modelkin report ready resnet 1.2.0 --service classify
    """
    if state not in REPORTS:
        raise ModelkinError(f"state {state!r}: expected one of {', '.join(REPORTS)}")
    model, which = version_of(model, version, workspace)

    async def send() -> None:
        async with Client.connected(nats) as client:
            number = await number_of(client, workspace, model, which)
            served = await client.ask(GetService(workspace=workspace, service=service), ServiceDetails)
            if served.model != model or number not in {one.version for one in served.versions}:
                raise ModelkinError(f"{model} {number} was never asked for in the service {service}")
            facts = {"workspace": workspace, "model": model, "service": service, "version": number, "message": message}
            await client.publish(message_of(REPORTS[state], envelope=envelope("deployer"), **facts))
            typer.echo(f"said: {model} {number} in {service} is {state}")

    run(send())


def _weight(text: str) -> tuple[str, str, int]:
    target, weight = pair(text)
    model, which = named(target)
    if which is None or not weight.isascii() or not weight.isdigit():
        raise ModelkinError(f"{text!r}: expected MODEL@VERSION=PERCENT, with a whole number")
    return model, which, int(weight[:9])
