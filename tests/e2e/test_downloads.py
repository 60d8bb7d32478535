"""Downloading, verifying and collecting as a user does it, with commands alone."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import MODELKIN, Up

LARGE = os.urandom(1024) * 200 * 1024  # 200 MB


@pytest.fixture
def imported(up: Up, request: pytest.FixtureRequest) -> str:
    """A model of its own for each test; returns its name."""
    name = request.node.name.removeprefix("test_")[:40]
    folder = up.model(name, weights=b"weights of " + name.encode(), labels=b"cat")
    words = ("--model", name, "--job", name, "--job-version", "V001", "--built-in", "resnet")
    done = up.run("import", "job", str(folder), *words)
    assert done.returncode == 0, done.stderr
    return name


def found(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_version_is_downloaded_by_number_and_by_alias(up: Up, imported: str, tmp_path: Path):
    by_number = up.run("download", imported, "0.0.1", str(tmp_path / "a"), "--json")
    assert up.run("alias", imported, "champion", "0.0.1").returncode == 0
    again = up.run("download", f"{imported}@champion", str(tmp_path / "a"), "--json")

    assert by_number.returncode == 0, by_number.stderr
    facts = json.loads(by_number.stdout)
    assert (facts["files"], facts["skipped"], facts["resumed"]) == (2, 0, 0)
    assert found(tmp_path / "a") == {"labels.onnx", "weights.onnx"}
    assert json.loads(again.stdout)["skipped"] == 2


def test_a_file_of_ones_own_is_not_overwritten_unasked(up: Up, imported: str, tmp_path: Path):
    (tmp_path / "labels.onnx").write_bytes(b"mine")
    refused = up.run("download", imported, "0.0.1", str(tmp_path))
    forced = up.run("download", imported, "0.0.1", str(tmp_path), "--force")

    assert refused.returncode == 1
    assert "--force" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert forced.returncode == 0
    assert (tmp_path / "labels.onnx").read_bytes() == b"cat"


@pytest.mark.parametrize(
    "words", [["resnet", "out"], ["resnet"], ["a", "0.0.1", "b", "c"], ["res net", "0.0.1", "out"]]
)
def test_words_that_are_wrong_are_told(up: Up, words: list[str], tmp_path: Path):
    done = up.run("download", *words)

    assert done.returncode in {1, 2}
    assert done.stderr.startswith("modelkin: ")
    assert len(done.stderr.splitlines()) == 1


def killed_in_the_middle(up: Up, model: str, folder: Path) -> int:
    """Begin a download and kill it; where it had ended before, try again. Returns how many bytes it left."""
    part = folder / "weights.onnx.part"
    while True:
        process = subprocess.Popen(
            [MODELKIN, "download", model, "0.0.1", str(folder)], env={**os.environ, "MODELKIN_NATS_URL": up.url}
        )
        while process.poll() is None and bytes_of(part) < 10_000_000:
            time.sleep(0.005)
        process.kill()
        if process.wait() == -signal.SIGKILL:
            return bytes_of(part)
        assert process.returncode == 0
        shutil.rmtree(folder)


def bytes_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def test_a_download_that_is_killed_in_the_middle_goes_on(up: Up, tmp_path: Path):
    folder = up.model("heavy", weights=LARGE)
    words = ("--model", "heavy", "--job", "heavy", "--job-version", "V001", "--built-in", "resnet")
    assert up.run("import", "job", str(folder), *words).returncode == 0
    begun_bytes = killed_in_the_middle(up, "heavy", tmp_path)

    done = up.run("download", "heavy", "0.0.1", str(tmp_path), "--json")

    facts = json.loads(done.stdout)
    assert facts["resumed"] == 1
    assert facts["read_bytes"] == len(LARGE) - begun_bytes
    assert (tmp_path / "weights.onnx").read_bytes() == LARGE
    assert found(tmp_path) == {"weights.onnx"}


def test_a_damaged_file_is_found_and_told(up: Up, imported: str):
    well = up.run("verify", imported, "--json")
    assert well.returncode == 0, well.stderr
    assert json.loads(well.stdout)["verified"] == 1
    shown = json.loads(up.run("show", imported, "--json").stdout)
    digest = shown["package"]["files"][0]["digest"].removeprefix("sha256:")
    stored = up.data / "artifacts" / "blobs" / "sha256" / digest[:2] / digest
    before = stored.read_bytes()
    stored.chmod(0o644)
    stored.write_bytes(b"damaged")

    damaged = up.run("verify", imported)
    stored.write_bytes(before)

    assert damaged.returncode == 1
    assert "labels.onnx" in damaged.stdout
    assert "Traceback" not in damaged.stderr


def test_what_is_deleted_is_collected(up: Up, imported: str):
    assert up.run("delete", imported, "0.0.1").returncode == 0
    tried = up.run("gc", "--dry-run")
    collected = up.run("gc", "--json")

    assert tried.stdout.startswith("would remove ")
    assert collected.returncode == 0, collected.stderr
    assert json.loads(collected.stdout)["removed_files"] >= 1
    assert up.run("verify").returncode == 0
