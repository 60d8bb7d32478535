"""Streams, consumers and what they carry. deploy/topology.py makes them, delivery.py reads from them."""

from typing import NamedTuple

from shared.messages import (
    COMMANDS,
    EVENTS,
    AliasMoved,
    AutoLearningDeployed,
    CollectGarbage,
    Command,
    CommandRefused,
    DatasetRecalled,
    DeleteVersion,
    DeletionReported,
    DeploymentFailed,
    DeploymentReady,
    DeploymentRequested,
    DeploymentStarted,
    DeploymentStopped,
    DeployVersion,
    DownloadGranted,
    DownloadVersion,
    EditVersion,
    ImportModel,
    LiftRestriction,
    LineageExtended,
    Message,
    ModelImported,
    MoveAlias,
    RebuildRegistry,
    RebuildVersioning,
    RecallVersion,
    ReleaseVersion,
    RestrictionLifted,
    RollOut,
    RolloutRequested,
    TrainingSucceeded,
    VerifyPackage,
    VersionAssigned,
    VersionDeleted,
    VersionEdited,
    VersionRefused,
    VersionReleased,
    VersionRestricted,
)

EVENTS_STREAM = "EVENTS"
COMMANDS_STREAM = "COMMANDS"
DEAD_LETTERS_STREAM = "DEAD_LETTERS"
DEAD_LETTERS = "modelkin.dlq"
# A message that is neither acknowledged nor said to be at work on is given to another after so long.
ACK_WAIT_S = 30.0


class Consumer(NamedTuple):
    """A durable pull consumer of some kinds of message, all of one stream. Any number of processes may share it."""

    durable: str
    kinds: tuple[type[Message], ...]

    @property
    def filter_subjects(self) -> tuple[str, ...]:
        return tuple(subject for kind in self.kinds for subject in forms_of(kind))

    @property
    def stream(self) -> str:
        return stream_of(self.kinds[0])


def all_of(kind: type[Message]) -> str:
    """The subject filter for one kind of message, of any workspace, model and, where it is a command, sender."""
    return f"{kind.address}.*.*.*" if issubclass(kind, Command) else f"{kind.address}.*.*"


def forms_of(kind: type[Message]) -> tuple[str, ...]:
    """Every form of its subject that is read: a command was once sent without its sender on it."""
    return (f"{kind.address}.*.*", all_of(kind)) if issubclass(kind, Command) else (all_of(kind),)


def stream_of(kind: type[Message]) -> str:
    """The stream that keeps a kind of message."""
    return COMMANDS_STREAM if kind in COMMANDS else EVENTS_STREAM


# The streams accept these and no others: a misspelt subject is an error at its publisher, not a fact that nobody hears.
EVENT_SUBJECTS = tuple(all_of(event) for event in EVENTS)
COMMAND_SUBJECTS = tuple(subject for command in COMMANDS for subject in forms_of(command))

# What a command of the registry made of a model; kept when it is decided, heard where a database is made anew from events.
CHANGES = (
    VersionReleased,
    RestrictionLifted,
    AliasMoved,
    VersionEdited,
    VersionDeleted,
    DeploymentRequested,
    RolloutRequested,
    DownloadGranted,
)
REQUESTS = (DeploymentRequested, RolloutRequested)
REPORTS = (DeploymentStarted, DeploymentReady, DeploymentFailed, DeploymentStopped)
# How a command ended where no change says that; heard for the same reason as changes.
ANSWERS = (CommandRefused, DeletionReported)

IMPORTER_ON_TRAINING_SUCCEEDED = Consumer("importer-on-training-succeeded", (TrainingSucceeded,))
IMPORTER_ON_AUTO_LEARNING_DEPLOYED = Consumer("importer-on-auto-learning-deployed", (AutoLearningDeployed,))
IMPORTER_ON_IMPORT_MODEL = Consumer("importer-on-import-model", (ImportModel,))
IMPORTER_ON_VERSION_REFUSED = Consumer("importer-on-version-refused", (VersionRefused,))
IMPORTER_ON_VERSION_DELETED = Consumer("importer-on-version-deleted", (VersionDeleted,))
IMPORTER_ON_VERIFY_PACKAGE = Consumer("importer-on-verify-package", (VerifyPackage,))
IMPORTER_ON_COLLECT_GARBAGE = Consumer("importer-on-collect-garbage", (CollectGarbage,))
VERSIONING_ON_MODEL_IMPORTED = Consumer("versioning-on-model-imported", (ModelImported,))
VERSIONING_ON_CHANGES = Consumer("versioning-on-changes", (VersionDeleted, *REQUESTS, *REPORTS))
VERSIONING_ON_REBUILD = Consumer("versioning-on-rebuild", (RebuildVersioning,))
VERSIONING_ON_RECALL_VERSION = Consumer("versioning-on-recall-version", (RecallVersion,))
VERSIONING_ON_DATASET_RECALLED = Consumer("versioning-on-dataset-recalled", (DatasetRecalled,))
REGISTRY_ON_MODEL_IMPORTED = Consumer("registry-on-model-imported", (ModelImported,))
REGISTRY_ON_VERSION_ASSIGNED = Consumer("registry-on-version-assigned", (VersionAssigned,))
REGISTRY_ON_VERSION_REFUSED = Consumer("registry-on-version-refused", (VersionRefused,))
REGISTRY_ON_CHANGES = Consumer("registry-on-changes", (*CHANGES, VersionRestricted, LineageExtended))
REGISTRY_ON_ANSWERS = Consumer("registry-on-answers", ANSWERS)
REGISTRY_ON_REPORTS = Consumer("registry-on-reports", REPORTS)
REGISTRY_ON_REBUILD = Consumer("registry-on-rebuild", (RebuildRegistry,))
REGISTRY_ON_COMMANDS = Consumer(
    "registry-on-commands",
    (
        ReleaseVersion,
        LiftRestriction,
        MoveAlias,
        EditVersion,
        DeleteVersion,
        DeployVersion,
        RollOut,
        DownloadVersion,
    ),
)

CONSUMERS = (
    IMPORTER_ON_TRAINING_SUCCEEDED,
    IMPORTER_ON_AUTO_LEARNING_DEPLOYED,
    IMPORTER_ON_IMPORT_MODEL,
    IMPORTER_ON_VERSION_REFUSED,
    IMPORTER_ON_VERSION_DELETED,
    IMPORTER_ON_VERIFY_PACKAGE,
    IMPORTER_ON_COLLECT_GARBAGE,
    VERSIONING_ON_MODEL_IMPORTED,
    VERSIONING_ON_CHANGES,
    VERSIONING_ON_RECALL_VERSION,
    VERSIONING_ON_DATASET_RECALLED,
    VERSIONING_ON_REBUILD,
    REGISTRY_ON_MODEL_IMPORTED,
    REGISTRY_ON_VERSION_ASSIGNED,
    REGISTRY_ON_VERSION_REFUSED,
    REGISTRY_ON_CHANGES,
    REGISTRY_ON_ANSWERS,
    REGISTRY_ON_REPORTS,
    REGISTRY_ON_COMMANDS,
    REGISTRY_ON_REBUILD,
)
