"""Streams, consumers and what they carry. deploy/topology.py makes them, delivery.py reads from them."""

from typing import NamedTuple

from shared.messages import (
    COMMANDS,
    EVENTS,
    AutoLearningDeployed,
    ImportModel,
    Message,
    ModelImported,
    ReleaseVersion,
    TrainingSucceeded,
    VersionAssigned,
    VersionRefused,
    VersionReleased,
)

EVENTS_STREAM = "EVENTS"
COMMANDS_STREAM = "COMMANDS"
DEAD_LETTERS_STREAM = "DEAD_LETTERS"
DEAD_LETTERS = "modelkin.dlq"
# A message that is neither acknowledged nor said to be at work on is given to another after so long.
ACK_WAIT_S = 30.0


class Consumer(NamedTuple):
    """A durable pull consumer of one kind of message. Any number of processes may share it."""

    durable: str
    kind: type[Message]

    @property
    def filter_subject(self) -> str:
        return all_of(self.kind)

    @property
    def stream(self) -> str:
        return stream_of(self.kind)


def all_of(kind: type[Message]) -> str:
    """The subject filter for one kind of message, of any workspace and model."""
    return f"{kind.address}.*.*"


def stream_of(kind: type[Message]) -> str:
    """The stream that keeps a kind of message."""
    return COMMANDS_STREAM if kind in COMMANDS else EVENTS_STREAM


# The streams accept these and no others: a misspelt subject is an error at its publisher, not a fact that nobody hears.
EVENT_SUBJECTS = tuple(all_of(event) for event in EVENTS)
COMMAND_SUBJECTS = tuple(all_of(command) for command in COMMANDS)

IMPORTER_ON_TRAINING_SUCCEEDED = Consumer("importer-on-training-succeeded", TrainingSucceeded)
IMPORTER_ON_AUTO_LEARNING_DEPLOYED = Consumer("importer-on-auto-learning-deployed", AutoLearningDeployed)
IMPORTER_ON_IMPORT_MODEL = Consumer("importer-on-import-model", ImportModel)
IMPORTER_ON_VERSION_REFUSED = Consumer("importer-on-version-refused", VersionRefused)
VERSIONING_ON_MODEL_IMPORTED = Consumer("versioning-on-model-imported", ModelImported)
REGISTRY_ON_MODEL_IMPORTED = Consumer("registry-on-model-imported", ModelImported)
REGISTRY_ON_VERSION_ASSIGNED = Consumer("registry-on-version-assigned", VersionAssigned)
REGISTRY_ON_VERSION_REFUSED = Consumer("registry-on-version-refused", VersionRefused)
REGISTRY_ON_VERSION_RELEASED = Consumer("registry-on-version-released", VersionReleased)
REGISTRY_ON_RELEASE_VERSION = Consumer("registry-on-release-version", ReleaseVersion)

CONSUMERS = (
    IMPORTER_ON_TRAINING_SUCCEEDED,
    IMPORTER_ON_AUTO_LEARNING_DEPLOYED,
    IMPORTER_ON_IMPORT_MODEL,
    IMPORTER_ON_VERSION_REFUSED,
    VERSIONING_ON_MODEL_IMPORTED,
    REGISTRY_ON_MODEL_IMPORTED,
    REGISTRY_ON_VERSION_ASSIGNED,
    REGISTRY_ON_VERSION_REFUSED,
    REGISTRY_ON_VERSION_RELEASED,
    REGISTRY_ON_RELEASE_VERSION,
)
