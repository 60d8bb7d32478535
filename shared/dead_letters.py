"""What is kept of a message that could not be understood or handled."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self
from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict

from shared.envelope import MESSAGE_ID_HEADER


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
