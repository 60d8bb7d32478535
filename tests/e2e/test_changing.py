"""Commands that change what is registered, as they are typed: what they print, and how they are refused."""

import json

import pytest

from tests.e2e.conftest import eventually


def _import(up, name, job_version="V001", *more):
    folder = up.models / name if (up.models / name).exists() else up.model(name)
    words = ("import", "job", str(folder), "-m", name, "--job", f"train-{name}", "--job-version", job_version)
    done = up.run(*words, "--built-in", "resnet_v1_50", *more)
    assert done.returncode == 0, done.stderr
    return done


def test_a_bump_gives_the_next_number_of_its_kind(up):
    _import(up, "bumped", "V001")
    minor = _import(up, "bumped", "V002", "--bump", "minor")
    major = _import(up, "bumped", "V003", "--bump", "major")

    assert minor.stdout == "bumped 0.1.0 is registered\n"
    assert major.stdout == "bumped 1.0.0 is registered\n"


def test_an_alias_points_where_it_was_moved_last(up):
    _import(up, "named", "V001")
    _import(up, "named", "V002")
    first = up.run("alias", "named", "champion", "0.0.1", "--why", "only one")
    second = up.run("alias", "named", "champion", "0.0.2", "--json")
    shown = json.loads(up.run("show", "named@champion", "--json").stdout)
    gone = up.run("alias", "named", "champion", "--remove")

    assert first.stdout == "named champion points to 0.0.1\n"
    assert (json.loads(second.stdout)["old"], json.loads(second.stdout)["new"]) == ("0.0.1", "0.0.2")
    assert (shown["version"], shown["aliases"]) == ("0.0.2", ["champion"])
    assert gone.stdout == "named champion is gone; it pointed to 0.0.2\n"
    assert up.run("show", "named@champion").returncode == 1


def test_what_people_say_of_a_version_may_be_said_anew(up):
    _import(up, "edited", "V001", "--label", "dev", "--description", "first")
    done = up.run("edit", "edited", "0.0.1", "--label", "prod", "--description", "of May", "--why", "moved")
    again = up.run("edit", "edited", "0.0.1", "--label", "prod")
    shown = json.loads(up.run("show", "edited", "0.0.1", "--json").stdout)

    assert done.stdout == "edited 0.0.1 is edited: labels: dev → prod; description: first → of May\n"
    assert (shown["labels"], shown["description"]) == (["prod"], "of May")
    assert again.stderr.startswith("modelkin: refused (nothing-to-change): ")


def test_a_deployed_version_stays_until_its_service_stops(up):
    _import(up, "served", "V001")
    asked = up.run("deploy", "served", "0.0.1", "--service", "serving", "--mode", "real-time")
    refused = up.run("delete", "served", "0.0.1")
    up.run("report", "ready", "served", "0.0.1", "--service", "serving", "--message", "2 replicas")

    def state():
        service = json.loads(up.run("service", "serving", "--json").stdout)
        return service["versions"][0]["state"]

    assert asked.stdout == "served 0.0.1 is asked for in the real-time service serving\n"
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "refused (version-deployed)" in refused.stderr
    assert "serving" in refused.stderr
    eventually(lambda: state() == "ready", "the service is not ready")
    up.run("report", "stopped", "served", "0.0.1", "--service", "serving")
    eventually(lambda: state() == "stopped", "the service did not stop")
    deleted = up.run("delete", "served", "0.0.1")
    twice = up.run("delete", "served", "0.0.1")
    assert deleted.stdout == "served 0.0.1 is deleted\nserved 1 deleted, 0 versions left\n"
    assert "refused (version-deleted)" in twice.stderr


def test_a_rollout_divides_the_traffic_of_a_service(up):
    _import(up, "rolled", "V001")
    _import(up, "rolled", "V002")
    up.run("deploy", "rolled", "0.0.1", "--service", "rolling")
    done = up.run("rollout", "rolling", "rolled@0.0.1=90", "rolled@0.0.2=10")
    shown = json.loads(up.run("show", "rolled", "0.0.2", "--json").stdout)

    assert done.stdout == "rolled 0.0.1 90 %, 0.0.2 10 % are asked for in the service rolling\n"
    assert [(one["service"], one["weight"], one["state"]) for one in shown["services"]] == [
        ("rolling", 10, "requested")
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("alias", "wrong", "champion", "9.9.9"), "refused (version-not-found)"),
        (("alias", "nobody", "champion", "0.0.1"), "refused (model-not-found)"),
        (("alias", "wrong", "1.2.3", "0.0.1"), "refused (invalid-alias)"),
        (("alias", "wrong", "other", "--remove"), "refused (alias-not-found)"),
        (("alias", "wrong", "champion"), "expected either a VERSION to point to, or --remove"),
        (("deploy", "wrong", "0.0.1", "--service", "a b"), "refused (invalid-service)"),
        (("deploy", "wrong", "0.0.1", "--service", "s", "--mode", "often"), "refused (invalid-mode)"),
        (("rollout", "nowhere", "wrong@0.0.1=100"), "refused (service-not-found)"),
        (("rollout", "wrong-s", "wrong@0.0.1=50", "wrong@0.0.2=49"), "refused (invalid-weights)"),
        (("rollout", "wrong-s", "wrong@0.0.1=50", "wrong@0.0.1=50"), "refused (version-twice)"),
        (("rollout", "wrong-s", "wrong@0.0.1=50", "named@0.0.1=50"), "expected versions of one model"),
        (("rollout", "wrong-s", "wrong@0.0.1=half"), "expected MODEL@VERSION=PERCENT, with a whole number"),
        (("lift", "wrong", "0.0.1", "--why", "w"), "refused (nothing-to-change)"),
        (("release", "wrong", "0.0.1", "--why", "w"), "refused (not-quarantined)"),
        (("delete", "wrong"), "expected a VERSION"),
        (("delete", "wrong", "9.9.9"), "refused (version-not-found)"),
        (("edit", "wrong", "0.0.1"), "expected something to change"),
        (("edit", "wrong", "0.0.1", "--description", "a<b"), "refused (invalid-description)"),
        (("recall", "wrong", "9.9.9", "--why", "w"), "refused (version-not-found)"),
        (("recall", "--dataset", "nothing", "--why", "w"), "refused (dataset-not-found)"),
        (("recall", "--why", "w"), "expected either a MODEL and VERSION, or --dataset"),
        (("report", "ready", "wrong", "0.0.1", "--service", "nowhere"), "there is no service 'nowhere'"),
        (
            ("report", "ready", "wrong", "0.0.2", "--service", "wrong-s"),
            "wrong 0.0.2 was never asked for in the service",
        ),
        (("report", "broken", "wrong", "0.0.1", "--service", "s"), "expected one of started, ready, failed, stopped"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(up, wrong_model, words, said):
    done = up.run(*words)

    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture(scope="module")
def wrong_model(up):
    _import(up, "wrong", "V001")
    _import(up, "wrong", "V002")
    assert up.run("deploy", "wrong", "0.0.1", "--service", "wrong-s").returncode == 0


def test_a_whole_model_is_deleted_with_cascade(up):
    for job_version in ("V001", "V002", "V003"):
        _import(up, "doomed", job_version)
    up.run("deploy", "doomed", "0.0.2", "--service", "dooming")
    done = up.run("delete", "doomed", "--cascade", "--json")
    report = json.loads(done.stdout.splitlines()[-1])

    assert done.returncode == 1
    assert report["deleted"] == ["0.0.1", "0.0.3"]
    assert [(one["version"], one["reason"]) for one in report["failed"]] == [("0.0.2", "version-deployed")]
    assert report["left"] == 1
    assert json.loads(up.run("show", "doomed", "--json").stdout)["version"] == "0.0.2"


def test_what_was_deleted_can_be_imported_again_and_gets_the_next_number(up):
    _import(up, "again", "V001")
    up.run("delete", "again", "0.0.1")

    def imported():
        return _import(up, "again", "V001").stdout

    eventually(lambda: imported() == "again 0.0.2 is registered\n", "the importer has not heard of the deletion")
    assert _import(up, "again", "V001").stdout == "again 0.0.2 had been registered before\n"


def test_everything_that_hangs_on_a_dataset_is_told(up):
    _import(up, "fed", "V001", "--dataset", "birds@2")
    _import(up, "fed", "V002", "--base", "fed@0.0.1:fine-tuned")
    done = up.run("recall", "--dataset", "birds@2", "--why", "wrong labels")

    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()[:-1]) == [
        "fed 0.0.1 is 1 step from dataset:0/birds@2",
        "fed 0.0.2 is 2 steps from dataset:0/birds@2",
    ]
    assert (
        done.stdout.splitlines()[-1]
        == "birds recalled: 2 versions and 0 services hang on dataset:0/birds@2, and were told"
    )
