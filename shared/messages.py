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
│   ├── restricted.<workspace>.<model>            VersionRestricted     versioning: it descends from a restricted one
│   ├── affected.<workspace>.<model>              VersionAffected       versioning: what it hangs on was recalled
│   ├── released.<workspace>.<model>              VersionReleased       registry: out of quarantine
│   ├── edited.<workspace>.<model>                VersionEdited         registry
│   └── deleted.<workspace>.<model>               VersionDeleted        registry
├── lineage.extended.<workspace>.<model>          LineageExtended       versioning: a base was imported after its child
├── restriction.lifted.<workspace>.<model>        RestrictionLifted     registry
├── alias.moved.<workspace>.<model>               AliasMoved            registry
├── deletion.reported.<workspace>.<model>         DeletionReported      registry
├── download.granted.<workspace>.<model>          DownloadGranted       registry
├── rollout.requested.<workspace>.<model>         RolloutRequested      registry
├── deployment
│   ├── requested.<workspace>.<model>             DeploymentRequested   registry
│   ├── started.<workspace>.<model>               DeploymentStarted     said by deployers
│   ├── ready.<workspace>.<model>                 DeploymentReady       said by deployers
│   ├── failed.<workspace>.<model>                DeploymentFailed      said by deployers
│   └── stopped.<workspace>.<model>               DeploymentStopped     said by deployers
├── dataset.recalled.<workspace>.<dataset>        DatasetRecalled       said by data platforms
├── recall.traced.<workspace>.<model or dataset>  RecallTraced          versioning: every affected version was told
├── artifact.corrupted.<workspace>.<model>        ArtifactCorrupted     importer
├── package.verified.<workspace>.<model>          PackageVerified       importer
├── garbage.collected.<workspace>.artifacts       GarbageCollected      importer
├── projection.rebuilt.<workspace>.<service>      ProjectionRebuilt     registry or versioning: made anew from EVENTS
├── letter                                        of a message that could not be understood or handled
│   ├── added.<workspace>.<model>                 DeadLetterAdded       the service that set it aside
│   ├── redriven.<workspace>.<model>              DeadLetterRedriven    said by operators
│   └── dropped.<workspace>.<model>               DeadLetterDropped     said by operators
└── command.refused.<workspace>.<model>           CommandRefused        whoever owns the command
modelkin.cmd.v1                                   requests to one owner, kept in the stream COMMANDS
├── model.import.<workspace>.<model>.<actor>      ImportModel           to the importer
├── package.verify.<workspace>.<model>.<actor>    VerifyPackage         to the importer
├── garbage.collect.<workspace>.artifacts.<actor> CollectGarbage        to the importer
├── version
│   ├── release.<workspace>.<model>.<actor>       ReleaseVersion        to the registry
│   ├── lift.<workspace>.<model>.<actor>          LiftRestriction       to the registry
│   ├── edit.<workspace>.<model>.<actor>          EditVersion           to the registry
│   ├── delete.<workspace>.<model>.<actor>        DeleteVersion         to the registry
│   ├── deploy.<workspace>.<model>.<actor>        DeployVersion         to the registry
│   ├── download.<workspace>.<model>.<actor>      DownloadVersion       to the registry
│   └── recall.<workspace>.<model>.<actor>        RecallVersion         to versioning
├── alias.move.<workspace>.<model>.<actor>        MoveAlias             to the registry
├── service.rollout.<workspace>.<model>.<actor>   RollOut               to the registry
├── registry.rebuild.<workspace>.registry.<actor> RebuildRegistry       to the registry
└── versioning
    └── rebuild.<workspace>.versioning.<actor>    RebuildVersioning     to versioning
modelkin.live.v1                                  heard live, never stored
├── import.progressed.<workspace>.<model>         ImportProgressed      importer
└── projection.progressed.<workspace>.<service>   RebuildProgressed     registry or versioning
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
from shared.naming import DEFAULT_WORKSPACE, NAME_LENGTH, UNNAMEABLE, Bump, Digest, Name, Number, token
from shared.values import (
    DeploymentMode,
    Document,
    Edge,
    Fault,
    FromAutoLearning,
    FromJob,
    Grant,
    Job,
    NotDeleted,
    Notes,
    Parameters,
    Profile,
    Provenance,
    Reason,
    Requested,
    Restriction,
    Source,
    Target,
    Value,
    Weight,
)
from shared.version_facts import VersionFacts

Answer = TypeVar("Answer", bound="Message")

_TRAINING_JOBS = UUID("0b7c7a0c-2f0e-5c55-8f6e-747261696e65")
_AUTO_LEARNING = UUID("5d0c1f0a-6b6e-5b0e-9a59-6175746f6d6c")
_COMMANDS = UUID("8f0d7c3e-14a1-5d6f-8d55-636f6d6d616e")
# Of the import id, so much is added to the project's name: two runs of a project are two models.
GENERATED_LENGTH = 8
# The artifact store keeps the bytes of every workspace: what is said of it as a whole has this for a topic.
ARTIFACTS = "artifacts"


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


class ModelCommand(Command, ModelMessage):
    """A request to change something about one model. Its answer is an event, `CommandRefused` where nothing is changed."""

    why: str = ""


class ReleaseVersion(ModelCommand):
    """Take a version out of quarantine: somebody looked at its files and answers for them."""

    address: ClassVar[str] = "modelkin.cmd.v1.version.release"

    version: str
    why: str = Field(min_length=1)


class LiftRestriction(ModelCommand):
    """Let a version be downloaded although it descends from one that automatic learning made."""

    address: ClassVar[str] = "modelkin.cmd.v1.version.lift"

    version: str
    why: str = Field(min_length=1)


class MoveAlias(ModelCommand):
    """Let an alias point to a version, whatever it pointed to before."""

    address: ClassVar[str] = "modelkin.cmd.v1.alias.move"

    alias: str
    version: str | None = Field(description="null: the alias goes")


class EditVersion(ModelCommand):
    """Say anew what people say of a version. What is left out stays as it is."""

    address: ClassVar[str] = "modelkin.cmd.v1.version.edit"

    version: str
    labels: tuple[str, ...] | None = None
    description: str | None = None
    documents: tuple[Document, ...] | None = None


class DeleteVersion(ModelCommand):
    """Delete a version; with `cascade`, every version of the model, at most 20 at a time.

    Answered by one VersionDeleted for each and a DeletionReported at the end.
    """

    address: ClassVar[str] = "modelkin.cmd.v1.version.delete"

    version: str | None = Field(default=None, description="may be left out with cascade")
    cascade: bool = False


class DeployVersion(ModelCommand):
    """Let a service serve one version. Answered by DeploymentRequested, which a deployer acts upon."""

    address: ClassVar[str] = "modelkin.cmd.v1.version.deploy"

    version: str
    service: str
    mode: str = Field(description="real-time or batch")


class RollOut(ModelCommand):
    """Divide the traffic of a real-time service between versions of its model. Answered by RolloutRequested."""

    address: ClassVar[str] = "modelkin.cmd.v1.service.rollout"

    service: str
    weights: tuple[Weight, ...] = Field(description="percent; they sum to 100")


class DownloadVersion(ModelCommand):
    """Ask for the bytes of a version. Answered by DownloadGranted."""

    address: ClassVar[str] = "modelkin.cmd.v1.version.download"

    version: str


class RecallVersion(ModelCommand):
    """Say to everyone who hangs on a version that something is wrong with it.

    Answered by one VersionAffected for each version that does, and a RecallTraced at the end.
    """

    address: ClassVar[str] = "modelkin.cmd.v1.version.recall"

    version: str
    why: str = Field(min_length=1)


class VerifyPackage(ModelCommand):
    """Read the stored bytes of a version again. Answered by PackageVerified, after an ArtifactCorrupted for each damaged file."""

    address: ClassVar[str] = "modelkin.cmd.v1.package.verify"

    version: str
    package_digest: str


class CollectGarbage(Command):
    """Remove bytes that no version needs from the artifact store. Answered by GarbageCollected."""

    address: ClassVar[str] = "modelkin.cmd.v1.garbage.collect"

    dry_run: bool = Field(default=False, description="only say what would be removed")

    @property
    def topic(self) -> str:
        return ARTIFACTS


class RebuildProjection(Command):
    """Make what a service knows anew from EVENTS, while it answers from what it has. Answered by ProjectionRebuilt."""

    service: ClassVar[str]

    @property
    def topic(self) -> str:
        return self.service


class RebuildRegistry(RebuildProjection):
    """Make the registry's database anew."""

    address: ClassVar[str] = "modelkin.cmd.v1.registry.rebuild"
    service: ClassVar[str] = "registry"


class RebuildVersioning(RebuildProjection):
    """Make versioning's database anew."""

    address: ClassVar[str] = "modelkin.cmd.v1.versioning.rebuild"
    service: ClassVar[str] = "versioning"


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
    requested_by: str = Field(description="who sent the request: the actor of a command, the `ce-source` of an event")
    requested_version: Number | None = None
    requested_bump: Bump = "patch"


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
    restricted_by: tuple[str, ...] = Field(
        default=(), description="the nodes of versions made by automatic learning that it descends from"
    )


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


class Change(ModelMessage):
    """What a command changed about a model. Each change was decided knowing exactly those before it."""

    said_by: ClassVar[str] = "modelkin/registry"

    workspace: Name
    model: Name
    ordinal: int = Field(ge=1, description="how many changes the model has had, this one included")
    by: str = Field(description="who sent the command")
    why: str = ""


class VersionReleased(Change):
    """The version is out of quarantine: it may be downloaded and deployed, as far as its other restrictions go."""

    address: ClassVar[str] = "modelkin.evt.v1.version.released"

    version: Number


class RestrictionLifted(Change):
    """The version may be downloaded although it descends from a restricted one."""

    address: ClassVar[str] = "modelkin.evt.v1.restriction.lifted"

    version: Number
    restriction: Restriction


class AliasMoved(Change):
    """The alias points to another version from now on."""

    address: ClassVar[str] = "modelkin.evt.v1.alias.moved"

    alias: Name
    old: Number | None = Field(description="null: there was no such alias")
    new: Number | None = Field(description="null: the alias is gone")


class VersionEdited(Change):
    """What people say of the version is another."""

    address: ClassVar[str] = "modelkin.evt.v1.version.edited"

    version: Number
    before: Notes
    after: Notes


class VersionDeleted(Change):
    """The version is gone: its number is never given again, its place in the lineage stays, marked."""

    address: ClassVar[str] = "modelkin.evt.v1.version.deleted"

    version: Number
    import_id: str
    package_digest: Digest
    deletions: int = Field(ge=1, description="how many versions of the model were deleted, this one included")


class DeploymentRequested(Change):
    """A service is to serve a version: a deployer fetches the bytes and answers with DeploymentStarted and so on."""

    address: ClassVar[str] = "modelkin.evt.v1.deployment.requested"

    service: Name
    mode: DeploymentMode
    version: Number
    grant: Grant


class RolloutRequested(Change):
    """The traffic of a real-time service is to be divided so. What it served before and is not named goes."""

    address: ClassVar[str] = "modelkin.evt.v1.rollout.requested"

    service: Name
    targets: tuple[Target, ...]


class DownloadGranted(Change):
    """Somebody may read the bytes of a version for a short time."""

    address: ClassVar[str] = "modelkin.evt.v1.download.granted"

    version: Number
    grant: Grant


class DeletionReported(ModelMessage):
    """A DeleteVersion is answered: what became of each version."""

    address: ClassVar[str] = "modelkin.evt.v1.deletion.reported"
    said_by: ClassVar[str] = "modelkin/registry"

    deleted: tuple[Number, ...]
    failed: tuple[NotDeleted, ...] = ()
    left: int = Field(ge=0, description="versions of the model that are there still")


class DeploymentReport(ModelMessage):
    """What a deployer says of one version in one service."""

    said_by: ClassVar[str] = "deployer"

    service: str
    version: str
    message: str = ""


class DeploymentStarted(DeploymentReport):
    """The deployer is at work on it."""

    address: ClassVar[str] = "modelkin.evt.v1.deployment.started"


class DeploymentReady(DeploymentReport):
    """The version serves."""

    address: ClassVar[str] = "modelkin.evt.v1.deployment.ready"


class DeploymentFailed(DeploymentReport):
    """The version does not serve, and will not."""

    address: ClassVar[str] = "modelkin.evt.v1.deployment.failed"


class DeploymentStopped(DeploymentReport):
    """The version serves no longer."""

    address: ClassVar[str] = "modelkin.evt.v1.deployment.stopped"


class VersionRestricted(ModelMessage):
    """The version was found to descend from restricted ones after its number was assigned."""

    address: ClassVar[str] = "modelkin.evt.v1.version.restricted"
    said_by: ClassVar[str] = "modelkin/versioning"

    workspace: Name
    model: Name
    version: Number
    restricted_by: tuple[str, ...] = Field(description="the nodes of those that automatic learning made")


class LineageExtended(ModelMessage):
    """More of what a version came from is known: a base was imported after it."""

    address: ClassVar[str] = "modelkin.evt.v1.lineage.extended"
    said_by: ClassVar[str] = "modelkin/versioning"

    workspace: Name
    model: Name
    version: Number
    edges: tuple[Edge, ...]


class DatasetRecalled(Message):
    """Something is wrong with a dataset. Answered by a VersionAffected for each version that hangs on it, and a RecallTraced."""

    address: ClassVar[str] = "modelkin.evt.v1.dataset.recalled"
    said_by: ClassVar[str] = "data-platform"

    dataset: str = Field(min_length=1, max_length=200)
    version: str | None = Field(
        default=None, max_length=200, description="its version or digest; left out: all of them"
    )
    why: str = Field(min_length=1)

    @property
    def topic(self) -> str:
        return self.dataset


class VersionAffected(ModelMessage):
    """The version hangs on something that was recalled."""

    address: ClassVar[str] = "modelkin.evt.v1.version.affected"
    said_by: ClassVar[str] = "modelkin/versioning"

    workspace: Name
    model: Name
    version: Number
    recalled: str = Field(description="the node of what was recalled")
    distance: int = Field(ge=0, description="steps of lineage from there; 0: the version itself was recalled")
    services: tuple[str, ...] = Field(default=(), description="what it is deployed as")
    by: str = Field(description="who sent the recall: of a dataset's, its `ce-source`")
    why: str


class RecallTraced(ModelMessage):
    """A recall is answered: so many versions and services hang on it, and each was told."""

    address: ClassVar[str] = "modelkin.evt.v1.recall.traced"
    said_by: ClassVar[str] = "modelkin/versioning"

    model: str = Field(description="of the recalled version; else the name of the dataset")
    recalled: str = Field(description="the node of what was recalled")
    versions: int = Field(ge=0)
    services: int = Field(ge=0)


class ArtifactCorrupted(ModelMessage):
    """Stored bytes are not what they were."""

    address: ClassVar[str] = "modelkin.evt.v1.artifact.corrupted"
    said_by: ClassVar[str] = "modelkin/importer"

    version: str
    package_digest: Digest
    path: str = Field(description="the file inside the package")
    digest: Digest = Field(description="what it should be")
    size_bytes: int = Field(ge=0)
    found: str = Field(description="the digest of what is there, or why it cannot be read")


class PackageVerified(ModelMessage):
    """All stored bytes of a version were read again."""

    address: ClassVar[str] = "modelkin.evt.v1.package.verified"
    said_by: ClassVar[str] = "modelkin/importer"

    version: str
    package_digest: Digest
    file_count: int = Field(ge=0)
    size_bytes: int = Field(ge=0)
    corrupted: int = Field(ge=0, description="how many files are not what they were")


class GarbageCollected(Message):
    """Bytes that no version needs were removed from the artifact store, or would be."""

    address: ClassVar[str] = "modelkin.evt.v1.garbage.collected"
    said_by: ClassVar[str] = "modelkin/importer"

    dry_run: bool
    removed_files: int = Field(ge=0)
    removed_bytes: int = Field(ge=0)
    kept_files: int = Field(ge=0)
    kept_bytes: int = Field(ge=0)

    @property
    def topic(self) -> str:
        return ARTIFACTS


class ProjectionRebuilt(Message):
    """A service knows again what EVENTS says, and answers from that."""

    address: ClassVar[str] = "modelkin.evt.v1.projection.rebuilt"
    said_by: ClassVar[str] = "modelkin"

    service: str
    events: int = Field(ge=0, description="how many were read")
    seconds: float = Field(ge=0)

    @property
    def topic(self) -> str:
        return self.service


class RebuildProgressed(Message):
    """How far a rebuild has come. Only heard live: it is stored nowhere, and some are missed."""

    address: ClassVar[str] = "modelkin.live.v1.projection.progressed"
    said_by: ClassVar[str] = "modelkin"

    service: str
    events_done: int = Field(ge=0)
    events_total: int = Field(ge=0)

    @property
    def topic(self) -> str:
        return self.service


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


class CommandRefused(ModelMessage):
    """A command is answered: nothing was changed."""

    address: ClassVar[str] = "modelkin.evt.v1.command.refused"
    said_by: ClassVar[str] = "modelkin/registry"

    model: str = Field(description="the model that it was about; of a recalled dataset, its name")
    command: str = Field(description="its `ce-type`")
    by: str = Field(default="", description="who sent it; empty in what was said before this was kept")
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
    RestrictionLifted,
    VersionRestricted,
    LineageExtended,
    AliasMoved,
    VersionEdited,
    VersionDeleted,
    DeletionReported,
    DeploymentRequested,
    RolloutRequested,
    DeploymentStarted,
    DeploymentReady,
    DeploymentFailed,
    DeploymentStopped,
    DownloadGranted,
    DatasetRecalled,
    VersionAffected,
    RecallTraced,
    ArtifactCorrupted,
    PackageVerified,
    GarbageCollected,
    ProjectionRebuilt,
    DeadLetterAdded,
    DeadLetterRedriven,
    DeadLetterDropped,
    CommandRefused,
)
COMMANDS: tuple[type[Command], ...] = (
    ImportModel,
    ReleaseVersion,
    LiftRestriction,
    MoveAlias,
    EditVersion,
    DeleteVersion,
    DeployVersion,
    RollOut,
    DownloadVersion,
    RecallVersion,
    VerifyPackage,
    CollectGarbage,
    RebuildRegistry,
    RebuildVersioning,
)
LIVE: tuple[type[Message], ...] = (ImportProgressed, RebuildProgressed)


def kind_of(subject: str) -> type[Message]:
    """Which message travels on a subject.

    Raises:
        Malformed: none.
    """
    for kind in (*EVENTS, *COMMANDS, *LIVE):
        if subject.startswith(f"{kind.address}."):
            return kind
    raise Malformed(f"no message is known on {subject}")


def actor_of(subject: str) -> str | None:
    """Who sent what came on a subject; None where the subject does not say.

    It does not on events, on commands of the form before (without this token), and where it is `~`.
    """
    match subject.split("."):
        case ["modelkin", "cmd", "v1", _, _, _, _, actor] if actor != UNNAMEABLE:
            return actor
    return None


def message_of(
    subject: str, headers: Mapping[str, str], body: bytes, *, fallback_id: str, fallback_time: datetime
) -> Message:
    """Read any message by the subject it came on.

    Raises:
        Malformed: no message travels on this subject, or the body is not that message.
    """
    envelope = Envelope.from_headers(
        headers, source=actor_of(subject), fallback_id=fallback_id, fallback_time=fallback_time
    )
    return kind_of(subject).read(body, envelope)
