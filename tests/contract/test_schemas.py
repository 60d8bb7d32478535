"""The published JSON schemas are those that the code keeps: of config.json, and of templates and modes."""

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from services.importer.templates.documents import documents
from tests.unit.package.test_config import INVALID, VALID
from tests.unit.package.test_templates import a_template

DOCS = Path(__file__).parents[2] / "docs"
DATA = resources.files("services.importer.templates")
# What only the importer can judge: what it depends on is not in the file, or JSON schema has no word for it.
BEYOND = {
    "address missing",
    "too many metrics",
    "two APIs alike",
    # In Python, `$` of a pattern lets one line end through.
    "algorithm and a last line",
    "timeout too long",
    *(name for name in INVALID if name.startswith("data ") and name != "data no object"),
}


@cache
def validator(name: str) -> Draft202012Validator:
    schema = json.loads((DOCS / name).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("name", ["config.schema.json", "template.schema.json"])
def test_the_committed_document_is_what_the_code_says(name: str):
    current = documents()[name]

    stale = f"docs/{name} is stale: run 'python -m services.importer.templates.documents docs'"
    assert (DOCS / name).read_text(encoding="utf-8") == current, stale


@pytest.mark.parametrize("document", VALID.values(), ids=VALID.keys())
def test_a_valid_configuration_obeys_the_schema(document: dict[str, Any]):
    assert list(validator("config.schema.json").iter_errors(document)) == []


@pytest.mark.parametrize("name", sorted(INVALID.keys() - BEYOND))
def test_a_configuration_that_breaks_a_rule_breaks_the_schema(name: str):
    document, _, _ = INVALID[name]

    assert not validator("config.schema.json").is_valid(document)


@pytest.mark.parametrize("name", sorted(BEYOND))
def test_what_the_schema_cannot_say_is_known(name: str):
    document, _, _ = INVALID[name]

    assert validator("config.schema.json").is_valid(document)


def test_the_example_in_the_schema_obeys_it():
    schema = json.loads((DOCS / "config.schema.json").read_text(encoding="utf-8"))

    assert len(schema["examples"]) == 1
    assert validator("config.schema.json").is_valid(schema["examples"][0])


@pytest.mark.parametrize(("folder", "count"), [("data", 10), ("modes", 4)])
def test_what_comes_with_the_program_obeys_the_schema(folder: str, count: int):
    files = [json.loads(file.read_text(encoding="utf-8")) for file in (DATA / folder).iterdir()]

    assert len(files) == count
    for file in files:
        assert list(validator("template.schema.json").iter_errors(file)) == []


@pytest.mark.parametrize(
    "changes", [{"id": "Ours!"}, {"id": None}, {"inputs": []}, {"mode_replacable": True}, {"type": ""}], ids=str
)
def test_a_template_that_breaks_a_rule_breaks_the_schema(changes: dict[str, Any]):
    assert not validator("template.schema.json").is_valid(a_template(**changes))
