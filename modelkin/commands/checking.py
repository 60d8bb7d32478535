"""Commands that need no service: check a package before it is imported, print the schemas."""

import json
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import typer

from modelkin.commands.terminal import Json
from modelkin.errors import ModelkinError
from modelkin.wording import fault_line
from services.importer.domain import Refusal, Unacceptable
from services.importer.package.config import read_config
from services.importer.package.document import config_schema
from services.importer.package.layout import check_package
from services.importer.package.rules import Method
from services.importer.templates.documents import template_schema

app = typer.Typer()


@app.command()
def check(
    place: Annotated[Path, typer.Argument(metavar="FOLDER|CONFIG", help="A model package, or a config.json alone.")],
    method: Annotated[
        Method, typer.Option(help="The method that it is to be imported by; rules on images differ.")
    ] = "object-storage",
    as_json: Json = False,
) -> None:
    """Check a package or its config.json by the rules of an import, without importing it. Exit status 1: a rule is broken."""
    try:
        engine = _check_folder(place, method) if place.is_dir() else read_config(_read(place), method).model_type
    except Unacceptable as unacceptable:
        refusal = unacceptable.refusal
        if as_json:
            typer.echo(json.dumps(_facts(refusal), ensure_ascii=False, indent=2))
        lines = (f"{refusal.reason}: {refusal.message}", *map(fault_line, refusal.faults))
        raise ModelkinError("\n".join(lines)) from None
    typer.echo(json.dumps({"engine": engine}) if as_json else f"{place} is as a {engine} package should be")


@app.command()
def schema(
    of: Annotated[Literal["config", "template"], typer.Argument(help="Of config.json, or of a template.")],
) -> None:
    """Print a JSON schema."""
    document = config_schema() if of == "config" else template_schema()
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


class _File(NamedTuple):
    path: str
    size_bytes: int


def _check_folder(folder: Path, method: Method) -> str:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [_File(path.relative_to(folder).as_posix(), path.stat().st_size) for path in paths]
    return check_package(files, lambda path: _read(folder / path), method).engine


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelkinError(f"{path} cannot be read: {error.strerror}") from error


def _facts(refusal: Refusal) -> dict[str, object]:
    faults = [fault.model_dump() for fault in refusal.faults]
    return {"reason": refusal.reason, "message": refusal.message, "faults": faults}
