"""Settings of the importer, as an operator writes them."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.importer.settings import ImporterSettings


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MODELKIN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MODELKIN_ARTIFACTS", "/artifacts")


@pytest.mark.parametrize(
    ("written", "roots"),
    [
        ("", ()),
        ("/models", (Path("/models"),)),
        ("/models:/mnt/runs", (Path("/models"), Path("/mnt/runs"))),
        (":/models:", (Path("/models"),)),
    ],
)
def test_allowed_roots_are_written_like_a_search_path(
    monkeypatch: pytest.MonkeyPatch, written: str, roots: tuple[Path, ...]
):
    monkeypatch.setenv("MODELKIN_ALLOWED_ROOTS", written)

    assert ImporterSettings().allowed_roots == roots


def test_where_no_root_is_named_none_is_allowed():
    assert ImporterSettings().allowed_roots == ()


def test_the_folder_of_the_artifacts_must_be_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MODELKIN_ARTIFACTS")

    with pytest.raises(ValidationError, match="artifacts"):
        ImporterSettings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODELKIN_MAX_FILES", "0"),
        ("MODELKIN_CONCURRENT_IMPORTS", "0"),
        ("MODELKIN_CONCURRENT_IMPORTS", "many"),
        ("MODELKIN_STOP_TIMEOUT_S", "0"),
        ("MODELKIN_LOG_FORMAT", "xml"),
    ],
)
def test_a_setting_out_of_its_range_is_an_error(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError, match=name.removeprefix("MODELKIN_").lower()):
        ImporterSettings()
