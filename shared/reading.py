"""A message as the code knows it, from one of a stream."""

from typing import TypeVar

from nats.aio.msg import Msg
from nats.js.api import RawStreamMsg

from shared.envelope import Envelope
from shared.errors import Malformed
from shared.messages import Command, Message, actor_of
from shared.naming import UNNAMEABLE

Kept = TypeVar("Kept", bound=Message)


def read_message(kind: type[Message], message: Msg) -> Message:
    """Read a message of a stream; what a plain publisher left out of the envelope comes from its place there.

    Raises:
        Malformed: the headers or the body are wrong, or the subject says another model than the body.
    """
    place = message.metadata
    envelope = Envelope.from_headers(
        message.headers or {},
        source=actor_of(message.subject),
        fallback_id=f"{place.stream}-{place.sequence.stream}",
        fallback_time=place.timestamp,
    )
    event = kind.read(message.data, envelope)
    # Permissions are given by subject, so a body may not speak for a model that its subject does not name.
    if not _is_at(message.subject, event):
        raise Malformed(f"the body belongs on {event.place}, it came on {message.subject}")
    return event


def _is_at(subject: str, event: Message) -> bool:
    """Whether a subject is the event's own, whoever sent it; with a name that breaks the rule it is read on any, to be refused."""
    came, belongs = subject.split("."), event.place.split(".")
    if isinstance(event, Command) and len(came) > len(belongs):
        came.pop()
    return len(came) == len(belongs) and all(
        token in (there, UNNAMEABLE) for there, token in zip(came, belongs, strict=True)
    )


def read_stored(kind: type[Kept], stream: str, message: RawStreamMsg) -> Kept:
    """A message that was looked up in a stream. Raises as `read_message` does."""
    if message.seq is None or message.time is None:
        raise Malformed(f"{stream} gave a message without its place")
    envelope = Envelope.from_headers(
        message.headers or {},
        source=actor_of(message.subject or ""),
        fallback_id=f"{stream}-{message.seq}",
        fallback_time=message.time,
    )
    return kind.read(message.data or b"", envelope)
