"""A lineage graph as a picture: a tree for a terminal, dot for Graphviz, mermaid for pages that draw it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from rich.text import Text

from modelkin.wording import MOST_IN_A_CELL, escape, numbers, printable
from shared.queries import LineageGraph
from shared.values import Edge

Direction = Literal["both", "up", "down"]

DESCENT = frozenset({"derived-from", "same-bytes-as"})
MORE = "… there is more: ask with a larger --depth, or of another version"
# Characters that mean nothing to mermaid inside quotes; every other one is written as its number.
PLAIN_IN_MERMAID = frozenset(" .,-_@/=+()")
DOT_SHAPES = {
    "version": "box",
    "job": "cds",
    "dataset": "cylinder",
    "code": "note",
    "image": "box3d",
    "template": "tab",
    "service": "component",
}
MERMAID_SHAPES = {
    "version": ("[", "]"),
    "job": ("[[", "]]"),
    "dataset": ("[(", ")]"),
    "code": ("[/", "/]"),
    "image": ("[\\", "\\]"),
    "template": ("{{", "}}"),
    "service": ("([", "])"),
}


def lineage_tree(graph: LineageGraph, direction: Direction = "both") -> Text:
    """The version, what it came from, and below that what hangs on it. Print it without folding lines."""
    picture = _Picture(graph)
    lines = picture.lines(direction)
    return Text("\n").join(Text.from_markup(line) for line in lines)


class _Item(NamedTuple):
    """A line of the tree. With a node: the versions above or below it hang on the line."""

    label: str
    node: str | None = None
    way: Literal["up", "down"] = "up"


class _Picture:
    """A version may be met on many ways: it is drawn whole once, and named where it is met again."""

    def __init__(self, graph: LineageGraph) -> None:
        self._graph = graph
        self._versions = {version.node: version for version in graph.versions}
        self._leaving, self._arriving = _by_source(graph.edges), _by_target(graph.edges)
        self._drawn: set[tuple[str, str]] = set()

    def lines(self, direction: Direction) -> Iterator[str]:
        yield self._title(self._graph.root)
        # Lineage may be deeper than Python's stack: what is still to be drawn is kept in a list.
        waiting = _indented(self._of_root(direction), "")
        while waiting:
            indent, branch, item = waiting.pop()
            below = self._below(item)
            again = item.node is not None and not below and self._was_drawn(item)
            yield f"{indent}{branch}{item.label}{' [dim](see above)[/]' if again else ''}"
            waiting += _indented(below, indent + ("    " if branch.startswith("└") else "│   "))

    def _of_root(self, direction: Direction) -> list[_Item]:
        root = self._graph.root
        below = self._down(root)
        items = [] if direction == "down" else self._origins(root)
        items += self._services(root)
        if below and direction != "up":
            items.append(_Item("[bold]descendants[/]", root, "down"))
        if self._graph.truncated:
            items.append(_Item(f"[dim]{MORE}[/]"))
        return items

    def _origins(self, root: str) -> list[_Item]:
        return [self._origin(edge) for edge in self._leaving[root] if edge.kind != "deployed-as"]

    def _origin(self, edge: Edge) -> _Item:
        label = f"[dim]{_words(edge)}[/] {self._title(edge.target)}{_how(edge)}"
        return _Item(label, edge.target if edge.kind in DESCENT else None, "up")

    def _below(self, item: _Item) -> list[_Item]:
        """What hangs on a line; nothing where that was drawn before."""
        if item.node is None or (item.way, item.node) in self._drawn:
            return []
        self._drawn.add((item.way, item.node))
        return self._up(item.node) if item.way == "up" else self._down(item.node)

    def _was_drawn(self, item: _Item) -> bool:
        node = item.node or ""
        return bool(self._up(node) if item.way == "up" else self._down(node))

    def _up(self, node: str) -> list[_Item]:
        """Edges go one step further than was asked for: what lies there is not drawn."""
        edges = [edge for edge in self._leaving[node] if edge.kind in DESCENT]
        return [self._origin(edge) for edge in edges if edge.target in self._versions]

    def _down(self, node: str) -> list[_Item]:
        children = [edge for edge in self._arriving[node] if edge.kind in DESCENT]
        labels = (
            (f"{self._title(edge.source)} [dim]{_words(edge)} it[/]{_how(edge)}", edge.source) for edge in children
        )
        services = self._services(node) if node != self._graph.root else []
        return [*services, *(_Item(label, child, "down") for label, child in labels)]

    def _services(self, node: str) -> list[_Item]:
        return [
            _Item(f"[dim]{_words(edge)}[/] {escape(short_name(edge.target))}")
            for edge in self._leaving[node]
            if edge.kind == "deployed-as"
        ]

    def _title(self, node: str) -> str:
        version = self._versions.get(node)
        name = escape(short_name(node))
        if version is None:
            return name
        deleted = " [red](deleted)[/]" if version.deleted else ""
        return f"[bold]{name}[/]{deleted}  {escape(numbers(version.metrics, MOST_IN_A_CELL))}".rstrip()


def _indented(items: list[_Item], indent: str) -> list[tuple[str, str, _Item]]:
    """The last first, as a stack is filled."""
    branches = [*("├── " for _ in items[1:]), "└── "]
    return [(indent, branch, item) for branch, item in zip(reversed(branches), reversed(items), strict=False)]


def _by_source(edges: Iterable[Edge]) -> Mapping[str, list[Edge]]:
    found: dict[str, list[Edge]] = defaultdict(list)
    for edge in edges:
        found[edge.source].append(edge)
    return found


def _by_target(edges: Iterable[Edge]) -> Mapping[str, list[Edge]]:
    found: dict[str, list[Edge]] = defaultdict(list)
    for edge in edges:
        found[edge.target].append(edge)
    return found


def _words(edge: Edge) -> str:
    return edge.kind.replace("-", " ")


def _how(edge: Edge) -> str:
    return f" ({escape(edge.how)})" if edge.how else ""


def short_name(node: str) -> str:
    """version:0/resnet@0.0.1 → resnet 0.0.1; other nodes without their kind and workspace."""
    kind, _, rest = node.partition(":")
    if kind in {"code", "image", "template"}:
        return rest
    name = rest.partition("/")[2]
    return " ".join(name.rsplit("@", 1)) if kind == "version" else name


class _Node(NamedTuple):
    id: str
    kind: str
    label: str
    deleted: bool


def _nodes(graph: LineageGraph) -> dict[str, _Node]:
    """Every node, the root first; ids are made up, so that no name can be taken for syntax."""
    named = [graph.root, *(version.node for version in graph.versions)]
    named += [node for edge in graph.edges for node in (edge.source, edge.target)]
    deleted = {version.node for version in graph.versions if version.deleted}
    return {
        name: _Node(
            f"n{place}",
            name.partition(":")[0],
            f"{printable(short_name(name))}{' (deleted)' if name in deleted else ''}",
            name in deleted,
        )
        for place, name in enumerate(dict.fromkeys(named))
    }


def _edge_label(edge: Edge) -> str:
    return printable(f"{_words(edge)}{f' ({edge.how})' if edge.how else ''}")


def dot(graph: LineageGraph) -> str:
    """In the language of Graphviz: arrows point up, to what a version came from."""
    return "\n".join(_dot_lines(graph)) + "\n"


def _dot_lines(graph: LineageGraph) -> Iterator[str]:
    nodes = _nodes(graph)
    yield "digraph lineage {"
    yield "  rankdir=BT;"
    if graph.truncated:
        yield f"  label={_dot_text(MORE)};"
    for name, node in nodes.items():
        style = [*(["bold"] if name == graph.root else []), *(["dashed"] if node.deleted else [])]
        styled = f', style="{",".join(style)}"' if style else ""
        yield f"  {node.id} [label={_dot_text(node.label)}, shape={DOT_SHAPES.get(node.kind, 'ellipse')}{styled}];"
    for edge in graph.edges:
        yield f"  {nodes[edge.source].id} -> {nodes[edge.target].id} [label={_dot_text(_edge_label(edge))}];"
    yield "}"


def _dot_text(text: str) -> str:
    """In quotes, where dot knows escapes of its own, and entities as HTML does."""
    escaped = text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def mermaid(graph: LineageGraph) -> str:
    """A mermaid flowchart: arrows point up, to what a version came from."""
    return "\n".join(_mermaid_lines(graph)) + "\n"


def _mermaid_lines(graph: LineageGraph) -> Iterator[str]:
    nodes = _nodes(graph)
    yield "flowchart BT"
    if graph.truncated:
        yield f"  %% {MORE}"
    for node in nodes.values():
        opening, closing = MERMAID_SHAPES.get(node.kind, ("(", ")"))
        yield f'  {node.id}{opening}"{_mermaid_text(node.label)}"{closing}'
    for edge in graph.edges:
        yield f'  {nodes[edge.source].id} -->|"{_mermaid_text(_edge_label(edge))}"| {nodes[edge.target].id}'
    yield f"  style {nodes[graph.root].id} stroke-width:3px"
    for node in nodes.values():
        if node.deleted:
            yield f"  style {node.id} stroke-dasharray:4"


def _mermaid_text(text: str) -> str:
    return "".join(char if char.isalnum() or char in PLAIN_IN_MERMAID else f"#{ord(char)};" for char in text)
