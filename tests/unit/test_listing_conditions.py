"""Conditions: how they are read, and what meets them."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.domain import RegisteredVersion
from services.registry.listing.conditions import read_conditions, read_metric_conditions
from services.registry.listing.facts import Facts
from shared.errors import Refused
from tests.samples import an_assignment, an_import, at


def facts(**changes: Any) -> Facts:
    """Version 1.2.10 of resnet, registered on 5 January 2026 at 12:00:01 UTC."""
    imported = an_import(**changes)
    return Facts.of(RegisteredVersion(imported, an_assignment(imported, "1.2.10", time=at(1))))


TRAINED = facts(
    metrics={"f1": 0.9, "loss": -1.5},
    parameters={"lr": 0.01, "epochs": 40, "optimizer": "adam", "seed": "42", "amp": True, "model": {"depth": 50}},
    labels=("prod", "eu"),
    engine="PyTorch",
    description="Finds cats",
)

MET = [
    "f1=0.9",
    "metrics.f1=0.9",
    "f1!=0.8",
    "f1 >= 0.9",
    "  f1<=9e-1  ",
    "f1>.8",
    "f1<1",
    "loss<-1",
    "loss>=-1.5",
    "params.lr<0.1",
    "params.lr=1e-2",
    "params.epochs=40.0",
    "params.optimizer=adam",
    "params.optimizer='adam'",
    "params.optimizer!=sgd",
    "params.optimizer~DA",
    'params.seed="42"',
    "params.amp=true",
    "params.amp!=false",
    "params.model.depth>=50",
    "label=prod",
    "label!=test",
    "label~PR",
    "engine=PyTorch",
    "engine!=ONNX",
    "engine~torch",
    "status=published",
    "status!=deleted",
    "version>=1.2.9",
    "version=1.2.10",
    "version<1.10.0",
    "created>=2026-01-05",
    "created<2026-01-06",
    "created>2026-01-05T12:00:00Z",
    "created<=2026-01-05T13:00:01+01:00",
    "created>2026-01-05T12:00:00",
    "description~CATS",
    "description=Finds cats",
]
NOT_MET = [
    "f1>0.9",
    "f1!=0.9",
    "recall>0",
    "recall!=0",
    "params.lr>1",
    "params.nothing=1",
    "params.nothing!=1",
    "params.optimizer=sgd",
    "params.optimizer>5",
    "params.optimizer!=5",
    "params.seed=42",
    "params.seed<100",
    "params.lr=adam",
    "params.lr~0",
    "params.amp=1",
    "params.amp=false",
    "params.amp>0",
    "params.model=50",
    "params.epochs=true",
    "label=PROD",
    "label!=prod",
    "engine=pytorch",
    "status=deleted",
    "version>1.2.10",
    "created<2026-01-05",
    "description~dogs",
]


@pytest.mark.parametrize("condition", MET)
def test_a_condition_is_met(condition: str):
    (read,) = read_conditions([condition])

    assert read.met_by(TRAINED)


@pytest.mark.parametrize("condition", NOT_MET)
def test_a_condition_is_not_met(condition: str):
    (read,) = read_conditions([condition])

    assert not read.met_by(TRAINED)


def test_what_has_no_label_and_no_engine_has_another_one():
    for condition in read_conditions(["label!=prod", "engine!=PyTorch"]):
        assert condition.met_by(facts())


WRONG = [
    ("", "it has no operator: expected one of = != < <= > >= ~ between a field and a value"),
    ("f1", "it has no operator: expected one of = != < <= > >= ~ between a field and a value"),
    (">=0.9", "it names no field: expected metrics.NAME"),
    ("f1>=", "it has no value: expected a value after the operator"),
    ("f1==0.9", "the operator == is not known: expected one of = != < <= > >= ~"),
    ("f1=>0.9", "the operator => is not known: expected one of = != < <= > >= ~"),
    ("f1>=high", "'f1' is taken for a metric, and 'high' is no finite number: expected a number, or another field: "),
    (
        "lable=prod",
        "'lable' is taken for a metric, and 'prod' is no finite number: expected a number, or another field: ",
    ),
    ("f1>nan", "'f1' is taken for a metric, and 'nan' is no finite number"),
    ("f1>1e999", "'f1' is taken for a metric, and '1e999' is no finite number"),
    ("f1>1_0", "'f1' is taken for a metric, and '1_0' is no finite number"),
    ("f1~0", "'f1' cannot be compared by ~: expected one of = != < <= > >="),
    ("metrics.>1", "it names nothing after the dot"),
    ("params.=1", "it names nothing after the dot"),
    ("params.lr<small", "'small' is no finite number: expected a number after <"),
    ("label>a", "'label' cannot be compared by >: expected one of = != ~"),
    ("engine<a", "'engine' cannot be compared by <: expected one of = != ~"),
    ("status=gone", "there is no status 'gone': expected published or quarantined or deleted"),
    ("status~pub", "'status' cannot be compared by ~: expected one of = !="),
    ("version>=1.2", "'1.2' is no version number: expected N.N.N"),
    ("version~1", "'version' cannot be compared by ~"),
    ("created>yesterday", "'yesterday' is no time: expected a day or a time such as 2026-11-01"),
    ("created>0001-01-01T00:00:00+10:00", "is no time: expected a day or a time"),
    ("created=2026-11-01", "'created' cannot be compared by =: expected one of < <= > >="),
    ("f1>=" + "9" * 1000, "it has 1004 characters: expected at most 300"),
]


@pytest.mark.parametrize(("condition", "message"), WRONG)
def test_a_condition_that_cannot_be_read_is_refused_with_what_is_wrong(condition: str, message: str):
    with pytest.raises(Refused) as refused:
        read_conditions(["f1>0", condition])

    assert refused.value.code == "invalid-condition"
    assert str(refused.value).startswith(f"condition {condition[:80]!r}"[:80])
    assert message in str(refused.value)


def test_control_characters_are_visible_in_a_refusal():
    with pytest.raises(Refused, match=r"condition 'f1\\x1b\[2J\\n': it has no operator"):
        read_conditions(["f1\x1b[2J\n"])


def test_too_many_conditions_are_refused():
    with pytest.raises(Refused, match="there are 21 conditions: expected at most 20"):
        read_conditions(["f1>0"] * 21)


def test_where_metrics_are_meant_nothing_else_is_taken():
    assert [one.field for one in read_metric_conditions(["f1>0", "metrics.loss<1"])] == ["metrics.f1", "metrics.loss"]
    with pytest.raises(
        Refused, match=r"condition 'params\.lr<1': it is not about a metric: expected a condition such as"
    ):
        read_metric_conditions(["params.lr<1"])


@given(st.text(max_size=400))
def test_any_text_is_read_or_refused(text: str):
    met = False
    with contextlib.suppress(Refused):
        (read,) = read_conditions([text])
        met = read.met_by(TRAINED)

    assert met in {True, False}
