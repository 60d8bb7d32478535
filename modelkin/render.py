"""How answers look to a person: tables, trees, one line an event."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from pydantic import JsonValue
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from shared.contents import ModelFile
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
from shared.queries import LineageGraph, LineageVersion, ModelPage, TemplatePage, VersionDetails, VersionPage
from shared.templates import Template
from shared.values import Edge, FromAutoLearning, FromJob, FromTemplate, Source

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
    table = _table("VERSION", "SIZE", "METRICS", "FROM", "REGISTERED", "PACKAGE")
    for version in page.versions:
        table.add_row(
            version.version,
            size(version.size_bytes),
            numbers(version.metrics),
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
    return _facts_table(facts)


def details_table(version: VersionDetails) -> Table:
    table = _facts_table([*_facts(version), *_configured(version), *_image(version), *_contents(version)])
    for file in version.package.files:
        table.add_row("file", f"{escape(file.path)}  {size(file.size_bytes)}  {file.digest[:19]}")
    if version.package.file_count > len(version.package.files):
        table.add_row("", f"the largest of {version.package.file_count} files")
    return table


def _facts_table(facts: Iterable[tuple[str, str]]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, text in facts:
        if text:
            table.add_row(name, escape(text))
    return table


def _facts(version: VersionDetails) -> list[tuple[str, str]]:
    package, code, release = version.package, version.code, version.release
    return [
        ("model", f"{version.model} {version.version}"),
        ("workspace", version.workspace),
        ("status", version.status),
        ("use", _use(version)),
        *([("released", f"by {release.released_by}: {release.why}")] if release else []),
        ("labels", ", ".join(version.labels)),
        ("description", version.description),
        *(("document", f"{one.name} {one.url}") for one in version.documents),
        ("registered", moment(version.registered_at)),
        ("imported", f"{moment(version.imported_at)} by {version.source.method}, asked by {version.requested_by}"),
        *_source(version.source),
        *(("data set", "@".join(part for part in (one.name, one.version) if part)) for one in version.datasets),
        *([("code", f"{code.repository}@{code.commit} {code.entry_point or ''}".rstrip())] if code else []),
        *((("base", f"{base.relation} {_base(base.model, base.version, base.digest)}")) for base in version.bases),
        ("parameters", ", ".join(f"{name}={value}" for name, value in version.parameters.items())),
        ("metrics", numbers(version.metrics)),
        ("package", f"{package.digest}  {size(package.size_bytes)} in {files(package.file_count)}"),
        ("", "in place: the files stay where they came from" if package.in_place else ""),
    ]


def _use(version: VersionDetails) -> str:
    """Which uses the version is open to, and why not to others."""
    deployed = f"deployed as {' or '.join(version.deployment_types)}"
    uses = [*(["downloaded"] if version.downloadable else []), *([deployed] if version.deployable else [])]
    why = f" ({', '.join(version.restrictions)})" if version.restrictions else ""
    return f"may be {' and '.join(uses)}{why}" if uses else f"neither downloaded nor deployed{why}"


def _source(source: Source) -> Iterator[tuple[str, str]]:
    match source:
        case FromTemplate():
            yield "template", f"{source.template}{f' with mode {source.mode}' if source.mode else ''}"
            for one in source.inputs:
                yield "from", f"{one.input_id}: {one.location}"
        case FromJob():
            yield "from", source.location
            yield "job", f"{source.job.id}@{source.job.version}"
            yield "algorithm", source.built_in_algorithm or ""
        case FromAutoLearning():
            yield "from", source.location
            yield "project", f"{source.project}@{source.run}"
        case _:
            yield "from", source.location


def _configured(version: VersionDetails) -> Iterator[tuple[str, str]]:
    """What config.json says."""
    config = version.config or {}
    yield "engine", version.engine or ""
    yield "runtime", version.runtime or ""
    yield "algorithm", str(config.get("model_algorithm") or "")
    for api in _records(config.get("apis")):
        request, response = (_content_type(api.get(part)) for part in ("request", "response"))
        yield (
            "api",
            f"{str(api.get('method') or 'POST').upper()} {api.get('url') or '/'}  {request} → {response}".rstrip(" →"),
        )
    for health in _records([config.get("health")]):
        delays = f"after {health.get('initial_delay_seconds')} s, within {health.get('timeout_seconds')} s"
        yield "health", f"{health.get('protocol')} {health.get('url')} {delays}"
    for line in version.requirements:
        yield "requires", line
    yield "inference code", version.inference_code or ""


def _records(value: JsonValue) -> Iterator[dict[str, JsonValue]]:
    return (one for one in (value if isinstance(value, list) else []) if isinstance(one, dict))


def _content_type(part: JsonValue) -> str:
    if not isinstance(part, dict):
        return ""
    return str(part.get("Content-type") or part.get("Content-Type") or "")


def _image(version: VersionDetails) -> Iterator[tuple[str, str]]:
    image = version.image
    if image is None:
        return
    yield "image", f"{image.digest}  {image.platform}  {size(image.size_bytes)} in {len(image.layers)} layers"
    for name, value in image.labels.items():
        yield "image label", f"{name}={value}"


def _contents(version: VersionDetails) -> Iterator[tuple[str, str]]:
    """What the files say of themselves."""
    for file in version.contents.files:
        yield "model file", f"{file.path}  {', '.join(_learned(file))}"
        for what, tensors in (("input", file.inputs), ("output", file.outputs)):
            for tensor in tensors:
                yield what, f"{tensor.name}  {tensor.dtype}{list(tensor.shape)}"
    for folder in version.contents.hugging_face:
        licence = f", licence {folder.licence}" if folder.licence else ""
        yield "hugging face", f"{folder.path or '.'}  {', '.join(folder.architectures) or folder.model_type}{licence}"
    for flow in version.contents.mlflow:
        flavors = ", ".join(f"{name} {version or ''}".rstrip() for name, version in flow.flavors.items())
        yield "mlflow", f"{flow.path or '.'}  {flavors}"
    for unsafe in version.contents.unsafe:
        yield "unsafe", f"{unsafe.path}  {unsafe.verdict}: {', '.join(unsafe.imports) or unsafe.message}"


def _learned(file: ModelFile) -> Iterator[str]:
    yield file.format
    if file.framework:
        yield f"{file.framework} {file.framework_version or ''}".rstrip()
    if file.parameter_count is not None:
        yield f"{file.parameter_count:,} parameters"
    if file.tensor_count is not None:
        yield (
            f"{file.tensor_count} tensors ({', '.join(file.dtypes)})" if file.dtypes else f"{file.tensor_count} tensors"
        )
    if file.problem:
        yield f"not read: {file.problem}"


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
            text = f"{event.version}, {len(event.edges)} edges of lineage"
        case ModelRegistered():
            text = event.version
    return text
