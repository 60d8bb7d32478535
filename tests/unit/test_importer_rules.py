"""What may be asked of the importer: each rule, and what a refusal says."""

from typing import Any

import pytest

from services.importer.domain import Fault, Unacceptable, fault_of
from shared.values import Base, Dataset, Job, Reason
from tests.samples import a_request, digest


def fault(**changes: Any) -> Fault:
    found = fault_of(a_request(**changes))
    assert found is not None
    return found


def test_a_request_that_obeys_every_rule_has_no_fault():
    request = a_request(
        workspace="vision",
        version="1.0.0",
        bases=[Base(model="resnet", version="0.0.1"), Base(digest=digest("b"))],
    )

    assert fault_of(request) is None


def test_a_model_may_have_a_chinese_name():
    assert fault_of(a_request(model="图像分类")) is None


@pytest.mark.parametrize("name", ["", "a.b", "a b", "x" * 65, "cafe\u0301", "*", "~"])
def test_a_name_that_breaks_the_rule_is_an_invalid_name(name: str):
    assert fault(model=name).reason is Reason.INVALID_NAME


def test_the_fault_says_what_came_how_long_it_is_and_what_was_expected():
    assert fault(model="res net") == Fault(
        Reason.INVALID_NAME,
        "model name 'res net' (7 characters): expected 1 to 64 letters (of any script), digits, '-' or '_'",
    )


def test_of_a_long_text_80_characters_are_said_back():
    assert fault(model="x" * 1000).message.startswith(f"model name '{'x' * 80}…' (1000 characters): expected ")


def test_a_workspace_obeys_the_rule_of_names():
    found = fault(workspace="a.b")

    assert found.reason is Reason.INVALID_WORKSPACE
    assert found.message.startswith("workspace 'a.b' (3 characters): expected 1 to 64 letters")


@pytest.mark.parametrize("version", ["", "1.0", "01.0.0", "1.0.100", "latest", "1.0.0\n"])
def test_a_version_that_breaks_the_rule_is_an_invalid_version(version: str):
    found = fault(version=version)

    assert found.reason is Reason.INVALID_VERSION
    assert found.message.endswith("expected N.N.N, each N from 0 to 99 without a leading zero")


@pytest.mark.parametrize("text", ["", "x" * 129, "job\n7", "job\x007", "job\u202e7"])
def test_the_id_and_the_run_of_a_job_are_1_to_128_printable_characters(text: str):
    of_id, of_version = fault(job=Job(id=text, version="V001")), fault(job=Job(id="job-7", version=text))

    assert of_id.reason is Reason.INVALID_JOB
    assert of_id.message.startswith("job id ")
    assert of_id.message.endswith("expected 1 to 128 printable characters")
    assert of_version.reason is Reason.INVALID_JOB
    assert of_version.message.startswith("job version ")


@pytest.mark.parametrize("text", ["x", "x" * 128, "训练 7", "modelarts/job:7"])
def test_a_job_may_be_called_anything_printable(text: str):
    assert fault_of(a_request(job=Job(id=text, version=text))) is None


def test_a_base_names_a_model_by_the_rule_of_names():
    found = fault(bases=[Base(digest=digest("b")), Base(model="a b", version="0.0.1")])

    assert found.reason is Reason.INVALID_BASE
    assert found.message.startswith("model name of a base 'a b'")


def test_a_base_names_a_version_by_the_rule_of_numbers():
    found = fault(bases=[Base(model="resnet", version="newest")])

    assert found.reason is Reason.INVALID_BASE
    assert found.message.startswith("version of a base 'newest'")


def test_a_location_has_at_most_2000_characters():
    assert fault_of(a_request(location="file:///" + "x" * 1992)) is None
    found = fault(location="file:///" + "x" * 1993)
    assert found.reason is Reason.INVALID_LOCATION
    assert found.message == f"location 'file:///{'x' * 72}…' (2001 characters): expected at most 2000 characters"


def test_a_model_comes_from_at_most_100_data_sets_and_100_bases():
    datasets = [Dataset(name=f"part-{number}") for number in range(101)]
    bases = [Base(model="resnet", version="0.0.1")] * 101

    assert fault_of(a_request(datasets=datasets[:100], bases=bases[:100])) is None
    assert fault(datasets=datasets) == Fault(Reason.TOO_MANY_INPUTS, "101 data sets: expected at most 100")
    assert fault(bases=bases) == Fault(Reason.TOO_MANY_INPUTS, "101 bases: expected at most 100")


def test_of_several_faults_the_first_is_said():
    assert fault(workspace="", model="", version="", job=Job(id="", version="")).reason is Reason.INVALID_WORKSPACE
    assert fault(model="", version="", job=Job(id="", version="")).reason is Reason.INVALID_NAME
    assert fault(version="", job=Job(id="", version="")).reason is Reason.INVALID_VERSION
    assert fault(job=Job(id="", version=""), bases=[Base(model="", version="")]).reason is Reason.INVALID_JOB


def test_a_broken_rule_carries_its_fault():
    error = Unacceptable(Reason.LOCATION_EMPTY, "no file")

    assert error.fault == Fault(Reason.LOCATION_EMPTY, "no file")
    assert str(error) == "no file"
