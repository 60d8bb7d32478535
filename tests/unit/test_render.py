"""Answers as tables and lines."""

import pytest
from rich.console import Console

from modelkin import render
from modelkin.judgements import best_table
from shared.queries import (
    AffectedVersion,
    AliasPage,
    AliasState,
    BestVersions,
    Deployed,
    HistoryEntry,
    ModelPage,
    ModelSummary,
    Page,
    RankedVersion,
    ServiceDetails,
    VersionPage,
    VersionSummary,
)
from tests.answers import node
from tests.samples import at, digest


def shown(renderable):
    screen = Console(width=200, highlight=False)
    with screen.capture() as captured:
        screen.print(renderable, soft_wrap=isinstance(renderable, str))
    return captured.get()


def _words(renderable):
    return [line.split() for line in shown(renderable).splitlines()]


def _model(**changes):
    fields = {"workspace": "0", "model": "resnet", "versions": 3, "latest": "0.0.3", "created_at": at(0)}
    return ModelSummary(**{**fields, "updated_at": at(1), **changes})


def _version(**changes):
    fields = {"model": "resnet", "version": "0.0.1", "registered_at": at(0), "package_digest": digest("a")}
    return VersionSummary(**{**fields, "size_bytes": 1536, "metrics": {"f1": 0.5}, **changes})


def test_models_are_listed_with_the_total_in_the_last_line():
    page = ModelPage(models=(_model(deleted=1, engine="ONNX", labels=("prod", "eu")),), next="resnet", total=7)

    lines = _words(render.models_table(page))

    assert lines[1] == ["resnet", "3", "(1", "deleted)", "0.0.3", "ONNX", "0", "B", "prod,", "eu", "2026-01-05", "12:00:01Z"]  # fmt: skip
    assert lines[-1] == ["1", "of", "7", "models"]


def test_versions_of_several_models_say_their_model():
    page = VersionPage(versions=(_version(status="quarantined", job="job-7@V001"),), total=1)

    assert _words(render.versions_table(page, of_several=True)) == [
        ["MODEL", "VERSION", "STATUS", "SIZE", "METRICS", "LABELS", "FROM", "REGISTERED", "PACKAGE"],
        ["resnet", "0.0.1", "quarantined", "1.5", "KB", "f1=0.5", "job-7@V001", "2026-01-05", "12:00:00Z", "sha256:aaaaaaaaaaaa"],
        ["1", "version"],
    ]  # fmt: skip
    assert _words(render.versions_table(page))[0][0] == "VERSION"


@pytest.mark.parametrize(
    ("total", "exact", "here", "expected"),
    [
        (0, True, 0, "0 models"),
        (1, True, 1, "1 model"),
        (3, True, 2, "2 of 3 models"),
        (1000, False, 100, "100 of more than 1000 models"),
    ],
)
def test_totals_are_said_as_far_as_they_are_known(total, exact, here, expected):
    assert render.total_line(Page(total=total, total_is_exact=exact), here, "model") == expected


def test_a_page_without_a_total_says_none():
    assert len(_words(render.models_table(ModelPage(models=(_model(),))))) == 2


def test_aliases_say_who_moved_them():
    state = AliasState(alias="champion", version="0.0.2", moved_by="eve", moved_at=at(3), why="best [f1]")

    assert _words(render.aliases_table(AliasPage(aliases=(state,))))[1] == [
        "champion", "0.0.2", "2026-01-05", "12:00:03Z", "eve", "best", "[f1]",
    ]  # fmt: skip


def test_a_service_says_how_its_traffic_is_divided():
    deployed = Deployed(service="shop", mode="real-time", version="0.0.2", weight=90, state="ready", since=at(0))
    service = ServiceDetails(workspace="0", service="shop", model="resnet", mode="real-time", versions=(deployed,))

    lines = _words(render.service_table(service))

    assert ["mode", "real-time"] in lines
    assert lines[-1] == ["0.0.2", "90", "%", "ready", "2026-01-05", "12:00:00Z"]


def test_the_best_comes_with_runners_up_and_counts():
    ranked = (
        RankedVersion(version="0.0.2", value=0.9, registered_at=at(0), aliases=("champion",)),
        RankedVersion(version="0.0.1", value=0.5, registered_at=at(1), labels=("prod",)),
    )
    best = BestVersions(metric="f1", goal="max", versions=ranked, matching=2, without_metric=3, excluded=1)

    lines = _words(best_table(best))

    assert lines[0] == ["VERSION", "f1", "ALIASES", "LABELS", "REGISTERED"]
    assert lines[1][:4] == ["best", "0.0.2", "0.9", "champion"]
    assert lines[2][:4] == ["2", "0.0.1", "0.5", "prod"]
    assert " ".join(lines[3]) == "2 versions compared; 3 without f1, 1 excluded by the conditions"


def test_a_change_is_one_line_that_no_name_breaks():
    entry = HistoryEntry(
        at=at(0),
        event="alias.moved",
        event_id="1",
        version="0.0.2",
        by="eve",
        why="[red]\nbest\x1b[2J",
        facts={"alias": "champion", "old": None, "after": {"labels": ["a", "b"], "documents": []}},
    )

    said = shown(render.history_line(entry))

    assert said.count("\n") == 1
    assert said.split() == [
        "2026-01-05", "12:00:00Z", "alias.moved", "0.0.2", "by", "eve:", "[red]\\nbest\\x1b[2J",
        "alias=champion,", 'after.labels=["a",', '"b"]',
    ]  # fmt: skip


def test_every_share_of_a_rollout_is_said():
    grant = {"package_digest": f"sha256:{'a' * 64}", "service": "search", "expires_at": "2026-01-05T12:15:00Z"}
    shares = [("0.0.1", 80), ("0.0.2", 15), ("0.0.3", 5)]
    targets = [{"version": version, "weight": weight, "grant": grant} for version, weight in shares]
    facts = {"service": "search", "targets": targets}
    entry = HistoryEntry(at=at(0), event="rollout.requested", event_id="1", by="eve", facts=facts)

    said = shown(render.history_line(entry))

    assert said.split()[5:] == [
        "service=search,", "targets=0.0.1", "80", "%,", "0.0.2", "15", "%,", "0.0.3", "5", "%",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        (0, "resnet 0.0.2 0 steps, asked about"),
        (2, "resnet 0.0.2 2 steps, from bert 0.0.1 serves as shop, phone"),
    ],
)
def test_what_is_affected_says_how_far_and_by_what(distance, expected):
    version = AffectedVersion(
        node=node("resnet@0.0.2"),
        workspace="0",
        model="resnet",
        version="0.0.2",
        distance=distance,
        via=node("bert@0.0.1"),
        services=("shop", "phone") if distance else (),
    )

    assert " ".join(shown(render.affected_line(version)).split()) == expected
