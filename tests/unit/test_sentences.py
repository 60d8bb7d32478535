"""What events say in a few words."""

import pytest

from modelkin.sentences import cause, essence
from shared.messages import EVENTS, CommandRefused, Message
from tests.contract.change_samples import MESSAGES
from tests.contract.test_wire import MESSAGE_SAMPLES
from tests.samples import NOON, a_release_command, said


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_every_event_has_something_to_say(kind: type[Message]):
    said = [essence(sample) for sample in MESSAGE_SAMPLES.values() if type(sample) is kind]

    assert said
    assert all(said)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("AliasMoved.v1", "champion points to 1.2.3"),
        ("AliasMoved.v1.removed", "champion is gone; it pointed to 1.2.3"),
        (
            "VersionEdited.v1",
            "1.2.3 is edited: labels: dev → prod, eu; description: first try → none; documents: none → card",
        ),
        ("VersionReleased.v1", "1.2.3 is out of quarantine"),
        ("RestrictionLifted.v1", "1.2.3 may be downloaded"),
        ("DeletionReported.v1", "1 deleted, 1 version left; 1.2.3 stays (version-deployed): classify serves it"),
        ("DeploymentRequested.v1", "1.2.3 is asked for in the real-time service classify"),
        ("RolloutRequested.v1", "1.2.3 100 % are asked for in the service classify"),
        ("DeploymentReady.v1", "1.2.3 in the service classify: 2 replicas"),
        ("DeploymentStopped.v1", "1.2.3 in the service classify"),
        ("DownloadGranted.v1", "1.2.3 may be downloaded until 2026-01-05 12:00:01Z"),
        ("VersionAffected.v1", "1.2.3 is 2 steps from dataset:vision/coco@2017, serves as classify"),
        ("RecallTraced.v1", "recalled: 3 versions and 1 service hang on dataset:vision/coco@2017, and were told"),
        ("ArtifactCorrupted.v1", "1.2.3 model/weights.pt: expected sha256:bbbbbbbbbbbb, found missing"),
        ("PackageVerified.v1", "1.2.3: 2 files, 14 B, 1 damaged"),
        ("GarbageCollected.v1", "2 files, 14 B would be removed; 3 files, 30 B kept"),
        ("ProjectionRebuilt.v1", "made anew from 1200 events in 1.5 s"),
        ("DeadLetterAdded.v1", "letter 12 of importer-on-import-model, failed after 5 attempts: ValueError('no')"),
        ("DeadLetterDropped.v1", "letter 12 of importer-on-import-model"),
        (
            "LineageExtended.v1",
            "1.2.3 derived-from version:vision/flowers@0.0.1",
        ),
    ],
)
def test_an_event_is_said_in_a_few_words(name: str, said: str):
    assert essence(MESSAGES[name]) == said


def test_a_change_has_somebody_who_made_it_and_a_reason():
    assert cause(MESSAGES["AliasMoved.v1"]) == "by operator: best f1"
    assert cause(MESSAGES["AliasMoved.v1"].model_copy(update={"why": ""})) == "by operator"
    assert cause(MESSAGES["PackageVerified.v1"]) == ""


def test_a_refusal_says_who_was_refused_where_that_was_kept():
    command = a_release_command(envelope=said("command-1", "operator-0"))
    answer = {"command": command.address, "reason": "version-not-found", "message": "m"}

    assert cause(command.answer(CommandRefused, NOON, by="operator-0", **answer)) == "by operator-0"
    assert cause(command.answer(CommandRefused, NOON, **answer)) == ""
