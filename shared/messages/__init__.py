"""The wire: every event and command, frozen, with the subject it travels on. Questions and replies are in shared/queries.

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

from shared.envelope import Envelope
from shared.errors import Malformed
from shared.messages.artifacts import (
    ARTIFACTS,
    ArtifactCorrupted,
    CollectGarbage,
    GarbageCollected,
    PackageVerified,
    VerifyPackage,
)
from shared.messages.base import Command, Message, ModelCommand, ModelMessage, read_json
from shared.messages.changes import (
    AliasMoved,
    Change,
    CommandRefused,
    DeleteVersion,
    DeletionReported,
    DownloadGranted,
    DownloadVersion,
    EditVersion,
    LiftRestriction,
    MoveAlias,
    ReleaseVersion,
    RestrictionLifted,
    VersionDeleted,
    VersionEdited,
    VersionReleased,
)
from shared.messages.deployments import (
    DeploymentFailed,
    DeploymentReady,
    DeploymentReport,
    DeploymentRequested,
    DeploymentStarted,
    DeploymentStopped,
    DeployVersion,
    RollOut,
    RolloutRequested,
)
from shared.messages.importing import (
    GENERATED_LENGTH,
    AutoLearningDeployed,
    ImportModel,
    ImportProgressed,
    ImportRefused,
    ImportRequest,
    ImportStarted,
    ModelImported,
    TrainingSucceeded,
    training_import_id,
)
from shared.messages.letters import DeadLetterAdded, DeadLetterDropped, DeadLetterEvent, DeadLetterRedriven
from shared.messages.projections import (
    ProjectionRebuilt,
    RebuildProgressed,
    RebuildProjection,
    RebuildRegistry,
    RebuildVersioning,
)
from shared.messages.recalls import DatasetRecalled, RecallTraced, RecallVersion, VersionAffected
from shared.messages.versions import (
    LineageExtended,
    ModelRegistered,
    VersionAssigned,
    VersionRefused,
    VersionRestricted,
)
from shared.naming import UNNAMEABLE

__all__ = [
    "ARTIFACTS",
    "COMMANDS",
    "EVENTS",
    "GENERATED_LENGTH",
    "LIVE",
    "AliasMoved",
    "ArtifactCorrupted",
    "AutoLearningDeployed",
    "Change",
    "CollectGarbage",
    "Command",
    "CommandRefused",
    "DatasetRecalled",
    "DeadLetterAdded",
    "DeadLetterDropped",
    "DeadLetterEvent",
    "DeadLetterRedriven",
    "DeleteVersion",
    "DeletionReported",
    "DeployVersion",
    "DeploymentFailed",
    "DeploymentReady",
    "DeploymentReport",
    "DeploymentRequested",
    "DeploymentStarted",
    "DeploymentStopped",
    "DownloadGranted",
    "DownloadVersion",
    "EditVersion",
    "GarbageCollected",
    "ImportModel",
    "ImportProgressed",
    "ImportRefused",
    "ImportRequest",
    "ImportStarted",
    "LiftRestriction",
    "LineageExtended",
    "Message",
    "ModelCommand",
    "ModelImported",
    "ModelMessage",
    "ModelRegistered",
    "MoveAlias",
    "PackageVerified",
    "ProjectionRebuilt",
    "RebuildProgressed",
    "RebuildProjection",
    "RebuildRegistry",
    "RebuildVersioning",
    "RecallTraced",
    "RecallVersion",
    "ReleaseVersion",
    "RestrictionLifted",
    "RollOut",
    "RolloutRequested",
    "TrainingSucceeded",
    "VerifyPackage",
    "VersionAffected",
    "VersionAssigned",
    "VersionDeleted",
    "VersionEdited",
    "VersionRefused",
    "VersionReleased",
    "VersionRestricted",
    "actor_of",
    "kind_of",
    "message_of",
    "read_json",
    "training_import_id",
]

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
