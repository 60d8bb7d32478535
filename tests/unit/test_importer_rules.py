"""What may be asked of the importer: each rule, and what a refusal says."""

from typing import Any

import pytest

from services.importer.domain import Refusal, Unacceptable, expected, refusal_of
from shared.contents import UnsafeFile
from shared.messages import ImportRequest
from shared.values import (
    Base,
    Dataset,
    Fault,
    FromImage,
    FromJob,
    FromStorage,
    FromTemplate,
    Job,
    Reason,
    Source,
    TemplateInput,
)
from tests.samples import a_deployment, a_request, an_import_command, digest

JOB_7 = FromJob(location="file:///models/run-7", job=Job(id="job-7", version="V001"))
STORED = FromStorage(location="s3://models/resnet")
CONFIG = {"model_type": "Image"}


def refusal(**changes: Any) -> Refusal:
    return refused(a_request(**changes))


def refused(request: ImportRequest) -> Refusal:
    found = refusal_of(request)
    assert found is not None
    return found


def templated(*locations: str) -> FromTemplate:
    inputs = tuple(TemplateInput(input_id=f"i{number}", location=one) for number, one in enumerate(locations))
    return FromTemplate(template="t", inputs=inputs)


def test_a_request_that_obeys_every_rule_has_no_refusal():
    request = a_request(
        workspace="vision",
        version="1.0.0",
        bases=[Base(model="resnet", version="0.0.1"), Base(digest=digest("b"))],
    )

    assert refusal_of(request) is None


def test_a_model_may_have_a_chinese_name():
    assert refusal_of(a_request(model="图像分类")) is None


@pytest.mark.parametrize("name", ["", "a.b", "a b", "x" * 65, "cafe\u0301", "*", "~"])
def test_a_name_that_breaks_the_rule_is_an_invalid_name(name: str):
    assert refusal(model=name).reason is Reason.INVALID_NAME


def test_the_fault_says_what_came_how_long_it_is_and_what_was_expected():
    assert refusal(model="res net") == Refusal(
        Reason.INVALID_NAME,
        "model name 'res net' (7 characters): expected 1 to 64 letters (of any script), digits, '-' or '_'",
    )


def test_of_a_long_text_80_characters_are_said_back():
    assert refusal(model="x" * 1000).message.startswith(f"model name '{'x' * 80}…' (1000 characters): expected ")


def test_a_workspace_obeys_the_rule_of_names():
    found = refusal(workspace="a.b")

    assert found.reason is Reason.INVALID_WORKSPACE
    assert found.message.startswith("workspace 'a.b' (3 characters): expected 1 to 64 letters")


@pytest.mark.parametrize("version", ["", "1.0", "01.0.0", "1.0.100", "latest", "1.0.0\n"])
def test_a_version_that_breaks_the_rule_is_an_invalid_version(version: str):
    found = refusal(version=version)

    assert found.reason is Reason.INVALID_VERSION
    assert found.message.endswith("expected N.N.N, each N from 0 to 99 without a leading zero")


@pytest.mark.parametrize("text", ["", "x" * 129, "job\n7", "job\x007", "job\u202e7"])
def test_the_id_and_the_run_of_a_job_are_1_to_128_printable_characters(text: str):
    of_id, of_version = refusal(job=Job(id=text, version="V001")), refusal(job=Job(id="job-7", version=text))

    assert of_id.reason is Reason.INVALID_JOB
    assert of_id.message.startswith("job id ")
    assert of_id.message.endswith("expected 1 to 128 printable characters")
    assert of_version.reason is Reason.INVALID_JOB
    assert of_version.message.startswith("job version ")


@pytest.mark.parametrize("text", ["x", "x" * 128, "训练 7", "modelarts/job:7"])
def test_a_job_may_be_called_anything_printable(text: str):
    assert refusal_of(a_request(job=Job(id=text, version=text))) is None


def test_a_base_names_a_model_by_the_rule_of_names():
    found = refusal(bases=[Base(digest=digest("b")), Base(model="a b", version="0.0.1")])

    assert found.reason is Reason.INVALID_BASE
    assert found.message.startswith("model name of a base 'a b'")


def test_a_base_is_a_version_of_the_same_workspace():
    base = Base(workspace="vision", model="bert", version="1.0.0")
    refusal = refusal_of(a_request(workspace="speech", bases=(base,)))

    assert refusal_of(a_request(workspace="vision", bases=(base,))) is None
    assert refusal is not None
    assert refusal.reason == "base-in-other-workspace"
    assert refusal.message == (
        "workspace of a base 'vision' (6 characters): expected a version of the workspace of the import, 'speech'"
    )


@pytest.mark.parametrize("bump", ["patch", "minor", "major"])
def test_a_request_may_ask_for_the_next_number_of_a_kind(bump: str):
    assert refusal_of(a_request(bump=bump)) is None


@pytest.mark.parametrize("bump", ["", "Minor", "2", "huge"])
def test_another_bump_is_refused_with_those_that_there_are(bump: str):
    refusal = refusal_of(a_request(bump=bump))

    assert refusal is not None
    assert refusal.reason == "invalid-bump"
    assert refusal.message == f"bump {bump!r} ({len(bump)} characters): expected one of patch, minor, major"


def test_a_number_and_a_bump_contradict_each_other():
    refusal = refusal_of(a_request(bump="minor", version="1.2.3"))

    assert refusal is not None
    assert (refusal.reason, refusal.message) == (
        "invalid-bump",
        "bump 'minor' beside version '1.2.3': expected one of the two",
    )


def test_a_base_names_a_version_by_the_rule_of_numbers():
    found = refusal(bases=[Base(model="resnet", version="newest")])

    assert found.reason is Reason.INVALID_BASE
    assert found.message.startswith("version of a base 'newest'")


def test_a_location_has_at_most_2000_characters():
    assert refusal_of(a_request(location="file:///" + "x" * 1992)) is None
    found = refusal(location="file:///" + "x" * 1993)
    assert found.reason is Reason.INVALID_LOCATION
    assert found.message == f"location 'file:///{'x' * 72}…' (2001 characters): expected at most 2000 characters"


def test_a_model_comes_from_at_most_100_data_sets_and_100_bases():
    datasets = [Dataset(name=f"part-{number}") for number in range(101)]
    bases = [Base(model="resnet", version="0.0.1")] * 101

    assert refusal_of(a_request(datasets=datasets[:100], bases=bases[:100])) is None
    assert refusal(datasets=datasets) == Refusal(Reason.TOO_MANY_INPUTS, "101 data sets: expected at most 100")
    assert refusal(bases=bases) == Refusal(Reason.TOO_MANY_INPUTS, "101 bases: expected at most 100")


def test_of_several_faults_the_first_is_said():
    assert refusal(workspace="", model="", version="", job=Job(id="", version="")).reason is Reason.INVALID_WORKSPACE
    assert refusal(model="", version="", job=Job(id="", version="")).reason is Reason.INVALID_NAME
    assert refusal(version="", job=Job(id="", version="")).reason is Reason.INVALID_VERSION
    assert refusal(job=Job(id="", version=""), bases=[Base(model="", version="")]).reason is Reason.INVALID_JOB


@pytest.mark.parametrize(
    "source",
    [
        JOB_7,
        STORED,
        templated("s3://b/one"),
        templated(*(f"s3://b/{number}" for number in range(16))),
        FromImage(image="registry.example/serve:1", config=CONFIG),
        FromImage(image="registry.example/serve:1", config_location="s3://b/config.json"),
    ],
    ids=lambda source: source.method,
)
def test_a_command_that_obeys_every_rule_has_no_refusal(source: Source):
    assert refusal_of(an_import_command(source=source)) is None


def test_a_deployment_that_obeys_every_rule_has_no_refusal():
    assert refusal_of(a_deployment(project="x" * 64, workspace="vision")) is None


@pytest.mark.parametrize("source", [JOB_7, STORED, templated("s3://b/one"), FromImage(image="i", config=CONFIG)])
def test_a_command_obeys_the_rules_of_every_request(source: Source):
    def reason(**changes: Any) -> Reason:
        return refused(an_import_command(source=source, **changes)).reason

    assert reason(workspace="a.b") is Reason.INVALID_WORKSPACE
    assert reason(model="a b") is Reason.INVALID_NAME
    assert reason(version="1.0") is Reason.INVALID_VERSION
    assert reason(bases=[Base(model="resnet", version="newest")]) is Reason.INVALID_BASE
    assert reason(datasets=[Dataset(name="d")] * 101) is Reason.TOO_MANY_INPUTS


@pytest.mark.parametrize("job", [Job(id="", version="V001"), Job(id="job-7", version="V\n1")])
def test_the_job_of_a_command_obeys_the_rule_of_jobs(job: Job):
    assert refused(an_import_command(source=FromJob(location="l", job=job))).reason is Reason.INVALID_JOB


@pytest.mark.parametrize(
    "source",
    [
        FromJob(location="x" * 2001, job=Job(id="job-7", version="V001")),
        FromStorage(location="x" * 2001),
        templated("s3://b/one", "x" * 2001),
        FromImage(image="registry.example/serve:1", config_location="x" * 2001),
    ],
    ids=lambda source: source.method,
)
def test_every_location_of_a_source_has_at_most_2000_characters(source: Source):
    assert refused(an_import_command(source=source)) == Refusal(
        Reason.INVALID_LOCATION, f"location '{'x' * 80}…' (2001 characters): expected at most 2000 characters"
    )


def test_a_template_has_at_most_16_inputs():
    source = templated(*(f"s3://b/{number}" for number in range(17)))

    assert refused(an_import_command(source=source)) == Refusal(
        Reason.INVALID_TEMPLATE_INPUT, "17 inputs of a template: expected at most 16"
    )


def test_the_configuration_of_an_image_is_inline_or_at_a_location():
    neither = FromImage(image="registry.example/serve:1")
    both = FromImage(image="registry.example/serve:1", config=CONFIG, config_location="s3://b/config.json")
    rule = "the configuration of an image: expected it inline or at a location, got"

    assert refused(an_import_command(source=neither)) == Refusal(Reason.CONFIG_MISSING, f"{rule} neither")
    assert refused(an_import_command(source=both)) == Refusal(Reason.INVALID_CONFIG, f"{rule} both")


@pytest.mark.parametrize("project", ["", "a.b", "a b", "x" * 65, "cafe\u0301", "~"])
def test_the_name_of_a_project_obeys_the_rule_of_names_and_is_what_is_said_to_be_wrong(project: str):
    found = refused(a_deployment(project=project))

    assert found.reason is Reason.INVALID_PROJECT
    assert found.message.startswith(f"project {project!r} ({len(project)} characters): expected 1 to 64 letters")


@pytest.mark.parametrize("run", ["", "x" * 129, "V\x001"])
def test_the_run_of_a_project_obeys_the_rule_of_jobs(run: str):
    found = refused(a_deployment(run=run))

    assert found.reason is Reason.INVALID_JOB
    assert found.message.startswith("run ")


def test_a_deployment_obeys_the_rules_of_every_request():
    assert refused(a_deployment(workspace="a.b")).reason is Reason.INVALID_WORKSPACE
    assert refused(a_deployment(version="1.0")).reason is Reason.INVALID_VERSION
    assert refused(a_deployment(location="x" * 2001)).reason is Reason.INVALID_LOCATION
    assert refused(a_deployment(bases=[Base(model="a b", version="0.0.1")])).reason is Reason.INVALID_BASE


def test_what_came_is_said_with_its_control_characters_visible_and_cut_to_80():
    assert expected("run", "V\n1", "a rule") == "run 'V\\n1' (3 characters): expected a rule"
    assert expected("run", "x" * 80, "a rule") == f"run '{'x' * 80}' (80 characters): expected a rule"
    assert expected("run", "x" * 81, "a rule") == f"run '{'x' * 80}…' (81 characters): expected a rule"


def test_a_broken_rule_carries_its_refusal():
    error = Unacceptable(Reason.LOCATION_EMPTY, "no file")

    assert error.refusal == Refusal(Reason.LOCATION_EMPTY, "no file")
    assert str(error) == "no file"
    assert error.code == "location-empty"


def test_a_broken_rule_carries_every_fault_and_every_unsafe_file():
    fault = Fault(path="$.model_type", got="nothing", expected="one of the engines")
    unsafe = UnsafeFile(path="model/a.pkl", verdict="dangerous", message="calls os.system")

    error = Unacceptable(Reason.INVALID_CONFIG, "1 fault", [fault], (one for one in [unsafe]))

    assert error.refusal == Refusal(Reason.INVALID_CONFIG, "1 fault", (fault,), (unsafe,))
