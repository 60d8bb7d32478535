"""What `--help` says of every command, in a person's words."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from modelkin.cli import app

ROOT = typer.main.get_command(app)


def commands(command: Any = ROOT, *words: str) -> Iterator[tuple[str, Any]]:
    """Each command by what is typed for it."""
    inner = getattr(command, "commands", {})
    for name, one in inner.items():
        yield from commands(one, *words, name)
    if not inner:
        yield " ".join(words), command


@pytest.mark.parametrize("typed", [typed for typed, _ in commands()])
def test_no_command_shows_a_type_as_python_writes_it(typed: str):
    command = dict(commands())[typed]

    said = command.get_help(typer.Context(command, info_name=typed))

    assert "list[" not in said
    assert "Any" not in said


def test_an_argument_is_said_by_its_metavar_alone():
    command = dict(commands())["dead redrive"]

    said = command.get_help(typer.Context(command, info_name="redrive"))

    assert "<" not in said.partition("Options:")[0]
