"""Lineage, what is affected, and history as they are typed."""

import json

import pytest
from openlineage.client import event_v2


def _import(up, name, job_version="V001", *more):
    folder = up.models / name if (up.models / name).exists() else up.model(name)
    return _import_folder(up, folder, name, job_version, *more)


def _import_folder(up, folder, name, job_version, *more):
    words = ("import", "job", str(folder), "-m", name, "--job", f"train-{name}", "--job-version", job_version)
    done = up.run(*words, "--built-in", "resnet_v1_50", *more)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def family(up):
    """grandparent ← parent ← child (served by nobody), each with bytes of its own; the grandparent on data set `family-cats`."""
    told = (
        "--dataset",
        "family-cats@2",
        "--code",
        "https://git.example/cats@abc",
        "-p",
        "lr=0.1",
        "--metric",
        "f1=0.5",
    )
    _import(up, "grandparent", "V001", *told)
    _import(up, "parent", "V001", "--base", "grandparent@0.0.1:fine-tuned")
    _import(up, "child", "V001", "--base", "parent@0.0.1:distilled")
    return up


def _json_lines(done):
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_tree_shows_what_is_above_and_what_is_below(family):
    tree = family.run("lineage", "parent", "0.0.1").stdout.splitlines()

    assert tree == [
        "parent 0.0.1",
        "├── trained by train-parent@V001",
        "├── derived from grandparent 0.0.1  f1=0.5 (fine-tuned)",
        "└── descendants",
        "    └── child 0.0.1 derived from it (distilled)",
    ]


def test_a_tree_goes_one_way_and_so_deep_as_is_asked(family):
    up = family.run("lineage", "child", "--up", "--depth", "1").stdout
    down = family.run("lineage", "grandparent@0.0.1", "--down", "--depth", "1").stdout

    assert "derived from parent 0.0.1 (distilled)" in up
    assert "grandparent" not in up
    assert "there is more" in up
    assert "parent 0.0.1 derived from it (fine-tuned)" in down
    assert "trained by" not in down
    assert "child" not in down


def test_lineage_is_json_dot_mermaid_and_openlineage(family):
    graph = json.loads(family.run("lineage", "child", "0.0.1", "--json").stdout)
    in_dot = family.run("lineage", "child", "0.0.1", "--dot").stdout
    in_mermaid = family.run("lineage", "child", "0.0.1", "--mermaid").stdout
    events = _json_lines(family.run("lineage", "child", "0.0.1", "--openlineage"))

    assert [one["model"] for one in graph["versions"]] == ["child", "parent", "grandparent"]
    assert in_dot.startswith("digraph lineage {")
    assert 'label="grandparent 0.0.1"' in in_dot
    assert in_mermaid.startswith("flowchart BT\n")
    assert [event["outputs"][0]["name"] for event in events] == ["child@0.0.1", "parent@0.0.1", "grandparent@0.0.1"]
    assert events[2]["inputs"][0]["name"] == "family-cats"
    assert event_v2.Run(**events[0]["run"]).runId == events[0]["run"]["runId"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--dataset", "family-cats@2"], [("grandparent", 1), ("parent", 2), ("child", 3)]),
        (["--dataset", "family-cats"], [("grandparent", 1), ("parent", 2), ("child", 3)]),
        (["--job", "train-parent"], [("parent", 1), ("child", 2)]),
        (["--job", "train-parent@V001"], [("parent", 1), ("child", 2)]),
        (["--version", "parent@0.0.1"], [("parent", 0), ("child", 1)]),
    ],
)
def test_affected_names_every_version_that_hangs_on_it(family, words, expected):
    found = _json_lines(family.run("affected", *words, "--json"))

    assert [(one["model"], one["distance"]) for one in found] == expected


def test_affected_tells_people_how_and_how_many(family):
    lines = family.run("affected", "--version", "parent@0.0.1").stdout.splitlines()

    assert lines[0].split() == ["parent", "0.0.1", "0", "steps,", "asked", "about"]
    assert lines[1].split() == ["child", "0.0.1", "1", "step,", "from", "parent", "0.0.1"]
    assert lines[2] == "2 versions and 0 services hang on version:0/parent@0.0.1"


def test_history_lists_every_change_with_who_and_why(up):
    _import(up, "changed", "V001")
    _import(up, "changed", "V002")
    up.run("alias", "changed", "champion", "0.0.1", "--why", "the only one")
    up.run("alias", "changed", "champion", "0.0.2", "--why", "a better one")

    changes = _json_lines(up.run("history", "changed", "--json"))
    of_second = up.run("history", "changed@champion").stdout.splitlines()

    moves = [one for one in changes if one["event"] == "alias.moved"]
    assert [one["version"] for one in changes if one["event"] != "alias.moved"][:2] == ["0.0.1", "0.0.2"]
    assert [one["why"] for one in moves] == ["the only one", "a better one"]
    assert {one["by"].partition("/")[0] for one in moves} == {"modelkin-cli"}
    assert [one["at"] for one in changes] == sorted(one["at"] for one in changes)
    assert any("alias.moved" in line and "a better one" in line for line in of_second)


def test_a_version_is_shown_as_it_was(up):
    _import(up, "timed", "V001", "--label", "dev")
    [registered] = _json_lines(up.run("history", "timed", "--json"))[:1]
    up.run("edit", "timed", "0.0.1", "--label", "prod")

    now = json.loads(up.run("show", "timed", "0.0.1", "--json").stdout)
    then = json.loads(up.run("show", "timed", "0.0.1", "--at", registered["at"], "--json").stdout)

    assert (now["labels"], then["labels"]) == (["prod"], ["dev"])
    assert "as of" in up.run("show", "timed@0.0.1", "--at", registered["at"]).stdout
    assert up.run("show", "timed", "0.0.1", "--at", "2020-01-01").returncode == 1


def test_lists_are_filtered_sorted_and_paged(up):
    for place, (metric, label) in enumerate((("f1=0.5", "dev"), ("f1=0.9", "prod"), ("f1=0.7", "prod")), start=1):
        _import(up, "listed-one", f"V00{place}", "--metric", metric, "--label", label)
    _import(up, "listed-two")

    def names(*words):
        return [
            one["version"] for one in json.loads(up.run("versions", "listed-one", *words, "--json").stdout)["versions"]
        ]

    assert names("--metric", "f1>=0.6") == ["0.0.2", "0.0.3"]
    assert names("--label", "prod", "--desc") == ["0.0.3", "0.0.2"]
    assert names("--limit", "1", "--offset", "1") == ["0.0.2"]
    assert names("--limit", "1", "--all") == ["0.0.1", "0.0.2", "0.0.3"]
    assert names("--since", "2999-01-01") == []
    models = json.loads(up.run("models", "--part", "LISTED", "--sort", "updated", "--json").stdout)["models"]
    assert [one["model"] for one in models] == ["listed-two", "listed-one"]
    assert up.run("versions", "listed-one", "--limit", "2").stdout.splitlines()[-2] == "2 of 3 versions"
    assert "listed-two" in up.run("versions", "--part", "listed").stdout


def test_aliases_and_services_are_shown(up):
    _import(up, "deployed", "V001")
    up.run("alias", "deployed", "champion", "0.0.1")
    up.run("deploy", "deployed", "0.0.1", "--service", "shop-window", "--mode", "real-time")

    service = json.loads(up.run("service", "shop-window", "--json").stdout)
    shown = up.run("show", "deployed").stdout

    assert "champion" in up.run("aliases", "deployed").stdout
    assert (service["model"], [one["version"] for one in service["versions"]]) == ("deployed", ["0.0.1"])
    assert "0.0.1" in up.run("service", "shop-window").stdout
    assert "shop-window" in shown
    assert "champion" in shown


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (["lineage", "child", "0.0.1", "--depth", "-1"], 2, "'--depth'"),
        (["lineage", "child", "0.0.1", "--depth", "1001"], 2, "less than or equal to 1000"),
        (["versions", "child", "--limit", "0"], 2, "'--limit'"),
        (["versions", "child", "--offset", "10001"], 2, "less than or equal to 10000"),
        (["lineage", "child", "0.0.1", "--dot", "--json"], 2, "at most one of --json, --dot"),
        (["affected"], 2, "exactly one of --dataset, --job and --version"),
        (["affected", "--dataset", "a", "--job", "b"], 2, "exactly one of --dataset, --job and --version"),
        (["affected", "--version", "child"], 2, "expected MODEL@VERSION"),
        (["affected", "--dataset", "nosuch"], 1, "nosuch"),
        (["affected", "--job", "nosuch"], 1, "nosuch"),
        (["affected", "--version", "child@9.9.9"], 1, "9.9.9"),
        (["lineage", "nosuch", "0.0.1"], 1, "nosuch"),
        (["lineage", "child@nosuch"], 1, "nosuch"),
        (["history", "nosuch"], 1, "nosuch"),
        (["aliases", "nosuch"], 1, "nosuch"),
        (["service", "nosuch"], 1, "nosuch"),
        (["show", "child", "--at", "soon"], 2, "expected a time such as 2026-11-01T12:00Z"),
        (["versions", "child", "--metric", "f1=="], 1, "f1=="),
        (["models", "--after", "not a cursor of ours"], 1, "not a cursor"),
    ],
)
def test_what_cannot_be_answered_says_why_in_one_line(family, words, status, expected):
    done = family.run(*words)

    assert (done.stdout, done.returncode) == ("", status)
    assert expected in done.stderr
    assert done.stderr.startswith("modelkin: ")
    assert done.stderr.count("\n") == 1
