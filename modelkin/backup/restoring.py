"""A backup into a system that is empty: streams, consumers with the places they had. The services do the rest when they start.

A restore that was cut off leaves streams that say so, and is begun anew by the next.
"""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

import nats.js.errors
from nats.aio.client import Client as Nats
from nats.js import JetStreamContext

from deploy.topology import apply
from modelkin.backup.format import Backup, StreamBackup, artifacts_in, open_backup
from modelkin.backup.making import Progress
from modelkin.backup.streams import call, restore_stream
from modelkin.client import Client
from modelkin.connecting import nats_at
from modelkin.errors import ModelkinError
from modelkin.wording import counted
from services.importer.artifacts.opening import open_artifacts
from services.importer.ports import ArtifactStore
from shared.connection import BROKER_AWAY, connected
from shared.errors import Refused, Transient
from shared.event_log import EMPTY_PLACES, RESTORING
from shared.parts import parts
from shared.queries import SERVICES, Ping, Pong
from shared.subjects import COMMANDS_STREAM, CONSUMERS, DEAD_LETTERS_STREAM, EVENTS_STREAM

STREAMS = (DEAD_LETTERS_STREAM, COMMANDS_STREAM, EVENTS_STREAM)
BLOBS_AT_ONCE = 32
SAID_MISSING = 3


async def restore_backup(nats_url: str, folder: Path, artifacts: str | None, progress: Progress) -> Backup:
    """Restore. Everything that can be looked at is looked at before anything is changed.

    Args:
        nats_url: of a NATS server whose streams are empty or not there; no service runs on it.
        folder: of the backup.
        artifacts: the artifact store that the services will have, to be compared with what the backup lists; None: it
            is not looked at.
        progress: is told how far it has come.

    Raises:
        ModelkinError: the backup is damaged, the system is not empty or not stopped, or artifacts are missing.
    """
    progress.begin("reading the backup", None)
    backup = await asyncio.to_thread(open_backup, folder)
    async with (
        Client.connected(nats_url) as client,
        connected(nats_at(nats_url), "modelkin-restore") as connection,
    ):
        await _check_nobody_answers(client)
        jetstream = connection.jetstream(timeout=10)
        try:
            there = await _replaceable(client, backup)
            if artifacts is not None:
                await _check_artifacts(artifacts, folder, backup, progress)
            for name in STREAMS:
                if name in there:
                    await jetstream.delete_stream(name)
                stream = backup.stream(name)
                progress.begin(f"stream {name}", (folder / stream.file).stat().st_size)
                metadata = {**(stream.config.get("metadata") or {}), RESTORING: _mark(backup)}
                config = {**stream.config, **there.get(name, {}), "metadata": metadata}
                await restore_stream(connection, stream, config, folder, progress.advance)
            await _restore_consumers(connection, jetstream, backup)
            for name in reversed(STREAMS):  # once EVENTS is in use, none is replaced any more
                await _finish(connection, backup.stream(name))
        except BROKER_AWAY as error:
            raise ModelkinError(f"NATS at {client.url} does not answer: {error!r}") from error
    return backup


async def _check_nobody_answers(client: Client) -> None:
    for service in SERVICES:
        try:
            await client.ask(Ping(), Pong, to=service)
        except ModelkinError:
            continue
        raise ModelkinError(f"the {service} is running: stop all services before a restore")


async def _replaceable(client: Client, backup: Backup) -> dict[str, dict[str, Any]]:
    """The streams that are there and may go, each with those of its settings that depend on the place.

    They are empty, or left by a restore of the same backup that was cut off.
    """
    there: dict[str, dict[str, Any]] = {}
    for name in STREAMS:
        try:
            info = await client.unless_denied(client.jetstream.stream_info(name))
        except nats.js.errors.NotFoundError:
            continue
        state, left_over = info.state, (info.config.metadata or {}).get(RESTORING) == _mark(backup)
        if state.last_seq and not left_over:
            came = f"{counted(state.messages, 'message')}, the last of them number {state.last_seq}"
            raise ModelkinError(f"the stream {name} is in use ({came}): expected an empty system")
        there[name] = {} if info.config.num_replicas is None else {"num_replicas": info.config.num_replicas}
    return there


def _mark(backup: Backup) -> str:
    return backup.made_at.isoformat()


async def _check_artifacts(place: str, folder: Path, backup: Backup, progress: Progress) -> None:
    progress.begin("artifacts", backup.artifacts.files)
    with tempfile.TemporaryDirectory(prefix="modelkin-restore-") as spool:
        try:
            store = open_artifacts(place, Path(spool), os.environ)
            missing = await _missing(store, folder, progress)
        except (ValueError, Refused, Transient) as error:
            raise ModelkinError(f"the artifact store {place} cannot be read: {error}") from error
    if missing:
        said = "; ".join(missing[:SAID_MISSING])
        more = f" and {len(missing) - SAID_MISSING} more" if len(missing) > SAID_MISSING else ""
        raise ModelkinError(
            f"{place} lacks {counted(len(missing), 'artifact')}: {said}{more}; expected a copy of the artifact store"
        )


async def _missing(store: ArtifactStore, folder: Path, progress: Progress) -> list[str]:
    """What is not there in its size, each said in a few words."""
    sizes = await asyncio.to_thread(lambda: {one.digest: one.size_bytes for one in artifacts_in(folder)})
    missing: list[str] = []
    for some in parts(sorted(sizes), BLOBS_AT_ONCE):
        found = await asyncio.gather(*(store.size_of(digest) for digest in some))
        for digest, size_bytes in zip(some, found, strict=True):
            if size_bytes is None:
                missing.append(f"{digest} is not there")
            elif size_bytes != sizes[digest]:
                missing.append(f"{digest} has {size_bytes} bytes instead of {sizes[digest]}")
        progress.advance(len(some))
    return missing


async def _restore_consumers(connection: Nats, jetstream: JetStreamContext, backup: Backup) -> None:
    """With this release's settings. One that is new hears everything from the first message on."""
    async for _ in apply(jetstream):
        pass
    known = {consumer.durable for consumer in CONSUMERS}
    for consumer in backup.consumers:
        if consumer.acknowledged and consumer.durable in known:
            subject = f"$JS.API.CONSUMER.RESET.{consumer.stream}.{consumer.durable}"
            await call(connection, subject, {"seq": consumer.acknowledged + 1})


async def _finish(connection: Nats, saved: StreamBackup) -> None:
    """From now on the stream is in use. Of a place where nothing ever was, nobody is to think that something was lost."""
    found = await call(connection, f"$JS.API.STREAM.INFO.{saved.name}", {})
    config, state = found["config"], found["state"]
    metadata = {name: value for name, value in config["metadata"].items() if name != RESTORING}
    empty = (state["last_seq"] - state["messages"]) - (saved.last_sequence - saved.messages)
    if saved.name == EVENTS_STREAM and empty:
        metadata[EMPTY_PLACES] = str(int(metadata.get(EMPTY_PLACES, 0)) + empty)
    await call(connection, f"$JS.API.STREAM.UPDATE.{saved.name}", {**config, "metadata": metadata})
