"""Every message obeys the subject grammar, and the words on subjects are a closed list."""

import re

import pytest

from shared import messages, queries, subjects
from shared.messages import EVENTS, LIVE, Event
from shared.queries import QUERIES, Query
from tests.samples import a_request, an_import

# A new word is a reviewed change.
ENTITIES = {"training", "model", "import", "version", "lineage", "service"}
EVENT_PREDICATES = {"succeeded", "imported", "registered", "refused", "assigned", "progressed"}
QUERY_PREDICATES = {"list", "get", "ping"}
GRAMMAR = re.compile(
    r"modelkin\.(?P<kind>evt|live|qry)\.v(?P<version>[1-9][0-9]*)\.(?P<entity>[a-z]+)\.(?P<predicate>[a-z]+)"
)


def parts(address: str) -> re.Match[str]:
    match = GRAMMAR.fullmatch(address)
    assert match is not None, address
    return match


@pytest.mark.parametrize("event", [*EVENTS, *LIVE], ids=lambda kind: kind.__name__)
def test_an_event_is_addressed_by_the_grammar_with_known_words(event: type[Event]):
    address = parts(event.address)

    assert address["kind"] == ("evt" if event in EVENTS else "live")
    assert address["entity"] in ENTITIES
    assert address["predicate"] in EVENT_PREDICATES


@pytest.mark.parametrize("query", QUERIES, ids=lambda kind: kind.__name__)
def test_a_query_is_addressed_by_the_grammar_with_known_words(query: type[Query]):
    address = parts(query.address)

    assert address["kind"] == "qry"
    assert address["entity"] in ENTITIES
    assert address["predicate"] in QUERY_PREDICATES


def test_every_word_of_the_lists_is_in_use():
    addresses = [parts(kind.address) for kind in (*EVENTS, *LIVE, *QUERIES)]

    assert {address["entity"] for address in addresses} == ENTITIES
    assert {address["predicate"] for address in addresses} == EVENT_PREDICATES | QUERY_PREDICATES


def test_no_two_messages_share_an_address():
    addresses = [kind.address for kind in (*EVENTS, *LIVE, *QUERIES)]

    assert len(set(addresses)) == len(addresses)


def classes(module: object, base: type) -> set[type]:
    found = {one for one in vars(module).values() if isinstance(one, type) and issubclass(one, base)}
    return found - {base}


def test_every_event_is_in_the_list_of_events():
    assert classes(messages, Event) == {*EVENTS, *LIVE}


def test_every_query_is_in_the_list_of_queries():
    assert classes(queries, Query) == {*QUERIES}


def test_an_event_says_its_kind_and_what_it_is_about_in_its_headers():
    headers = an_import(workspace="vision").headers()

    assert headers["ce-type"] == "modelkin.evt.v1.model.imported"
    assert headers["ce-subject"] == "vision/resnet"


def test_the_stream_takes_each_event_of_any_workspace_and_model_and_nothing_else():
    assert subjects.EVENT_SUBJECTS == (
        "modelkin.evt.v1.training.succeeded.*.*",
        "modelkin.evt.v1.model.imported.*.*",
        "modelkin.evt.v1.import.refused.*.*",
        "modelkin.evt.v1.version.assigned.*.*",
        "modelkin.evt.v1.version.refused.*.*",
        "modelkin.evt.v1.model.registered.*.*",
    )


@pytest.mark.parametrize("event", EVENTS, ids=lambda kind: kind.__name__)
def test_the_subject_of_an_event_fits_its_filter(event: type[Event]):
    model = event.model_construct(workspace="视觉", model="模型")

    assert re.fullmatch(re.escape(event.address) + r"\.[^.]+\.[^.]+", model.subject)
    assert subjects.all_of(event) == f"{event.address}.*.*"


def test_a_subject_is_seven_tokens_even_for_names_that_break_the_rule():
    assert len(a_request(workspace="a.b.c", model="").subject.split(".")) == 7


def test_each_consumer_is_named_for_its_service_and_what_it_hears():
    assert {consumer.durable: consumer.filter_subject for consumer in subjects.CONSUMERS} == {
        "importer-on-training-succeeded": "modelkin.evt.v1.training.succeeded.*.*",
        "importer-on-version-refused": "modelkin.evt.v1.version.refused.*.*",
        "versioning-on-model-imported": "modelkin.evt.v1.model.imported.*.*",
        "registry-on-model-imported": "modelkin.evt.v1.model.imported.*.*",
        "registry-on-version-assigned": "modelkin.evt.v1.version.assigned.*.*",
        "registry-on-version-refused": "modelkin.evt.v1.version.refused.*.*",
    }


def test_the_streams_keep_their_names():
    assert (subjects.EVENTS_STREAM, subjects.DEAD_LETTERS_STREAM) == ("EVENTS", "DEAD_LETTERS")
    assert subjects.DEAD_LETTERS == "modelkin.dlq"
