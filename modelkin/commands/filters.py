"""What lists can be asked for: filters, order and pages, and how a time is typed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from modelkin.commands.terminal import Limit, Workspace
from shared.naming import DEFAULT_WORKSPACE
from shared.queries import MOST_SKIPPED, PAGE, Status

TIME = "2026-11-01T12:00Z"


def time_of(text: str) -> datetime:
    """A time in ISO 8601; UTC where no zone is named, the start of the day where there is only a date.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text[:40]!r}: expected a time such as {TIME}, or a date") from None


@dataclass(frozen=True, slots=True)
class FilterOptions:
    """Which of many are wanted, and which page of them."""

    name: Annotated[str | None, typer.Option(help="Of the model, exactly.")] = None
    part: Annotated[str | None, typer.Option(help="Somewhere in the name of the model, in any case.")] = None
    status: Annotated[Status | None, typer.Option(help="Left out: all but the deleted.")] = None
    engine: Annotated[str | None, typer.Option(help="With this engine: PyTorch, ONNX, Image …")] = None
    not_engine: Annotated[str | None, typer.Option(help="With any other engine than this.")] = None
    label: Annotated[str | None, typer.Option(help="With this label.")] = None
    description: Annotated[str | None, typer.Option(help="Somewhere in the description, in any case.")] = None
    metric: Annotated[
        list[str] | None, typer.Option(metavar="CONDITION", help="Such as 'f1>=0.9'; all of several hold.")
    ] = None
    since: Annotated[
        datetime | None, typer.Option(parser=time_of, metavar="TIME", help=f"Registered then or later: {TIME}.")
    ] = None
    before: Annotated[datetime | None, typer.Option(parser=time_of, metavar="TIME", help="Registered before.")] = None
    descending: Annotated[
        bool | None, typer.Option("--desc/--asc", help="Left out: names and numbers ascend, times and sizes descend.")
    ] = None
    offset: Annotated[
        int, typer.Option(min=0, max=MOST_SKIPPED, help="Leave out so many; further on, use --after.")
    ] = 0
    limit: Limit = PAGE
    after: Annotated[str | None, typer.Option(help="Go on where a page said so.")] = None
    every_page: Annotated[bool, typer.Option("--all", help="Every page, from this one on.")] = False
    workspace: Workspace = DEFAULT_WORKSPACE

    def asked(self) -> dict[str, Any]:
        """As fields of a query."""
        return {
            "workspace": self.workspace,
            "name": self.name,
            "name_part": self.part,
            "status": self.status,
            "engine": self.engine,
            "not_engine": self.not_engine,
            "label": self.label,
            "description": self.description,
            "metrics": tuple(self.metric or ()),
            "created_from": self.since,
            "created_before": self.before,
            "descending": self.descending,
            "offset": self.offset,
            "limit": self.limit,
            "after": self.after,
        }
