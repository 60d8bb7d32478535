"""What is watched of a message, without servers."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog
from faststream import ContextRepo
from faststream.exceptions import NackMessage, RejectMessage
from nats.aio.msg import Msg

from services.importer.measuring import size_class
from shared.envelope import Envelope
from shared.errors import Transient
from shared.messages import DatasetRecalled
from shared.observing.handling import Handling, Observed, Watch
from shared.observing.measures import Measures
from shared.observing.metrics import Metrics
from shared.observing.readiness import Readiness
from shared.telemetry import Forwarding, add_message, facts_of, handled
from shared.watching import saying, stage

GIVEN_OUT = "$JS.ACK.EVENTS.versioning-on-changes.3.17.40.1700000000000000000.5"
KNOWN = frozenset({"versioning-on-changes"})


def message(subject: str = "modelkin.evt.v1.version.deleted.lab.cats", reply: str = GIVEN_OUT, **headers: str) -> Msg:
    return Msg(_client=None, subject=subject, reply=reply, data=b"{}", headers=headers)  # type: ignore[arg-type]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("versioning")


def samples(metrics: Metrics, name: str) -> list[str]:
    return [line for line in metrics.page().decode().splitlines() if line.startswith(name)]


def test_a_message_is_told_by_its_ids_its_workspace_its_model_and_its_consumer():
    facts = facts_of(message(**{"Nats-Msg-Id": "b", "ce-id": "b", "ce-correlationid": "a"}))

    assert facts == {
        "request_id": "a",
        "message_id": "b",
        "workspace": "lab",
        "model": "cats",
        "consumer": "versioning-on-changes",
    }


@pytest.mark.parametrize(
    ("subject", "named"),
    [
        ("modelkin.evt.v1.autolearning.deployed.0.flowers", {"project": "flowers"}),
        ("modelkin.evt.v1.dataset.recalled.0.cats", {"dataset": "cats"}),
        ("modelkin.cmd.v1.version.delete.0.cats.operator-0", {"model": "cats"}),
    ],
)
def test_what_a_subject_is_about_is_named_for_what_it_is(subject: str, named: dict[str, str]):
    facts = facts_of(message(subject))

    assert {name: facts[name] for name in named} == named


def test_a_message_without_ids_is_told_by_its_place_in_the_stream():
    facts = facts_of(message(**{"ce-time": "yesterday"}))

    assert facts["message_id"] == "EVENTS-17"


def test_a_line_keeps_what_it_says_itself():
    token = handled.set(message(**{"ce-id": "b"}))
    try:
        line = add_message(None, "info", {"event": "dead letter", "message_id": "its own"})
    finally:
        handled.reset(token)

    assert line["message_id"] == "its own"
    assert line["model"] == "cats"
    assert add_message(None, "info", {"event": "started"}) == {"event": "started"}


@pytest.mark.parametrize(
    ("error", "outcome"), [(None, "done"), (NackMessage(), "given_back"), (RejectMessage(), "set_aside")]
)
def test_what_becomes_of_a_message_is_counted(metrics: Metrics, error: Exception | None, outcome: str):
    Handling(Watch(KNOWN, metrics, None, None), message()).end(error)

    sample = f'modelkin_message_seconds_count{{consumer="versioning-on-changes",outcome="{outcome}"}} 1.0'
    assert samples(metrics, "modelkin_message_seconds_count") == [sample]


@pytest.mark.parametrize("reply", ["", "_INBOX.a", "$JS.ACK.no", GIVEN_OUT.replace("versioning-on-changes", "mine")])
def test_a_question_is_none_of_a_consumer_wherever_its_answer_goes(metrics: Metrics, reply: str):
    Handling(Watch(KNOWN, metrics, None, None), message("modelkin.qry.v1.lineage.get", reply)).end(None)

    assert samples(metrics, "modelkin_message_seconds_count") == []
    assert samples(metrics, "modelkin_query_seconds_count") == ['modelkin_query_seconds_count{query="lineage.get"} 1.0']


def recalled() -> DatasetRecalled:
    envelope = Envelope.of_request("a", "test", datetime(2026, 11, 23, tzinfo=UTC))
    return DatasetRecalled(envelope=envelope, dataset="cats", why="wrong labels")


def test_an_event_that_the_stream_had_before_is_counted_no_second_time(metrics: Metrics):
    handling = Handling(Watch(KNOWN, metrics, None, None), message())
    for new in (True, False):
        with saying(recalled()) as said:
            said.kept(new=new)
    handling.end(None)

    assert samples(metrics, 'modelkin_events_total{event="dataset.recalled"}')[0].endswith(" 1.0")


async def test_what_fails_in_watching_fails_no_message(metrics: Metrics):
    def fails(*_: object) -> None:
        raise ZeroDivisionError

    watch = Watch(KNOWN, metrics, Measures(published=fails, staged=fails), None)
    observed = Observed(message(), context=ContextRepo(), watch=watch)
    with structlog.testing.capture_logs() as lines:
        async with observed:
            with saying(recalled()) as said:
                said.kept(new=True)
            with stage("copy"):
                pass

    assert [line["event"] for line in lines] == ["not watched", "not watched"]
    assert len(samples(metrics, "modelkin_message_seconds_count")) == 1


def test_what_a_service_may_say_is_counted_from_zero(metrics: Metrics):
    assert 'modelkin_events_total{event="version.assigned"} 0.0' in samples(metrics, "modelkin_events_total")
    assert samples(metrics, 'modelkin_events_total{event="model.imported"}') == []


def test_where_nobody_watches_nothing_is_added_to_an_event():
    with saying(recalled()) as said, stage("copy"):
        said.kept(new=True)

    assert said.headers == {}


@pytest.mark.parametrize(
    ("size_bytes", "name"),
    [
        (0, "1MB"),
        (1048576, "1MB"),
        (1048577, "100MB"),
        (1073741824, "1GB"),
        (10737418240, "10GB"),
        (10737418241, "larger"),
    ],
)
def test_a_package_belongs_to_the_first_class_that_holds_it(size_bytes: int, name: str):
    assert size_class(size_bytes) == name


async def test_what_a_service_waits_for_is_missing_until_it_is_there():
    there = False

    async def look() -> None:
        if not there:
            raise Transient("MongoDB is away")

    readiness = Readiness({})
    noted = readiness.noting("MongoDB", look)
    assert await readiness.missing() == {"start": "it is starting"}
    with pytest.raises(Transient):
        await noted()
    assert await readiness.missing() == {"MongoDB": "MongoDB is away"}
    there = True
    await noted()
    readiness.started = True

    assert await readiness.missing() == {}


async def test_every_check_says_what_is_missing_and_what_it_holds_of_secrets_stays_unsaid():
    async def away() -> None:
        raise Transient("there is no connection to NATS")

    async def broken() -> None:
        raise ValueError("mongodb://root:secret@mongo")

    async def well() -> None: ...

    readiness = Readiness({"NATS": away, "MongoDB": broken, "more": well})
    readiness.started = True

    assert await readiness.missing() == {
        "NATS": "there is no connection to NATS",
        "MongoDB": "it could not be looked at: ValueError",
    }


@pytest.fixture
def library() -> Iterator[logging.Logger]:
    logger = logging.getLogger("a library of the tests")
    handler = Forwarding(logging.ERROR)
    logger.addHandler(handler)
    logger.propagate = False
    yield logger
    logger.removeHandler(handler)


def test_what_a_library_says_again_and_again_is_one_line(library: logging.Logger):
    with structlog.testing.capture_logs() as lines:
        library.warning("a try")
        for _ in range(3):
            library.error("the collector is away")

    assert [line["event"] for line in lines] == ["the collector is away"]
