"""The wire: every event, frozen, with the subject it travels on. Questions and their replies are in queries.py.

modelkin.evt.v1
├── training.succeeded.<workspace>.<model>   TrainingSucceeded   said by training systems
├── model
│   ├── imported.<workspace>.<model>         ModelImported       importer: the bytes are stored
│   └── registered.<workspace>.<model>       ModelRegistered     registry: the version can be queried
├── import.refused.<workspace>.<model>       ImportRefused       importer
└── version
    ├── assigned.<workspace>.<model>         VersionAssigned     versioning: number and lineage
    └── refused.<workspace>.<model>          VersionRefused      versioning
modelkin.live.v1
└── import.progressed.<workspace>.<model>    ImportProgressed    importer: heard live, never stored
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID, uuid5

import pydantic_core
from pydantic import BaseModel, Field, FiniteFloat, ValidationError
from pydantic.json_schema import SkipJsonSchema

from shared.envelope import Envelope, explain
from shared.errors import Malformed
from shared.naming import DEFAULT_WORKSPACE, Digest, Name, Number, token
from shared.values import Edge, Job, Package, Parameters, Provenance, Reason, Source, Value

Answer = TypeVar("Answer", bound="Event")

_TRAINING_JOBS = UUID("0b7c7a0c-2f0e-5c55-8f6e-747261696e65")


class Event(Value):
    """One fact about one model of one workspace.

    The envelope travels in the headers, everything else is the JSON body.
    """

    address: ClassVar[str]
    said_by: ClassVar[str]
    largest_body_bytes: ClassVar[int] = 1024 * 1024

    envelope: SkipJsonSchema[Envelope] = Field(exclude=True)
    workspace: str = DEFAULT_WORKSPACE
    model: str

    @property
    def subject(self) -> str:
        """Where it is published; `~` stands for a name that breaks the rule."""
        return f"{self.address}.{token(self.workspace)}.{token(self.model)}"

    @property
    def about(self) -> str:
        """The `ce-subject`."""
        return f"{self.workspace}/{self.model}"

    def headers(self) -> dict[str, str]:
        return self.envelope.headers(self.address, self.about)

    def body(self) -> str:
        return self.model_dump_json()

    def cloud_event(self) -> dict[str, Any]:
        """The whole as one JSON object: CloudEvents' structured form."""
        return {**self.envelope.attributes(self.address, self.about), "data": self.model_dump(mode="json")}

    def answer(self, kind: type[Answer], time: datetime, **facts: Any) -> Answer:
        """The one answer of this kind to this message, about the same model unless `facts` say otherwise."""
        about = {"workspace": self.workspace, "model": self.model}
        envelope = self.envelope.of_answer(kind.address, kind.said_by, time)
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


ReadModel = TypeVar("ReadModel", bound=BaseModel)


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


class TrainingSucceeded(Event, Provenance):
    """A training job ended well and left a model in a folder.

    One (workspace, job, job version, model) is one import, however often and under however many ids it is said.
    """

    address: ClassVar[str] = "modelkin.evt.v1.training.succeeded"
    said_by: ClassVar[str] = "training-system"
    # Its facts are said again in ModelImported, beside up to 256 files: all of it stays under NATS' default of 1 MiB.
    largest_body_bytes: ClassVar[int] = 256 * 1024

    job: Job
    location: str = Field(description="the folder that holds the model, as a URL: file:///models/run-7")
    version: str | None = Field(default=None, description="the number to give; left out: the next one")

    @property
    def import_id(self) -> str:
        """What all repeats of this request have in common."""
        return training_import_id(self.workspace, self.model, self.job)


def training_import_id(workspace: str, model: str, job: Job) -> str:
    """The id of the import of one model from one job version."""
    return str(uuid5(_TRAINING_JOBS, f"{workspace}\n{job.id}\n{job.version}\n{model}"))


class ModelImported(Event, Provenance):
    """The bytes are in the artifact store, under their digests."""

    address: ClassVar[str] = "modelkin.evt.v1.model.imported"
    said_by: ClassVar[str] = "modelkin/importer"

    workspace: Name
    model: Name
    import_id: str
    requested_by: str = Field(description="the `ce-source` of the request")
    requested_version: Number | None = None
    source: Source
    package: Package


class ImportProgressed(Event):
    """How far a copy has come. Live only: nobody may rely on hearing it."""

    address: ClassVar[str] = "modelkin.live.v1.import.progressed"
    said_by: ClassVar[str] = "modelkin/importer"

    import_id: str
    done_bytes: int = Field(ge=0)
    total_bytes: int = Field(ge=0)


class ImportRefused(Event):
    """The request is answered: nothing was imported. Asked again under a new id, it is tried again."""

    address: ClassVar[str] = "modelkin.evt.v1.import.refused"
    said_by: ClassVar[str] = "modelkin/importer"

    import_id: str
    reason: Reason
    message: str


class VersionAssigned(Event):
    """The number of a version, and everything it came from."""

    address: ClassVar[str] = "modelkin.evt.v1.version.assigned"
    said_by: ClassVar[str] = "modelkin/versioning"

    workspace: Name
    model: Name
    import_id: str
    version: Number
    ordinal: int = Field(ge=1, description="how many versions the model has had, this one included")
    package_digest: Digest
    parameters: Parameters = Field(default_factory=dict)
    metrics: dict[str, FiniteFloat] = Field(default_factory=dict)
    edges: tuple[Edge, ...] = ()


class VersionRefused(Event):
    """The model was imported, but gets no version. Asked again under a new id, it is tried again."""

    address: ClassVar[str] = "modelkin.evt.v1.version.refused"
    said_by: ClassVar[str] = "modelkin/versioning"

    import_id: str
    reason: Reason
    message: str


class ModelRegistered(Event):
    """The version can be queried from now on."""

    address: ClassVar[str] = "modelkin.evt.v1.model.registered"
    said_by: ClassVar[str] = "modelkin/registry"

    workspace: Name
    model: Name
    import_id: str
    version: Number
    package_digest: Digest
    size_bytes: int = Field(ge=0)


EVENTS: tuple[type[Event], ...] = (
    TrainingSucceeded,
    ModelImported,
    ImportRefused,
    VersionAssigned,
    VersionRefused,
    ModelRegistered,
)
LIVE: tuple[type[Event], ...] = (ImportProgressed,)


def kind_of(subject: str) -> type[Event]:
    """Which event travels on a subject.

    Raises:
        Malformed: none.
    """
    for kind in (*EVENTS, *LIVE):
        if subject.startswith(f"{kind.address}."):
            return kind
    raise Malformed(f"no event is known on {subject}")


def event_of(subject: str, headers: Mapping[str, str], body: bytes, **fallback: Any) -> Event:
    """Read any event by the subject it came on.

    Raises:
        Malformed: no event travels on this subject, or the body is not that event.
    """
    return kind_of(subject).read(body, Envelope.from_headers(headers, **fallback))
