"""What a version came from, in the words of lineage: nodes, edges, the bytes it is known by. Pure."""

import json
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from shared.messages import ModelImported, VersionAssigned
from shared.values import Base, Dataset, Edge, File, FromAutoLearning, FromJob, FromTemplate
from shared.weights import weights_of

DESCENT = frozenset({"derived-from", "same-bytes-as"})


class Place(NamedTuple):
    """What the node of a version names."""

    workspace: str
    model: str
    version: str


def version_node(workspace: str, model: str, version: str) -> str:
    return f"version:{workspace}/{model}@{version}"


def place_of(node: str) -> Place:
    """The version that a node names; read from what `version_node` wrote."""
    workspace, _, rest = node.removeprefix("version:").partition("/")
    model, _, version = rest.partition("@")
    return Place(workspace, model, version)


class OfVersion(Protocol):
    """An event about one version."""

    @property
    def workspace(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def version(self) -> str: ...


def node_of(event: OfVersion) -> str:
    return version_node(event.workspace, event.model, event.version)


def parents_of(version: VersionAssigned) -> set[str]:
    """The versions that a version was made from, as far as it was known when it got its number."""
    return {edge.target for edge in version.edges if edge.kind in DESCENT}


def weights_in(imported: ModelImported) -> Iterator[File]:
    return weights_of(imported.package)


def digests_held(imported: ModelImported) -> Iterator[str]:
    """The bytes that a version is known by: its package and each file of weights."""
    yield imported.package.digest
    yield from (file.digest for file in weights_in(imported))


def digests_asked_for(imported: ModelImported) -> Iterator[str]:
    """The bytes whose first holder the lineage wants to know."""
    yield from digests_held(imported)
    yield from (base.digest for base in imported.bases if base.digest is not None)


def nodes_asked_for(imported: ModelImported) -> Iterator[str]:
    """The nodes whose existence the decision depends on: the number asked for, and the bases named."""
    if imported.requested_version is not None:
        yield version_node(imported.workspace, imported.model, imported.requested_version)
    yield from named_bases(imported)


def named_bases(imported: ModelImported) -> Iterator[str]:
    return (base_node(imported, base) for base in imported.bases if base.digest is None)


def base_node(imported: ModelImported, base: Base) -> str:
    return version_node(base.workspace or imported.workspace, base.model or "", base.version or "")


def dataset_node(workspace: str, name: str, version: str | None) -> str:
    return f"dataset:{workspace}/{'@'.join(part for part in (name, version) if part)}"


def job_node(workspace: str, job: str, version: str | None) -> str:
    return f"job:{workspace}/{'@'.join(part for part in (job, version) if part)}"


def origin(kind: str, workspace: str, name: str, version: str | None = None) -> str:
    """By what a version is found that came from a dataset or a job. A node would not do: `a@1` may be a name."""
    return json.dumps([kind, workspace, name, version], ensure_ascii=False)


def origins_of(imported: ModelImported) -> set[str]:
    """Each dataset and job that a version came from: of any version, of that one, and of that digest."""
    workspace = imported.workspace
    found = {
        origin("dataset", workspace, dataset.name, version)
        for dataset in imported.datasets
        for version in (None, dataset.version, dataset.digest)
    }
    match imported.source:
        case FromJob(job=job):
            named = job.id, job.version
        case FromAutoLearning(project=project, run=run):
            named = project, run
        case _:
            return found
    return found | {origin("job", workspace, named[0], version) for version in (None, named[1])}


def circumstances(imported: ModelImported, node: str) -> Iterator[Edge]:
    """What the import says that the version came from, other versions aside."""
    workspace = imported.workspace
    match imported.source:
        case FromJob(job=job):
            yield Edge(source=node, kind="trained-by", target=job_node(workspace, job.id, job.version))
        case FromAutoLearning(project=project, run=run):
            yield Edge(source=node, kind="trained-by", target=job_node(workspace, project, run))
        case FromTemplate(template=template):
            yield Edge(source=node, kind="made-from", target=f"template:{template}")
    if imported.image is not None:
        yield Edge(source=node, kind="packaged-as", target=f"image:{imported.image.digest}")
    for dataset in imported.datasets:
        yield Edge(source=node, kind="trained-on", target=_dataset(workspace, dataset))
    if imported.code is not None:
        yield Edge(source=node, kind="built-from", target=f"code:{imported.code.repository}@{imported.code.commit}")


def derived(child: str, base: str, how: str) -> Edge:
    return Edge(source=child, kind="derived-from", target=base, how=how)


def same_bytes(node: str, twin: str) -> Edge:
    return Edge(source=node, kind="same-bytes-as", target=twin)


def _dataset(workspace: str, dataset: Dataset) -> str:
    return dataset_node(workspace, dataset.name, dataset.version or dataset.digest)
