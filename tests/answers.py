"""Sample answers of the services: whole and valid, each part to be replaced by name."""

from typing import Any

from shared.queries import LineageGraph, LineageVersion, VersionDetails
from shared.values import Edge, FromJob, Job
from tests.samples import a_package, at


def a_version(version: str = "0.0.1", **changes: Any) -> VersionDetails:
    """Version 0.0.1 of `resnet`, by job `job-7`, run V001, of which nothing more is known."""
    fields: dict[str, Any] = {
        "workspace": "0",
        "model": "resnet",
        "version": version,
        "source": FromJob(location="file:///models/run-7", job=Job(id="job-7", version="V001")),
        "package": a_package(),
        "import_id": "import-1",
        "requested_by": "trainer",
        "imported_at": at(1),
        "registered_at": at(2),
    }
    return VersionDetails(**{**fields, **changes})


def node(name: str) -> str:
    """resnet@0.0.1 → version:0/resnet@0.0.1"""
    return f"version:0/{name}"


def a_lineage_version(name: str, **changes: Any) -> LineageVersion:
    model, _, version = name.partition("@")
    fields: dict[str, Any] = {
        "node": node(name),
        "workspace": "0",
        "model": model,
        "version": version,
        "assigned_at": at(0),
        "parameters": {},
        "metrics": {},
    }
    return LineageVersion(**{**fields, **changes})


def an_edge(source: str, kind: Any, target: str, how: str | None = None) -> Edge:
    """Between versions by their names; other targets by their whole node."""
    return Edge(source=node(source), kind=kind, target=target if ":" in target else node(target), how=how)


def a_graph(root: str, versions: list[LineageVersion], *edges: Edge, **changes: Any) -> LineageGraph:
    fields: dict[str, Any] = {"root": node(root), "versions": versions, "edges": edges, "truncated": False}
    return LineageGraph(**{**fields, **changes})
