"""The wire: every event and command, frozen, with the subject it travels on. Questions and replies are in queries.py.

modelkin.evt.v1                                   facts, kept in the stream EVENTS
├── training.succeeded.<workspace>.<model>        TrainingSucceeded     said by training systems
├── autolearning.deployed.<workspace>.<project>   AutoLearningDeployed  said by the auto-learning system
├── import
│   ├── started.<workspace>.<model>               ImportStarted         importer: the package is found, and as it should be
│   └── refused.<workspace>.<model>               ImportRefused         importer
├── model
│   ├── imported.<workspace>.<model>              ModelImported         importer: the bytes are stored
│   └── registered.<workspace>.<model>            ModelRegistered       registry: the version can be queried
├── version
│   ├── assigned.<workspace>.<model>              VersionAssigned       versioning: number and lineage
│   ├── refused.<workspace>.<model>               VersionRefused        versioning
│   └── released.<workspace>.<model>              VersionReleased       registry: out of quarantine
└── command.refused.<workspace>.<model>           CommandRefused        whoever owns the command
modelkin.cmd.v1                                   requests to one owner, kept in the stream COMMANDS
├── model.import.<workspace>.<model>              ImportModel           to the importer
└── version.release.<workspace>.<model>           ReleaseVersion        to the registry
modelkin.live.v1
└── import.progressed.<workspace>.<model>         ImportProgressed      importer: heard live, never stored
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID, uuid5

import pydantic_core
from pydantic import BaseModel, Field, FiniteFloat, ValidationError
from pydantic.json_schema import SkipJsonSchema

from shared.contents import UnsafeFile
from shared.envelope import Envelope, explain
from shared.errors import Malformed
from shared.naming import DEFAULT_WORKSPACE, NAME_LENGTH, Digest, Name, Number, token
from shared.values import (
    Edge,
    Fault,
    FromAutoLearning,
    FromJob,
    Job,
    Parameters,
    Profile,
    Provenance,
    Reason,
    Requested,
    Source,
    Value,
)
from shared.version_facts import VersionFacts

Answer = TypeVar("Answer", bound="Message")

_TRAINING_JOBS = UUID("0b7c7a0c-2f0e-5c55-8f6e-747261696e65")
_AUTO_LEARNING = UUID("5d0c1f0a-6b6e-5b0e-9a59-6175746f6d6c")
_COMMANDS = UUID("8f0d7c3e-14a1-5d6f-8d55-636f6d6d616e")
# Of the import id, so much is added to the project's name: two runs of a project are two models.
GENERATED_LENGTH = 8


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
    def subject(self) -> str:
        """Where it is published; `~` stands for a name that breaks the rule."""
        return f"{self.address}.{token(self.workspace)}.{token(self.topic)}"

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

    def answer(self, kind: type[Answer], time: datetime, **facts: Any) -> Answer:
        """The one answer of this kind to this message, about the same model unless `facts` say otherwise."""
        about = {"workspace": self.workspace, "model": self.model_name}
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


class ModelMessage(Message):
    """A message about one model."""

    model: str

    @property
    def topic(self) -> str:
        return self.model


class ImportRequest(Message, Provenance, Profile):
    """Any message that asks for an import."""

    # Its facts are said again in ModelImported, beside files and contents: all of it stays under NATS' default of 1 MiB.
    largest_body_bytes: ClassVar[int] = 256 * 1024

    version: str | None = Field(default=None, description="the number to give; left out: the next one")
    reference: bool = Field(default=False, description="leave the bytes where they are, keep only their digests")

    @property
    def origin(self) -> Source:
        """The method of the import, and where the model is."""
        raise NotImplementedError

    @property
    def import_id(self) -> str:
        """What all repeats of this request have in common."""
        raise NotImplementedError


class TrainingSucceeded(ModelMessage, ImportRequest):
    """A training job ended well and left a model in a folder.

    One (workspace, job, job version, model) is one import, however often and under however many ids it is said.
    """

    address: ClassVar[str] = "modelkin.evt.v1.training.succeeded"
    said_by: ClassVar[str] = "training-system"

    job: Job
    location: str = Field(description="the folder that holds the model, as a URL: file:///models/run-7")
    built_in_algorithm: str | None = Field(
        default=None, description="the built-in algorithm that the job used; its output needs no config.json"
    )

    @property
    def origin(self) -> FromJob:
        return FromJob(location=self.location, job=self.job, built_in_algorithm=self.built_in_algorithm)

    @property
    def import_id(self) -> str:
        return training_import_id(self.workspace, self.model, self.job)


class AutoLearningDeployed(ImportRequest):
    """The model of an auto-learning project was deployed. It is imported by itself, under a name made from the project's.

    One (workspace, project, run) is one import.
    """

    address: ClassVar[str] = "modelkin.evt.v1.autolearning.deployed"
    said_by: ClassVar[str] = "auto-learning-system"

    project: str
    run: str = Field(description="which training of the project, such as V001")
    location: str = Field(description="the folder that holds the model, as a URL")

    @property
    def topic(self) -> str:
        return self.project

    @property
    def model_name(self) -> str:
        return f"{self.project[: NAME_LENGTH - GENERATED_LENGTH - 1]}_{self.import_id[:GENERATED_LENGTH]}"

    @property
    def origin(self) -> FromAutoLearning:
        return FromAutoLearning(location=self.location, project=self.project, run=self.run)

    @property
    def import_id(self) -> str:
        return str(uuid5(_AUTO_LEARNING, f"{self.workspace}\n{self.project}\n{self.run}"))


class ImportModel(ModelMessage, ImportRequest):
    """Import a model, by any of the four methods."""

    address: ClassVar[str] = "modelkin.cmd.v1.model.import"
    said_by: ClassVar[str] = "operator"

    source: Requested

    @property
    def origin(self) -> Source:
        return self.source

    @property
    def import_id(self) -> str:
        """Of a job version, that of its training event; else made from the id of the command."""
        if isinstance(self.source, FromJob):
            return training_import_id(self.workspace, self.model, self.source.job)
        return str(uuid5(_COMMANDS, self.envelope.id))


class ReleaseVersion(ModelMessage):
    """Take a version out of quarantine: somebody looked at its files and answers for them."""

    address: ClassVar[str] = "modelkin.cmd.v1.version.release"
    said_by: ClassVar[str] = "operator"

    version: str
    why: str = Field(min_length=1)


def training_import_id(workspace: str, model: str, job: Job) -> str:
    """The id of the import of one model from one job version."""
    return str(uuid5(_TRAINING_JOBS, f"{workspace}\n{job.id}\n{job.version}\n{model}"))


class ImportStarted(ModelMessage):
    """The package is found, and as it should be; its bytes are about to be read.

    An import that begins anew, after its importer died, may say so again.
    """

    address: ClassVar[str] = "modelkin.evt.v1.import.started"
    said_by: ClassVar[str] = "modelkin/importer"

    import_id: str
    method: str
    engine: str | None = None
    file_count: int = Field(ge=0)
    size_bytes: int = Field(ge=0)


class ModelImported(ModelMessage, VersionFacts):
    """The bytes are in the artifact store, under their digests."""

    address: ClassVar[str] = "modelkin.evt.v1.model.imported"
    said_by: ClassVar[str] = "modelkin/importer"

    workspace: Name
    model: Name
    import_id: str
    requested_by: str = Field(description="the `ce-source` of the request")
    requested_version: Number | None = None


class ImportProgressed(ModelMessage):
    """How far a copy has come. Live only: nobody may rely on hearing it."""

    address: ClassVar[str] = "modelkin.live.v1.import.progressed"
    said_by: ClassVar[str] = "modelkin/importer"

    import_id: str
    done_bytes: int = Field(ge=0)
    total_bytes: int = Field(ge=0)


class ImportRefused(ModelMessage):
    """The request is answered: nothing was imported. Asked again under a new id, it is tried again."""

    address: ClassVar[str] = "modelkin.evt.v1.import.refused"
    said_by: ClassVar[str] = "modelkin/importer"

    import_id: str
    reason: Reason
    message: str
    faults: tuple[Fault, ...] = Field(default=(), description="each rule that the config.json breaks")
    unsafe: tuple[UnsafeFile, ...] = Field(default=(), description="files that loading would run code of")


class VersionAssigned(ModelMessage):
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


class VersionRefused(ModelMessage):
    """The model was imported, but gets no version. Asked again under a new id, it is tried again."""

    address: ClassVar[str] = "modelkin.evt.v1.version.refused"
    said_by: ClassVar[str] = "modelkin/versioning"

    import_id: str
    reason: Reason
    message: str


class ModelRegistered(ModelMessage):
    """The version can be queried from now on."""

    address: ClassVar[str] = "modelkin.evt.v1.model.registered"
    said_by: ClassVar[str] = "modelkin/registry"

    workspace: Name
    model: Name
    import_id: str
    version: Number
    package_digest: Digest
    size_bytes: int = Field(ge=0)


class VersionReleased(ModelMessage):
    """The version is out of quarantine: it may be downloaded and deployed, as far as its other restrictions go."""

    address: ClassVar[str] = "modelkin.evt.v1.version.released"
    said_by: ClassVar[str] = "modelkin/registry"

    workspace: Name
    model: Name
    version: Number
    released_by: str = Field(description="the `ce-source` of the command")
    why: str


class CommandRefused(ModelMessage):
    """A command is answered: nothing was changed."""

    address: ClassVar[str] = "modelkin.evt.v1.command.refused"
    said_by: ClassVar[str] = "modelkin/registry"

    command: str = Field(description="its `ce-type`")
    reason: Reason
    message: str


EVENTS: tuple[type[Message], ...] = (
    TrainingSucceeded,
    AutoLearningDeployed,
    ImportStarted,
    ModelImported,
    ImportRefused,
    VersionAssigned,
    VersionRefused,
    ModelRegistered,
    VersionReleased,
    CommandRefused,
)
COMMANDS: tuple[type[Message], ...] = (ImportModel, ReleaseVersion)
LIVE: tuple[type[Message], ...] = (ImportProgressed,)


def kind_of(subject: str) -> type[Message]:
    """Which message travels on a subject.

    Raises:
        Malformed: none.
    """
    for kind in (*EVENTS, *COMMANDS, *LIVE):
        if subject.startswith(f"{kind.address}."):
            return kind
    raise Malformed(f"no message is known on {subject}")


def message_of(
    subject: str, headers: Mapping[str, str], body: bytes, *, fallback_id: str, fallback_time: datetime
) -> Message:
    """Read any message by the subject it came on.

    Raises:
        Malformed: no message travels on this subject, or the body is not that message.
    """
    return kind_of(subject).read(
        body, Envelope.from_headers(headers, fallback_id=fallback_id, fallback_time=fallback_time)
    )
