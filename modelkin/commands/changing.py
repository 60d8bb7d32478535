"""Commands that change a version that is registered, or what points to it, and print the event that says so."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from modelkin.client import Client
from modelkin.commands.requests import dataset_of, envelope, message_of, pair
from modelkin.commands.terminal import LOCAL_NATS, Json, Model, Nats, Workspace, check_names, named, run
from modelkin.errors import ModelkinError
from modelkin.sentences import essence
from modelkin.wording import printable
from shared.messages import (
    AliasMoved,
    CommandRefused,
    DatasetRecalled,
    DeleteVersion,
    DeletionReported,
    DeploymentFailed,
    DeploymentReady,
    DeploymentReport,
    DeploymentRequested,
    DeploymentStarted,
    DeploymentStopped,
    DeployVersion,
    EditVersion,
    LiftRestriction,
    Message,
    MoveAlias,
    RecallTraced,
    RecallVersion,
    ReleaseVersion,
    RestrictionLifted,
    RollOut,
    RolloutRequested,
    VersionEdited,
    VersionReleased,
)
from shared.naming import DEFAULT_WORKSPACE, is_number
from shared.queries import GetVersion, VersionDetails

app = typer.Typer()

Version = Annotated[
    str | None, typer.Argument(metavar="[VERSION]", help="The number or an alias; or MODEL@VERSION in one word.")
]
Why = Annotated[str, typer.Option(help="Why; it is kept with the change.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the change.", show_default=False)]
Service = Annotated[str, typer.Option("--service", "-s", help="The name of the service.")]
REPORTS: dict[str, type[DeploymentReport]] = {
    "started": DeploymentStarted,
    "ready": DeploymentReady,
    "failed": DeploymentFailed,
    "stopped": DeploymentStopped,
}


@app.command()
def release(
    model: Model,
    why: Reason,
    version: Version = None,
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: Json = False,
) -> None:
    """Take a version out of quarantine: it may be downloaded and deployed from then on.

    Example: modelkin release resnet 1.0.0 --why 'looked at its pickle by hand'
    """
    _change(ReleaseVersion, VersionReleased, model, version, nats, workspace, as_json=as_json, why=why)


@app.command()
def lift(
    model: Model,
    why: Reason,
    version: Version = None,
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: Json = False,
) -> None:
    """Let a version be downloaded although it descends from one that automatic learning made.

    Example: modelkin lift resnet 2.0.0 --why 'trained anew, nothing of the base is left'
    """
    _change(LiftRestriction, RestrictionLifted, model, version, nats, workspace, as_json=as_json, why=why)


@app.command()
def alias(
    model: Model,
    alias: Annotated[str, typer.Argument(help="champion, candidate, or any name.")],
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="Where it is to point.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the alias.")] = False,
    why: Why = "",
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: Json = False,
) -> None:
    """Let an alias point to a version, at once and whatever it pointed to before.

    Example: modelkin alias resnet champion 1.2.0 --why 'best f1 in May'
    """
    check_names(workspace, model)
    if (version is None) != remove:
        raise ModelkinError("expected either a VERSION to point to, or --remove")

    async def send() -> None:
        async with Client.connected(nats) as client:
            number = None if version is None else await _number(client, workspace, model, version)
            facts = {"workspace": workspace, "model": model, "alias": alias, "version": number, "why": why}
            await _carry_out(client, message_of(MoveAlias, envelope=envelope(), **facts), AliasMoved, as_json=as_json)

    run(send())


@app.command()
def edit(
    model: Model,
    version: Version = None,
    label: Annotated[list[str] | None, typer.Option(help="A label; those named replace all others; at most 5.")] = None,
    no_labels: Annotated[bool, typer.Option("--no-labels", help="Remove all labels.")] = False,
    description: Annotated[str | None, typer.Option(help="At most 100 characters; '' removes it.")] = None,
    document: Annotated[
        list[str] | None, typer.Option(metavar="NAME=URL", help="A page about it; those named replace all others.")
    ] = None,
    no_documents: Annotated[bool, typer.Option("--no-documents", help="Remove all documents.")] = False,
    why: Why = "",
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: Json = False,
) -> None:
    """Say anew what people say of a version: its labels, description, documents. What is left out stays.

    Example: modelkin edit resnet 1.2.0 --label prod --description 'the one of May'
    """
    said: dict[str, Any] = {
        "labels": _replaced("labels", label, none=no_labels),
        "description": description,
        "documents": _replaced("documents", document, none=no_documents, read=_document),
    }
    if all(one is None for one in said.values()):
        raise ModelkinError("expected something to change: --label, --description, --document, …")
    _change(EditVersion, VersionEdited, model, version, nats, workspace, as_json=as_json, why=why, **said)


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
    _change(DeployVersion, DeploymentRequested, model, version, nats, workspace, as_json=as_json, **facts)


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
                {"version": await _number(client, workspace, model, which), "weight": weight}
                for _, which, weight in parts
            ]
            facts = {"workspace": workspace, "model": model, "service": service, "weights": shares, "why": why}
            command = message_of(RollOut, envelope=envelope(), **facts)
            await _carry_out(client, command, RolloutRequested, as_json=as_json)

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
    model, which = _version(model, version, workspace)

    async def send() -> None:
        async with Client.connected(nats) as client:
            number = await _number(client, workspace, model, which)
            facts = {"workspace": workspace, "model": model, "service": service, "version": number, "message": message}
            await client.publish(message_of(REPORTS[state], envelope=envelope("deployer"), **facts))
            typer.echo(f"said: {model} {number} in {service} is {state}")

    run(send())


@app.command()
def delete(
    model: Model,
    version: Version = None,
    cascade: Annotated[
        bool, typer.Option("--cascade", help="Delete every version of the model, at most 20 at a time.")
    ] = False,
    why: Why = "",
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: Json = False,
) -> None:
    """Delete a version. Its number is never given again; what descends from it keeps the trace.

    A version with a deployed service stays. Example: modelkin delete resnet 1.2.0
    """
    model, which = named(model, version)
    check_names(workspace, model)
    if which is None and not cascade:
        raise ModelkinError("expected a VERSION; with --cascade every version of the model is deleted")

    async def send() -> None:
        async with Client.connected(nats) as client:
            number = None if which is None else await _number(client, workspace, model, which)
            facts = {"workspace": workspace, "model": model, "version": number, "cascade": cascade, "why": why}
            command = message_of(DeleteVersion, envelope=envelope(), **facts)
            reported = await _carry_out(client, command, DeletionReported, as_json=as_json)
        if isinstance(reported, DeletionReported) and reported.failed:
            raise typer.Exit(1)

    run(send())


@app.command()
def recall(
    why: Reason,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="The model of the version.")] = None,
    version: Version = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME[@VERSION]", help="Recall a dataset instead of a version.")
    ] = None,
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: Json = False,
) -> None:
    """Say that something is wrong with a version, or a dataset: every version that hangs on it is told by an event.

    Examples: modelkin recall resnet 1.2.0 --why 'wrong labels'; modelkin recall --dataset cats@v3 --why 'not licensed'
    """
    if (model is None) == (dataset is None):
        raise ModelkinError("expected either a MODEL and VERSION, or --dataset")
    check_names(workspace)

    async def send() -> None:
        async with Client.connected(nats) as client:
            request: Message
            if dataset is not None:
                facts = {"workspace": workspace, "why": why, **_recalled_dataset(dataset)}
                request = message_of(DatasetRecalled, envelope=envelope(), **facts)
            else:
                name, which = _version(model or "", version, workspace)
                number = await _number(client, workspace, name, which)
                facts = {"workspace": workspace, "model": name, "version": number, "why": why}
                request = message_of(RecallVersion, envelope=envelope(), **facts)
            await _carry_out(client, request, RecallTraced, as_json=as_json)

    run(send())


def _change(
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
    model, which = _version(model, version, workspace)

    async def send() -> None:
        async with Client.connected(nats) as client:
            number = await _number(client, workspace, model, which)
            about = {"workspace": workspace, "model": model, "version": number}
            await _carry_out(client, message_of(kind, envelope=envelope(), **about, **facts), answer, as_json=as_json)

    run(send())


async def _carry_out(client: Client, command: Message, end: type[Message], *, as_json: bool) -> Message:
    """Print every answer as it comes; with --json one JSON object a line."""
    async for answer in client.carry_out(command, end):
        if isinstance(answer, CommandRefused):
            raise ModelkinError(f"refused ({answer.reason}): {answer.message}")
        typer.echo(answer.model_dump_json() if as_json else printable(f"{answer.topic} {essence(answer)}"))
    return answer


async def _number(client: Client, workspace: str, model: str, which: str) -> str:
    """The number of a version that is named by it or by an alias. Whether the number exists is for the service to say."""
    if is_number(which):
        return which
    version = await client.ask(GetVersion(workspace=workspace, model=model, version=which), VersionDetails)
    return version.version


def _version(model: str, version: str | None, workspace: str) -> tuple[str, str]:
    name, which = named(model, version)
    check_names(workspace)
    if which is None:
        raise ModelkinError(f"which version of {name}? expected MODEL VERSION or MODEL@VERSION")
    return name, which


def _replaced(
    what: str, words: list[str] | None, *, none: bool, read: Callable[[str], object] = str
) -> list[object] | None:
    if words and none:
        raise ModelkinError(f"expected either new {what}, or none")
    return [read(word) for word in words] if words else [] if none else None


def _document(text: str) -> dict[str, str]:
    name, url = pair(text)
    return {"name": name, "url": url}


def _weight(text: str) -> tuple[str, str, int]:
    target, weight = pair(text)
    model, which = named(target)
    if which is None or not weight.isascii() or not weight.isdigit():
        raise ModelkinError(f"{text!r}: expected MODEL@VERSION=PERCENT, with a whole number")
    return model, which, int(weight[:9])


def _recalled_dataset(text: str) -> dict[str, str | None]:
    given = dataset_of(text)
    return {"dataset": given["name"], "version": given["version"] or given["digest"]}
