"""Reading and writing events: what is wrong with a body is said, what is unknown is ignored."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.errors import Malformed
from shared.messages import (
    ImportProgressed,
    ImportRefused,
    ModelImported,
    ModelRegistered,
    TrainingSucceeded,
    event_of,
    read_json,
)
from shared.queries import GetLineage, GetModel, ListModels
from shared.values import Base, Job
from tests.samples import NOON, a_request, an_import, at, digest, said

LEAST = {"model": "resnet", "job": {"id": "job-7", "version": "V001"}, "location": "file:///models/run-7"}


def read(body: str | bytes) -> TrainingSucceeded:
    return TrainingSucceeded.read(body, said())


def read_with(**changes: Any) -> TrainingSucceeded:
    return read(json.dumps({**LEAST, **changes}))


def complaint_about(body: str | bytes) -> str:
    with pytest.raises(Malformed) as caught:
        read(body)
    return str(caught.value)


def test_the_least_that_a_training_system_says_is_model_job_and_location():
    request = read(json.dumps(LEAST))

    assert request == a_request()
    assert request.workspace == "0"
    assert request.version is None
    assert (request.datasets, request.code, request.parameters, request.metrics, request.bases) == (
        (),
        None,
        {},
        {},
        (),
    )


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("", "the body is not JSON: EOF while parsing"),
        ("{", "the body is not JSON: EOF while parsing"),
        ("resnet", "the body is not JSON: "),
        (b"\xff\xfe", "the body is not JSON: "),
        ('{"model": "resnet",}', "the body is not JSON: trailing comma"),
        ('{"model": "\\ud800"}', "the body is not JSON: "),
        ("[]", "the body is a JSON list: expected an object"),
        ('"resnet"', "the body is a JSON str: expected an object"),
        ("7", "the body is a JSON int: expected an object"),
        ("null", "the body is a JSON NoneType: expected an object"),
    ],
)
def test_a_body_that_is_no_json_object_is_malformed_and_says_why(body: str | bytes, complaint: str):
    assert complaint_about(body).startswith(complaint)


@pytest.mark.parametrize("missing", ["model", "job", "location"])
def test_a_missing_field_is_named(missing: str):
    body = json.dumps({name: value for name, value in LEAST.items() if name != missing})

    assert complaint_about(body).startswith(f"not a TrainingSucceeded: {missing}: Field required")


def test_every_fault_is_said_at_once():
    complaint = complaint_about('{"location": 7}')

    assert "model: Field required" in complaint
    assert "job: Field required" in complaint
    assert "location: Input should be a valid string, got '7'" in complaint


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"model": 7}, "model: Input should be a valid string, got '7'"),
        ({"model": None}, "model: Input should be a valid string, got 'None'"),
        ({"job": "job-7"}, "job: Input should be a valid dictionary or instance of Job, got 'job-7'"),
        ({"job": {"id": "job-7"}}, "job.version: Field required"),
        ({"datasets": [{"name": ""}]}, "datasets.0.name: String should have at least 1 character"),
        ({"datasets": [{"name": "d", "digest": "sha256:ab"}]}, "datasets.0.digest: String should match pattern"),
        ({"code": {"repository": "r"}}, "code.commit: Field required"),
        ({"parameters": [1]}, "parameters: Input should be a valid dictionary, got '[1]'"),
        ({"metrics": {"f1": "high"}}, "metrics.f1: Input should be a valid number"),
        ({"bases": [{}]}, "bases.0: Value error, a base is either a model with a version, or a digest"),
        ({"bases": [{"model": "a"}]}, "bases.0: Value error, a base is either"),
        (
            {"bases": [{"model": "a", "version": "0.0.1", "digest": digest("a")}]},
            "bases.0: Value error, a base is either",
        ),
        ({"bases": [{"digest": digest("a"), "relation": "copied"}]}, "bases.0.relation: Input should be 'resumed'"),
        ({"version": 1.0}, "version: Input should be a valid string, got '1.0'"),
    ],
)
def test_a_field_of_the_wrong_type_is_named_with_what_came(changes: dict[str, Any], complaint: str):
    assert complaint in complaint_about(json.dumps({**LEAST, **changes}))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("field", ["metrics", "parameters"])
def test_numbers_that_json_has_not_are_malformed(field: str, number: str):
    body = json.dumps(LEAST)[:-1] + f', "{field}": {{"loss": {number}}}}}'

    assert complaint_about(body).startswith("the body is not JSON: ")


def test_a_metric_too_large_for_a_number_is_malformed():
    body = json.dumps(LEAST)[:-1] + ', "metrics": {"loss": 1e999}}'

    assert "metrics.loss: Input should be a finite number" in complaint_about(body)


@pytest.mark.parametrize("value", ["1e999", "-1e999", "[1, [1e999]]", '{"deep": {"er": 1e999}}'])
def test_a_parameter_too_large_for_a_number_is_malformed_for_it_cannot_be_said_again(value: str):
    body = json.dumps(LEAST)[:-1] + f', "parameters": {{"good": 1e308, "bound": {value}}}}}'

    assert "parameters: Value error, bound: expected finite numbers" in complaint_about(body)


def test_a_body_of_256_kib_is_read_and_one_byte_more_is_not():
    room = 256 * 1024 - len(json.dumps({**LEAST, "parameters": {"note": ""}}))
    fitting = json.dumps({**LEAST, "parameters": {"note": "x" * room}})
    longer = json.dumps({**LEAST, "parameters": {"note": "x" * (room + 1)}})

    assert read(fitting).model == "resnet"
    assert complaint_about(longer) == "the body has 262145 bytes: expected at most 262144"


def test_an_event_of_ours_may_have_a_mebibyte():
    body = an_import(parameters={"note": "x" * 1_000_000}).body()

    assert ModelImported.read(body, said()).parameters == {"note": "x" * 1_000_000}
    with pytest.raises(Malformed, match="expected at most 1048576"):
        ModelImported.read(body + " " * 100_000, said())


def test_lists_in_lists_without_end_are_malformed_and_break_nothing():
    body = json.dumps(LEAST)[:-1] + ', "parameters": {"deep": ' + "[" * 5000 + "]" * 5000 + "}}"

    assert complaint_about(body).startswith("the body is not JSON: recursion limit exceeded")


def test_unknown_fields_are_ignored_wherever_they_are():
    request = read_with(colour="blue", job={"id": "job-7", "version": "V001", "queue": 3})

    assert request == a_request()


def test_a_body_cannot_speak_for_its_envelope():
    request = read_with(envelope={"id": "forged", "source": "s", "time": "2026-01-01T00:00:00Z", "correlation_id": "c"})

    assert request.envelope == said()


def test_the_envelope_is_not_in_the_body():
    assert "envelope" not in json.loads(a_request().body())


def test_parameters_keep_odd_names_and_numbers():
    parameters = {
        "a.b": 1,
        "$set": {"$inc": None},
        "": "",
        "huge": 123456789012345678901234567890,
        "small": 5e-324,
        "minus zero": -0.0,
        "text": "模型\u0000😀",
        "deep": [[[{"x": [True, False]}]]],
    }

    request = read_with(parameters=parameters)

    assert request.parameters == parameters
    assert read(request.body()).parameters == parameters


def test_what_is_written_is_read_again():
    request = a_request(
        workspace="vision",
        datasets=[{"name": "coco", "version": "2017", "digest": digest("d"), "location": "s3://data/coco"}],
        code={"repository": "https://git.example/resnet", "commit": "abc123", "entry_point": "train.py"},
        parameters={"lr": 0.1},
        metrics={"f1": 0.75},
        bases=[{"model": "resnet", "version": "0.0.1", "relation": "fine-tuned"}, {"digest": digest("b")}],
        version="1.0.0",
    )

    assert read(request.body()) == request


def test_messages_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        a_request().model = "other"


def test_a_base_is_resumed_where_nothing_else_is_said():
    assert Base(digest=digest("a")).relation == "resumed"


def test_an_event_travels_on_its_address_workspace_and_model():
    assert a_request().subject == "modelkin.evt.v1.training.succeeded.0.resnet"
    assert an_import(workspace="视觉", model="模型").subject == "modelkin.evt.v1.model.imported.视觉.模型"


@pytest.mark.parametrize("wrong", ["", "a.b", "a b", ">", "*", "x" * 65])
def test_a_name_that_breaks_the_rule_is_a_tilde_on_the_subject(wrong: str):
    assert a_request(model=wrong).subject == "modelkin.evt.v1.training.succeeded.0.~"
    assert a_request(workspace=wrong).subject == "modelkin.evt.v1.training.succeeded.~.resnet"


@given(st.text(max_size=80), st.text(max_size=80))
def test_whatever_the_names_a_subject_has_seven_tokens_and_no_wildcard(workspace: str, model: str):
    tokens = a_request(workspace=workspace, model=model).subject.split(".")

    assert len(tokens) == 7
    assert all(tokens)
    assert not {"*", ">"} & set(tokens)


@pytest.mark.parametrize("kind", [ModelImported, ModelRegistered])
@pytest.mark.parametrize("name", ["a.b", "", "a b", "x" * 65])
def test_an_event_of_ours_is_never_about_a_model_without_a_name(kind: type[ModelImported], name: str):
    with pytest.raises(Malformed, match="model: String should match pattern"):
        kind.read(json.dumps({"model": name}), said())


def test_an_event_of_ours_is_never_about_a_model_in_decomposed_form():
    body = an_import().body().replace("resnet", "cafe\u0301")

    with pytest.raises(Malformed, match=r"model: Value error, expected the composed form of Unicode"):
        ModelImported.read(body, said())


def test_an_answer_is_about_the_same_model_unless_told_otherwise():
    request = a_request(workspace="vision")

    refused = request.answer(ImportRefused, at(2), import_id="i", reason="invalid-job", message="m")
    other = request.answer(ImportRefused, at(2), model="x", import_id="i", reason="invalid-job", message="m")

    assert (refused.workspace, refused.model) == ("vision", "resnet")
    assert (other.workspace, other.model) == ("vision", "x")
    assert refused.envelope.source == "modelkin/importer"
    assert refused.envelope.cause_id == "request-1"


def test_one_request_gets_different_ids_for_different_answers():
    ids = {
        a_request().answer(ImportRefused, NOON, import_id="i", reason="invalid-job", message="m").envelope.id,
        a_request().answer(ImportProgressed, NOON, import_id="i", done_bytes=1, total_bytes=2).envelope.id,
        a_request().envelope.id,
    }

    assert len(ids) == 3


def test_the_id_of_an_import_never_changes():
    """It was computed once, apart from this code: a training system that retries over an upgrade must not make a second version."""
    assert a_request().import_id == "a58625af-5d88-52f2-b04b-2d1e831c0a20"


def test_repeats_under_another_id_are_the_same_import():
    assert a_request("request-2", parameters={"lr": 1}).import_id == a_request("request-1").import_id


@pytest.mark.parametrize(
    "changes",
    [
        {"workspace": "vision"},
        {"model": "bert"},
        {"job": Job(id="job-8", version="V001")},
        {"job": Job(id="job-7", version="V002")},
    ],
)
def test_another_workspace_model_job_or_run_is_another_import(changes: dict[str, Any]):
    assert a_request(**changes).import_id != a_request().import_id


def test_an_event_is_read_by_the_subject_it_came_on():
    imported = an_import()

    read_again = event_of(
        imported.subject, imported.headers(), imported.body().encode(), fallback_id="x", fallback_time=NOON
    )

    assert read_again == imported


@pytest.mark.parametrize(
    "subject", ["modelkin.evt.v1.model.forgotten.0.resnet", "modelkin.evt.v1.model.importedx.0.resnet", "orders.new"]
)
def test_a_subject_that_carries_no_event_is_malformed(subject: str):
    with pytest.raises(Malformed, match=f"^no event is known on {subject}$"):
        event_of(subject, {}, b"{}", fallback_id="x", fallback_time=NOON)


def test_a_query_is_asked_in_the_default_workspace_and_by_pages_of_100():
    assert read_json(ListModels, "{}") == ListModels(workspace="0", after="", limit=100)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_1_to_1000_lines(limit: int):
    with pytest.raises(Malformed, match="not a ListModels: limit: Input should be"):
        read_json(ListModels, json.dumps({"limit": limit}))


@pytest.mark.parametrize("depth", [-1, 1001])
def test_a_lineage_has_at_most_1000_steps(depth: int):
    with pytest.raises(Malformed, match="not a GetLineage: depth: Input should be"):
        read_json(GetLineage, json.dumps({"model": "resnet", "version": "0.0.1", "depth": depth}))


def test_a_query_says_which_field_it_lacks():
    with pytest.raises(Malformed, match=r"^not a GetModel: model: Field required"):
        read_json(GetModel, "{}")
