"""Reading and writing events: what is wrong with a body is said, what is unknown is ignored."""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.errors import Malformed
from shared.messages import (
    AutoLearningDeployed,
    CommandRefused,
    ImportModel,
    ImportProgressed,
    ImportRefused,
    ImportRequest,
    ImportStarted,
    Message,
    ModelImported,
    ModelRegistered,
    ReleaseVersion,
    TrainingSucceeded,
    VersionReleased,
    message_of,
    read_json,
)
from shared.naming import is_name
from shared.queries import GetLineage, GetModel, GetTemplate, ListJobVersions, ListModels, ListTemplates
from shared.values import (
    Base,
    FromAutoLearning,
    FromImage,
    FromJob,
    FromStorage,
    FromTemplate,
    Job,
    Restriction,
    Source,
    TemplateInput,
)
from tests.samples import (
    NOON,
    a_deployment,
    a_release,
    a_release_command,
    a_request,
    an_import,
    an_import_command,
    at,
    digest,
    said,
)

LEAST = {"model": "resnet", "job": {"id": "job-7", "version": "V001"}, "location": "file:///models/run-7"}
JOB_7 = FromJob(location="file:///models/run-7", job=Job(id="job-7", version="V001"))
TEMPLATED = FromTemplate(template="t", inputs=(TemplateInput(input_id="i", location="s3://b/one"),))
NAMES = (
    st.text(st.characters(categories=["L", "M", "Nd"], include_characters="-_"), min_size=1, max_size=64)
    .map(lambda text: unicodedata.normalize("NFC", text))
    .filter(is_name)
)


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

    assert request == a_request(built_in_algorithm=None)
    assert request.workspace == "0"
    assert request.version is None
    assert (request.datasets, request.code, request.parameters, request.metrics, request.bases) == (
        (),
        None,
        {},
        {},
        (),
    )
    assert (request.labels, request.description, request.documents) == ((), "", ())
    assert (request.deployment_types, request.minimum_specs, request.reference) == ((), None, False)


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
        ({"labels": "nightly"}, "labels: Input should be a valid tuple, got 'nightly'"),
        ({"documents": [{"name": "paper"}]}, "documents.0.url: Field required"),
        ({"minimum_specs": {"cpu": "two"}}, "minimum_specs.cpu: Input should be a valid number"),
        ({"reference": "maybe"}, "reference: Input should be a valid boolean"),
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


def test_a_body_of_a_mebibyte_is_read_and_one_byte_more_is_not():
    room = 1024 * 1024 - len(json.dumps({**LEAST, "parameters": {"note": ""}}))
    fitting = json.dumps({**LEAST, "parameters": {"note": "x" * room}})
    longer = json.dumps({**LEAST, "parameters": {"note": "x" * (room + 1)}})

    assert read(fitting).model == "resnet"
    assert complaint_about(longer) == "the body has 1048577 bytes: expected at most 1048576"


@pytest.mark.parametrize("kind", [AutoLearningDeployed, ImportModel])
def test_any_request_to_import_has_at_most_a_mebibyte(kind: type[ImportRequest]):
    with pytest.raises(Malformed, match=r"^the body has 1048577 bytes: expected at most 1048576$"):
        kind.read(" " * 1048577, said())


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

    assert request == a_request(built_in_algorithm=None)


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


def test_a_command_to_import_a_job_version_is_the_same_import_as_its_training_event():
    command = an_import_command("command-1", source=JOB_7)

    assert command.import_id == a_request().import_id
    assert an_import_command("command-2", source=JOB_7).import_id == a_request().import_id
    assert an_import_command(source=JOB_7, model="bert").import_id == a_request(model="bert").import_id
    assert an_import_command(source=JOB_7, workspace="vision").import_id == a_request(workspace="vision").import_id


def test_where_a_job_version_lies_says_nothing_of_which_import_it_is():
    elsewhere = JOB_7.model_copy(update={"location": "s3://runs/7"})

    assert an_import_command(source=elsewhere).import_id == a_request().import_id


@pytest.mark.parametrize(
    "source", [FromStorage(location="s3://b/m"), TEMPLATED, FromImage(image="registry.example/serve:1")]
)
def test_any_other_import_is_known_by_the_command_that_asks_for_it(source: Source):
    assert an_import_command("command-1", source=source).import_id == "1f0a9f3b-ad38-5e2f-b227-b6bf42f44851"
    assert an_import_command("command-2", source=source).import_id != "1f0a9f3b-ad38-5e2f-b227-b6bf42f44851"


def test_no_command_can_take_the_place_of_a_job_version_by_its_id():
    command = an_import_command(a_request().import_id, source=FromStorage(location="s3://b/m"))

    assert command.import_id != a_request().import_id


def test_automatic_learning_is_no_method_to_ask_for():
    with pytest.raises(ValidationError, match="automatic-learning"):
        an_import_command(source={"method": "automatic-learning", "location": "l", "project": "p", "run": "V001"})


def test_the_import_id_of_a_deployed_project_never_changes():
    """It was computed once, apart from this code, as the UUID of version 5 that RFC 9562 describes."""
    assert a_deployment().import_id == "4c774f0f-8f9a-530f-a802-baa6adf36b8d"


def test_repeats_of_a_deployment_under_another_id_are_the_same_import_of_the_same_model():
    first, again = a_deployment("deployment-1"), a_deployment("deployment-2", location="s3://auto/flowers")

    assert (first.import_id, first.model_name) == (again.import_id, again.model_name)


@pytest.mark.parametrize("changes", [{"workspace": "vision"}, {"project": "trees"}, {"run": "V002"}])
def test_another_workspace_project_or_run_is_another_import_of_another_model(changes: dict[str, str]):
    assert a_deployment(**changes).import_id != a_deployment().import_id
    assert a_deployment(**changes).model_name != a_deployment().model_name


def test_a_deployed_model_is_named_for_its_project_with_8_characters_of_its_import():
    assert a_deployment().model_name == "flowers_4c774f0f"


def test_of_a_long_name_of_a_project_55_characters_are_in_that_of_the_model():
    one, other = a_deployment(project="x" * 64), a_deployment(project="x" * 63)

    assert one.model_name == f"{'x' * 55}_{one.import_id[:8]}"
    assert len(one.model_name) == 64
    assert one.model_name != other.model_name


@given(NAMES, NAMES)
def test_whatever_a_project_is_called_its_model_has_a_valid_name(workspace: str, project: str):
    deployed = a_deployment(workspace=workspace, project=project)

    assert is_name(deployed.model_name)
    assert deployed.model_name.startswith(project[:55])


@given(NAMES, st.lists(st.text(max_size=20), min_size=2, max_size=2, unique=True))
def test_two_runs_of_a_project_are_two_models(project: str, runs: list[str]):
    one, other = (a_deployment(project=project, run=run) for run in runs)

    assert one.model_name != other.model_name


def test_an_answer_to_a_deployment_is_about_the_model_that_is_made_of_it():
    refused = a_deployment(workspace="vision").answer(
        ImportRefused, at(2), import_id="i", reason="location-empty", message="m"
    )

    assert (refused.workspace, refused.model) == ("vision", a_deployment(workspace="vision").model_name)


def test_each_request_says_where_its_model_comes_from():
    assert a_request().origin == FromJob(
        location="file:///models/run-7", job=Job(id="job-7", version="V001"), built_in_algorithm="resnet_v1_50"
    )
    assert a_deployment().origin == FromAutoLearning(location="file:///auto/flowers", project="flowers", run="V001")
    assert an_import_command(source=TEMPLATED).origin == TEMPLATED


@pytest.mark.parametrize(
    ("source", "location"),
    [
        (JOB_7, "file:///models/run-7"),
        (FromStorage(location="s3://b/m"), "s3://b/m"),
        (TEMPLATED, "s3://b/one"),
        (FromImage(image="registry.example/serve:1", config_location="s3://b/c"), "registry.example/serve:1"),
        (FromAutoLearning(location="s3://b/a", project="p", run="V001"), "s3://b/a"),
    ],
)
def test_every_source_has_a_location(source: Source, location: str):
    assert source.location == location


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (None, "source: Field required"),
        ({"location": "s3://b/m"}, "source: Unable to extract tag using discriminator 'method'"),
        ({"method": "ftp", "location": "ftp://h/m"}, "source: Input tag 'ftp' found using 'method' does not match"),
        ({"method": "object-storage"}, "source.object-storage.location: Field required"),
        ({"method": "training-job", "location": "l"}, "source.training-job.job: Field required"),
        ({"method": "template", "template": "t", "inputs": []}, "source.template.inputs: Tuple should have at least 1"),
        ({"method": "container-image"}, "source.container-image.image: Field required"),
        (
            {"method": "container-image", "image": "i", "config": "model"},
            "source.container-image.config: Input should be a valid dictionary",
        ),
    ],
)
def test_a_source_that_is_none_is_malformed_and_says_why(source: dict[str, Any] | None, complaint: str):
    body = {"model": "resnet", **({} if source is None else {"source": source})}

    with pytest.raises(Malformed) as caught:
        ImportModel.read(json.dumps(body), said())

    assert str(caught.value).startswith(f"not a ImportModel: {complaint}")


@pytest.mark.parametrize("missing", ["model", "version", "why"])
def test_a_release_names_the_version_and_says_why(missing: str):
    body = {"model": "resnet", "version": "0.0.1", "why": "read by eye"}
    del body[missing]

    with pytest.raises(Malformed, match=f"^not a ReleaseVersion: {missing}: Field required"):
        ReleaseVersion.read(json.dumps(body), said())


MESSAGES: list[Message] = [
    an_import(),
    an_import(restrictions=(Restriction.AUTO_LEARNING, Restriction.QUARANTINE)),
    a_request(labels=("a", "b"), minimum_specs={"cpu": 0.5}, documents=({"name": "n", "url": "https://u"},)),
    a_deployment(),
    *(
        an_import_command(source=source)
        for source in (
            JOB_7,
            FromStorage(location="s3://b/m"),
            TEMPLATED,
            FromImage(image="registry.example/serve:1", config={"model_type": "Image", "apis": [{"url": "/x"}]}),
            FromImage(image="registry.example/serve:1", config_location="s3://b/c", platform="linux/arm64"),
        )
    ),
    a_release_command(why="图像 \u0000"),
    a_release(),
    a_deployment().answer(ImportStarted, at(1), import_id="i", method="template", file_count=0, size_bytes=0),
    a_release_command().answer(CommandRefused, at(1), command="c", reason="not-quarantined", message="m"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_read_by_the_subject_it_came_on(message: Message):
    headers, body = message.headers(), message.body().encode()

    read_again = message_of(message.subject, headers, body, fallback_id="x", fallback_time=NOON)

    assert read_again == message
    assert type(read_again) is type(message)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_as_one_json_object_has_attributes_beside_its_data(message: Message):
    whole = message.cloud_event()

    assert whole["type"] == message.address
    assert whole["subject"] == message.about
    assert whole["data"] == json.loads(message.body())


@pytest.mark.parametrize("number", ["1.0", "01.0.0", "latest", ""])
def test_a_release_of_ours_never_names_a_version_that_is_none(number: str):
    body = json.dumps({"model": "resnet", "version": number, "ordinal": 1, "by": "operator", "why": "w"})

    with pytest.raises(Malformed, match="version: String should match pattern"):
        VersionReleased.read(body, said())


def test_an_import_that_says_nothing_of_deployment_may_be_deployed_in_both_ways():
    body = json.loads(an_import().body())
    del body["deployment_types"]

    assert ModelImported.read(json.dumps(body), said()).deployment_types == ("real-time", "batch")


@pytest.mark.parametrize(
    "subject", ["modelkin.evt.v1.model.forgotten.0.resnet", "modelkin.evt.v1.model.importedx.0.resnet", "orders.new"]
)
def test_a_subject_that_carries_no_event_is_malformed(subject: str):
    with pytest.raises(Malformed, match=f"^no message is known on {subject}$"):
        message_of(subject, {}, b"{}", fallback_id="x", fallback_time=NOON)


def test_a_query_is_asked_in_the_default_workspace_and_by_pages_of_100():
    assert read_json(ListModels, "{}") == ListModels(workspace="0", after=None, limit=100)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_1_to_1000_lines(limit: int):
    with pytest.raises(Malformed, match="not a ListModels: limit: Input should be"):
        read_json(ListModels, json.dumps({"limit": limit}))


@pytest.mark.parametrize("depth", [-1, 1001])
def test_a_lineage_has_at_most_1000_steps(depth: int):
    with pytest.raises(Malformed, match="not a GetLineage: depth: Input should be"):
        read_json(GetLineage, json.dumps({"model": "resnet", "version": "0.0.1", "depth": depth}))


def test_templates_are_listed_without_a_filter_unless_one_is_given():
    assert read_json(ListTemplates, "{}") == ListTemplates(type=None, engine=None, environment=None, word=None)


@pytest.mark.parametrize("missing", ["model", "job", "location"])
def test_job_versions_are_asked_for_by_model_job_and_location(missing: str):
    body = {"model": "resnet", "job": "job-7", "location": "file:///jobs/7"}

    assert read_json(ListJobVersions, json.dumps(body)).workspace == "0"
    del body[missing]
    with pytest.raises(Malformed, match=f"^not a ListJobVersions: {missing}: Field required"):
        read_json(ListJobVersions, json.dumps(body))


def test_a_template_is_asked_for_by_its_id():
    with pytest.raises(Malformed, match=r"^not a GetTemplate: template: Field required"):
        read_json(GetTemplate, "{}")


def test_a_query_says_which_field_it_lacks():
    with pytest.raises(Malformed, match=r"^not a GetModel: model: Field required"):
        read_json(GetModel, "{}")
