"""A backup and a restore as an operator does them: `modelkin backup`, then `modelkin up --restore` into a new folder."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from modelkin.commands import backing_up
from tests.e2e.conftest import MODELKIN, PATIENCE_S, Up, start_up, stop_up

LISTS = (("models",), ("versions", "flowers"), ("show", "flowers", "0.0.2"), ("lineage", "flowers", "0.0.2"))


def import_twice(up: Up) -> None:
    for run in ("V001", "V002"):
        location = str(up.model(f"flowers-{run}"))
        about = ("--model", "flowers", "--job", "train", "--job-version", run, "--built-in", "resnet")
        done = up.run("import", "job", location, *about)
        assert done.returncode == 0, done.stderr


def seen(up: Up) -> list[object]:
    return [json.loads(up.run(*words, "--json").stdout) for words in LISTS]


def up_with(data: Path, models: Path, backup: Path) -> subprocess.CompletedProcess[str]:
    """For where it is to fail."""
    words = [MODELKIN, "up", "--data", str(data), "--allow", str(models), "--restore", str(backup)]
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


@pytest.mark.timeout(300)
def test_what_was_backed_up_is_there_again_in_a_new_folder(tmp_path: Path):
    models, backup, data = tmp_path / "models", tmp_path / "backup", tmp_path / "restored"
    up = start_up(tmp_path / "data", models)
    try:
        import_twice(up)
        before = seen(up)
        made = CliRunner().invoke(backing_up.app, ["backup", str(backup), "--nats", up.url])
        assert made.exit_code == 0, made.output
        assert re.search(r"backed up into \S+: \d+ in EVENTS, 0 in COMMANDS, 0 in DEAD_LETTERS;", made.output)
        running = CliRunner().invoke(backing_up.app, ["restore", str(backup), "--nats", up.url])
        assert "is running: stop all services before a restore" in str(running.exception)
    finally:
        stop_up(up)

    lacking = up_with(data, models, backup)
    assert lacking.returncode == 1
    assert "is not there" in lacking.stderr
    assert "expected a copy of the artifact store" in lacking.stderr
    shutil.copytree(tmp_path / "data" / "artifacts", data / "artifacts", dirs_exist_ok=True)
    up = start_up(data, models, "--restore", str(backup))
    try:
        assert seen(up) == before
    finally:
        stop_up(up)

    used = up_with(data, models, backup)
    assert used.returncode == 1
    assert "holds nats and mongo of another system: a backup is restored into a new --data" in used.stderr
