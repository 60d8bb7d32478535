"""What every message is: frozen, with its envelope beside its body, on a subject that follows from both."""

from datetime import datetime
from typing import Any, ClassVar, Self, TypeVar

import pydantic_core
from pydantic import BaseModel, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema

from shared.envelope import Envelope, explain
from shared.errors import Malformed
from shared.naming import DEFAULT_WORKSPACE, token
from shared.values import Value

Answer = TypeVar("Answer", bound="Message")
ReadModel = TypeVar("ReadModel", bound=BaseModel)


class Message(Value):
    """One fact, or one request, in one workspace.

    The envelope travels in the headers, everything else is the JSON body.
    """

    address: ClassVar[str]
    said_by: ClassVar[str]
    largest_body_bytes: ClassVar[int] = 1024 * 1024

    envelope: SkipJsonSchema[Envelope] = Field(exclude=True)
    workspace: str = DEFAULT_WORKSPACE

    @property
    def topic(self) -> str:
        """What it is about: the last token of its subject."""
        raise NotImplementedError

    @property
    def model_name(self) -> str:
        """The model that answers to it are about."""
        return self.topic

    @property
    def place(self) -> str:
        """Its kind, its workspace and what it is about, as tokens; `~` stands for a name that breaks the rule."""
        return f"{self.address}.{token(self.workspace)}.{token(self.topic)}"

    @property
    def subject(self) -> str:
        """Where it is published."""
        return self.place

    @property
    def about(self) -> str:
        """The `ce-subject`."""
        return f"{self.workspace}/{self.topic}"

    def headers(self) -> dict[str, str]:
        return self.envelope.headers(self.address, self.about)

    def body(self) -> str:
        return self.model_dump_json()

    def cloud_event(self) -> dict[str, Any]:
        """The whole as one JSON object: CloudEvents' structured form."""
        return {**self.envelope.attributes(self.address, self.about), "data": self.model_dump(mode="json")}

    def answer(self, kind: type[Answer], time: datetime, *, part: str = "", said_by: str = "", **facts: Any) -> Answer:
        """The one answer of this kind to this message, about the same model unless `facts` say otherwise.

        Where there are several of a kind, `part` tells them apart; what several services may say has a `said_by`.
        """
        about = {"workspace": self.workspace, "model": self.model_name}
        envelope = self.envelope.of_answer(kind.address, said_by or kind.said_by, time, part)
        return kind(envelope=envelope, **{**about, **facts})

    @classmethod
    def read(cls, body: bytes | str, envelope: Envelope) -> Self:
        """Read what `body` and `headers` wrote.

        Raises:
            Malformed: too long, not JSON, not an object, or a field is missing or of the wrong type; says which.
        """
        if len(body) > cls.largest_body_bytes:
            raise Malformed(f"the body has {len(body)} bytes: expected at most {cls.largest_body_bytes}")
        return read_json(cls, body, envelope=envelope)


class Command(Message):
    """A request to one owner. Who sent it stands on its subject, where the broker can hold a user to it."""

    said_by: ClassVar[str] = "operator"

    @property
    def subject(self) -> str:
        """Its place and its sender; `~` for a sender whose name is no token: the header says it then."""
        return f"{self.place}.{token(self.envelope.source)}"

    def sent_by(self, actor: str) -> Self:
        """The same command in another name."""
        return self.model_copy(update={"envelope": self.envelope.model_copy(update={"source": actor})})


def read_json(kind: type[ReadModel], body: bytes | str, **extra: object) -> ReadModel:
    """Read a JSON object as `kind`.

    Raises:
        Malformed: says for each field what was expected and what came.
    """
    try:
        fields = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Malformed(f"the body is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise Malformed(f"the body is a JSON {type(fields).__name__}: expected an object")
    try:
        return kind.model_validate({**fields, **extra})
    except ValidationError as error:
        raise Malformed(f"not a {kind.__name__}: {explain(error)}") from error


class ModelMessage(Message):
    """A message about one model."""

    model: str

    @property
    def topic(self) -> str:
        return self.model


class ModelCommand(Command, ModelMessage):
    """A request to change something about one model. Its answer is an event, `CommandRefused` where nothing is changed."""

    why: str = ""
