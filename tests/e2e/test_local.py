"""`modelkin demo` and `modelkin up`: they work by one command, and leave nothing behind."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.conftest import PATIENCE_S, all_gone, installed, processes_of, start_up, stop_up

BUILT_IN = ("--built-in", "b")


@pytest.mark.timeout(300)
def test_demo_shows_three_versions_and_their_lineage_and_leaves_no_process(tmp_path):
    done = installed("demo", "--data", str(tmp_path / "demo"), timeout_s=280)

    assert done.returncode == 0, done.stderr
    for expected in ("silero-vad  3         0.0.3", "0.0.1", "0.0.2", "f1=0.941", "train-vad@V003"):
        assert expected in done.stdout
    assert "├── derived from silero-vad 0.0.2  f1=0.934, recall=0.929 (resumed)" in done.stdout
    assert "(holds its silero_vad_half.onnx)" in done.stdout
    assert " s  everything is stopped" in done.stdout
    all_gone(tmp_path / "demo")


def test_up_stops_on_ctrl_c_and_finds_everything_again(tmp_path):
    first = start_up(tmp_path / "data", tmp_path / "models")
    model = first.model("kept")
    imported = first.run(
        "import", "job", str(model), "-m", "kept", "--job", "j", "--job-version", "V001", "--built-in", "b"
    )
    before = first.run("show", "kept", "--json")

    assert imported.returncode == 0, imported.stderr
    # NATS, the store, the services, the launcher, and what inspects files.
    assert len(processes_of(tmp_path / "data")) == 7
    assert stop_up(first) == 0
    all_gone(tmp_path / "data")
    second = start_up(tmp_path / "data", tmp_path / "models")
    assert second.run("show", "kept", "--json").stdout == before.stdout
    again = second.run(
        "import", "job", str(model), "-m", "kept", "--job", "j", "--job-version", "V002", "--built-in", "b"
    )
    assert again.stdout == "kept 0.0.2 is registered\n"
    stop_up(second)


def test_up_that_is_killed_leaves_no_process(tmp_path):
    up = start_up(tmp_path / "data", tmp_path / "models")

    up.process.send_signal(signal.SIGKILL)
    up.process.wait(PATIENCE_S)
    up.process.stdout.close()

    all_gone(tmp_path / "data")


def test_up_says_which_process_ended_and_stops_the_others(tmp_path):
    up = start_up(tmp_path / "data", tmp_path / "models")
    versioning = _pid_of(up.process.pid, "services.versioning")

    os.kill(versioning, signal.SIGKILL)

    assert up.process.wait(PATIENCE_S) == 1
    said = up.process.stdout.read()
    up.process.stdout.close()
    assert "modelkin: versioning ended" in said
    all_gone(tmp_path / "data")


def test_systems_that_start_at_one_instant_have_a_server_each(tmp_path):
    names = ("one", "other")
    for name in names:
        (tmp_path / name).mkdir()
    with ThreadPoolExecutor() as pool:
        ups = list(pool.map(lambda name: start_up(tmp_path / name / "data", tmp_path / name / "models"), names))
    try:
        imported = [
            up.run("import", "job", str(up.model("net")), "-m", "net", "--job", "j", "--job-version", "V001", *BUILT_IN)
            for up in ups
        ]
    finally:
        stopped = [stop_up(up) for up in ups]

    assert ups[0].url != ups[1].url
    assert [done.stdout for done in imported] == ["net 0.0.1 is registered\n"] * 2
    assert stopped == [0, 0]


def test_a_data_folder_serves_one_up_at_a_time(up):
    second = installed("up", "--data", str(up.data))

    assert second.returncode == 1
    assert second.stderr == f"modelkin: {up.data} is in use by another 'modelkin up': stop it, or name another --data\n"


def _pid_of(parent: int, module: str) -> int:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    [pid] = [int(pid) for pid in children if module in Path(f"/proc/{pid}/cmdline").read_text()]
    return pid
