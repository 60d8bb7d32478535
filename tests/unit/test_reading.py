"""How a message of a stream is read, with and without an envelope."""

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from shared.errors import Malformed
from shared.messages import AutoLearningDeployed, ImportModel, ModelImported, ReleaseVersion, TrainingSucceeded
from shared.reading import read_message
from tests.samples import NOON, a_deployment, a_release_command, a_request, an_import, an_import_command


def delivered(
    subject: str, body: str, headers: dict[str, str] | None = None, time: datetime = NOON, stream: str = "EVENTS"
) -> Any:
    """A message as nats-py gives it."""
    place = SimpleNamespace(stream=stream, sequence=SimpleNamespace(stream=12, consumer=3), timestamp=time)
    return SimpleNamespace(subject=subject, data=body.encode(), headers=headers, metadata=place)


def test_a_message_is_read_with_its_headers():
    request = a_request()

    assert read_message(TrainingSucceeded, delivered(request.subject, request.body(), request.headers())) == request


def test_a_message_without_headers_has_the_id_and_time_of_its_place_at_every_delivery():
    event = read_message(TrainingSucceeded, delivered(a_request().subject, a_request().body()))

    assert event.envelope.id == "EVENTS-12"
    assert event.envelope.time == NOON
    assert event.envelope.source == "unknown"


def test_a_command_without_headers_is_known_by_its_place_among_the_commands():
    command = an_import_command()

    read = read_message(ImportModel, delivered(command.subject, command.body(), stream="COMMANDS"))

    assert isinstance(read, ImportModel)
    assert read.envelope.id == "COMMANDS-12"


def test_a_deployment_is_read_on_the_subject_of_its_project():
    deployed = a_deployment()

    assert read_message(AutoLearningDeployed, delivered(deployed.subject, deployed.body())).topic == "flowers"


def test_a_body_may_not_speak_for_another_project():
    message = delivered("modelkin.evt.v1.autolearning.deployed.0.trees", a_deployment().body())

    with pytest.raises(Malformed, match="the body belongs on"):
        read_message(AutoLearningDeployed, message)


def test_a_command_may_not_release_a_version_of_a_model_that_its_subject_does_not_name():
    message = delivered("modelkin.cmd.v1.version.release.0.bert", a_release_command().body())

    with pytest.raises(Malformed, match="the body belongs on"):
        read_message(ReleaseVersion, message)


def test_a_body_may_not_speak_for_a_model_that_its_subject_does_not_name():
    message = delivered("modelkin.evt.v1.training.succeeded.0.bert", a_request().body())

    with pytest.raises(Malformed) as caught:
        read_message(TrainingSucceeded, message)

    assert str(caught.value) == (
        "the body belongs on modelkin.evt.v1.training.succeeded.0.resnet,"
        " it came on modelkin.evt.v1.training.succeeded.0.bert"
    )


def test_a_body_may_not_speak_for_another_workspace():
    message = delivered("modelkin.evt.v1.training.succeeded.vision.resnet", a_request().body())

    with pytest.raises(Malformed, match="the body belongs on"):
        read_message(TrainingSucceeded, message)


def test_a_request_with_an_impossible_name_is_read_wherever_it_came_so_that_it_can_be_refused():
    message = delivered("modelkin.evt.v1.training.succeeded.0.my-model", a_request(model="my model").body())

    assert read_message(TrainingSucceeded, message).subject == "modelkin.evt.v1.training.succeeded.0.~"


def test_a_wrong_body_is_malformed():
    with pytest.raises(Malformed, match=r"^not a ModelImported: "):
        read_message(ModelImported, delivered(an_import().subject, "{}"))
