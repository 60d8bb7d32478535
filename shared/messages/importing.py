"""What asks for an import, and what the importer says of it."""

from typing import ClassVar
from uuid import UUID, uuid5

from pydantic import Field

from shared.contents import UnsafeFile
from shared.messages.base import Command, Message, ModelMessage
from shared.naming import NAME_LENGTH, Bump, Name, Number
from shared.values import Fault, FromAutoLearning, FromJob, Job, Profile, Provenance, Reason, Requested, Source
from shared.version_facts import VersionFacts

_TRAINING_JOBS = UUID("0b7c7a0c-2f0e-5c55-8f6e-747261696e65")
_AUTO_LEARNING = UUID("5d0c1f0a-6b6e-5b0e-9a59-6175746f6d6c")
_COMMANDS = UUID("8f0d7c3e-14a1-5d6f-8d55-636f6d6d616e")
# Of the import id, so much is added to the project's name: two runs of a project are two models.
GENERATED_LENGTH = 8


class ImportRequest(Message, Provenance, Profile):
    """Any message that asks for an import."""

    version: str | None = Field(default=None, description="the number to give; left out: the next one")
    bump: str | None = Field(default=None, description="which number is next: patch (where left out), minor or major")
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


class ImportModel(Command, ModelMessage, ImportRequest):
    """Import a model, by any of the four methods."""

    address: ClassVar[str] = "modelkin.cmd.v1.model.import"

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
    requested_by: str = Field(
        default="", description="as in ModelImported; empty in what was said before this was kept"
    )
    reason: Reason
    message: str
    faults: tuple[Fault, ...] = Field(default=(), description="each rule that the config.json breaks")
    unsafe: tuple[UnsafeFile, ...] = Field(default=(), description="files that loading would run code of")


class ModelImported(ModelMessage, VersionFacts):
    """The bytes are in the artifact store, under their digests."""

    address: ClassVar[str] = "modelkin.evt.v1.model.imported"
    said_by: ClassVar[str] = "modelkin/importer"

    workspace: Name
    model: Name
    import_id: str
    requested_by: str = Field(description="who sent the request: the actor of a command, the `ce-source` of an event")
    requested_version: Number | None = None
    requested_bump: Bump = "patch"
