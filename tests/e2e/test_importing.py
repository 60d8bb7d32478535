"""Each method of import as it is typed, and what helps with it: templates, check, schema, release."""

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import command
from tests.packages import valid_config, valid_package

DANGEROUS = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R."
UNKNOWN = b"\x80\x04\x8c\x08ourstuff\x8c\x05Model\x93)\x81."


def put(folder: Path, files: dict[str, bytes]) -> str:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return str(folder)


def test_a_package_is_imported_and_shown_with_what_its_configuration_says(up):
    dependencies = [
        {"installer": "pip", "packages": [{"package_name": "numpy", "package_version": "2.1", "restraint": "ATLEAST"}]}
    ]
    apis = [{"protocol": "http", "url": "/", "method": "post", "request": {"Content-type": "application/json"}}]
    package = valid_package("ONNX", metrics={"f1": 0.5}, dependencies=dependencies, apis=apis)
    folder = put(up.models / "package", package)

    imported = up.run(
        "import", "storage", folder, "-m", "packaged", "--label", "vision", "--description", "from a test"
    )
    shown = up.run("show", "packaged").stdout

    assert (imported.stdout, imported.stderr) == ("packaged 0.0.1 is registered\n", "")
    for expected in ("engine", "ONNX", "f1=0.5", "numpy>=2.1", "POST /", "application/json", "vision", "from a test"):
        assert expected in shown
    assert "may be downloaded and deployed as real-time or batch" in shown


def test_every_version_of_a_job_is_imported_once(up):
    for name in ("V001", "V002", "V003"):
        put(up.models / "job", {f"{name}/model/weights.onnx": name.encode()})
    words = ("import", "job", str(up.models / "job"), "-m", "versions-of-a-job", "--job", "train-9", "--built-in", "b")

    first = up.run(*words, "--all-versions")
    put(up.models / "job", {"V004/model/weights.onnx": b"V004"})
    second = up.run(*words, "--all-versions", "--json")
    third = up.run(*words, "--all-versions")

    assert first.stdout.splitlines() == [f"versions-of-a-job 0.0.{n} is registered" for n in (1, 2, 3)]
    assert json.loads(second.stdout)["version"] == "0.0.4"
    assert third.stdout == "every job version is there already\n"


@pytest.mark.parametrize(
    "words",
    [("--all-versions", "--job-version", "V001"), (), ("--all-versions", "--version", "1.0.0")],
    ids=["both", "neither", "a number for all"],
)
def test_a_job_is_imported_by_one_version_or_by_all(up, words):
    done = up.run("import", "job", ".", "-m", "a", "--job", "j", *words)

    assert done.returncode == 1
    assert done.stderr.startswith("modelkin: expected --job-version, or --all-versions")


def test_templates_are_listed_filtered_and_shown(up):
    everything = json.loads(up.run("templates", "--json").stdout)["templates"]
    caffe = up.run("templates", "--engine", "caffe").stdout
    by_word = up.run("templates", "ascend").stdout
    shown = up.run("templates", "show", "ascend-om").stdout
    unknown = up.run("templates", "show", "asend-om")

    assert len(everything) == 10
    assert [line.split()[0] for line in caffe.splitlines()] == ["ID", "caffe-cpu-general", "caffe-gpu-general"]
    assert [line.split()[0] for line in by_word.splitlines()] == ["ID", "ascend-om"]
    assert "object-detection (not replaceable)" in shown
    assert "must hold" in shown
    assert (unknown.returncode, "ascend-om" in unknown.stderr) == (1, True)


def test_model_files_are_imported_with_a_template(up):
    folder = put(up.models / "bare", {"detector.onnx": b"\x08\x07"})

    imported = up.run("import", "template", "onnx-general", folder, "-m", "templated", "--mode", "image-processing")
    wrong_mode = up.run("import", "template", "onnx-general", folder, "-m", "templated", "--mode", "telepathy")
    wrong_input = up.run("import", "template", "onnx-general", f"weights={folder}", "-m", "templated")

    assert imported.stdout == "templated 0.0.1 is registered\n"
    assert "onnx-general with mode image-processing" in up.run("show", "templated").stdout
    assert wrong_mode.stderr.startswith("modelkin: refused (mode-not-found): ")
    assert "expected INPUT_ID=LOCATION with one of" in wrong_input.stderr


def test_a_refused_configuration_tells_every_fault_for_people_and_for_programs(up):
    wrong = valid_package("ONNX", model_algorithm="9 lives", metrics={"f1": "high"})
    folder = put(up.models / "wrong", wrong)

    people = up.run("import", "storage", folder, "-m", "wrong")
    programs = up.run("import", "storage", folder, "-m", "wrong", "--json")

    assert (people.returncode, people.stdout) == (1, "")
    assert people.stderr.startswith("modelkin: refused (invalid-config): ")
    assert "\n  $.model_algorithm: " in people.stderr
    assert "\n  $.metrics.f1: " in people.stderr
    assert programs.returncode == 1
    refused = json.loads(programs.stdout)["refused"]
    assert [fault["path"] for fault in refused["faults"]] == ["$.model_algorithm", "$.metrics.f1"]


def test_a_package_is_checked_without_any_service(tmp_path):
    good = put(tmp_path / "good", valid_package("PyTorch"))
    bad = put(tmp_path / "bad", {"config.json": json.dumps(valid_config("PyTorch", runtime=7)).encode()})

    whole = command("check", good)
    config = command("check", f"{bad}/config.json", "--json")
    folder = command("check", bad)
    nothing = command("check", str(tmp_path / "nothing"))

    assert (whole.returncode, whole.stdout) == (0, f"{good} is as a PyTorch package should be\n")
    assert (config.returncode, json.loads(config.stdout)["faults"][0]["path"]) == (1, "$.runtime")
    assert folder.stderr.startswith("modelkin: model-folder-missing: ")
    assert "cannot be read: No such file" in nothing.stderr


@pytest.mark.parametrize("of", ["config", "template"])
def test_a_schema_is_printed(of):
    assert "$schema" in json.loads(command("schema", of).stdout)


def test_a_file_that_runs_code_is_refused_and_what_is_unknown_waits_for_a_release(up):
    bad = put(up.models / "bad", {**valid_package("Scikit_Learn"), "model/iris.m": DANGEROUS})
    own = put(up.models / "own", {**valid_package("Scikit_Learn"), "model/iris.m": UNKNOWN})

    refused = up.run("import", "storage", bad, "-m", "bad")
    imported = up.run("import", "storage", own, "-m", "own")
    held = up.run("show", "own").stdout
    released = up.run("release", "own", "0.0.1", "--why", "our own class")
    again = up.run("release", "own", "0.0.1", "--why", "once more")
    free = up.run("show", "own").stdout

    assert refused.stderr.startswith("modelkin: refused (unsafe-file): 'model/iris.m': ")
    assert "posix.system" in refused.stderr
    assert imported.stdout == "own 0.0.1 is registered\n"
    assert "neither downloaded nor deployed (quarantine)" in held
    assert "ourstuff.Model" in held
    assert released.stdout == "own 0.0.1 is out of quarantine\n"
    assert again.stderr.startswith("modelkin: refused (not-quarantined): ")
    assert "may be downloaded and deployed" in free


def test_a_package_may_stay_where_it_is(up):
    folder = put(up.models / "large", valid_package("ONNX"))

    imported = up.run("import", "storage", folder, "-m", "large", "--reference")

    assert imported.stdout == "large 0.0.1 is registered\n"
    assert "in place: the files stay where they came from" in up.run("show", "large").stdout


def test_an_image_needs_a_host_and_a_configuration_that_can_be_read(up, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps(valid_config("Image", swr_location=None)))

    no_host = up.run("import", "image", "resnet:1", "--config", str(config), "-m", "imaged")
    no_file = up.run("import", "image", "127.0.0.1:9/resnet:1", "--config", str(tmp_path / "no.json"), "-m", "imaged")
    config.write_text("{")
    no_json = up.run("import", "image", "127.0.0.1:9/resnet:1", "--config", str(config), "-m", "imaged")

    assert no_host.stderr.startswith("modelkin: refused (invalid-image): ")
    assert "cannot be read: No such file or directory" in no_file.stderr
    assert "is not JSON" in no_json.stderr


JOB = ("import", "job", ".", "-m", "a", "--job", "j", "--job-version", "V001", "--built-in", "b")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*JOB, "--min-spec", "cpus=4"), "specification 'cpus': expected one of cpu, memory, gpu, ascend"),
        (("import", "job", "", *JOB[3:]), "the location is empty: expected a path or a URL"),
        ((*JOB, "--timeout", "-1"), "Invalid value for '--timeout'"),
        ((*JOB, "--description", b"caf\xe9"), "'caf\\udce9' is not UTF-8: "),
        (("release", "a", "0.0.1", "--why", ""), "why: String should have at least 1 character"),
        (("show", "a", "--nats", "nats://me:sesame@127.0.0.1:1"), "no NATS server answers at nats://127.0.0.1:1 ("),
    ],
    ids=["unknown specification", "no location", "negative time", "no text", "no reason", "no server"],
)
def test_a_wrong_word_is_told_in_one_line(up, words, said):
    done = up.run(*words)

    assert done.returncode in {1, 2}
    assert (done.stdout, len(done.stderr.splitlines())) == ("", 1)
    assert done.stderr.startswith(f"modelkin: {said}")


def test_what_is_shown_of_a_large_model_fits_on_a_screen_and_leaves_the_terminal_alone(up):
    folder = put(up.models / "shards", {f"{number:03}.bin": b"" for number in range(100)})
    parameters = (word for number in range(50) for word in ("-p", f"p{number}=\x1b[31m"))

    up.run(
        "import", "job", folder, "-m", "sharded", "--job", "j", "--job-version", "V001", "--built-in", "b", *parameters
    )
    shown = up.run("show", "sharded").stdout

    assert len(shown.splitlines()) < 50
    assert "file        … 84 more" in shown
    assert "p15=\\x1b[31m, … 34 more" in shown
    assert "\x1b" not in shown
