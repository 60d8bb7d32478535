"""How answers look to a person: tables, trees, one line an event. A version's details are in details.py."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.tree import Tree

from modelkin.wording import MOST_IN_A_CELL, counted, escape, facts_table, files, moment, numbers, size
from shared.messages import (
    AutoLearningDeployed,
    CommandRefused,
    ImportRefused,
    ImportStarted,
    Message,
    ModelImported,
    ModelRegistered,
    TrainingSucceeded,
    VersionAssigned,
    VersionRefused,
    VersionReleased,
)
from shared.queries import LineageGraph, LineageVersion, ModelPage, TemplatePage, VersionPage
from shared.templates import Template
from shared.values import Edge

# Where nobody watches the width, lines are not folded.
PIPE_WIDTH = 200


def console() -> Console:
    screen = Console(highlight=False)
    return screen if screen.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def models_table(page: ModelPage) -> Table:
    table = _table("MODEL", "VERSIONS", "LATEST", "UPDATED")
    for model in page.models:
        table.add_row(model.model, str(model.versions), model.latest, moment(model.updated_at))
    return table


def versions_table(page: VersionPage) -> Table:
    table = _table("VERSION", "SIZE", "METRICS", "FROM", "REGISTERED", "PACKAGE")
    for version in page.versions:
        table.add_row(
            version.version,
            size(version.size_bytes),
            escape(numbers(version.metrics, MOST_IN_A_CELL)),
            escape(version.job or version.method),
            moment(version.registered_at),
            version.package_digest[:19],
        )
    return table


def templates_table(page: TemplatePage) -> Table:
    table = _table("ID", "ENGINE", "TYPE", "ENVIRONMENT", "MODE", "NAME")
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


def lineage_tree(graph: LineageGraph) -> Tree:
    """The version, what it came from (with all that came before), and what came from it."""
    picture = _Lineage(graph)
    tree = Tree(picture.title(graph.root))
    picture.add_origins(tree, graph.root, frozenset({graph.root}))
    if picture.children(graph.root):
        picture.add_descendants(tree.add("[bold]descendants[/]"), graph.root, frozenset({graph.root}))
    if graph.truncated:
        tree.add("[dim]… there is more: ask with a larger --depth, or of another version[/]")
    return tree


class _Lineage:
    def __init__(self, graph: LineageGraph) -> None:
        self._versions = {version.node: version for version in graph.versions}
        self._edges = graph.edges

    def title(self, node: str) -> str:
        version: LineageVersion | None = self._versions.get(node)
        name = _name(node)
        return f"[bold]{name}[/]  {escape(numbers(version.metrics, MOST_IN_A_CELL))}".rstrip() if version else name

    def children(self, node: str) -> Sequence[Edge]:
        return [edge for edge in self._edges if edge.target == node and edge.kind in {"derived-from", "same-bytes-as"}]

    def add_origins(self, tree: Tree, node: str, above: frozenset[str]) -> None:
        for edge in (edge for edge in self._edges if edge.source == node):
            how = f" ({escape(edge.how)})" if edge.how else ""
            label = f"[dim]{edge.kind.replace('-', ' ')}[/] {self.title(edge.target)}{how}"
            branch = tree.add(label)
            if edge.kind == "derived-from" and edge.target not in above:
                self.add_origins(branch, edge.target, above | {edge.target})

    def add_descendants(self, tree: Tree, node: str, above: frozenset[str]) -> None:
        for edge in self.children(node):
            how = f" ({escape(edge.how)})" if edge.how else ""
            branch = tree.add(f"{self.title(edge.source)} [dim]{edge.kind.replace('-', ' ')}[/]{how}")
            if edge.source not in above:
                self.add_descendants(branch, edge.source, above | {edge.source})


def _name(node: str) -> str:
    """version:0/resnet@0.0.1 → resnet 0.0.1; other nodes without their kind and workspace."""
    kind, _, rest = node.partition(":")
    if kind in {"code", "image", "template"}:
        return escape(rest)
    name = rest.partition("/")[2]
    return escape(" ".join(name.rsplit("@", 1)) if kind == "version" else name)


def event_line(event: Message) -> str:
    kind = type(event).__name__
    return f"{moment(event.envelope.time)}  {kind:20}  {escape(event.topic)}  {escape(_essence(event))}"


def _essence(event: Message) -> str:
    text = ""
    match event:
        case AutoLearningDeployed():
            text = f"run {event.run} at {event.location}"
        case CommandRefused() | ImportRefused() | VersionRefused():
            text = f"{event.reason}: {event.message}"
        case ImportStarted():
            text = f"{event.method}, {files(event.file_count)}, {size(event.size_bytes)}"
        case VersionReleased():
            text = f"{event.version} by {event.released_by}: {event.why}"
        case TrainingSucceeded():
            text = f"job {event.job.id}@{event.job.version} at {event.location}"
        case ModelImported():
            package = event.package
            text = f"{files(package.file_count)}, {size(package.size_bytes)}, {package.digest[:19]}"
        case VersionAssigned():
            text = f"{event.version}, {counted(len(event.edges), 'edge')} of lineage"
        case ModelRegistered():
            text = event.version
    return text
