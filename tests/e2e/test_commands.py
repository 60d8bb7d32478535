"""Each command as it is typed: what it prints, for people and for programs, and how it fails."""

import itertools
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shared.messages import EVENTS
from tests.e2e.conftest import MODELKIN, PATIENCE_S, command, eventually, installed

KINDS = [event.address.removeprefix("modelkin.evt.v1.") for event in EVENTS]
README = Path(__file__).parents[2] / "README.md"


def _import(up, name, job_version="V001", *more):
    folder = up.models / name if (up.models / name).exists() else up.model(name)
    words = ("import", "job", str(folder), "-m", name, "--job", f"train-{name}", "--job-version", job_version)
    return up.run(*words, "--built-in", "resnet_v1_50", *more)


def test_import_waits_and_says_the_version(up):
    first = _import(up, "said", "V001")
    second = _import(up, "said", "V002", "--version", "1.2.3", "--json")

    assert (first.stdout, first.stderr, first.returncode) == ("said 0.0.1 is registered\n", "", 0)
    assert json.loads(second.stdout) == {
        "import_id": json.loads(second.stdout)["import_id"],
        "model": "said",
        "version": "1.2.3",
        "registered_before": False,
    }


def test_import_of_a_job_version_that_is_there_says_so(up):
    _import(up, "repeated")
    again = _import(up, "repeated")

    assert (again.stdout, again.returncode) == ("repeated 0.0.1 had been registered before\n", 0)


def test_import_without_waiting_prints_the_id_of_the_import(up):
    asked = _import(up, "later", "V001", "--no-wait")

    assert re.fullmatch(r"[0-9a-f-]{36}\n", asked.stdout)
    eventually(lambda: up.run("show", "later").returncode == 0, "it is not registered")


def test_what_was_told_is_shown(up):
    told = ("--dataset", "cats@2", "--code", "git.example/cats@abc", "-p", "lr=0.1", "--metric", "f1=0.5")
    _import(up, "told", "V001", *told)
    _import(up, "told", "V002", "--base", "told@0.0.1:fine-tuned")

    shown = json.loads(up.run("show", "told", "0.0.1", "--json").stdout)
    tree = up.run("lineage", "told", "0.0.2").stdout

    assert shown["datasets"][0]["name"] == "cats"
    assert shown["code"]["commit"] == "abc"
    assert (shown["parameters"], shown["metrics"]) == ({"lr": 0.1}, {"f1": 0.5})
    assert shown["source"]["job"] == {"id": "train-told", "version": "V001"}
    assert "derived from told 0.0.1  f1=0.5 (fine-tuned)" in tree
    assert "git.example/cats@abc" in up.run("show", "told", "0.0.1").stdout


def test_models_and_versions_are_listed_page_by_page(up):
    for job_version in ("V001", "V002", "V003"):
        _import(up, "paged", job_version)

    page = json.loads(up.run("versions", "paged", "--limit", "2", "--json").stdout)
    rest = json.loads(up.run("versions", "paged", "--after", page["next"], "--json").stdout)
    models = json.loads(up.run("models", "--json").stdout)

    assert [version["version"] for version in page["versions"]] == ["0.0.1", "0.0.2"]
    assert [version["version"] for version in rest["versions"]] == ["0.0.3"]
    assert {one["model"]: one["versions"] for one in models["models"] if one["model"] == "paged"} == {"paged": 3}
    assert page["total"] == 3
    shown = up.run("versions", "paged", "--limit", "2").stdout
    assert "2 of 3 versions" in shown
    assert "there may be more: --after " in shown


def test_events_tell_the_story_of_a_model_as_cloud_events(up):
    _import(up, "story")

    events = [json.loads(line) for line in up.run("events", "story", "--json").stdout.splitlines()]

    assert [event["type"].removeprefix("modelkin.evt.v1.") for event in events] == [
        "training.succeeded",
        "import.started",
        "model.imported",
        "version.assigned",
        "model.registered",
    ]
    assert {event["correlationid"] for event in events} == {events[0]["id"]}
    request, started, *answers = events
    assert started["causationid"] == request["id"]
    assert [event["causationid"] for event in answers] == [event["id"] for event in (request, *answers[:-1])]
    assert "ModelRegistered" in up.run("events", "story").stdout


@pytest.mark.parametrize("watched", ["watched", "model.registered", "modelkin.evt.v1.model.registered.0.watched"])
def test_watch_prints_events_as_they_happen(up, watched):
    watching = subprocess.Popen(
        [MODELKIN, "watch", watched, "--nats", up.url, "--count", "1", "--json"], stdout=subprocess.PIPE, text=True
    )

    # The watcher is listening when an event that is published after its start reaches it.
    for number in itertools.count(1):
        _import(up, "watched", f"{watched}-{number}")
        if watching.poll() is not None:
            break
    line = watching.stdout.read()
    watching.stdout.close()
    assert json.loads(line)["subject"] == "0/watched"


def test_ping_answers_for_each_service(up):
    done = up.run("ping")

    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["importer", "versioning", "registry"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["show", "nosuch"], "there is no model 'nosuch' in workspace '0'"),
        (["show", "a.b"], "model name 'a.b': expected 1 to 64 letters (of any script), digits, '-' or '_'"),
        (["show", "errors", "9.9.9"], "errors has no version 9.9.9; its latest is 0.0.1"),
        (["show", "errors", "1.0"], "version '1.0': expected N.N.N, each N from 0 to 99 without a leading zero; or an alias, which has 1 to 64 letters (of any script), digits, '-' or '_'"),
        (["show", "errors@nobody"], "errors has no alias 'nobody'"),
        (["versions", "nosuch"], "there is no model 'nosuch' in workspace '0'"),
        (["lineage", "errors", "0.0.7"], "'errors' has no version '0.0.7'"),
        (["events", "nosuch"], "nothing has happened to a model 'nosuch' in workspace '0'"),
        (["ping", "nobody"], "no service at {url} answers modelkin.qry.v1.service.ping.nobody: is it running?"),
        (["watch", "a.b"], f"'a.b': expected a model, a subject, or one of {', '.join(KINDS)}"),
        (["models", "-w", "a b"], "workspace 'a b': expected 1 to 64 letters (of any script), digits, '-' or '_'"),
    ],
)  # fmt: skip
def test_an_error_is_one_line_and_exit_status_1(up, words, expected):
    _import(up, "errors")

    done = up.run(*words)

    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr == f"modelkin: {expected.format(url=up.url)}\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["/nowhere/at/all"], "refused (location-not-allowed): '/nowhere/at/all' is outside the folders"),
        (["{models}/missing"], "refused (location-not-found): '{models}/missing' does not exist: expected a folder"),
        (["ftp://host/x"], "refused (unsupported-scheme): the location has the scheme 'ftp': expected one of file://"),
        (["{models}", "--version", "01.0.0"], "version '01.0.0': expected N.N.N"),
        (["{models}/somewhere", "--base", "nosuch@0.0.1"], "refused (base-not-found): base 0/nosuch@0.0.1 is not registered"),
        (["{models}", "--metric", "f1=good"], "metric f1=good: expected a number"),
        (["{models}", "--code", "abc"], "code 'abc': expected REPOSITORY@COMMIT"),
    ],
)  # fmt: skip
def test_a_refused_import_says_what_was_wrong(up, words, expected):
    _import(up, "somewhere")
    words = [word.format(models=up.models) for word in words]

    about = ("-m", "refused", "--job", "j", "--job-version", str(time.monotonic_ns()), "--built-in", "b")
    done = up.run("import", "job", *words, *about)

    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr.startswith(f"modelkin: {expected.format(models=up.models)}")
    assert done.stderr.count("\n") == 1


def test_a_wrong_command_is_one_line_and_exit_status_2():
    done = installed("show")

    assert (done.stdout, done.stderr, done.returncode) == ("", "modelkin: Missing argument 'MODEL[@VERSION]'.\n", 2)


def test_no_server_is_one_line():
    done = command("models", nats_url="nats://127.0.0.1:1")

    assert done.returncode == 1
    assert done.stderr.startswith("modelkin: no NATS server answers at nats://127.0.0.1:1")
    assert done.stderr.count("\n") == 1


def test_the_ten_lines_of_the_readme_register_a_model(up):
    folder = up.model("readme")
    [program] = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    program = program.replace("nats://127.0.0.1:4222", up.url).replace("/models/resnet50/run-7", str(folder))

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )

    assert done.returncode == 0, done.stderr
    eventually(lambda: up.run("show", "resnet50").returncode == 0, "it is not registered")
    assert json.loads(up.run("show", "resnet50", "--json").stdout)["metrics"] == {"f1": 0.93}
