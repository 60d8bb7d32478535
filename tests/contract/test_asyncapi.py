"""The published contract is the one that the code keeps."""

from pathlib import Path

from modelkin.asyncapi import as_text, asyncapi_document
from shared.messages import COMMANDS, EVENTS, LIVE
from shared.queries import QUERIES

COMMITTED = Path(__file__).parents[2] / "docs" / "asyncapi.json"


def test_the_committed_document_is_what_the_code_says():
    current = as_text(asyncapi_document())

    assert COMMITTED.read_text() == current, "docs/asyncapi.json is stale: run 'make contract'"


def test_every_message_has_a_channel():
    channels = asyncapi_document()["channels"]

    for message in (*EVENTS, *COMMANDS, *LIVE, *QUERIES):
        assert channels[message.__name__]["address"].startswith(message.address)


def test_a_command_is_heard_by_its_owner_and_never_said_by_the_system():
    operations = asyncapi_document()["operations"]

    for command in COMMANDS:
        assert operations[f"hear{command.__name__}"]["action"] == "receive"
        assert f"say{command.__name__}" not in operations


def test_an_answer_to_a_command_is_said_by_the_system():
    operations = asyncapi_document()["operations"]

    assert operations["sayVersionReleased"]["action"] == "send"
    assert operations["sayCommandRefused"]["action"] == "send"


def test_a_source_is_told_apart_by_its_method():
    schemas = asyncapi_document()["components"]["schemas"]

    assert schemas["ImportModel"]["properties"]["source"]["discriminator"]["propertyName"] == "method"


def test_every_reference_leads_somewhere():
    document = asyncapi_document()

    references = list(_references(document))

    assert len(references) > 50
    for reference in references:
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def _references(value):
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)
