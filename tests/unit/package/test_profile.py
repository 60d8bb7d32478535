"""What a person says of a version: each rule, by profiles that break only it."""

import math
from typing import Any

import pytest

from services.importer.package.profile import deployment_types, profile_refusals
from shared.values import Document, Profile, Reason, Specs


def refusals(allows_batch: bool = True, **said: Any) -> list[tuple[Reason, str]]:
    return [(refusal.reason, refusal.message) for refusal in profile_refusals(Profile(**said), allows_batch)]


def a_document(name: str = "guide", url: str = "https://example.com/guide") -> tuple[Document, ...]:
    return (Document(name=name, url=url),)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"labels": ("a", "b", "产品", "x" * 64, "two words")},
        {"description": "d" * 100},
        {"description": "两行\nof text; 100% (ok)"},
        {
            "documents": (
                *a_document("g"),
                *a_document("G-1_b"),
                *a_document("说明" * 24, "http://127.0.0.1:80/a?b=c#d"),
            )
        },
        {"deployment_types": ("batch", "real-time")},
        {"minimum_specs": Specs(cpu=0.5, memory=0, gpu=1, ascend=None)},
    ],
    ids=str,
)
def test_a_valid_profile_is_not_refused(said: dict[str, Any]):
    assert refusals(**said) == []


@pytest.mark.parametrize(
    ("said", "reason", "message"),
    [
        ({"labels": tuple("abcdef")}, Reason.INVALID_LABELS, "6 labels: expected at most 5"),
        ({"labels": ("",)}, Reason.INVALID_LABELS, "label '' (0 characters): expected 1 to 64 printable characters, not spaces alone"),
        (
            {"labels": ("x" * 65,)},
            Reason.INVALID_LABELS,
            f"label '{'x' * 65}' (65 characters): expected 1 to 64 printable characters, not spaces alone",
        ),
        (
            {"labels": ("a\x1b[1m",)},
            Reason.INVALID_LABELS,
            "label 'a\\x1b[1m' (5 characters): expected 1 to 64 printable characters, not spaces alone",
        ),
        (
            {"labels": ("  ",)},
            Reason.INVALID_LABELS,
            "label '  ' (2 characters): expected 1 to 64 printable characters, not spaces alone",
        ),
        ({"labels": ("a", "b", "a")}, Reason.INVALID_LABELS, "label 'a' is there twice: expected labels that differ"),
        (
            {"description": "d" * 101},
            Reason.INVALID_DESCRIPTION,
            "the description has 101 characters: expected at most 100",
        ),
        *(
            (
                {"description": f"a {character} b"},
                Reason.INVALID_DESCRIPTION,
                f"the description holds {character!r}: expected none of & ! ' \" < > =, and no control characters",
            )
            for character in "&!'\"<>=\x00\x1b\x7f\r"
        ),
        ({"documents": a_document() * 4}, Reason.INVALID_DOCUMENTS, "4 documents: expected at most 3"),
        *(
            (
                {"documents": a_document(name)},
                Reason.INVALID_DOCUMENTS,
                f"name of a document {name!r}: expected 1 to 48 letters, digits, '-' or '_', the first a letter",
            )
            for name in ["", "1a", "_a", "a b", "a.b", "x" * 49, "a\n"]
        ),
        *(
            (
                {"documents": a_document(url=url)},
                Reason.INVALID_DOCUMENTS,
                f"URL of a document {url!r}: expected http:// or https:// and a host",
            )
            for url in ["", "guide", "ftp://example.com/a", "https://", "https:///a", "javascript:alert(1)", "//example.com"]
        ),
        (
            {"documents": a_document(url="https://[bad")},
            Reason.INVALID_DOCUMENTS,
            "URL of a document 'https://[bad': expected a URL",
        ),
        (
            {"documents": a_document(url="https://example.com/a b")},
            Reason.INVALID_DOCUMENTS,
            "URL of a document 'https://example.com/a b': expected at most 2000 printable characters without a space",
        ),
        (
            {"documents": a_document(url=f"https://example.com/{'a' * 2000}")},
            Reason.INVALID_DOCUMENTS,
            (
                f"URL of a document 'https://example.com/{'a' * 16}...{'a' * 37}':"
                " expected at most 2000 printable characters without a space"
            ),
        ),
        (
            {"documents": a_document(url="https://me:secret@example.com/")},
            Reason.INVALID_DOCUMENTS,
            "URL of a document 'https://…@example.com/': expected no user name and no password in it",
        ),
        (
            {"deployment_types": ("real-time", "edge")},
            Reason.INVALID_DEPLOYMENT_TYPES,
            "deployment type 'edge': expected real-time or batch",
        ),
        ({"minimum_specs": Specs(cpu=-1)}, Reason.INVALID_SPECS, "minimum of cpu -1.0: expected a finite number, 0 or more"),
        (
            {"minimum_specs": Specs(memory=math.inf)},
            Reason.INVALID_SPECS,
            "minimum of memory inf: expected a finite number, 0 or more",
        ),
        (
            {"minimum_specs": Specs(ascend=math.nan)},
            Reason.INVALID_SPECS,
            "minimum of ascend nan: expected a finite number, 0 or more",
        ),
    ],
)  # fmt: skip
def test_a_broken_rule_is_refused_alone(said: dict[str, Any], reason: Reason, message: str):
    assert refusals(**said) == [(reason, message)]


def test_any_number_of_labels_is_judged_at_once():
    labels = tuple(str(number) for number in range(300_000))

    assert refusals(labels=labels) == [(Reason.INVALID_LABELS, "300000 labels: expected at most 5")]


def test_batch_is_refused_where_the_mode_is_undefined():
    assert refusals(allows_batch=False, deployment_types=("batch",)) == [
        (
            Reason.INVALID_DEPLOYMENT_TYPES,
            "deployment type 'batch': expected real-time alone, for the input/output mode is undefined",
        )
    ]


def test_every_broken_rule_is_told():
    reasons = [
        reason
        for reason, _ in refusals(
            labels=("",),
            description="!",
            documents=a_document("1", "x"),
            deployment_types=("edge",),
            minimum_specs=Specs(gpu=-1),
        )
    ]

    assert reasons == [
        Reason.INVALID_LABELS,
        Reason.INVALID_DESCRIPTION,
        Reason.INVALID_DOCUMENTS,
        Reason.INVALID_DOCUMENTS,
        Reason.INVALID_DEPLOYMENT_TYPES,
        Reason.INVALID_SPECS,
    ]


@pytest.mark.parametrize(
    ("asked", "allows_batch", "types"),
    [
        ((), True, ("real-time", "batch")),
        ((), False, ("real-time",)),
        (("batch",), True, ("batch",)),
        (("batch", "real-time", "batch"), True, ("real-time", "batch")),
        (("real-time",), False, ("real-time",)),
    ],
)
def test_a_version_may_be_deployed_as_asked_and_in_every_way_where_nothing_was(
    asked: tuple[str, ...], allows_batch: bool, types: tuple[str, ...]
):
    assert deployment_types(Profile(deployment_types=asked), allows_batch) == types
