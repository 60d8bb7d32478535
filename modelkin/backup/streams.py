"""A stream to a file and back, by the snapshots of the NATS server. nats-py has no call for them.

$JS.API.STREAM.SNAPSHOT.<stream>   ─▶ config and state, then chunks on a subject of ours; some ask for an
                                      acknowledgement before more are sent; an empty one ends it
$JS.API.STREAM.RESTORE.<stream>    ─▶ a subject of the server's for the chunks, each answered; an empty one ends it
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

from nats.aio.client import Client
from nats.aio.msg import Msg

from modelkin.backup.format import StreamBackup
from modelkin.errors import ModelkinError
from shared.connection import BROKER_AWAY

Tell = Callable[[int], None]
"""Is told how many bytes more are written or sent."""

CHUNK_BYTES: Final = 128 * 1024
TIMEOUT_S: Final = 30.0
# At the end, the server writes all of it into place before it answers.
LONGEST_END_S: Final = 600.0
_DONE: Final = (None, "204")


async def save_stream(connection: Client, name: str, folder: Path, tell: Tell) -> StreamBackup:
    """Write a stream, as it is now, to a file that is on the disk when this returns; not its consumers.

    Raises:
        ModelkinError: the server does not give it, or not all of it.
    """
    inbox = connection.new_inbox()
    chunks = await connection.subscribe(inbox)
    try:
        asked = {"deliver_subject": inbox, "no_consumers": True, "chunk_size": CHUNK_BYTES}
        answer = await call(connection, f"$JS.API.STREAM.SNAPSHOT.{name}", asked)
        state = answer["state"]
        saved = StreamBackup(
            name=name,
            messages=state["messages"],
            first_sequence=state["first_seq"],
            last_sequence=state["last_seq"],
            config=answer["config"],
            state=state,
        )
        with (folder / saved.file).open("xb") as file:
            while (chunk := await chunks.next_msg(TIMEOUT_S)).data:
                file.write(chunk.data)
                tell(len(chunk.data))
                if chunk.reply:
                    await chunk.respond(b"")
            _check_end(name, chunk)
            _sync(file)
    except BROKER_AWAY as error:
        raise ModelkinError(f"NATS did not give all of the stream {name}: {error!r}") from error
    finally:
        await chunks.unsubscribe()
    return saved


def _check_end(name: str, end: Msg) -> None:
    status = (end.headers or {}).get("Status")
    if status not in _DONE:
        why = (end.headers or {}).get("Description", "no reason")
        raise ModelkinError(f"NATS did not give all of the stream {name}: {why} ({status})")


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


async def restore_stream(
    connection: Client, stream: StreamBackup, config: dict[str, Any], folder: Path, tell: Tell
) -> None:
    """Make a stream, that must not be there, from its file.

    When the snapshot was made, the server copied the messages before it counted them: those that arrived in between may be
    counted and not there.

    Args:
        connection: to the server.
        stream: what the backup says of it.
        config: the settings that it gets.
        folder: of the backup.
        tell: is told how many bytes more were sent.

    Raises:
        ModelkinError: the server does not take it, or has something else afterwards.
    """
    try:
        asked = {"config": config, "state": stream.state}
        to = (await call(connection, f"$JS.API.STREAM.RESTORE.{stream.name}", asked))["deliver_subject"]
        with (folder / stream.file).open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                _read(stream.name, await connection.request(to, chunk, timeout=TIMEOUT_S))
                tell(len(chunk))
        there = _read(stream.name, await connection.request(to, b"", timeout=LONGEST_END_S))["state"]
    except BROKER_AWAY as error:
        raise ModelkinError(f"NATS did not take the stream {stream.name}: {error!r}") from error
    expected = (stream.messages, stream.first_sequence, stream.last_sequence)
    came = (there["messages"], there["first_seq"], there["last_seq"])
    # What was said while the snapshot was made may be in it.
    if came[:1] < expected[:1] or came[1] > expected[1] or came[2] < expected[2]:
        raise ModelkinError(f"the stream {stream.name} has {came} (messages, first, last): expected {expected}")


async def call(connection: Client, subject: str, request: dict[str, Any]) -> dict[str, Any]:
    """Ask the JetStream API.

    Raises:
        ModelkinError: it says no.
        one of BROKER_AWAY: it says nothing.
    """
    return _read(subject, await connection.request(subject, json.dumps(request).encode(), timeout=TIMEOUT_S))


def _read(about: str, message: Msg) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(message.data) if message.data else {}
    if "error" in answer:
        raise ModelkinError(f"NATS refuses {about}: {answer['error'].get('description', answer['error'])}")
    return answer
