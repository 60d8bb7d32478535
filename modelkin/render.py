"""How answers look to a person: tables, one line an event or a change. A version's details are in details.py, lineage in drawing.py."""

from collections.abc import Mapping

from pydantic import JsonValue
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from modelkin.comparing import flat
from modelkin.drawing import short_name
from modelkin.sentences import cause, essence
from modelkin.wording import (
    MOST_IN_A_CELL,
    MOST_LINES,
    counted,
    escape,
    facts_table,
    moment,
    numbers,
    pairs,
    plain,
    size,
)
from shared.messages import Message
from shared.queries import (
    AffectedVersion,
    AliasPage,
    Deployed,
    HistoryEntry,
    ModelPage,
    Page,
    ServiceDetails,
    TemplatePage,
    VersionPage,
)
from shared.templates import Template

# Where nobody watches the width, lines are not folded.
PIPE_WIDTH = 200


def console() -> Console:
    screen = Console(highlight=False)
    return screen if screen.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def table_of(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(escape(column), overflow="fold")
    return table


def models_table(page: ModelPage) -> RenderableType:
    table = table_of("MODEL", "VERSIONS", "LATEST", "ENGINE", "SIZE", "METRICS", "LABELS", "UPDATED")
    for model in page.models:
        table.add_row(
            model.model,
            f"{model.versions}{f' ({model.deleted} deleted)' if model.deleted else ''}",
            model.latest,
            escape(model.engine or ""),
            size(model.size_bytes),
            escape(numbers(model.metrics, MOST_IN_A_CELL)),
            escape(", ".join(model.labels)),
            moment(model.updated_at),
        )
    return _with_total(table, page, len(page.models), "model")


def versions_table(page: VersionPage, *, of_several: bool = False) -> RenderableType:
    """The versions of one model, or of several."""
    columns = ("VERSION", "STATUS", "SIZE", "METRICS", "LABELS", "FROM", "REGISTERED", "PACKAGE")
    table = table_of(*(("MODEL", *columns) if of_several else columns))
    for version in page.versions:
        cells = (
            version.version,
            version.status,
            size(version.size_bytes),
            escape(numbers(version.metrics, MOST_IN_A_CELL)),
            escape(", ".join(version.labels)),
            escape(version.job or version.method),
            moment(version.registered_at),
            version.package_digest[:19],
        )
        table.add_row(*((version.model, *cells) if of_several else cells))
    return _with_total(table, page, len(page.versions), "version")


def _with_total(table: Table, page: Page, shown: int, what: str) -> RenderableType:
    return table if page.total is None else Group(table, Text(total_line(page, shown, what), style="dim"))


def total_line(page: Page, shown: int, what: str) -> str:
    """2 of 3 versions"""
    if page.total_is_exact:
        whole = counted(page.total or 0, what)
        return whole if shown == page.total else f"{shown} of {whole}"
    return f"{shown} of more than {counted(page.total or 0, what)}"


def aliases_table(page: AliasPage) -> Table:
    table = table_of("ALIAS", "VERSION", "MOVED", "BY", "WHY")
    for one in page.aliases:
        table.add_row(one.alias, one.version, moment(one.moved_at), escape(one.moved_by), escape(one.why))
    return table


def service_table(service: ServiceDetails) -> RenderableType:
    facts = [("service", service.service), ("workspace", service.workspace), ("model", service.model)]
    versions = table_of("VERSION", "TRAFFIC", "STATE", "SINCE", "MESSAGE")
    for one in service.versions:
        versions.add_row(one.version, f"{one.weight} %", one.state, moment(one.since), escape(one.message))
    return Group(facts_table([*facts, ("mode", service.mode)]), versions)


def deployed_line(one: Deployed) -> str:
    said = f": {one.message}" if one.message else ""
    return f"{one.service}  {one.mode}, {one.weight} %, {one.state} since {moment(one.since)}{said}"


def templates_table(page: TemplatePage) -> Table:
    table = table_of("ID", "ENGINE", "TYPE", "ENVIRONMENT", "MODE", "NAME")
    for one in page.templates:
        table.add_row(*map(escape, (one.id, one.engine, one.type, one.environment, one.mode, one.name)))
    return table


def template_table(template: Template) -> Table:
    mode = f"{template.mode}{'' if template.mode_replaceable else ' (not replaceable)'}"
    facts = [
        ("id", template.id),
        ("name", template.name),
        ("description", template.description),
        ("engine", template.engine),
        ("runtime", template.runtime),
        ("type", template.type),
        ("environment", template.environment),
        *(("input", f"{one.input_id}: {one.description}") for one in template.inputs),
        *(("must hold", " or ".join(patterns)) for one in template.inputs for patterns in one.must_hold),
        ("mode", mode),
    ]
    return facts_table(facts)


def affected_line(version: AffectedVersion) -> str:
    services = f"  serves as {escape(', '.join(version.services))}" if version.services else ""
    name = f"{version.model} {version.version}{' (deleted)' if version.deleted else ''}".ljust(30)
    way = f"from {escape(short_name(version.via))}" if version.distance else "asked about"
    return f"[bold]{name}[/]  {counted(version.distance, 'step')}, {way}{services}"


def history_line(entry: HistoryEntry) -> str:
    """When, what, of which version, who, why, and what else is known."""
    why = f": {escape(entry.why)}" if entry.why else ""
    facts = {name: plain(value) for name, value in flat(_shares(entry.facts)) if value not in (None, [], {}, "")}
    known = f"  [dim]{escape(pairs(facts, MOST_LINES))}[/]" if facts else ""
    about = (entry.version or "").ljust(8)
    return f"{moment(entry.at)}  {escape(entry.event):21}  {about}  by {escape(entry.by)}{why}{known}"


def _shares(facts: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """The facts of a change, the targets of a rollout in one line."""
    targets = facts.get("targets")
    if not isinstance(targets, list):
        return facts
    shares = [f"{one['version']} {one['weight']} %" for one in targets if isinstance(one, dict)]
    return {**facts, "targets": ", ".join(shares)}


def event_line(event: Message) -> str:
    kind = type(event).__name__
    said = "  ".join(escape(text) for text in (essence(event), cause(event)) if text)
    return f"{moment(event.envelope.time)}  {kind:20}  {escape(event.topic)}  {said}"
