"""How answers look to a person: tables, trees, one line an event."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from shared.messages import (
    Event,
    ImportRefused,
    ModelImported,
    ModelRegistered,
    TrainingSucceeded,
    VersionAssigned,
    VersionRefused,
)
from shared.queries import LineageGraph, LineageVersion, ModelPage, VersionDetails, VersionPage
from shared.values import Edge

# Where nobody watches the width, lines are not folded.
PIPE_WIDTH = 200


def console() -> Console:
    screen = Console(highlight=False)
    return screen if screen.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def size(size_bytes: int) -> str:
    """1536 → 1.5 KB"""
    amount = float(size_bytes)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1024:  # noqa: PLR2004 - bytes in a KB
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"


def files(count: int) -> str:
    return f"{count} file{'s' if count > 1 else ''}"


def moment(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def numbers(values: dict[str, float]) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in values.items())


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
    table = _table("VERSION", "SIZE", "METRICS", "JOB", "REGISTERED", "PACKAGE")
    for version in page.versions:
        table.add_row(
            version.version,
            size(version.size_bytes),
            numbers(version.metrics),
            escape(version.job or ""),
            moment(version.registered_at),
            version.package_digest[:19],
        )
    return table


def details_table(version: VersionDetails) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, text in _facts(version):
        if text:
            table.add_row(name, escape(text))
    for file in version.package.files:
        table.add_row("file", f"{escape(file.path)}  {size(file.size_bytes)}  {file.digest[:19]}")
    if version.package.file_count > len(version.package.files):
        table.add_row("", f"the largest of {version.package.file_count} files")
    return table


def _facts(version: VersionDetails) -> list[tuple[str, str]]:
    job, package, code = version.source.job, version.package, version.code
    return [
        ("model", f"{version.model} {version.version}"),
        ("workspace", version.workspace),
        ("status", version.status),
        ("registered", moment(version.registered_at)),
        ("imported", f"{moment(version.imported_at)} by {version.source.method}, asked by {version.requested_by}"),
        ("from", version.source.location),
        ("job", f"{job.id}@{job.version}"),
        *(("data set", "@".join(part for part in (one.name, one.version) if part)) for one in version.datasets),
        *([("code", f"{code.repository}@{code.commit} {code.entry_point or ''}".rstrip())] if code else []),
        *((("base", f"{base.relation} {_base(base.model, base.version, base.digest)}")) for base in version.bases),
        ("parameters", ", ".join(f"{name}={value}" for name, value in version.parameters.items())),
        ("metrics", numbers(version.metrics)),
        ("package", f"{package.digest}  {size(package.size_bytes)} in {files(package.file_count)}"),
    ]


def _base(model: str | None, version: str | None, digest: str | None) -> str:
    return digest or f"{model}@{version}"


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
        return f"[bold]{name}[/]  {numbers(version.metrics)}".rstrip() if version else name

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
    if kind == "code":
        return escape(rest)
    name = rest.partition("/")[2]
    return escape(" ".join(name.rsplit("@", 1)) if kind == "version" else name)


def event_line(event: Event) -> str:
    kind = type(event).__name__
    return f"{moment(event.envelope.time)}  {kind:17}  {escape(event.model)}  {escape(_essence(event))}"


def _essence(event: Event) -> str:
    match event:
        case TrainingSucceeded():
            return f"job {event.job.id}@{event.job.version} at {event.location}"
        case ModelImported():
            package = event.package
            return f"{files(package.file_count)}, {size(package.size_bytes)}, {package.digest[:19]}"
        case VersionAssigned():
            return f"{event.version}, {len(event.edges)} edges of lineage"
        case ModelRegistered():
            return event.version
        case ImportRefused() | VersionRefused():
            return f"{event.reason}: {event.message}"
        case _:
            return ""
