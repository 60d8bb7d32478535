"""Rules of versioning: the next number, and what a version came from. Pure: no clock, no network, no database."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath

from shared.messages import ModelImported, VersionAssigned, VersionRefused
from shared.naming import FIRST, LAST, VersionNumber
from shared.values import Base, Dataset, Edge, File, FromAutoLearning, FromJob, FromTemplate, Reason

# What holds learned weights. Other files (tokenizers, licences, configuration) are alike in models that have nothing to do
# with each other, so equal bytes there say nothing of descent.
WEIGHTS = frozenset(
    [
        ".bin",
        ".caffemodel",
        ".ckpt",
        ".gguf",
        ".h5",
        ".jit",
        ".joblib",
        ".keras",
        ".m",
        ".mindir",
        ".model",
        ".npz",
        ".om",
        ".onnx",
        ".params",
        ".pb",
        ".pkl",
        ".pt",
        ".pth",
        ".safetensors",
        ".skops",
        ".tflite",
        ".ubj",
    ]
)

Decision = VersionAssigned | VersionRefused
ModelKey = tuple[str, str]

# These end like weights, and are the state of a training, or a tokenizer that many models share.
NO_WEIGHTS = ("tokenizer", "spiece", "sentencepiece", "training_args", "optimizer", "scheduler", "rng_state")


@dataclass(frozen=True, slots=True)
class Head:
    """How far a model has come."""

    ordinal: int = 0
    """How many versions it has had."""
    highest: VersionNumber | None = None


@dataclass(slots=True)
class Known:
    """What the store knows of the versions that a decision touches."""

    nodes: set[str] = field(default_factory=set)
    """Those of the nodes asked for that exist."""
    holders: dict[tuple[str, str], str] = field(default_factory=dict)
    """(workspace, digest) → the node that held these bytes first."""

    numbers: dict[ModelKey, set[VersionNumber]] = field(default_factory=dict)
    """(workspace, model) → numbers next to those asked for."""

    def learn(self, imported: ModelImported, assigned: VersionAssigned) -> None:
        """Take in a version that was just decided, for those decided after it."""
        node = node_of(assigned)
        self.nodes.add(node)
        self.numbers.setdefault((imported.workspace, imported.model), set()).add(VersionNumber.parse(assigned.version))
        for digest in digests_held(imported):
            self.holders.setdefault((imported.workspace, digest), node)


def version_node(workspace: str, model: str, version: str) -> str:
    return f"version:{workspace}/{model}@{version}"


def node_of(assigned: VersionAssigned) -> str:
    return version_node(assigned.workspace, assigned.model, assigned.version)


def nodes_asked_for(imported: ModelImported) -> Iterator[str]:
    """The nodes whose existence the decision depends on: the number asked for, and the bases named."""
    if imported.requested_version is not None:
        yield version_node(imported.workspace, imported.model, imported.requested_version)
    yield from _named_bases(imported)


def digests_held(imported: ModelImported) -> Iterator[str]:
    """The bytes that a version is known by: its package and each file of weights."""
    yield imported.package.digest
    yield from (file.digest for file in _weights(imported))


def digests_asked_for(imported: ModelImported) -> Iterator[str]:
    """The bytes whose first holder the lineage wants to know."""
    yield from digests_held(imported)
    yield from (base.digest for base in imported.bases if base.digest is not None)


def decide(imported: ModelImported, head: Head, known: Known, time: datetime) -> Decision:
    """Give an import its number and its lineage, or say why it gets none.

    A requested number is taken as it is; else it is the next one after the highest.
    """
    if imported.requested_version is None:
        number = head.highest.next() if head.highest else FIRST
        if number is None:
            message = f"{imported.model} has reached {LAST}: no number is left, expected a request for a free one"
            return _refused(imported, time, Reason.VERSIONS_EXHAUSTED, message)
    else:
        number = VersionNumber.parse(imported.requested_version)
        if version_node(imported.workspace, imported.model, str(number)) in known.nodes:
            message = f"{imported.model} has a version {number} already: expected a number that is free"
            return _refused(imported, time, Reason.VERSION_EXISTS, message)
    for base in _named_bases(imported):
        if base not in known.nodes:
            message = f"base {base.removeprefix('version:')} is not registered: expected a version that is"
            return _refused(imported, time, Reason.BASE_NOT_FOUND, message)
    return imported.answer(
        VersionAssigned,
        time,
        import_id=imported.import_id,
        version=str(number),
        ordinal=head.ordinal + 1,
        package_digest=imported.package.digest,
        parameters=imported.parameters,
        metrics=imported.metrics,
        edges=tuple(_edges(imported, str(number), head, known)),
    )


def parents_of(version: VersionAssigned) -> set[str]:
    """The versions that a version was made from."""
    return {edge.target for edge in version.edges if edge.kind in {"derived-from", "same-bytes-as"}}


def advanced(head: Head, assigned: VersionAssigned) -> Head:
    """The head after this version."""
    number = VersionNumber.parse(assigned.version)
    return Head(assigned.ordinal, max(number, head.highest) if head.highest else number)


def _refused(imported: ModelImported, time: datetime, reason: Reason, message: str) -> VersionRefused:
    return imported.answer(VersionRefused, time, import_id=imported.import_id, reason=reason, message=message)


def _edges(imported: ModelImported, version: str, head: Head, known: Known) -> Iterator[Edge]:
    """Everything the version came from."""
    node, workspace = version_node(imported.workspace, imported.model, version), imported.workspace
    previous = _number_before(VersionNumber.parse(version), head, known.numbers.get((workspace, imported.model), set()))
    if previous is not None:
        yield Edge(source=node, kind="succeeds", target=version_node(workspace, imported.model, str(previous)))
    yield from _origins(imported, node)
    for dataset in imported.datasets:
        yield Edge(source=node, kind="trained-on", target=f"dataset:{workspace}/{_dataset(dataset)}")
    if imported.code is not None:
        yield Edge(source=node, kind="built-from", target=f"code:{imported.code.repository}@{imported.code.commit}")
    for target, how in _bases(imported, known).items():
        yield Edge(source=node, kind="derived-from", target=target, how=how)
    twin = known.holders.get((workspace, imported.package.digest))
    if twin is not None:
        yield Edge(source=node, kind="same-bytes-as", target=twin)


def _origins(imported: ModelImported, node: str) -> Iterator[Edge]:
    """The job that trained it, the template it was made from, the image it is packaged as."""
    match imported.source:
        case FromJob(job=job):
            yield Edge(source=node, kind="trained-by", target=f"job:{imported.workspace}/{job.id}@{job.version}")
        case FromAutoLearning(project=project, run=run):
            yield Edge(source=node, kind="trained-by", target=f"job:{imported.workspace}/{project}@{run}")
        case FromTemplate(template=template):
            yield Edge(source=node, kind="made-from", target=f"template:{template}")
    if imported.image is not None:
        yield Edge(source=node, kind="packaged-as", target=f"image:{imported.image.digest}")


def _number_before(number: VersionNumber, head: Head, known: set[VersionNumber]) -> VersionNumber | None:
    lower = {one for one in known | {head.highest} if one is not None and one < number}
    return max(lower, default=None)


def _bases(imported: ModelImported, known: Known) -> dict[str, str]:
    """Base versions and how each is known: named first, then found by digest; each once."""
    bases: dict[str, str] = {}
    for base in imported.bases:
        target = known.holders.get((imported.workspace, base.digest)) if base.digest else _base_node(imported, base)
        if target is not None:
            bases.setdefault(target, base.relation)
    if (imported.workspace, imported.package.digest) in known.holders:
        return bases  # the whole package is another's: that is said once, not again for each file
    for file in _weights(imported):
        holder = known.holders.get((imported.workspace, file.digest))
        if holder is not None:
            bases.setdefault(holder, f"holds its {file.path}")
    return bases


def _named_bases(imported: ModelImported) -> Iterator[str]:
    return (_base_node(imported, base) for base in imported.bases if base.digest is None)


def _base_node(imported: ModelImported, base: Base) -> str:
    return version_node(imported.workspace, base.model or "", base.version or "")


def _weights(imported: ModelImported) -> Iterator[File]:
    return (file for file in imported.package.files if _is_weights(file))


def _is_weights(file: File) -> bool:
    path = PurePosixPath(file.path)
    return file.size_bytes > 0 and path.suffix in WEIGHTS and not path.name.startswith(NO_WEIGHTS)


def _dataset(dataset: Dataset) -> str:
    return "@".join(part for part in (dataset.name, dataset.version or dataset.digest) if part)
