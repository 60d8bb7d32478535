"""Commands about stored bytes: download a version, verify what is kept, collect what nobody needs."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from modelkin.client import Client
from modelkin.commands.requests import envelope, message_of
from modelkin.commands.terminal import LOCAL_NATS, Json, Nats, Workspace, check_names, named, run
from modelkin.downloading import Downloaded, download_version
from modelkin.errors import ModelkinError
from modelkin.paging import number_of, pages, version_of
from modelkin.progress import bar_of_bytes
from modelkin.wording import counted, printable, size
from shared.messages import (
    ArtifactCorrupted,
    CollectGarbage,
    CommandRefused,
    DownloadVersion,
    GarbageCollected,
    PackageVerified,
    VerifyPackage,
)
from shared.naming import DEFAULT_WORKSPACE
from shared.queries import ListVersions, VersionPage
from shared.values import Reason

app = typer.Typer()

# The importer reads two packages at a time in each of its processes.
VERIFIED_AT_ONCE = 4
Timeout = Annotated[
    float, typer.Option(metavar="SECONDS", min=1, help="How long to wait without any sign of progress.")
]


@app.command()
def download(
    words: Annotated[list[str], typer.Argument(metavar="MODEL VERSION DIR | MODEL@VERSION DIR")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite files in DIR that differ.")] = False,
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    timeout: Timeout = 60.0,
    as_json: Json = False,
) -> None:
    """Download the files of a version into a folder. What was begun before goes on; every digest is checked.

    Example: modelkin download resnet@champion ./resnet
    """
    check_names(workspace)
    match words:
        case [model, version, folder]:
            name, which = named(model, version)
        case [model, folder] if "@" in model:
            name, which = named(model)
        case _:
            raise ModelkinError("expected MODEL VERSION DIR, or MODEL@VERSION DIR")

    async def fetch() -> None:
        async with Client.connected(nats) as client:
            number = await number_of(client, workspace, name, which)

        def command() -> DownloadVersion:
            about = {"workspace": workspace, "model": name, "version": number}
            return message_of(DownloadVersion, envelope=envelope(), **about)

        with bar_of_bytes(f"{name} {number}") as bar:
            done = await download_version(nats, command, Path(folder), bar, force=force, patience_s=timeout)
        _print_download(f"{name} {number}", folder, done, as_json=as_json)

    run(fetch())


def _print_download(version: str, folder: str, done: Downloaded, *, as_json: bool) -> None:
    if as_json:
        facts = {"files": done.files, "bytes": done.size_bytes, "read_bytes": done.read_bytes}
        typer.echo(json.dumps({**facts, "resumed": done.resumed, "skipped": done.skipped}))
        return
    counts = {"there already": done.skipped, "begun before": done.resumed}
    more = "".join(f", {count} {what}" for what, count in counts.items() if count)
    typer.echo(printable(f"{version} is in {folder}: {counted(done.files, 'file')}, {size(done.size_bytes)}{more}"))


class _Kept(NamedTuple):
    """A version whose bytes are to be verified."""

    model: str
    version: str
    package_digest: str


@dataclass(slots=True)
class _Found:
    """What verifying came to."""

    verified: int = 0
    in_place: int = 0
    size_bytes: int = 0
    corrupted: list[ArtifactCorrupted] = field(default_factory=list)
    refused: list[CommandRefused] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        return not (self.corrupted or self.refused)

    def facts(self) -> dict[str, object]:
        return {
            "verified": self.verified,
            "in_place": self.in_place,
            "bytes": self.size_bytes,
            "corrupted": [one.model_dump(mode="json") for one in self.corrupted],
            "refused": [one.model_dump(mode="json") for one in self.refused],
        }

    def lines(self) -> Iterator[str]:
        for one in self.corrupted:
            yield f"{one.model} {one.version}: {one.path or 'its manifest'} is {one.found}: expected {one.digest}"
        for refused in self.refused:
            yield f"{refused.model}: refused ({refused.reason}): {refused.message}"
        in_place = f", {self.in_place} more in place, where they cannot be read" if self.in_place else ""
        yield f"{counted(self.verified, 'version')} verified, {size(self.size_bytes)}{in_place}"


@app.command()
def verify(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Left out: every model.")] = None,
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="A number or an alias. Left out: all.")
    ] = None,
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    timeout: Timeout = 3600.0,
    as_json: Json = False,
) -> None:
    """Read stored bytes again, against their digests. Exit status 1: some are not what they were."""
    check_names(workspace)
    name, which = named(model, version) if model is not None else (None, None)
    found = _Found()

    async def verify_all() -> None:
        async with Client.connected(nats) as client:
            left = _versions(client, workspace, name, which)
            turn = asyncio.Lock()  # a generator gives to one at a time

            async def worker() -> None:
                while True:
                    async with turn:
                        one = await anext(left, None)
                    if one is None:
                        return
                    await _verify_one(client, workspace, one, found, timeout)

            await asyncio.gather(*(worker() for _ in range(VERIFIED_AT_ONCE)))

    run(verify_all())
    typer.echo(json.dumps(found.facts(), ensure_ascii=False) if as_json else "\n".join(map(printable, found.lines())))
    if not found.is_well:
        raise typer.Exit(1)


async def _versions(client: Client, workspace: str, model: str | None, which: str | None) -> AsyncIterator[_Kept]:
    if model is not None and which is not None:
        details = await version_of(client, workspace, model, which)
        yield _Kept(model, details.version, details.package.digest)
        return
    async for page in pages(client, ListVersions(workspace=workspace, model=model), VersionPage):
        for one in page.versions:
            yield _Kept(one.model or model or "", one.version, one.package_digest)


async def _verify_one(client: Client, workspace: str, one: _Kept, found: _Found, timeout_s: float) -> None:
    command = message_of(VerifyPackage, envelope=envelope(), workspace=workspace, **one._asdict())
    async for event in client.carry_out(command, PackageVerified, patience_s=timeout_s):
        match event:
            case ArtifactCorrupted():
                found.corrupted.append(event)
            case PackageVerified():
                found.verified += 1
                found.size_bytes += event.size_bytes
            case CommandRefused(reason=Reason.KEPT_IN_PLACE):
                found.in_place += 1
            case CommandRefused():
                found.refused.append(event)
            case _:
                pass


@app.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    nats: Nats = LOCAL_NATS,
    timeout: Timeout = 3600.0,
    as_json: Json = False,
) -> None:
    """Remove stored bytes that no version needs. Imports under way are waited for."""
    command = message_of(CollectGarbage, envelope=envelope(), dry_run=dry_run)

    async def collect() -> None:
        async with Client.connected(nats) as client:
            if not as_json:
                typer.echo(
                    "collecting: imports under way are waited for, and a minute for an importer that died", err=True
                )
            async for event in client.carry_out(command, GarbageCollected, patience_s=timeout):
                match event:
                    case CommandRefused():
                        raise ModelkinError(f"refused ({event.reason}): {event.message}")
                    case GarbageCollected():
                        typer.echo(event.model_dump_json() if as_json else _collected_line(event))
                    case _:
                        pass

    run(collect())


def _collected_line(collected: GarbageCollected) -> str:
    what = "would remove" if collected.dry_run else "removed"
    removed = f"{counted(collected.removed_files, 'file')}, {size(collected.removed_bytes)}"
    kept = f"{counted(collected.kept_files, 'file')}, {size(collected.kept_bytes)}"
    return f"{what} {removed}; kept {kept}"
