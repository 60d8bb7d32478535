"""A lineage graph as OpenLineage events: one COMPLETE RunEvent a version, for any consumer of that format.

    run      uuid5 of the version's node; facet executionParameters
    job      modelkin/<workspace>/jobs, the training job or "import <model>"; facets jobType, sourceCodeLocation
    inputs   modelkin/<workspace>/datasets, each data set; modelkin/<workspace>/versions, each base version
    outputs  modelkin/<workspace>/versions, the version as <model>@<number>

The facets and their schemas are those of OpenLineage 2-0-2. Names of the format are written as it writes them.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.metadata import version as version_of_package
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid5

from pydantic import JsonValue

from modelkin.comparing import flat
from shared.queries import LineageGraph, LineageVersion
from shared.values import Edge

Json = dict[str, Any]

_RUNS = UUID("2f6f1d0e-8a3e-5a0b-9d56-6c696e656167")
_PRODUCER = f"urn:modelkin:{version_of_package('modelkin')}"
_EVENT_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = "https://openlineage.io/spec/facets"


def run_events(graph: LineageGraph) -> Iterator[Json]:
    """One event for each version of the graph, in its order."""
    edges: dict[str, list[Edge]] = defaultdict(list)
    for edge in graph.edges:
        edges[edge.source].append(edge)
    return (_event(version, edges[version.node]) for version in graph.versions)


def _event(version: LineageVersion, edges: Sequence[Edge]) -> Json:
    name = f"{version.model}@{version.version}"
    return {
        "eventType": "COMPLETE",
        "eventTime": version.assigned_at.isoformat(),
        "producer": _PRODUCER,
        "schemaURL": _EVENT_SCHEMA,
        "run": {"runId": str(uuid5(_RUNS, version.node)), "facets": _run_facets(version)},
        "job": _job(version, edges),
        "inputs": [dataset for edge in edges for dataset in _input(edge)],
        "outputs": [_dataset(version.workspace, "versions", name, version.version)],
    }


def _run_facets(version: LineageVersion) -> Json:
    parameters = [{"key": name, "value": _text(value)} for name, value in flat(version.parameters)]
    return (
        {"executionParameters": _facet("1-0-0/ExecutionParametersRunFacet", parameters=parameters)}
        if parameters
        else {}
    )


def _job(version: LineageVersion, edges: Sequence[Edge]) -> Json:
    trained = next((_parts(edge.target) for edge in edges if edge.kind == "trained-by"), None)
    workspace, job = trained[:2] if trained else (version.workspace, f"import {version.model}")
    code = next((edge.target for edge in edges if edge.kind == "built-from"), None)
    kind = "TRAINING" if trained else "IMPORT"
    job_type = _facet("2-0-4/JobTypeJobFacet", processingType="BATCH", integration="MODELKIN", jobType=kind)
    return {
        "namespace": f"modelkin/{workspace}/jobs",
        "name": job,
        "facets": {"jobType": job_type, **(_code_facets(code) if code else {})},
    }


def _code_facets(node: str) -> Json:
    """A repository that is no URL has no place in the facet."""
    repository, _, commit = node.removeprefix("code:").rpartition("@")
    if not _is_url(repository):
        return {}
    location = {"type": "git", "url": repository, "repoUrl": repository, "version": commit}
    return {"sourceCodeLocation": _facet("1-1-0/SourceCodeLocationJobFacet", **location)}


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc) and text.isascii() and text.isprintable() and " " not in text


def _input(edge: Edge) -> Iterator[Json]:
    workspace, name, version = _parts(edge.target)
    match edge.kind:
        case "trained-on":
            yield _dataset(workspace, "datasets", name, version)
        case "derived-from":
            yield _dataset(workspace, "versions", f"{name}@{version}", version)


def _dataset(workspace: str, kind: str, name: str, version: str) -> Json:
    facet = _facet("1-0-1/DatasetVersionDatasetFacet", datasetVersion=version)
    return {
        "namespace": f"modelkin/{workspace}/{kind}",
        "name": name,
        "facets": {"version": facet} if version else {},
    }


def _parts(node: str) -> tuple[str, str, str]:
    """Workspace, name and version of a node; the version is empty where it has none."""
    workspace, _, rest = node.partition(":")[2].partition("/")
    name, at, version = rest.rpartition("@")
    return (workspace, name, version) if at else (workspace, rest, "")


def _facet(schema: str, **facts: object) -> Json:
    name = schema.rpartition("/")[2]
    return {"_producer": _PRODUCER, "_schemaURL": f"{_FACETS}/{schema}.json#/$defs/{name}", **facts}


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
