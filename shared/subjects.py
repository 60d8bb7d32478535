"""Streams, consumers and what they carry. deploy/topology.py makes them, delivery.py reads from them."""

from typing import NamedTuple

from shared.messages import EVENTS, Event, ModelImported, TrainingSucceeded, VersionAssigned, VersionRefused

EVENTS_STREAM = "EVENTS"
DEAD_LETTERS_STREAM = "DEAD_LETTERS"
DEAD_LETTERS = "modelkin.dlq"
# A message that is neither acknowledged nor said to be at work on is given to another after so long.
ACK_WAIT_S = 30.0


class Consumer(NamedTuple):
    """A durable pull consumer of one event. Any number of processes may share it."""

    durable: str
    event: type[Event]

    @property
    def filter_subject(self) -> str:
        return all_of(self.event)


def all_of(event: type[Event]) -> str:
    """The subject filter for one event, of any workspace and model."""
    return f"{event.address}.*.*"


# The stream accepts these and no others: a misspelt subject is an error at its publisher, not a fact that nobody hears.
EVENT_SUBJECTS = tuple(all_of(event) for event in EVENTS)

IMPORTER_ON_TRAINING_SUCCEEDED = Consumer("importer-on-training-succeeded", TrainingSucceeded)
IMPORTER_ON_VERSION_REFUSED = Consumer("importer-on-version-refused", VersionRefused)
VERSIONING_ON_MODEL_IMPORTED = Consumer("versioning-on-model-imported", ModelImported)
REGISTRY_ON_MODEL_IMPORTED = Consumer("registry-on-model-imported", ModelImported)
REGISTRY_ON_VERSION_ASSIGNED = Consumer("registry-on-version-assigned", VersionAssigned)
REGISTRY_ON_VERSION_REFUSED = Consumer("registry-on-version-refused", VersionRefused)

CONSUMERS = (
    IMPORTER_ON_TRAINING_SUCCEEDED,
    IMPORTER_ON_VERSION_REFUSED,
    VERSIONING_ON_MODEL_IMPORTED,
    REGISTRY_ON_MODEL_IMPORTED,
    REGISTRY_ON_VERSION_ASSIGNED,
    REGISTRY_ON_VERSION_REFUSED,
)
