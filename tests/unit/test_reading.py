"""How a message of a stream is read, with and without an envelope."""

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from nats.js.api import RawStreamMsg

from shared.errors import Malformed
from shared.messages import (
    AutoLearningDeployed,
    ImportModel,
    ModelImported,
    ReleaseVersion,
    TrainingSucceeded,
    message_of,
)
from shared.reading import read_message, read_stored
from tests.samples import NOON, a_deployment, a_release_command, a_request, an_import, an_import_command, said


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
    assert (read.envelope.id, read.envelope.source) == ("COMMANDS-12", "operator")


def test_a_forged_header_loses_against_the_subject():
    command = a_release_command(envelope=said("command-1", "somebody-else"))
    subject = "modelkin.cmd.v1.version.release.0.resnet.operator-0"

    read = read_message(ReleaseVersion, delivered(subject, command.body(), command.headers()))

    assert read.envelope == said("command-1", "operator-0")
    assert read == command.sent_by("operator-0")


@pytest.mark.parametrize("source", ["", "x" * 5000, "a\nb"])
def test_a_header_that_no_source_could_be_is_not_looked_at_where_the_subject_says_who(source: str):
    subject, body = "modelkin.cmd.v1.version.release.0.resnet.operator-0", a_release_command().body()

    assert read_message(ReleaseVersion, delivered(subject, body, {"ce-source": source})).envelope.source == "operator-0"


@pytest.mark.parametrize(
    "subject", ["modelkin.cmd.v1.version.release.0.resnet", "modelkin.cmd.v1.version.release.0.resnet.~"]
)
def test_where_the_subject_does_not_say_who_sent_a_command_the_header_does(subject: str):
    command = a_release_command(envelope=said("command-1", "ops@example"))

    assert read_message(ReleaseVersion, delivered(subject, command.body(), command.headers())) == command


def test_a_user_whose_name_only_the_broker_allows_is_the_sender_as_well():
    subject = "modelkin.cmd.v1.version.release.0.resnet.ops@example"

    assert read_message(ReleaseVersion, delivered(subject, a_release_command().body())).envelope.source == "ops@example"


def test_the_last_token_of_an_event_is_nobody():
    request = a_request(model="operator-0", envelope=said("request-1", "trainer/7"))

    read = read_message(TrainingSucceeded, delivered(request.subject, request.body(), request.headers()))

    assert read.envelope.source == "trainer/7"


@pytest.mark.parametrize(
    "subject",
    [
        "modelkin.cmd.v1.version.release.0.resnet.ops.more",
        "modelkin.cmd.v1.version.release.0",
        "modelkin.cmd.v1.version.release.vision.resnet.ops",
        "modelkin.cmd.v1.version.release.0.bert.ops",
        "modelkin.cmd.v1.version.release.resnet.0.ops",
    ],
)
def test_a_command_is_read_on_its_own_subject_only_whoever_sends_it(subject: str):
    with pytest.raises(
        Malformed, match=r"^the body belongs on modelkin\.cmd\.v1\.version\.release\.0\.resnet, it came on"
    ):
        read_message(ReleaseVersion, delivered(subject, a_release_command().body()))


def test_a_name_that_breaks_the_rule_does_not_open_another_workspace():
    message = delivered("modelkin.cmd.v1.version.release.0.x.ops", a_release_command(workspace="1", model="a b").body())

    with pytest.raises(Malformed, match="the body belongs on"):
        read_message(ReleaseVersion, message)


def test_an_event_is_not_read_with_a_token_too_many():
    with pytest.raises(Malformed, match="the body belongs on"):
        read_message(TrainingSucceeded, delivered(f"{a_request().subject}.ops", a_request().body()))


def test_a_command_that_is_looked_up_has_the_sender_of_its_subject():
    command = a_release_command(envelope=said("command-1", "somebody-else"))
    subject = "modelkin.cmd.v1.version.release.0.resnet.operator-0"
    stored = RawStreamMsg(subject=subject, seq=3, data=command.body().encode(), headers=command.headers(), time=NOON)

    assert read_stored(ReleaseVersion, "COMMANDS", stored).envelope.source == "operator-0"


def test_a_command_that_is_heard_has_the_sender_of_its_subject():
    command = a_release_command(envelope=said("command-1", "somebody-else"))
    subject, body = "modelkin.cmd.v1.version.release.0.resnet.operator-0", command.body().encode()

    heard = message_of(subject, command.headers(), body, fallback_id="-", fallback_time=NOON)

    assert heard.envelope.source == "operator-0"


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
