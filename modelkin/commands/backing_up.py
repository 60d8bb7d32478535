"""Commands that keep a system safe: back it up, restore it."""

from pathlib import Path
from typing import Annotated

import typer

from modelkin.backup.format import Backup
from modelkin.backup.making import make_backup
from modelkin.backup.restoring import restore_backup
from modelkin.commands.terminal import LOCAL_NATS, Json, Nats, run
from modelkin.progress import Steps
from modelkin.wording import counted, size

app = typer.Typer()

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the backup.")]


@app.command()
def backup(folder: Folder, nats: Nats = LOCAL_NATS, as_json: Json = False) -> None:
    """Write a backup into a new folder while everything goes on: the streams, and a list of what the artifact store holds.

    The artifacts themselves are copied by your own means, after this: they never change under their names.

    Example: modelkin backup /backups/2026-11-23
    """

    async def make() -> None:
        with Steps() as steps:
            made = await make_backup(nats, folder.resolve(), steps)
        _print(made, f"backed up into {folder}", as_json=as_json)

    run(make())


@app.command()
def restore(
    folder: Folder,
    artifacts: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL",
            help="The artifact store that the services will have: what the backup lists must be there. "
            "Left out: 'modelkin verify' tells later.",
        ),
    ] = None,
    nats: Nats = LOCAL_NATS,
    as_json: Json = False,
) -> None:
    """Restore a backup on a NATS server that holds nothing yet. The services start after it, with databases that are empty.

    Example: modelkin restore /backups/2026-11-23 --artifacts /mnt/artifacts
    """

    async def bring_back() -> None:
        with Steps() as steps:
            restored = await restore_backup(nats, folder.resolve(), artifacts, steps)
        _print(restored, f"restored from {folder}", as_json=as_json)
        if not as_json:
            typer.echo("Start the services: where their databases are empty, they make them anew from the events.")

    run(bring_back())


def _print(one: Backup, what: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(one.model_dump_json(indent=2))
        return
    messages = ", ".join(f"{stream.messages} in {stream.name}" for stream in one.streams)
    artifacts = one.artifacts
    typer.echo(
        f"{what}: {messages}; {counted(artifacts.packages, 'package')} of {counted(artifacts.files, 'file')}"
        f" ({size(artifacts.size_bytes)}) must be in the artifact store"
    )
    if artifacts.missing_packages:
        missing = counted(artifacts.missing_packages, "package")
        typer.echo(
            f"warning: the artifact store did not have the manifest of {missing}: see 'modelkin verify'", err=True
        )
