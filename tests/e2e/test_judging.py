"""Compare, best and reproduce as they are typed."""

import json

import pytest
import yaml

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOLD = ("--dataset", "judged-cats@2", "--code", f"https://git.example/cats@{COMMIT}", "-p", "lr=0.1")


def _folder(up, name, **files):
    return up.models / name if (up.models / name).exists() else up.model(name, **files)


def _import(up, folder, model, job_version, *more):
    words = ("import", "job", str(folder), "-m", model, "--job", f"train-{model}", "--job-version", job_version)
    done = up.run(*words, "--built-in", "resnet_v1_50", *more)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def judged(up):
    """0.0.1 and 0.0.3 alike but in bytes and by a hair in f1; 0.0.2 another in everything."""
    first = _folder(up, "judged-1", kept=b"kept", moved=b"moved", weights=b"one")
    second = _folder(up, "judged-2", kept=b"kept", elsewhere=b"moved", weights=b"two", added=b"new")
    third = _folder(up, "judged-3", kept=b"kept", moved=b"moved", weights=b"three")
    _import(up, first, "judged", "V001", *TOLD, "--metric", "f1=0.5")
    other = ("--dataset", "judged-cats@3", "-p", "lr=0.2", "--metric", "f1=0.75", "--label", "prod")
    _import(up, second, "judged", "V002", *other)
    _import(up, third, "judged", "V003", *TOLD, "--metric", "f1=0.502")
    return up


def test_two_versions_are_compared_part_by_part(judged):
    found = json.loads(judged.run("compare", "judged", "0.0.1", "0.0.2", "--json").stdout)

    def changes(part):
        return {one["name"]: one["change"] for one in found[part]}

    assert changes("data") == {"judged-cats": "changed"}
    assert changes("code") == {"built-in algorithm": "same", "commit": "removed", "repository": "removed"}
    assert changes("parameters") == {"lr": "changed"}
    assert [(one["name"], one["difference"]) for one in found["metrics"]] == [("f1", 0.25)]
    assert {one["path"].rpartition("/")[2]: one["change"] for one in found["files"]} == {
        "added.onnx": "added",
        "elsewhere.onnx": "moved",
        "kept.onnx": "same",
        "weights.onnx": "changed",
    }


def test_a_comparison_is_a_table_for_people(judged):
    table = judged.run("compare", "judged@0.0.1", "judged@0.0.2").stdout

    assert table.splitlines()[0].split() == ["PART", "NAME", "judged@0.0.1", "judged@0.0.2"]
    assert "+0.25" in table
    assert "moved from" in table
    assert "1 the same" in table


def test_a_version_does_not_differ_from_itself(judged):
    said = judged.run("compare", "judged", "0.0.1", "0.0.1").stdout

    assert said.startswith("judged@0.0.1 and judged@0.0.1: nothing differs")


def test_files_are_compared_however_many_there_are(up):
    many = {f"file{place:04}": b"%d" % place for place in range(300)}
    left = _folder(up, "many-left", **many)
    right = _folder(up, "many-right", **{**many, "file0299": b"another"})
    _import(up, left, "many", "V001")
    _import(up, right, "many", "V002")

    files = json.loads(up.run("compare", "many", "0.0.1", "0.0.2", "--json").stdout)["files"]

    assert len(files) == 300
    assert [one["path"].rpartition("/")[2] for one in files if one["change"] != "same"] == ["file0299.onnx"]


def test_the_best_version_has_runners_up(judged):
    most = json.loads(judged.run("best", "judged", "--metric", "f1", "--json").stdout)
    least = json.loads(judged.run("best", "judged", "--metric", "f1", "--min", "--limit", "1", "--json").stdout)
    where = json.loads(judged.run("best", "judged", "--metric", "f1", "--where", "params.lr<0.15", "--json").stdout)
    table = judged.run("best", "judged", "--metric", "f1").stdout.splitlines()

    assert [(one["version"], one["value"]) for one in most["versions"]] == [("0.0.2", 0.75), ("0.0.3", 0.502), ("0.0.1", 0.5)]  # fmt: skip
    assert [one["version"] for one in least["versions"]] == ["0.0.1"]
    assert [one["version"] for one in where["versions"]] == ["0.0.3", "0.0.1"]
    assert (where["matching"], where["without_metric"], where["excluded"]) == (2, 0, 1)
    assert table[1].split()[:3] == ["best", "0.0.2", "0.75"]
    assert table[-1] == "3 versions compared; 0 without f1, 0 excluded by the conditions"


def test_a_recipe_is_yaml_with_a_verdict(judged):
    whole = judged.run("reproduce", "judged", "0.0.1")
    lacking = judged.run("reproduce", "judged@0.0.2")

    recipe = yaml.safe_load(whole.stdout)
    assert (recipe["reproducible"], recipe["missing"]) == (True, [])
    assert recipe["data"] == [{"name": "judged-cats", "version": "2"}]
    assert recipe["code"]["commit"] == COMMIT
    assert recipe["made_by"]["job"] == "train-judged@V001"
    assert whole.stdout.startswith("# judged@0.0.1 is reproducible")
    assert (whole.returncode, whole.stderr) == (0, "")
    assert yaml.safe_load(lacking.stdout)["version"] == "0.0.2"


def test_a_recipe_names_its_bases_with_their_digests(up):
    for name in ("base-of-recipe", "recipe"):
        _folder(up, name)
    _import(up, up.models / "base-of-recipe", "base-of-recipe", "V001")
    _import(up, up.models / "recipe", "recipe", "V001", "--base", "base-of-recipe@0.0.1:fine-tuned")
    digest = json.loads(up.run("show", "base-of-recipe", "--json").stdout)["package"]["digest"]

    recipe = json.loads(up.run("reproduce", "recipe", "--json").stdout)

    assert recipe["bases"] == [
        {
            "base": "0/base-of-recipe@0.0.1",
            "relation": "fine-tuned",
            "declared": True,
            "package_digest": digest,
            "status": "published",
            "downloadable": True,
        }
    ]
    assert [one["what"] for one in recipe["missing"]] == ["data", "parameters"]


def test_a_check_says_whether_a_version_reproduced_another(judged):
    near = judged.run("reproduce", "judged", "0.0.1", "--check", "0.0.3", "--tolerance", "0.01")
    strict = judged.run("reproduce", "judged", "0.0.1", "--check", "judged@0.0.3", "--tolerance", "0.001", "--json")
    other = judged.run("reproduce", "judged", "0.0.1", "--check", "0.0.2")

    assert near.stdout.splitlines()[-1] == "judged@0.0.3 reproduced judged@0.0.1"
    assert "bytes    not equal" in near.stdout
    assert (near.returncode, strict.returncode, other.returncode) == (0, 1, 1)
    verdict = json.loads(strict.stdout)
    assert (verdict["same_inputs"], verdict["metrics_within"], verdict["reproduced"]) == (True, False, False)
    assert other.stdout.splitlines()[0] == "inputs   differ"
    assert (strict.stderr, other.stderr) == ("", "")


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (["compare", "judged", "0.0.1"], 2, "expected MODEL VERSION VERSION"),
        (["compare", "judged", "0.0.1", "9.9.9"], 1, "judged has no version 9.9.9"),
        (["compare", "judged@0.0.1", "nosuch@0.0.1"], 1, "nosuch"),
        (["compare", "judged", "0.0.1", "a.b"], 1, "version 'a.b'"),
        (["best", "judged", "--metric", "nosuch"], 1, "nosuch"),
        (["best", "nosuch", "--metric", "f1"], 1, "nosuch"),
        (["best", "judged", "--metric", "f1", "--where", "lr<>1"], 1, "lr<>1"),
        (["best", "judged", "--metric", "f1", "--limit", "0"], 2, "'--limit'"),
        (["best", "judged", "--metric", "f1", "--where", "params.lr>5"], 1, "no version of judged is left to choose from"),
        (["reproduce", "judged", "nosuch"], 1, "nosuch"),
        (["reproduce", "judged", "--check", "9.9.9"], 1, "9.9.9"),
        (["reproduce", "judged", "--check", "0.0.2", "--tolerance", "-1"], 2, "'--tolerance'"),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_says_why_in_one_line(judged, words, status, expected):
    done = judged.run(*words)

    assert (done.stdout, done.returncode) == ("", status)
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
