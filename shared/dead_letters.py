"""What is kept of a message that could not be understood or handled, and the event that says so."""

import re
import traceback
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Literal, Self
from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict

from shared.envelope import MESSAGE_ID_HEADER, Envelope
from shared.errors import Deadly, Malformed
from shared.messages import DeadLetterAdded

LONGEST_MESSAGE = 1000
_OURS = ("services.", "shared.")
_LETTER_EVENTS = f"{DeadLetterAdded.address.rpartition('.')[0]}."
# Up to the model; the sender of a command comes after it.
SUBJECT_TOKENS = 7
# NATS clients refuse to write other names, though a server lets them through.
_WRITABLE_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def in_short(error: Exception) -> str:
    """What went wrong by the kind of error and its place in the program; its text may hold paths, hosts or values.

    `Malformed` and `Deadly` are about the message alone, and are said as they are.
    """
    if isinstance(error, Malformed | Deadly):
        return str(error)[:LONGEST_MESSAGE]
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = [one for one in frames if str(one.f_globals.get("__name__")).startswith(_OURS)]
    place = f" in {ours[-1].f_globals['__name__']}.{ours[-1].f_code.co_name}" if ours else ""
    return f"{type(error).__name__}{place}: the log of the service says more"


class DeadLetter(BaseModel):
    """Why a message was set aside, in headers beside its own; its body stays as it was."""

    model_config = ConfigDict(frozen=True)

    prefix: ClassVar[str] = "Modelkin-Dead-"

    durable: str
    reason: Literal["malformed", "failed"]
    message: str
    attempts: int
    subject: str
    message_id: str = ""
    """The original's `Nats-Msg-Id`: the letter has one of its own."""
    stream: str
    sequence: int

    @property
    def id(self) -> str:
        """One letter for each message and consumer, however often it is set aside."""
        return f"{self.durable}:{self.stream}:{self.sequence}"

    @property
    def about(self) -> dict[str, str]:
        """The workspace and the model, as the subject says them that the message came on: its sixth and seventh token."""
        tokens = self.subject.split(".")
        workspace, model = tokens[5:SUBJECT_TOKENS] if len(tokens) >= SUBJECT_TOKENS else tokens[-2:]
        return {"workspace": workspace, "model": model}

    @property
    def is_of_a_letter(self) -> bool:
        """Whether the message said something of a letter itself: no event is said of this one, or it might never end."""
        return self.subject.startswith(_LETTER_EVENTS)

    @classmethod
    def header_names(cls) -> dict[str, str]:
        """Field → header: message_id → Modelkin-Dead-Message-Id."""
        return {name: f"{cls.prefix}{name.replace('_', '-').title()}" for name in cls.model_fields}

    def headers(self) -> dict[str, str]:
        names = self.header_names()
        facts = {names[name]: quote(str(value), safe=" /:,'()[]") for name, value in self}
        return {**facts, MESSAGE_ID_HEADER: self.id}

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Self:
        return cls.model_validate(
            {name: unquote(headers.get(header, "")) for name, header in cls.header_names().items()}
        )

    @classmethod
    def kept(cls, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers of a message that its letter keeps: all but those that would tell NATS what to do with the letter."""
        return {
            name: value
            for name, value in headers.items()
            if not name.lower().startswith(("nats-", cls.prefix.lower())) and _WRITABLE_NAME.fullmatch(name)
        }

    def cause(self, headers: Mapping[str, str], time: datetime) -> Envelope:
        """The envelope of the message itself; where its headers cannot be read, one that stands for it.

        Args:
            headers: the message's own.
            time: when it was published.
        """
        place = f"{self.stream}-{self.sequence}"
        try:
            return Envelope.from_headers(headers, fallback_id=place, fallback_time=time)
        except Malformed:
            return Envelope.of_request(place, "unknown", time)

    def added(self, number: int, cause: Envelope, time: datetime) -> DeadLetterAdded:
        """The event that says it; of a letter that is stored again, the same again."""
        service = self.durable.partition("-")[0]
        return DeadLetterAdded(
            envelope=cause.of_answer(DeadLetterAdded.address, f"{DeadLetterAdded.said_by}/{service}", time, self.id),
            **self.about,
            **self.facts(number),
            reason=self.reason,
            message=self.message,
            attempts=self.attempts,
            original_subject=self.subject,
            stream=self.stream,
            sequence=self.sequence,
        )

    def facts(self, number: int) -> dict[str, object]:
        """What each event about a letter says of it; `number`: its place in the stream."""
        return {"letter": number, "durable": self.durable, "message_id": self.message_id}
