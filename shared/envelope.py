"""The envelope of every message: CloudEvents 1.0 attributes, carried in NATS headers beside a JSON body."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, unquote
from uuid import UUID, uuid5

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from shared.errors import Malformed

MESSAGE_ID_HEADER: Final = "Nats-Msg-Id"
CONTENT_TYPE: Final = "application/json"
# A body of one MiB can hold a hundred thousand faults; who reads them needs the first.
MOST_FAULTS: Final = 20
_ANSWERS = UUID("6c9f2d3e-5a43-5f0e-9d0a-6d6f64656c6b")
# CloudEvents: a header value escapes the space, the quote, the percent sign and all that is not printable ASCII.
_PLAIN = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"%')


class Envelope(BaseModel):
    """Who says it, when, and what it answers.

    The id of an answer derives from the id of its cause, so that a redelivered cause
    repeats the answer and every store and stream recognises the copy.
    """

    model_config = ConfigDict(frozen=True)

    id: str = Field(min_length=1, max_length=200)
    source: str = Field(min_length=1, max_length=200)
    time: AwareDatetime
    correlation_id: str = Field(min_length=1, max_length=200)
    cause_id: str | None = Field(default=None, max_length=200)

    @property
    def answered_id(self) -> str:
        """The id of what this answers; its own where nothing caused it."""
        return self.cause_id or self.id

    @classmethod
    def of_request(cls, request_id: str, source: str, time: datetime) -> "Envelope":
        """The envelope of a message that nothing caused."""
        return cls(id=request_id, source=source, time=time, correlation_id=request_id)

    def of_answer(self, kind: str, source: str, time: datetime, part: str = "") -> "Envelope":
        """The envelope of the one answer of this kind; of those that come in parts, of this part."""
        return Envelope(
            id=str(uuid5(_ANSWERS, "\n".join((self.id, kind, *([part] if part else []))))),
            source=source,
            time=time,
            correlation_id=self.correlation_id,
            cause_id=self.id,
        )

    def attributes(self, kind: str, about: str) -> dict[str, str]:
        """The CloudEvents attributes of a message of this kind (`type`) about this thing (`subject`)."""
        caused = {"causationid": self.cause_id} if self.cause_id is not None else {}
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": kind,
            "time": self.time.astimezone(UTC).isoformat(),
            "subject": about,
            "correlationid": self.correlation_id,
            "datacontenttype": CONTENT_TYPE,
            **caused,
        }

    def headers(self, kind: str, about: str) -> dict[str, str]:
        """The same as NATS headers, and the message id that the stream knows repeats by."""
        named = {f"ce-{name}": value for name, value in self.attributes(kind, about).items()}
        escaped = {name: quote(value, safe=_PLAIN) for name, value in {MESSAGE_ID_HEADER: self.id, **named}.items()}
        return {**escaped, "content-type": CONTENT_TYPE}

    @classmethod
    def from_headers(
        cls, headers: Mapping[str, str], *, fallback_id: str, fallback_time: datetime, source: str | None = None
    ) -> "Envelope":
        """Read the envelope; what a plain publisher left out is filled in, the same at every delivery.

        Args:
            headers: as received; names in any case.
            source: where it is known otherwise: whatever `ce-source` says.
            fallback_id: where neither `ce-id` nor `Nats-Msg-Id` is given.
            fallback_time: where `ce-time` is not given.

        Raises:
            Malformed: an attribute breaks its rule.
        """
        given = {name.lower(): unquote(value) for name, value in headers.items()}
        message_id = given.get("ce-id") or given.get(MESSAGE_ID_HEADER.lower()) or fallback_id
        attributes = {
            "id": message_id,
            "source": source or given.get("ce-source") or "unknown",
            "time": given.get("ce-time") or fallback_time,
            "correlation_id": given.get("ce-correlationid") or message_id,
            "cause_id": given.get("ce-causationid"),
        }
        try:
            return cls.model_validate(attributes)
        except ValidationError as error:
            raise Malformed(f"the CloudEvents headers are wrong: {explain(error)}") from error


def explain(error: ValidationError) -> str:
    """The first faults on one line: where, what was expected, what came (cut to 80 characters)."""
    shown = [_explain_one(fault) for fault in error.errors(include_url=False)[:MOST_FAULTS]]
    more = error.error_count() - len(shown)
    return "; ".join([*shown, *([f"and {more} more"] if more else [])])


def _explain_one(fault: ErrorDetails) -> str:
    where = ".".join(str(step)[:80] for step in fault["loc"]) or "body"
    came = "" if fault["type"] == "missing" else f", got {str(fault['input'])[:80]!r}"
    return f"{where}: {fault['msg']}{came}"
