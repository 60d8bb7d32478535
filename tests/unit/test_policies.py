"""What becomes of files that loading would run code of: by the policy of the workspace, the verdict, and the origin."""

from typing import Literal

import pytest

from services.importer.domain import Unacceptable, UnsafePolicy, restrictions_of
from services.importer.settings import Policies
from shared.contents import UnsafeFile
from shared.values import (
    FromAutoLearning,
    FromImage,
    FromJob,
    FromStorage,
    FromTemplate,
    Job,
    Reason,
    Restriction,
    Source,
    TemplateInput,
)

Verdict = Literal["dangerous", "unknown", "unreadable"]

DEPLOYED = FromAutoLearning(location="s3://auto/flowers", project="flowers", run="V001")
ORDINARY: list[Source] = [
    FromJob(location="file:///models/run-7", job=Job(id="job-7", version="V001")),
    FromStorage(location="s3://models/resnet"),
    FromTemplate(template="t", inputs=(TemplateInput(input_id="i", location="s3://b/one"),)),
    FromImage(image="registry.example/serve:1", config={}),
]
VERDICTS: tuple[Verdict, ...] = ("dangerous", "unknown", "unreadable")
NOT_FREE = [Restriction.QUARANTINE]
BOUND = [Restriction.AUTO_LEARNING]


def a_suspect(verdict: Verdict, path: str = "model/a.pkl") -> UnsafeFile:
    return UnsafeFile(path=path, verdict=verdict, imports=("os.system",), message="calls os.system")


@pytest.mark.parametrize("origin", ORDINARY, ids=lambda origin: origin.method)
@pytest.mark.parametrize("policy", UnsafePolicy)
def test_a_package_that_runs_no_code_is_not_restricted(origin: Source, policy: UnsafePolicy):
    assert restrictions_of(origin, (), policy) == ()


@pytest.mark.parametrize("policy", UnsafePolicy)
def test_a_model_of_automatic_learning_is_always_restricted(policy: UnsafePolicy):
    assert restrictions_of(DEPLOYED, (), policy) == (Restriction.AUTO_LEARNING,)


@pytest.mark.parametrize("origin", [*ORDINARY, DEPLOYED], ids=lambda origin: origin.method)
@pytest.mark.parametrize(
    ("policy", "verdict", "quarantined"),
    [
        (UnsafePolicy.REFUSE, "unknown", True),
        (UnsafePolicy.QUARANTINE, "dangerous", True),
        (UnsafePolicy.QUARANTINE, "unknown", True),
        (UnsafePolicy.QUARANTINE, "unreadable", True),
        (UnsafePolicy.ALLOW, "dangerous", False),
        (UnsafePolicy.ALLOW, "unknown", False),
        (UnsafePolicy.ALLOW, "unreadable", False),
    ],
)
def test_a_package_with_an_unsafe_file_is_put_in_quarantine_or_allowed(
    origin: Source, policy: UnsafePolicy, verdict: Verdict, *, quarantined: bool
):
    bound = BOUND if origin == DEPLOYED else []

    assert restrictions_of(origin, [a_suspect(verdict)], policy) == (*bound, *(NOT_FREE if quarantined else []))


@pytest.mark.parametrize("origin", [*ORDINARY, DEPLOYED], ids=lambda origin: origin.method)
@pytest.mark.parametrize("verdict", ["dangerous", "unreadable"])
def test_where_unsafe_files_are_refused_what_runs_code_or_cannot_be_judged_is(origin: Source, verdict: Verdict):
    with pytest.raises(Unacceptable) as caught:
        restrictions_of(origin, [a_suspect(verdict)], UnsafePolicy.REFUSE)

    assert caught.value.refusal.reason is Reason.UNSAFE_FILE
    assert caught.value.refusal.unsafe == (a_suspect(verdict),)
    assert str(caught.value) == ("'model/a.pkl': calls os.system: expected files that run no code when loaded")


def test_a_refusal_names_the_first_file_and_counts_the_others_that_are_refused():
    suspects = [a_suspect("unknown", "a"), a_suspect("dangerous", "b"), a_suspect("unreadable", "c")]

    with pytest.raises(Unacceptable) as caught:
        restrictions_of(ORDINARY[0], suspects, UnsafePolicy.REFUSE)

    assert str(caught.value).startswith("'b': calls os.system (and 1 more): expected")
    assert [file.path for file in caught.value.refusal.unsafe] == ["b", "c"]


@pytest.mark.parametrize("policy", [UnsafePolicy.QUARANTINE, UnsafePolicy.ALLOW])
def test_many_files_are_one_quarantine(policy: UnsafePolicy):
    suspects = [a_suspect(verdict, verdict) for verdict in VERDICTS] * 3

    restrictions = restrictions_of(ORDINARY[0], suspects, policy)

    assert restrictions == ((Restriction.QUARANTINE,) if policy is UnsafePolicy.QUARANTINE else ())


def test_where_nothing_is_said_unsafe_files_are_refused():
    assert Policies().of("0") is UnsafePolicy.REFUSE


def test_a_workspace_has_its_own_policy_or_that_of_the_others():
    policies = Policies(UnsafePolicy.QUARANTINE, (("research", UnsafePolicy.ALLOW), ("0", UnsafePolicy.REFUSE)))

    assert policies.of("research") is UnsafePolicy.ALLOW
    assert policies.of("0") is UnsafePolicy.REFUSE
    assert policies.of("Research") is UnsafePolicy.QUARANTINE
    assert policies.of("") is UnsafePolicy.QUARANTINE
