"""A backup of a system that may go on meanwhile: the streams, how far each consumer is, what the artifact store must have.

The databases are no part of it: the services make them anew from EVENTS. Consumers are looked at first, EVENTS is read
after that: what a consumer was done with has its outcome in the backup. What it does meanwhile it does again after a restore,
and says the same.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, Protocol

import nats.js.errors
from nats.aio.client import Client as Nats

from modelkin.backup.format import (
    ARTIFACTS,
    Artifact,
    ArtifactsBackup,
    Backup,
    ConsumerBackup,
    StreamBackup,
    begin,
    clear,
    finish,
    write_lines,
)
from modelkin.backup.streams import save_stream
from modelkin.client import Client, NotAnswered
from modelkin.connecting import nats_at
from modelkin.errors import ModelkinError
from services.importer.manifest import manifest_of
from shared.connection import BROKER_AWAY, connected
from shared.errors import Transient
from shared.event_log import EventLog, EventsMissing
from shared.messages import ModelImported, VersionDeleted, VersionRefused
from shared.parts import parts
from shared.queries import FilePage, ListFiles
from shared.subjects import COMMANDS_STREAM, CONSUMERS, DEAD_LETTERS_STREAM, EVENTS_STREAM
from shared.values import File, Reason

# EVENTS before COMMANDS: what was asked for after it was read is asked again.
STREAMS = (EVENTS_STREAM, COMMANDS_STREAM, DEAD_LETTERS_STREAM)
PACKAGES_AT_ONCE = 8
FILES_A_PAGE = 5000


class Progress(Protocol):
    def begin(self, what: str, total: int | None) -> None:
        """Something else is done from now on, in so many steps or bytes; None: nobody knows."""
        ...

    def advance(self, more: int) -> None: ...


class _Package(NamedTuple):
    digest: str
    in_place: bool


async def make_backup(nats_url: str, folder: Path, progress: Progress) -> Backup:
    """Write a backup into a new or empty folder. Where it fails, nothing is left in there.

    Raises:
        ModelkinError: NATS or the importer does not answer, or the folder is not empty.
    """
    begin(folder)
    with _cleared_where_it_fails(folder):
        async with Client.connected(nats_url) as client, _nats(nats_url) as connection:
            consumers = await _positions(client)
            streams = [await _saved(connection, name, folder, progress) for name in STREAMS]
            packages = await _packages(nats_url, streams[0].last_sequence)
            artifacts = await _listed(client, packages, folder / ARTIFACTS, progress)
            number = connection.connected_server_version
        backup = Backup(
            made_at=datetime.now(UTC),
            modelkin=version("modelkin"),
            nats_server=f"{number.major}.{number.minor}.{number.patch}",
            streams=tuple(streams),
            consumers=tuple(consumers),
            artifacts=artifacts,
        )
        await asyncio.to_thread(finish, folder, backup)
    return backup


@contextlib.contextmanager
def _cleared_where_it_fails(folder: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        clear(folder)
        raise


def _nats(url: str) -> contextlib.AbstractAsyncContextManager[Nats]:
    return connected(nats_at(url), "modelkin-backup")


async def _positions(client: Client) -> list[ConsumerBackup]:
    """Asked over the client's connection, which hears of it where this user may not ask."""
    found = []
    for consumer in CONSUMERS:
        try:
            info = await client.unless_denied(client.jetstream.consumer_info(consumer.stream, consumer.durable))
        except nats.js.errors.NotFoundError:
            continue
        except BROKER_AWAY as error:
            raise ModelkinError(f"NATS does not say how far {consumer.durable} is: {error!r}") from error
        done = info.ack_floor.stream_seq if info.ack_floor else 0
        found.append(ConsumerBackup(stream=consumer.stream, durable=consumer.durable, acknowledged=done))
    return found


async def _saved(connection: Nats, name: str, folder: Path, progress: Progress) -> StreamBackup:
    progress.begin(f"stream {name}", None)
    return await save_stream(connection, name, folder, progress.advance)


async def _packages(nats_url: str, until: int) -> list[_Package]:
    """Those that an import has whose version was neither refused nor deleted, each once, by digest."""
    by_import: dict[str, _Package] = {}
    try:
        async with EventLog.connected(nats_at(nats_url)) as events:
            async for some in events.read((ModelImported, VersionRefused, VersionDeleted), 0, until):
                for _, event in some:
                    match event:
                        case ModelImported(import_id=import_id, package=package):
                            by_import[import_id] = _Package(package.digest, package.in_place)
                        case VersionRefused(import_id=import_id) | VersionDeleted(import_id=import_id):
                            by_import.pop(import_id, None)
    except (Transient, EventsMissing) as error:
        raise ModelkinError(str(error)) from error
    whole = {package.digest for package in by_import.values() if not package.in_place}
    return [_Package(digest, digest not in whole) for digest in sorted({one.digest for one in by_import.values()})]


async def _listed(client: Client, packages: Sequence[_Package], path: Path, progress: Progress) -> ArtifactsBackup:
    write_lines(path, [])
    progress.begin("files of packages", len(packages))
    sizes: dict[str, int] = {}
    missing = 0
    for some in parts(packages, PACKAGES_AT_ONCE):
        for artifacts in await asyncio.gather(*(_artifacts(client, package) for package in some)):
            missing += not artifacts
            sizes |= {one.digest: one.size_bytes for one in artifacts}
            write_lines(path, artifacts)
        progress.advance(len(some))
    return ArtifactsBackup(
        packages=len(packages), files=len(sizes), size_bytes=sum(sizes.values()), missing_packages=missing
    )


async def _artifacts(client: Client, package: _Package) -> list[Artifact]:
    """What must be there for a package; nothing where its manifest is gone or damaged."""
    try:
        files = await _files(client, package.digest)
    except NotAnswered as failure:
        if failure.error in {Reason.PACKAGE_NOT_FOUND, "artifact-corrupted"}:
            return []
        raise
    manifest = Artifact(package=package.digest, path=None, digest=package.digest, size_bytes=len(manifest_of(files)))
    kept = [] if package.in_place else files
    return [
        manifest,
        *(
            Artifact(package=package.digest, path=one.path, digest=one.digest, size_bytes=one.size_bytes)
            for one in kept
        ),
    ]


async def _files(client: Client, package_digest: str) -> list[File]:
    files: list[File] = []
    after: str | None = None
    while True:
        question = ListFiles(package_digest=package_digest, after=after, limit=FILES_A_PAGE)
        page = await client.ask(question, FilePage)
        files += page.files
        if page.next is None:
            return files
        after = page.next
