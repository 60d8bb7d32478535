"""The command line: what operators type. The commands are in commands/."""

import sys
from collections.abc import Sequence
from typing import Any

import typer
import typer.core
import typer.main

from modelkin.commands import (
    asking,
    backing_up,
    changing,
    checking,
    dead,
    deploying,
    doctor,
    importing,
    judging,
    keeping,
    local,
    rebuilding,
    templates,
    tracing,
)
from modelkin.errors import ModelkinError
from shared.errors import Malformed


class _Argument(typer.core.TyperArgument):
    """An argument whose metavar says it all: Typer adds its type, as Python writes it."""

    def display_type(self, ctx: Any) -> str:
        return "" if self.metavar is not None else super().display_type(ctx)


typer.main.TyperArgument = _Argument  # type: ignore[attr-defined]  # what commands are made of

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Modelkin: import every trained model, give it a version, keep what it came from.",
)
app.add_typer(local.app)
app.add_typer(importing.app, name="import")
app.add_typer(templates.app)
app.add_typer(asking.app)
app.add_typer(tracing.app)
app.add_typer(judging.app)
app.add_typer(changing.app)
app.add_typer(deploying.app)
app.add_typer(keeping.app)
app.add_typer(checking.app)
app.add_typer(dead.app, name="dead")
app.add_typer(doctor.app)
app.add_typer(rebuilding.app)
app.add_typer(backing_up.app)


def _check_words(words: Sequence[str]) -> None:
    """JSON has no place for what is no text."""
    for word in words:
        if any("\ud800" <= char <= "\udfff" for char in word):
            raise ModelkinError(f"{word!r} is not UTF-8: in the URL of a file, write such a byte as %FF")


def main() -> None:
    """Every error is one line on standard error: exit status 1, or 2 where the command itself was wrong."""
    try:
        _check_words(sys.argv)
        status = app(standalone_mode=False, prog_name="modelkin")
    except typer.TyperException as error:
        sys.stderr.write(f"modelkin: {error.format_message()}\n")
        status = error.exit_code
    except (ModelkinError, Malformed) as error:
        sys.stderr.write(f"modelkin: {error}\n")
        status = 1
    except BrokenPipeError:
        status = 0
    sys.exit(status)
