"""Dead letters as an operator works with them: read, publish the message again, remove.

What is done to a letter can be done again after a crash between any two steps: the message is published under its own
id, the event is the same one, and the letter goes last.
"""

import base64
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeVar

from nats.aio.msg import Msg
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError
from pydantic import ValidationError

from modelkin.client import Client, in_words
from modelkin.errors import ModelkinError
from modelkin.kept import kept
from shared.connection import BROKER_AWAY
from shared.dead_letters import DeadLetter
from shared.envelope import MESSAGE_ID_HEADER
from shared.messages import DeadLetterDropped, DeadLetterRedriven
from shared.subjects import DEAD_LETTERS, DEAD_LETTERS_STREAM

_ID_HEADER: Final = "ce-id"
STREAM_NOT_FOUND: Final = 10059


class Listed(NamedTuple):
    """A letter without the message in it."""

    number: int
    time: datetime
    letter: DeadLetter


@dataclass(frozen=True, slots=True)
class Original:
    """The message as it was published."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """A letter, and the message as far as the letter holds it."""

    number: int
    time: datetime
    letter: DeadLetter
    headers: Mapping[str, str]
    body: bytes


class Remembered(NamedTuple):
    """The stream did not take a message, for it still knows its id."""

    stream: str
    left_s: float


Settled = TypeVar("Settled", DeadLetterRedriven, DeadLetterDropped)


class Letters:
    """The stream DEAD_LETTERS."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def listed(self, durable: str | None = None) -> AsyncIterator[Listed]:
        """Every letter, of one consumer or of all, oldest first."""
        subject = f"{DEAD_LETTERS}.{durable or '*'}"
        with self._readable():
            subscribing = self._client.jetstream.subscribe(
                subject, stream=DEAD_LETTERS_STREAM, ordered_consumer=True, headers_only=True
            )
            async for message in kept(await self._client.unless_denied(subscribing)):
                yield _listed(message)

    async def get(self, number: int) -> Stored:
        """One letter.

        Raises:
            ModelkinError: there is none of this number.
        """
        try:
            with self._readable():
                getting = self._client.jetstream.get_msg(DEAD_LETTERS_STREAM, number)
                found = await self._client.unless_denied(getting)
        except NotFoundError as error:
            raise ModelkinError(
                f"there is no dead letter {number}: 'modelkin dead list' shows those there are"
            ) from error
        headers = _headers_of(found)
        letter = _letter(number, found.subject or "", headers)
        return Stored(number, found.time or datetime.now(UTC), letter, letter.kept(headers), found.data or b"")

    async def original(self, stored: Stored) -> Original:
        """The message itself; where the letter had no room for it, from the stream that it came in.

        Raises:
            ModelkinError: it is no longer there.
        """
        letter = stored.letter
        if stored.body:
            own = {MESSAGE_ID_HEADER: letter.message_id} if letter.message_id else {}
            return Original({**stored.headers, **own}, stored.body)
        try:
            with self._readable():
                found = await self._client.jetstream.get_msg(letter.stream, letter.sequence)
        except NotFoundError as error:
            raise ModelkinError(
                f"the message of dead letter {stored.number} had no room in it, and is no longer in the stream"
                f" {letter.stream} at {letter.sequence}"
            ) from error
        if found.subject != letter.subject:
            raise ModelkinError(
                f"the message of dead letter {stored.number} is no longer in the stream {letter.stream}:"
                f" {found.subject} is at its place {letter.sequence}"
            )
        return Original(_headers_of(found), found.data or b"")

    async def publish_again(self, stored: Stored) -> Remembered | None:
        """Publish the message on its subject, under its own id; None once the stream has it anew.

        A message that had no id was known by its place in the stream, and gets that for an id: to those that
        handled it, it is the same message.

        Raises:
            ModelkinError: the message is gone, or the stream does not take it.
        """
        letter = stored.letter
        if letter.stream == DEAD_LETTERS_STREAM:
            raise ModelkinError(
                f"dead letter {stored.number} was not written by Modelkin: nothing says where it belongs"
            )
        original = await self.original(stored)
        headers = _known(letter, original.headers)
        try:
            taken = await self._client.jetstream.publish(
                letter.subject, original.body, headers=headers, stream=letter.stream
            )
        except BROKER_AWAY as error:
            raise ModelkinError(
                f"the stream {letter.stream} did not take the message of dead letter {stored.number}: {in_words(error)}"
            ) from error
        # Remembered from its first time, it was dropped; from another time, it was published again since.
        if not taken.duplicate or taken.seq != letter.sequence:
            return None
        return Remembered(letter.stream, await self._remembered_s(stored))

    async def _remembered_s(self, stored: Stored) -> float:
        """How long the stream will still remember the id of a message, at most."""
        stream, published = stored.letter.stream, stored.time
        with self._readable():
            window_s = (await self._client.jetstream.stream_info(stream)).config.duplicate_window
            with contextlib.suppress(NotFoundError):
                published = (await self._client.jetstream.get_msg(stream, stored.letter.sequence)).time or published
        return min(max(window_s - (datetime.now(UTC) - published).total_seconds(), 1.0), window_s)

    async def settle(self, stored: Stored, kind: type[Settled], source: str, why: str) -> Settled:
        """Say what became of the message, then remove the letter. Where it is gone already, somebody else was as quick."""
        letter, now = stored.letter, datetime.now(UTC)
        cause = letter.cause(_known(letter, stored.headers), stored.time)
        envelope = cause.of_answer(kind.address, source, now, f"{letter.id}:{stored.number}")
        event = kind(envelope=envelope, **letter.about, **letter.facts(stored.number), why=why)
        await self._client.publish(event)
        await self._remove(stored.number)
        return event

    async def _remove(self, number: int) -> None:
        try:
            await self._client.jetstream.delete_msg(DEAD_LETTERS_STREAM, number)
        except BROKER_AWAY as error:
            with self._readable(), contextlib.suppress(NotFoundError):
                await self._client.jetstream.get_msg(DEAD_LETTERS_STREAM, number)
                raise ModelkinError(f"dead letter {number} could not be removed: {in_words(error)}") from error

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        """Raises NotFoundError where a message is not there, ModelkinError where the stream cannot be read."""
        try:
            yield
        except NotFoundError as error:
            if error.err_code == STREAM_NOT_FOUND:
                raise ModelkinError(
                    f"NATS at {self._client.url} lacks the stream: 'python -m deploy.topology' makes it"
                ) from error
            raise
        except BROKER_AWAY as error:
            raise ModelkinError(f"NATS at {self._client.url} cannot be read: {in_words(error)}") from error


def _listed(message: Msg) -> Listed:
    place = message.metadata
    number = place.sequence.stream
    return Listed(number, place.timestamp, _letter(number, message.subject, message.headers or {}))


def _letter(number: int, subject: str, headers: Mapping[str, str]) -> DeadLetter:
    """What the headers say; where somebody else published here, as much as there is to say of that."""
    try:
        return DeadLetter.from_headers(headers)
    except ValidationError:
        return DeadLetter(
            durable=subject.removeprefix(f"{DEAD_LETTERS}."),
            reason="malformed",
            message="it was not written by Modelkin: the headers that say why are missing",
            attempts=0,
            subject=subject,
            stream=DEAD_LETTERS_STREAM,
            sequence=number,
        )


def _known(letter: DeadLetter, headers: Mapping[str, str]) -> dict[str, str]:
    """Headers with the ids by which the message has been known; what NATS was told with it the first time is left out."""
    kept = letter.kept(headers)
    names = {name.lower(): name for name in kept}
    said = kept.get(names.get(_ID_HEADER, ""), "")
    known = letter.message_id or said or f"{letter.stream}-{letter.sequence}"
    return {**kept, **({} if letter.message_id or said else {_ID_HEADER: known}), MESSAGE_ID_HEADER: known}


def _headers_of(stored: RawStreamMsg) -> dict[str, str]:
    """The headers as they were written: those of nats-py were read as e-mail has them, which UTF-8 does not survive."""
    lines = base64.b64decode(stored.hdrs or b"").decode(errors="replace").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}
