"""What the checker knows: messages as the streams hold them, documents as the databases do, and what is looked up in them.

Nothing here or beside it is taken from the code under test: the wire is read as docs/asyncapi.json tells it.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from tests.chaos.checker_wire import HEADERS, REQUIRED
from tests.chaos.sent import Sent

Document = Mapping[str, Any]
Collections = Mapping[str, Mapping[str, Document]]
"""Collection → id → document."""
ModelKey = tuple[str, str]

REQUESTS = frozenset({"training.succeeded", "autolearning.deployed", "model.import"})
# Changes of a model: each has an ordinal of its own.
CHANGES = frozenset(
    {
        "version.released",
        "restriction.lifted",
        "alias.moved",
        "version.edited",
        "version.deleted",
        "deployment.requested",
        "rollout.requested",
        "download.granted",
    }
)
REPORTS = frozenset({"deployment.started", "deployment.ready", "deployment.failed", "deployment.stopped"})
LATE = frozenset({"lineage.extended", "version.restricted"})


class Violation(NamedTuple):
    """An invariant of ARCHITECTURE.md that does not hold."""

    invariant: int
    message: str
    event: str
    """Which message shows it: stream, place, kind and id; or which document."""


@dataclass(frozen=True, slots=True)
class Record:
    """A message of a stream."""

    stream: str
    sequence: int
    subject: str
    headers: Mapping[str, str]
    """Names in lower case, values as they were meant."""
    body: bytes
    stored_at: datetime
    fields: Mapping[str, Any]
    """The body; empty where it is no JSON object."""

    @classmethod
    def of(
        cls, stream: str, sequence: int, subject: str, headers: Mapping[str, str], body: bytes, stored_at: datetime
    ) -> "Record":
        given = {name.lower(): unquote(value) for name, value in headers.items()}
        return cls(stream, sequence, subject, given, body, stored_at, _json_object(body))

    @property
    def kind(self) -> str:
        """`version.assigned`; empty where the subject is none of ours."""
        tokens = self.subject.split(".")
        lengths = (7, 8) if tokens[1:2] == ["cmd"] else (7,)
        return ".".join(tokens[3:5]) if len(tokens) in lengths and tokens[0] == "modelkin" else ""

    @property
    def id(self) -> str:
        return self.headers.get("ce-id") or self.headers.get("nats-msg-id") or f"{self.stream}-{self.sequence}"

    @property
    def cause(self) -> str | None:
        return self.headers.get("ce-causationid")

    @property
    def source(self) -> str:
        return self.headers.get("ce-source", "")

    @property
    def sender(self) -> str:
        """Who sent it: where it is a command with an actor on its subject, that."""
        actor = self.subject.split(".")[7:8]
        return actor[0] if actor not in ([], ["~"]) else self.source or "unknown"

    @property
    def ours(self) -> bool:
        """Whether a service said it."""
        return self.source.partition("/")[0] == "modelkin"

    @property
    def broken(self) -> str:
        """What an event of a service lacks that the wire promises; empty where nothing is wrong."""
        if not self.ours:
            return ""
        if self.kind not in REQUIRED:
            return "it is no event that the wire knows"
        missing = sorted((HEADERS - self.headers.keys()) | (REQUIRED[self.kind] - self.fields.keys()))
        return f"it lacks {', '.join(missing)}" if missing else ""

    @property
    def time(self) -> datetime:
        """When it was said; where it does not say so, when it was stored."""
        try:
            return moment(self.headers["ce-time"])
        except (KeyError, ValueError):
            return self.stored_at

    @property
    def workspace(self) -> str:
        return str(self.fields.get("workspace", "0"))

    @property
    def model_key(self) -> ModelKey:
        return self.workspace, str(self.fields.get("model"))

    @property
    def version_key(self) -> tuple[str, str, str]:
        return (*self.model_key, str(self.fields.get("version")))

    def __str__(self) -> str:
        return f"{self.stream} {self.sequence} {self.kind or self.subject} {self.id}"


class Letter(NamedTuple):
    """A message that was set aside."""

    durable: str
    stream: str
    sequence: int
    """Of the message, in its stream."""
    reason: str
    message: str

    def __str__(self) -> str:
        return f"letter of {self.durable} for {self.stream} {self.sequence}"


@dataclass(frozen=True)
class World:
    """All that is there to be judged."""

    events: Sequence[Record]
    commands: Sequence[Record] = ()
    letters: Sequence[Letter] = ()
    left: Mapping[str, int] = field(default_factory=dict)
    """Consumer → messages that it has not handled."""
    importer: Collections = field(default_factory=dict)
    versioning: Collections = field(default_factory=dict)
    registry: Collections = field(default_factory=dict)
    artifacts: Path = Path("/nowhere")
    sent: Sequence[Sent] = ()

    @cached_property
    def said(self) -> Mapping[str, Record]:
        """Events by id, each where it was said first, in order; but for those that nobody can read."""
        first: dict[str, Record] = {}
        for event in self.events:
            if not event.broken:
                first.setdefault(event.id, event)
        return first

    @cached_property
    def asked(self) -> Mapping[str, Record]:
        """Commands by id, each where it was given first."""
        first: dict[str, Record] = {}
        for command in self.commands:
            first.setdefault(command.id, command)
        return first

    @cached_property
    def _by_kind(self) -> Mapping[str, Sequence[Record]]:
        return _grouped((event.kind, event) for event in self.said.values())

    @cached_property
    def _by_cause(self) -> Mapping[str, Sequence[Record]]:
        return _grouped((event.cause, event) for event in self.said.values() if event.cause)

    @cached_property
    def _places(self) -> Mapping[str, Sequence[Record]]:
        return _grouped((message.id, message) for message in (*self.events, *self.commands))

    @cached_property
    def _letters_by_place(self) -> Mapping[tuple[str, int], Sequence[Letter]]:
        return _grouped(((letter.stream, letter.sequence), letter) for letter in self.letters)

    def of(self, *kinds: str) -> Iterator[Record]:
        """The first saying of each event of these kinds; in order within a kind."""
        return (event for kind in kinds for event in self._by_kind.get(kind, ()))

    def answers(self, cause: Record, *kinds: str) -> list[Record]:
        """The events of these kinds, or of any, that a message caused."""
        caused = self._by_cause.get(cause.id, ())
        return [event for event in caused if not kinds or event.kind in kinds]

    def letters_of(self, message: Record, *durables: str) -> list[Letter]:
        """Where it was set aside, by consumers whose names begin so, wherever in the stream it stands."""
        places = ((one.stream, one.sequence) for one in self._places.get(message.id, ()))
        letters = (letter for place in places for letter in self._letters_by_place.get(place, ()))
        return [letter for letter in letters if not durables or letter.durable.startswith(durables)]

    @cached_property
    def requests(self) -> Sequence[Record]:
        """Every message that asks for an import, each once."""
        commands = (command for command in self.asked.values() if command.kind in REQUESTS)
        return (*self.of("training.succeeded", "autolearning.deployed"), *commands)

    @cached_property
    def imports_by_key(self) -> Mapping[tuple[str, ...], Sequence[Record]]:
        return _grouped((import_key(imported), imported) for imported in self.of("model.imported"))

    @cached_property
    def assigned(self) -> Mapping[tuple[str, str, str], Record]:
        """Who got a number first, by (workspace, model, number)."""
        first: dict[tuple[str, str, str], Record] = {}
        for event in self.of("version.assigned"):
            first.setdefault(event.version_key, event)
        return first

    @cached_property
    def deleted(self) -> Mapping[tuple[str, str, str], Record]:
        return {event.version_key: event for event in self.of("version.deleted")}

    @cached_property
    def versions(self) -> Mapping[ModelKey, Sequence[Record]]:
        """The versions of each model, as they were first said."""
        return _grouped((one.model_key, one) for one in self.of("version.assigned"))

    @cached_property
    def changes(self) -> Mapping[ModelKey, Sequence[Record]]:
        """The changes of each model, as they were said."""
        found = sorted(self.of(*CHANGES), key=lambda change: change.sequence)
        return _grouped((change.model_key, change) for change in found)

    def imported_of(self, assigned: Record) -> Record | None:
        """The import that a number was given to."""
        return self.said.get(assigned.cause or "")


def import_key(message: Record) -> tuple[str, ...]:
    """What all requests for one import have in common, and the import with them."""
    fields = message.fields
    match message.kind:
        case "training.succeeded":
            return "job", message.workspace, *_of_job(fields), str(fields.get("model"))
        case "autolearning.deployed":
            return "auto", message.workspace, str(fields.get("project")), str(fields.get("run"))
    source = _object(fields.get("source"))
    if source.get("method") == "training-job":
        return "job", message.workspace, *_of_job(source), str(fields.get("model"))
    if source.get("method") == "automatic-learning":
        return "auto", message.workspace, str(source.get("project")), str(source.get("run"))
    asked_by = message.id if message.kind == "model.import" else message.cause
    return "message", str(asked_by)


def node_of(version: Record) -> str:
    """How lineage names a version."""
    workspace, model, number = version.version_key
    return f"version:{workspace}/{model}@{number}"


def rank(number: str) -> int:
    """Sorts numbers as numbers: 0.0.10 after 0.0.9."""
    major, minor, patch = (int(part) for part in number.split("."))
    return major * 10_000 + minor * 100 + patch


def moment(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _of_job(fields: Mapping[str, Any]) -> tuple[str, str]:
    job = _object(fields.get("job"))
    return str(job.get("id")), str(job.get("version"))


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _json_object(body: bytes) -> Mapping[str, Any]:
    try:
        return _object(json.loads(body))
    except (ValueError, RecursionError):
        return {}


def _grouped(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return dict(groups)
