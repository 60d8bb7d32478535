"""Answers that come in pages."""

import pytest

from modelkin.client import NotAnswered
from modelkin.paging import all_files, lines, number_of, pages, whole_graph
from shared.queries import (
    FilePage,
    GetLineage,
    GetVersion,
    ListFiles,
    ListModels,
    ListVersions,
    ModelPage,
    QueryFailed,
    VersionPage,
    VersionSummary,
)
from tests.answers import a_graph, a_lineage_version, a_version, an_edge
from tests.samples import NOON, a_file, a_package


class Answering:
    """In the client's place: gives the answers in turn and keeps the questions."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def ask(self, query, reply):
        self.asked.append(query)
        answer = self.answers.pop(0)
        if isinstance(answer, QueryFailed):
            raise NotAnswered(answer)
        assert isinstance(answer, reply)
        return answer


async def test_pages_are_asked_for_until_there_is_no_next():
    client = Answering(ModelPage(models=(), next="a"), ModelPage(models=(), next="b"), ModelPage(models=()))

    found = [page async for page in pages(client, ListModels(offset=5, limit=2), ModelPage)]

    assert len(found) == 3
    assert [(one.after, one.offset, one.limit) for one in client.asked] == [(None, 5, 2), ("a", 0, 2), ("b", 0, 2)]


async def test_a_query_without_an_offset_gets_none():
    client = Answering(FilePage(files=(), next="a"), FilePage(files=()))

    assert len([page async for page in pages(client, ListFiles(package_digest="sha256:" + "a" * 64), FilePage)]) == 2
    assert "offset" not in client.asked[1].model_dump()


def a_line(version):
    return VersionSummary(version=version, registered_at=NOON, package_digest="sha256:a", size_bytes=1, metrics={})


async def test_a_short_page_is_filled_up_to_the_lines_that_were_asked_for():
    client = Answering(
        VersionPage(versions=(a_line("0.0.1"),), next="a", total=9),
        VersionPage(versions=(), next="b"),
        VersionPage(versions=(a_line("0.0.2"),), next="c"),
    )

    page = await lines(client, ListVersions(limit=2, offset=4), VersionPage)

    assert [one.version for one in page.versions] == ["0.0.1", "0.0.2"]
    assert (page.next, page.total) == ("c", 9)
    assert [(one.after, one.offset, one.limit) for one in client.asked] == [(None, 4, 2), ("a", 0, 1), ("b", 0, 1)]


async def test_every_line_is_asked_for_page_by_page():
    client = Answering(
        VersionPage(versions=(a_line("0.0.1"),), next="a"),
        VersionPage(versions=(a_line("0.0.2"),)),
    )

    page = await lines(client, ListVersions(limit=1), VersionPage, every=True)

    assert [one.version for one in page.versions] == ["0.0.1", "0.0.2"]
    assert page.next is None
    assert [one.limit for one in client.asked] == [1, 1]


async def test_a_graph_is_put_together_with_each_edge_once():
    edge = an_edge("a@0.0.1", "derived-from", "b@0.0.1")
    client = Answering(
        a_graph("a@0.0.1", [a_lineage_version("a@0.0.1")], edge, next="x", truncated=True),
        a_graph("a@0.0.1", [a_lineage_version("b@0.0.1")], edge, an_edge("b@0.0.1", "trained-by", "job:0/j@1")),
    )

    graph = await whole_graph(client, GetLineage(model="a", version="0.0.1"))

    assert [one.model for one in graph.versions] == ["a", "b"]
    assert [one.kind for one in graph.edges] == ["derived-from", "trained-by"]
    assert (graph.truncated, graph.next) == (False, None)


async def test_files_that_the_version_tells_are_not_asked_for():
    client = Answering()

    assert await all_files(client, a_package("a", a_file("x"))) == [a_file("x")]
    assert client.asked == []


async def test_of_a_larger_package_every_file_is_asked_for():
    client = Answering(FilePage(files=(a_file("x"),), next="x"), FilePage(files=(a_file("y"),)))

    files = await all_files(client, a_package("a", a_file("x")).model_copy(update={"file_count": 2}))

    assert [file.path for file in files] == ["x", "y"]
    assert client.asked[1].after == "x"


async def test_files_of_a_package_that_is_gone_are_not_known():
    gone = Answering(QueryFailed(error="package-not-found", message="no such package"))
    broken = Answering(QueryFailed(error="internal", message="bug"))
    package = a_package("a", a_file("x")).model_copy(update={"file_count": 2})

    assert await all_files(gone, package) is None
    with pytest.raises(NotAnswered, match="bug"):
        await all_files(broken, package)


@pytest.mark.parametrize("which", ["champion", None])
async def test_an_alias_is_looked_up(which):
    client = Answering(a_version("0.0.7"))

    assert await number_of(client, "0", "resnet", which) == "0.0.7"
    assert client.asked == [GetVersion(model="resnet", version=which)]


async def test_a_number_is_taken_as_it_is():
    assert await number_of(Answering(), "0", "resnet", "0.0.7") == "0.0.7"


async def test_an_empty_page_with_a_next_is_not_the_last():
    client = Answering(VersionPage(versions=(), next="a"), VersionPage(versions=()))

    assert len([page async for page in pages(client, ListVersions(), VersionPage)]) == 2
