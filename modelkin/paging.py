"""Answers that come in pages, put together; and names that have to be looked up first."""

from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

from modelkin.client import Client, NotAnswered
from shared.naming import is_number
from shared.queries import (
    AffectedPage,
    FilePage,
    Filters,
    GetLineage,
    GetVersion,
    HistoryPage,
    LineageGraph,
    ListFiles,
    ModelPage,
    ModelSummary,
    Query,
    VersionDetails,
    VersionPage,
    VersionSummary,
)
from shared.values import File, Package

AnyList = TypeVar("AnyList", ModelPage, VersionPage)
AnyPage = TypeVar("AnyPage", AffectedPage, FilePage, HistoryPage, LineageGraph, ModelPage, VersionPage)

FILES_AT_ONCE = 5000


async def pages(client: Client, query: Query, reply: type[AnyPage]) -> AsyncIterator[AnyPage]:
    """Every page, from that which the query asks for to the last."""
    further = {"offset": 0} if "offset" in type(query).model_fields else {}
    while True:
        page = await client.ask(query, reply)
        yield page
        if page.next is None:
            return
        query = query.model_copy(update={"after": page.next, **further})


async def lines(client: Client, query: Filters, reply: type[AnyList], *, every: bool = False) -> AnyList:
    """As many lines as the query asks for, or every one, put together as one page.

    A service looks at so much for one answer and no more: where few of many pass the
    filters, a page is short and is not the last.
    """
    first: AnyList = await client.ask(query, reply)
    page: AnyList = first
    found = [*_lines_of(first)]
    while page.next is not None and (every or len(found) < query.limit):
        room = query.limit if every else query.limit - len(found)
        page = await client.ask(query.model_copy(update={"after": page.next, "offset": 0, "limit": room}), reply)
        found += _lines_of(page)
    listed = "models" if isinstance(first, ModelPage) else "versions"
    return first.model_copy(update={listed: tuple(found), "next": page.next})


def _lines_of(page: ModelPage | VersionPage) -> Sequence[ModelSummary | VersionSummary]:
    return page.models if isinstance(page, ModelPage) else page.versions


async def whole_graph(client: Client, query: GetLineage) -> LineageGraph:
    """All pages of a lineage graph as one; each edge once."""
    found = [page async for page in pages(client, query, LineageGraph)]
    versions = {version.node: version for page in found for version in page.versions}
    edges = {(edge.source, edge.kind, edge.target): edge for page in found for edge in page.edges}
    return LineageGraph(
        root=found[0].root,
        versions=tuple(versions.values()),
        edges=tuple(edges.values()),
        truncated=found[-1].truncated,
    )


async def all_files(client: Client, package: Package) -> list[File] | None:
    """Every file of a package; None where it has more than its version tells, and the list of them is gone."""
    if len(package.files) == package.file_count:
        return list(package.files)
    query = ListFiles(package_digest=package.digest, limit=FILES_AT_ONCE)
    try:
        return [file async for page in pages(client, query, FilePage) for file in page.files]
    except NotAnswered as failure:
        if failure.error == "package-not-found":
            return None
        raise


async def version_of(client: Client, workspace: str, model: str, which: str | None) -> VersionDetails:
    """The version with that number or alias; the highest where none is named."""
    return await client.ask(GetVersion(workspace=workspace, model=model, version=which), VersionDetails)


async def number_of(client: Client, workspace: str, model: str, which: str | None) -> str:
    """The number that an alias points to; of no version at all, the highest."""
    if which is not None and is_number(which):
        return which
    return (await version_of(client, workspace, model, which)).version
