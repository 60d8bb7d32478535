"""Commands that keep a system safe: back it up, restore it."""

from pathlib import Path
from typing import Annotated, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from modelkin.backup import make_backup
from modelkin.backup_format import Backup
from modelkin.commands.terminal import LOCAL_NATS, Json, Nats, run
from modelkin.restoring import restore_backup
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


class Steps:
    """A bar on standard error for each thing that is done, where that is a terminal."""

    def __init__(self) -> None:
        screen = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
        self._bars = Progress(*columns, TimeElapsedColumn(), console=screen, disable=not screen.is_terminal)
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._bars.stop()

    def begin(self, what: str, total: int | None) -> None:
        self._end()
        self._task = self._bars.add_task(what, total=total)

    def advance(self, more: int) -> None:
        if self._task is not None:
            self._bars.advance(self._task, more)

    def _end(self) -> None:
        if self._task is not None:
            done = self._bars.tasks[self._task].completed
            self._bars.update(self._task, total=max(done, 1), completed=max(done, 1))


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
