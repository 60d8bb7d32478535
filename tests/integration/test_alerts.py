"""What Prometheus is given is read by Prometheus' own tool, and the alert rules do what deploy/observe/rules_test.yml says."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

OBSERVE = Path(__file__).parents[2] / "deploy" / "observe"


@pytest.mark.parametrize("check", [("check", "config", "prometheus.yml"), ("test", "rules", "rules_test.yml")])
def test_prometheus_takes_its_files_and_raises_the_alarms_that_are_meant(check: tuple[str, ...]):
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not installed: apt-get install prometheus"

    ran = subprocess.run([promtool, *check], cwd=OBSERVE, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_alert_is_explained_under_its_name():
    alerts = re.findall(r"- alert: (\w+)", (OBSERVE / "rules.yml").read_text())
    sections = re.findall(r"^### (\w+)$", (OBSERVE.parents[1] / "docs" / "operating.md").read_text(), re.MULTILINE)

    assert sections == alerts
