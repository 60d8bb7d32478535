"""What comes from outside is read up to a limit, and what is said of it has one."""

import base64
from datetime import UTC, datetime

import pytest

from services.versioning.cursors import position_of
from shared.envelope import Envelope
from shared.errors import Malformed, Refused
from shared.messages import ImportModel, TrainingSucceeded
from shared.texts import without_login

ENVELOPE = Envelope.of_request("r-1", "tests", datetime(2026, 11, 23, tzinfo=UTC))
REQUEST = b'{"model": "m", "source": {"method": "object-storage", "location": "file:///a"}, %s}'


def fault(body: bytes) -> str:
    with pytest.raises(Malformed) as caught:
        ImportModel.read(body, ENVELOPE)
    return str(caught.value)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_a_body_nested_without_end_is_no_json(opening: bytes):
    assert fault(opening * 150_000).startswith("the body is not JSON: recursion limit exceeded")


def test_a_number_of_thousands_of_digits_is_no_json():
    assert fault(REQUEST % b'"parameters": {"lr": %s}' % (b"9" * 5000)).startswith(
        "the body is not JSON: number out of range"
    )


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_what_is_no_number_in_json_is_none_here(number: bytes):
    assert fault(REQUEST % b'"metrics": {"f1": %s}' % number).startswith("the body is not JSON")


def test_a_key_that_comes_twice_means_what_it_says_last_for_everybody():
    body = b'{"model": "a", "model": "b", "job": {"id": "j", "version": "V001"}, "location": "file:///a"}'

    read = TrainingSucceeded.read(body, ENVELOPE)

    assert read.model == "b"
    assert read.subject == "modelkin.evt.v1.training.succeeded.0.b"


def test_of_many_faults_the_first_are_said():
    many = b", ".join([b'{"name": 1}'] * 60_000)

    said = fault(REQUEST % b'"datasets": [%s]' % many)

    assert said.startswith(
        "not a ImportModel: datasets.0.name: Input should be a valid string, got '1'; datasets.1.name"
    )
    assert said.endswith("; and 59980 more")
    assert len(said) < 2000


def test_a_long_name_of_a_fault_is_cut():
    said = fault(REQUEST % b'"metrics": {"%s": "x"}' % (b"k" * 100_000))

    assert len(said) < 300


def test_a_cursor_nested_without_end_is_none():
    cursor = base64.urlsafe_b64encode(b"[" * 100_000).decode()

    with pytest.raises(Refused, match="expected `next` of the page before"):
        position_of("question", cursor)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
        ("nats://importer:secret@nats.example:4222", "nats://nats.example:4222"),
        ("nats://token@a:4222,nats://u:p@b:4222", "nats://a:4222,nats://b:4222"),
        ("importer:se/cret@nats.example", "nats.example"),
    ],
)
def test_a_url_is_shown_without_its_login(url: str, shown: str):
    assert without_login(url) == shown
