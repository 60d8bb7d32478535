"""The CloudEvents envelope: what is filled in, what is escaped, and ids that derive from their cause."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.envelope import Envelope
from shared.errors import Malformed
from tests.samples import NOON, at, said

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
ENVELOPES = st.builds(
    Envelope,
    id=TEXT,
    source=TEXT,
    time=st.datetimes(timezones=st.just(UTC)),
    correlation_id=TEXT,
    cause_id=TEXT | st.none(),
)


def read(headers: dict[str, str]) -> Envelope:
    return Envelope.from_headers(headers, fallback_id="EVENTS-7", fallback_time=NOON)


def test_a_message_without_headers_is_known_by_its_place_in_the_stream():
    envelope = read({})

    assert envelope == Envelope(id="EVENTS-7", source="unknown", time=NOON, correlation_id="EVENTS-7", cause_id=None)


def test_a_plain_publisher_may_give_nothing_but_the_id_that_nats_knows():
    envelope = read({"Nats-Msg-Id": "run-7"})

    assert (envelope.id, envelope.correlation_id) == ("run-7", "run-7")


def test_the_id_of_the_event_goes_before_that_of_nats():
    assert read({"ce-id": "event", "Nats-Msg-Id": "nats"}).id == "event"


def test_header_names_are_read_in_any_case():
    assert read({"CE-ID": "event", "Ce-Source": "trainer"}).source == "trainer"


def test_an_empty_header_is_as_good_as_none():
    assert read({"ce-id": "", "ce-source": "", "ce-time": "", "ce-correlationid": ""}) == read({})


def test_given_attributes_are_taken_as_they_are():
    envelope = read(
        {
            "ce-id": "event",
            "ce-source": "trainer",
            "ce-time": "2026-02-03T04:05:06+08:00",
            "ce-correlationid": "run",
            "ce-causationid": "cause",
        }
    )

    assert envelope == Envelope(
        id="event",
        source="trainer",
        time=datetime(2026, 2, 2, 20, 5, 6, tzinfo=UTC),
        correlation_id="run",
        cause_id="cause",
    )


def test_what_is_not_printable_ascii_is_percent_encoded_in_headers():
    headers = Envelope.of_request('a "b"%', "système\n", NOON).headers("modelkin.evt.v1.model.imported", "0/模型")

    assert headers["ce-id"] == "a%20%22b%22%25"
    assert headers["ce-source"] == "syst%C3%A8me%0A"
    assert headers["ce-subject"] == "0/%E6%A8%A1%E5%9E%8B"


def test_headers_carry_every_attribute():
    headers = said("request-1").headers("modelkin.evt.v1.training.succeeded", "0/resnet")

    assert headers["Nats-Msg-Id"] == "request-1"
    assert headers["ce-specversion"] == "1.0"
    assert headers["ce-id"] == "request-1"
    assert headers["ce-source"] == "trainer"
    assert headers["ce-type"] == "modelkin.evt.v1.training.succeeded"
    assert headers["ce-time"] == "2026-01-05T12:00:00+00:00"
    assert headers["ce-subject"] == "0/resnet"
    assert headers["ce-correlationid"] == "request-1"
    assert headers["content-type"] == "application/json"
    assert "ce-causationid" not in headers


def test_times_are_written_in_utc():
    berlin = timezone(timedelta(hours=1))
    envelope = Envelope.of_request("request-1", "trainer", datetime(2026, 1, 5, 13, tzinfo=berlin))

    assert envelope.headers("kind", "0/resnet")["ce-time"] == "2026-01-05T12:00:00+00:00"


def test_the_id_of_an_answer_never_changes():
    """It was computed once, apart from this code: streams and stores know repeats by it, over releases too."""
    answer = said("request-1").of_answer("modelkin.evt.v1.model.imported", "modelkin/importer", NOON)

    assert answer.id == "3844210e-a0f8-5b9a-bb6b-8f4266398eb2"


def test_an_answer_names_its_cause_and_stays_in_its_conversation():
    request = Envelope(id="request-1", source="trainer", time=NOON, correlation_id="run-7")

    answer = request.of_answer("kind", "modelkin/importer", at(9))

    assert answer.cause_id == "request-1"
    assert answer.correlation_id == "run-7"
    assert answer.source == "modelkin/importer"
    assert answer.time == at(9)


def test_the_time_of_an_answer_says_nothing_of_its_id():
    assert said().of_answer("kind", "s", at(1)).id == said().of_answer("kind", "s", at(2)).id


def test_two_messages_of_one_conversation_have_different_answers():
    one, other = (
        Envelope(id=message_id, source="trainer", time=NOON, correlation_id="run-7") for message_id in ("a", "b")
    )

    assert one.of_answer("kind", "s", NOON).id != other.of_answer("kind", "s", NOON).id


def test_answers_of_another_kind_or_to_another_message_have_another_id():
    one = said("request-1").of_answer("kind", "s", NOON).id

    assert said("request-1").of_answer("other", "s", NOON).id != one
    assert said("request-2").of_answer("kind", "s", NOON).id != one


@pytest.mark.parametrize(
    ("headers", "complaint"),
    [
        ({"ce-time": "yesterday"}, "time: Input should be a valid datetime"),
        ({"ce-time": "2026-01-05T12:00:00"}, "time: Input should have timezone info, got '2026-01-05T12:00:00'"),
        ({"ce-id": "x" * 201}, "id: String should have at most 200 characters"),
        ({"ce-source": "x" * 201}, "source: String should have at most 200 characters"),
        ({"ce-correlationid": "x" * 201}, "correlation_id: String should have at most 200 characters"),
        ({"ce-causationid": "x" * 201}, "cause_id: String should have at most 200 characters"),
    ],
)
def test_an_attribute_that_breaks_its_rule_is_named(headers: dict[str, str], complaint: str):
    with pytest.raises(Malformed) as caught:
        read(headers)

    assert complaint in str(caught.value)
    assert str(caught.value).startswith("the CloudEvents headers are wrong: ")


def test_of_what_came_only_80_characters_are_said_back():
    with pytest.raises(Malformed) as caught:
        read({"ce-source": "x" * 5000})

    assert "x" * 80 in str(caught.value)
    assert "x" * 81 not in str(caught.value)


@given(ENVELOPES)
def test_what_is_written_into_headers_is_read_again(envelope: Envelope):
    assert read(envelope.headers("kind", "0/resnet")) == envelope


@given(ENVELOPES)
def test_header_values_are_one_line_of_ascii(envelope: Envelope):
    for value in envelope.headers("kind", "0/模型").values():
        assert value.isascii()
        assert value.isprintable()
        assert " " not in value
