"""Options that several commands take, declared once: a command names the record that it gets them in."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from modelkin.commands.terminal import LOCAL_NATS, Json, Nats, Workspace
from shared.naming import DEFAULT_WORKSPACE, NAME_RULE, NUMBER_RULE

RELATIONS = "resumed, fine-tuned, distilled, quantized, merged, adapter"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What every import may say of a version, and how it is waited for."""

    model: Annotated[str, typer.Option("--model", "-m", help=f"The name: {NAME_RULE}.")]
    version: Annotated[str | None, typer.Option(help=f"The number to give: {NUMBER_RULE}. Left out: the next.")] = None
    bump: Annotated[str | None, typer.Option(help="Which number is next: patch (where left out), minor or major.")] = (
        None
    )
    label: Annotated[list[str] | None, typer.Option(metavar="LABEL", help="A label; at most 5.")] = None
    description: Annotated[str, typer.Option(help="At most 100 characters.")] = ""
    document: Annotated[list[str] | None, typer.Option(metavar="NAME=URL", help="A page about it; at most 3.")] = None
    deploy: Annotated[
        list[str] | None, typer.Option(metavar="TYPE", help="How it may be deployed: real-time, batch. Left out: both.")
    ] = None
    min_spec: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT=NUMBER", help="The least that inference needs: cpu, memory (MB), gpu, ascend."),
    ] = None
    dataset: Annotated[
        list[str] | None, typer.Option(metavar="NAME[@VERSION][@sha256:…]", help="What it was trained on.")
    ] = None
    code: Annotated[str | None, typer.Option(metavar="REPOSITORY@COMMIT", help="What trained it.")] = None
    entry_point: Annotated[
        str | None, typer.Option(metavar="PATH", help="The file of that code that was run, such as train.py.")
    ] = None
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A parameter of the training.")
    ] = None
    metric: Annotated[list[str] | None, typer.Option(metavar="NAME=NUMBER", help="A measured metric.")] = None
    base: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL@VERSION[:RELATION]",
            help=f"What it was made from; RELATION: {RELATIONS}. The digest of a file instead of MODEL@VERSION will do.",
        ),
    ] = None
    reference: Annotated[
        bool, typer.Option("--reference", help="Leave the files where they are: keep their digests only.")
    ] = False
    nats: Nats = LOCAL_NATS
    workspace: Workspace = DEFAULT_WORKSPACE
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for the outcome, or print the id of the import and end.")
    ] = True
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="How long to wait without any sign of progress.")
    ] = 300.0
    as_json: Json = False


def taking(record: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command every option of a record; the command gets them as one argument, that with the record's type."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters.values()
        name = next(one.name for one in own if one.annotation is record)
        fields = inspect.signature(record, eval_str=True).parameters
        keyword = inspect.Parameter.KEYWORD_ONLY
        shown = [one.replace(kind=keyword) for one in (*own, *fields.values()) if one.name != name]

        @functools.wraps(command)
        def typed(**given: Any) -> None:
            options = record(**{field: given.pop(field) for field in fields})
            command(**{name: options}, **given)

        typed.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]  # what typer reads
        typed.__annotations__ = {one.name: one.annotation for one in shown}
        return typed

    return decorate
