"""The table of variables is what the settings say."""

import re
from pathlib import Path

import pytest

from deploy.variables import FILE, document
from services.importer.settings import ImporterSettings
from services.registry.settings import RegistrySettings

DOCS = Path(__file__).parents[2] / "docs"


def test_the_committed_table_is_fresh():
    assert (DOCS / FILE).read_text(encoding="utf-8") == document(), "make contract writes it anew"


@pytest.mark.parametrize("field", {**ImporterSettings.model_fields, **RegistrySettings.model_fields})
def test_every_setting_is_there_once_with_a_meaning(field: str):
    of_services, _, _ = document().partition("## The command line")

    lines = re.findall(rf"^\| `MODELKIN_{field.upper()}` \| (.+?) \| (.+) \|$", of_services, re.MULTILINE)

    assert len(lines) == 1
    assert len(lines[0][1]) > 10


def test_a_setting_that_has_no_default_says_so():
    assert "| `MODELKIN_ARTIFACTS` | must be set | the artifact store: a folder, or s3://" in document()


def test_a_list_is_written_as_it_is_set():
    assert "| `MODELKIN_ALLOWED_REGISTRIES` | `*` |" in document()
    assert "| `MODELKIN_UNSAFE_FILES` | `refuse` |" in document()
