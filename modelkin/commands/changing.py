"""Commands that change a version that is registered, or what points to it, and print the event that says so."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from modelkin.client import Client
from modelkin.commands.requests import dataset_of, envelope, message_of, pair
from modelkin.commands.sending import Reason, Version, Why, carry_out, change, version_of
from modelkin.commands.terminal import LOCAL_NATS, Json, Model, Nats, Workspace, check_names, named, run
from modelkin.errors import ModelkinError
from modelkin.paging import number_of
from shared.messages import (
    AliasMoved,
    DatasetRecalled,
    DeleteVersion,
    DeletionReported,
    EditVersion,
    LiftRestriction,
    Message,
    MoveAlias,
    RecallTraced,
    RecallVersion,
    ReleaseVersion,
    RestrictionLifted,
    VersionEdited,
    VersionReleased,
)
from shared.naming import DEFAULT_WORKSPACE

app = typer.Typer()


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
    change(ReleaseVersion, VersionReleased, model, version, nats, workspace, as_json=as_json, why=why)


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
    change(LiftRestriction, RestrictionLifted, model, version, nats, workspace, as_json=as_json, why=why)


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
            number = None if version is None else await number_of(client, workspace, model, version)
            facts = {"workspace": workspace, "model": model, "alias": alias, "version": number, "why": why}
            await carry_out(client, message_of(MoveAlias, envelope=envelope(), **facts), AliasMoved, as_json=as_json)

    run(send())


@app.command()
def edit(
    model: Model,
    version: Version = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL", help="A label; those named replace all others; at most 5."),
    ] = None,
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
    change(EditVersion, VersionEdited, model, version, nats, workspace, as_json=as_json, why=why, **said)


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
            number = None if which is None else await number_of(client, workspace, model, which)
            facts = {"workspace": workspace, "model": model, "version": number, "cascade": cascade, "why": why}
            command = message_of(DeleteVersion, envelope=envelope(), **facts)
            reported = await carry_out(client, command, DeletionReported, as_json=as_json)
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
                name, which = version_of(model or "", version, workspace)
                number = await number_of(client, workspace, name, which)
                facts = {"workspace": workspace, "model": name, "version": number, "why": why}
                request = message_of(RecallVersion, envelope=envelope(), **facts)
            await carry_out(client, request, RecallTraced, as_json=as_json)

    run(send())


def _replaced(
    what: str, words: list[str] | None, *, none: bool, read: Callable[[str], object] = str
) -> list[object] | None:
    if words and none:
        raise ModelkinError(f"expected either new {what}, or none")
    return [read(word) for word in words] if words else [] if none else None


def _document(text: str) -> dict[str, str]:
    name, url = pair(text)
    return {"name": name, "url": url}


def _recalled_dataset(text: str) -> dict[str, str | None]:
    given = dataset_of(text)
    return {"dataset": given["name"], "version": given["version"] or given["digest"]}
