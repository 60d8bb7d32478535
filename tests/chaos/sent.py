"""What the load says of itself: each message that it published."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sent:
    """One message as it was published, and what the stream said of it. Copies under the same id are one each."""

    message_id: str
    subject: str
    body: bytes
    kind: str
    """The class in shared/messages that the subject is of."""
    workspace: str
    model: str
    import_id: str | None
    """What all requests for the same import share; None where the message asks for none, or cannot be read."""
    accepted_at_sequence: int | None
    """Its place in its stream, of a copy that of the first; None: the stream did not confirm it, and may hold it or not."""
    valid: bool
    """Whether it can be read as its kind: what cannot ends as a dead letter. What can may still be refused by rule."""
