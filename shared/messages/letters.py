"""What becomes of messages that could not be understood or handled."""

from typing import ClassVar

from pydantic import Field

from shared.messages.base import ModelMessage


class DeadLetterEvent(ModelMessage):
    """What becomes of a message that could not be understood or handled."""

    letter: int = Field(ge=1, description="its place in the stream DEAD_LETTERS")
    durable: str = Field(description="the consumer that it was set aside for")
    message_id: str = Field(description="the `Nats-Msg-Id` of the message")


class DeadLetterAdded(DeadLetterEvent):
    """A message was set aside, as it was, with the reason."""

    address: ClassVar[str] = "modelkin.evt.v1.letter.added"
    said_by: ClassVar[str] = "modelkin"

    reason: str = Field(description="malformed: it could not be read; failed: it could not be handled")
    message: str
    attempts: int = Field(ge=1)
    original_subject: str = Field(description="the subject that it came on")
    stream: str
    sequence: int = Field(ge=1, description="its place in that stream")


class DeadLetterRedriven(DeadLetterEvent):
    """The message was published again under its own id; the letter is gone."""

    address: ClassVar[str] = "modelkin.evt.v1.letter.redriven"
    said_by: ClassVar[str] = "operator"

    why: str = ""


class DeadLetterDropped(DeadLetterEvent):
    """The letter was removed; the message will not be handled."""

    address: ClassVar[str] = "modelkin.evt.v1.letter.dropped"
    said_by: ClassVar[str] = "operator"

    why: str = ""
