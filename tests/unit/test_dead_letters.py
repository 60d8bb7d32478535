"""The headers of a dead letter, and the event that says it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.dead_letters import DeadLetter
from shared.envelope import Envelope

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def a_letter(message: str = "the body is not JSON") -> DeadLetter:
    return DeadLetter(
        durable="importer-on-training-succeeded",
        reason="malformed",
        message=message,
        attempts=3,
        subject="modelkin.evt.v1.training.succeeded.0.resnet",
        message_id="request-1",
        stream="EVENTS",
        sequence=12,
    )


def test_the_reason_stands_in_headers():
    assert a_letter().headers() == {
        "Modelkin-Dead-Durable": "importer-on-training-succeeded",
        "Modelkin-Dead-Reason": "malformed",
        "Modelkin-Dead-Message": "the body is not JSON",
        "Modelkin-Dead-Attempts": "3",
        "Modelkin-Dead-Subject": "modelkin.evt.v1.training.succeeded.0.resnet",
        "Modelkin-Dead-Message-Id": "request-1",
        "Modelkin-Dead-Stream": "EVENTS",
        "Modelkin-Dead-Sequence": "12",
        "Nats-Msg-Id": "importer-on-training-succeeded:EVENTS:12",
    }


@pytest.mark.parametrize("message", ["two\nlines", "模型 is no name", 'got "a%20b"', "tab\tand\0zero"])
def test_a_message_of_any_text_comes_back_from_the_headers(message: str):
    assert DeadLetter.from_headers(a_letter(message).headers()) == a_letter(message)


@given(TEXT)
def test_header_values_are_one_line_of_ascii_and_say_the_same(message: str):
    headers = a_letter(message).headers()

    assert all(value.isascii() and (value == "" or value.isprintable()) for value in headers.values())
    assert DeadLetter.from_headers(headers).message == message


def test_the_headers_of_the_message_itself_do_not_disturb():
    headers = {"ce-id": "request-1", "Modelkin-Other": "x", **a_letter().headers()}

    assert DeadLetter.from_headers(headers) == a_letter()


def test_a_message_that_had_no_id_has_none_in_its_letter():
    headers = {name: value for name, value in a_letter().headers().items() if name != "Modelkin-Dead-Message-Id"}

    assert DeadLetter.from_headers(headers).message_id == ""


def test_a_message_set_aside_twice_by_one_consumer_is_one_letter():
    again = a_letter("another reason").model_copy(update={"attempts": 5})

    assert again.id == a_letter().id


def test_two_consumers_that_set_a_message_aside_write_two_letters():
    other = a_letter().model_copy(update={"durable": "registry-on-model-imported"})

    assert other.id != a_letter().id


@pytest.mark.parametrize(
    ("subject", "about"),
    [
        ("modelkin.evt.v1.training.succeeded.vision.resnet", {"workspace": "vision", "model": "resnet"}),
        ("modelkin.cmd.v1.model.import.~.a!b", {"workspace": "~", "model": "a!b"}),
        ("modelkin.cmd.v1.model.import.vision.resnet.operator-0", {"workspace": "vision", "model": "resnet"}),
        ("modelkin.dlq.importer", {"workspace": "dlq", "model": "importer"}),
    ],
)
def test_a_letter_is_about_the_workspace_and_the_model_of_the_subject(subject: str, about: dict[str, str]):
    assert a_letter().model_copy(update={"subject": subject}).about == about


def test_headers_that_would_tell_nats_what_to_do_are_not_kept_and_neither_are_names_that_nobody_may_write():
    headers = {
        "ce-id": "1",
        "Nats-Msg-Id": "1",
        "nats-rollup": "all",
        "Modelkin-Dead-Reason": "x",
        "a b": "",
        "x": "模",
    }

    assert DeadLetter.kept(headers) == {"ce-id": "1", "x": "模"}


def test_the_event_of_a_letter_stored_twice_is_the_same():
    letter, cause = a_letter(), Envelope.of_request("request-1", "trainer", NOON)
    first = letter.added(7, cause, NOON)
    again = letter.model_copy(update={"attempts": 4}).added(7, cause, NOON)

    assert first.envelope == again.envelope
    assert first.envelope.source == "modelkin/importer"
    assert first.envelope.cause_id == "request-1"


def test_two_consumers_that_set_a_message_aside_say_two_events():
    cause = Envelope.of_request("request-1", "trainer", NOON)
    other = a_letter().model_copy(update={"durable": "registry-on-model-imported"})

    assert other.added(8, cause, NOON).envelope.id != a_letter().added(7, cause, NOON).envelope.id


def test_the_cause_is_the_message_or_its_place_where_its_headers_are_wrong():
    assert a_letter().cause({"ce-id": "request-1"}, NOON).id == "request-1"
    assert a_letter().cause({"ce-time": "yesterday"}, NOON).id == "EVENTS-12"


def test_of_a_letter_about_a_letter_no_event_is_said():
    about_a_letter = a_letter().model_copy(update={"subject": "modelkin.evt.v1.letter.added.0.resnet"})

    assert about_a_letter.is_of_a_letter
    assert not a_letter().is_of_a_letter
