"""The graph around a version: both directions, level by level, and cut where it would grow too large."""

from typing import Literal

import pytest
from pydantic import ValidationError

from services.versioning import lineage
from services.versioning.cursors import Walks
from shared.errors import NotFound, Refused
from shared.messages import VersionAssigned
from shared.queries import GetLineage, LineageGraph
from shared.values import Base, FromTemplate, Image, TemplateInput
from tests.samples import a_package, an_import, at, digest
from tests.versionings import Versioning


class Family:
    """Models with one version each, named by letters: `born("b", "a")` derives b@0.0.1 from a@0.0.1."""

    def __init__(self) -> None:
        self.versioning = Versioning()

    async def born(self, name: str, *parents: str) -> None:
        bases = tuple(Base(model=parent, version="0.0.1") for parent in parents)
        package = a_package().model_copy(update={"digest": f"sha256:{name.encode().hex():0>64}"})
        await self.versioning.hear(an_import(f"import-{name}", model=name, bases=bases, package=package))

    async def around(self, name: str, depth: int = 10) -> LineageGraph:
        return await self.versioning.graph(GetLineage(model=name, version="0.0.1", depth=depth))


@pytest.fixture
def family() -> Family:
    return Family()


def names(graph: LineageGraph) -> list[str]:
    return sorted(version.model for version in graph.versions)


def descents(graph: LineageGraph) -> list[tuple[str, str]]:
    return sorted(
        (edge.source[len("version:0/")], edge.target[len("version:0/")])
        for edge in graph.edges
        if edge.kind == "derived-from"
    )


async def test_a_version_without_kin_stands_alone(family: Family):
    await family.born("a")
    await family.born("b")

    graph = await family.around("a")

    assert graph.root == "version:0/a@0.0.1"
    assert names(graph) == ["a"]
    assert [(edge.kind, edge.target) for edge in graph.edges] == [("trained-by", "job:0/job-7@V001")]
    assert not graph.truncated


async def test_a_version_in_the_graph_says_what_it_was_made_with(family: Family):
    imported = an_import(parameters={"lr": 0.1}, metrics={"f1": 0.75})
    await family.versioning.hear(imported, at(7))

    [version] = (await family.around("resnet")).versions

    assert version.node == "version:0/resnet@0.0.1"
    assert (version.workspace, version.model, version.version) == ("0", "resnet", "0.0.1")
    assert version.assigned_at == at(7)
    assert (version.parameters, version.metrics) == ({"lr": 0.1}, {"f1": 0.75})


async def test_the_graph_goes_both_ways(family: Family):
    for name, *parents in ("a", "ba", "cb", "dc", "ed"):
        await family.born(name, *parents)

    graph = await family.around("c")

    assert names(graph) == ["a", "b", "c", "d", "e"]
    assert graph.versions[0].model == "c"
    assert descents(graph) == [("b", "a"), ("c", "b"), ("d", "c"), ("e", "d")]
    assert not graph.truncated


async def test_siblings_and_aunts_are_no_line_of_descent(family: Family):
    for name, *parents in ("a", "ba", "ca", "dc"):
        await family.born(name, *parents)

    assert names(await family.around("b")) == ["a", "b"]


async def test_depth_0_is_the_version_alone_and_says_that_there_is_more(family: Family):
    for name, *parents in ("a", "ba", "cb"):
        await family.born(name, *parents)

    graph = await family.around("b", depth=0)

    assert names(graph) == ["b"]
    assert graph.truncated


async def test_depth_0_of_a_version_without_kin_is_all_there_is(family: Family):
    await family.born("a")

    assert not (await family.around("a", depth=0)).truncated


@pytest.mark.parametrize(("name", "more"), [("a", True), ("b", False)])
async def test_depth_0_knows_of_descendants_alone(family: Family, name: str, more: bool):
    await family.born("a")
    await family.born("b", *(["a"] if more else []))

    assert (await family.around("a", depth=0)).truncated is more


async def test_depth_1_is_parents_and_children(family: Family):
    for name, *parents in ("a", "ba", "cb", "dc", "ed"):
        await family.born(name, *parents)

    graph = await family.around("c", depth=1)

    assert names(graph) == ["b", "c", "d"]
    assert graph.truncated


async def test_depth_that_reaches_the_ends_is_not_truncated(family: Family):
    for name, *parents in ("a", "ba", "cb"):
        await family.born(name, *parents)

    assert not (await family.around("b", depth=1)).truncated


async def test_a_diamond_shows_each_version_once(family: Family):
    for name, *parents in ("a", "ba", "ca", "dbc", "ed"):
        await family.born(name, *parents)

    for root in "ade":
        graph = await family.around(root)

        assert names(graph) == ["a", "b", "c", "d", "e"]
        assert descents(graph) == [("b", "a"), ("c", "a"), ("d", "b"), ("d", "c"), ("e", "d")]
        assert not graph.truncated


async def test_a_short_cut_past_a_generation_shows_each_version_once(family: Family):
    for name, *parents in ("a", "ba", "cab"):
        await family.born(name, *parents)

    assert names(await family.around("a")) == ["a", "b", "c"]
    assert names(await family.around("c")) == ["a", "b", "c"]


@pytest.mark.parametrize("root", ["a", "c"])
async def test_a_way_round_to_a_version_that_is_shown_is_no_more_to_come(family: Family, root: str):
    for name, *parents in ("a", "ba", "cab"):
        await family.born(name, *parents)

    graph = await family.around(root, depth=1)

    assert names(graph) == ["a", "b", "c"]
    assert not graph.truncated


async def test_the_version_before_is_an_edge_but_no_ancestor(family: Family):
    for run in (1, 2):
        package = a_package(str(run))
        await family.versioning.hear(an_import(f"import-{run}", package=package), at(run))

    graph = await family.versioning.graph(GetLineage(model="resnet", version="0.0.2"))

    assert [version.version for version in graph.versions] == ["0.0.2"]
    assert ("succeeds", "version:0/resnet@0.0.1") in [(edge.kind, edge.target) for edge in graph.edges]
    assert not graph.truncated


async def test_a_twin_with_the_same_bytes_is_kin(family: Family):
    await family.versioning.hear(an_import("import-1", model="a"), at(1))
    await family.versioning.hear(an_import("import-2", model="b"), at(2))

    assert names(await family.around("a")) == ["a", "b"]
    assert names(await family.around("b")) == ["a", "b"]


async def test_a_template_and_an_image_in_common_are_shown_and_make_no_kin(family: Family):
    templated = FromTemplate(template="t", inputs=(TemplateInput(input_id="i", location="l"),))
    image = Image(reference="r", digest=digest("1"), media_type="m", platform="p", size_bytes=0, layers=())
    for name, letter in (("a", "a"), ("b", "b")):
        imported = an_import(f"import-{name}", model=name, source=templated, image=image, package=a_package(letter))
        await family.versioning.hear(imported, at(1))

    graph = await family.around("a")

    assert names(graph) == ["a"]
    assert [(edge.kind, edge.target) for edge in graph.edges] == [
        ("made-from", "template:t"),
        ("packaged-as", f"image:{digest('1')}"),
    ]
    assert not graph.truncated


async def test_workspaces_have_no_kin_in_each_other(family: Family):
    await family.born("a")
    await family.versioning.hear(an_import("other", workspace="vision", model="a"), at(1))

    graph = await family.versioning.graph(GetLineage(workspace="vision", model="a", version="0.0.1"))

    assert graph.root == "version:vision/a@0.0.1"
    assert len(graph.versions) == 1


@pytest.mark.parametrize(
    ("model", "version", "code", "message"),
    [
        ("bert", "0.0.1", "model-not-found", "there is no model 'bert' in workspace '0'"),
        ("a", "0.0.2", "version-not-found", "'a' has no version '0.0.2'"),
        ("a", "new\nest", "version-not-found", "'a' has no version 'new\\nest'"),
    ],
)
async def test_a_version_that_is_not_there_is_not_found(
    family: Family, model: str, version: str, code: str, message: str
):
    await family.born("a")

    with pytest.raises(NotFound) as caught:
        await family.versioning.graph(GetLineage(model=model, version=version))

    assert caught.value.code == code
    assert str(caught.value) == message


@pytest.mark.parametrize("kept", [True, False])
async def test_page_after_page_shows_everything_once_nearest_first(
    family: Family, monkeypatch: pytest.MonkeyPatch, kept: bool
):
    monkeypatch.setattr(lineage, "MOST_VERSIONS", 3)
    for name, *parents in ("a", "ba", "cb", "dc", "hc", "ed", "id", "fe", "gf"):
        await family.born(name, *parents)

    pages = [await family.around("d")]
    while pages[-1].next is not None:
        if not kept:
            family.versioning.graphs = Walks()
        question = GetLineage(model="d", version="0.0.1", after=pages[-1].next)
        pages.append(await family.versioning.graph(question))

    assert [[(version.model, version.steps) for version in page.versions] for page in pages] == [
        [("d", 0), ("c", 1), ("b", 2)],
        [("a", 3), ("e", -1), ("i", -1)],
        [("f", -2), ("g", -3)],
    ]
    assert [edge.target for page in pages for edge in page.edges if edge.kind == "derived-from"] == [
        "version:0/c@0.0.1",
        "version:0/b@0.0.1",
        "version:0/a@0.0.1",
        "version:0/d@0.0.1",
        "version:0/d@0.0.1",
        "version:0/e@0.0.1",
        "version:0/f@0.0.1",
    ]
    assert not pages[-1].truncated


async def test_the_last_page_says_that_there_is_more_beyond_the_depth(family: Family, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lineage, "MOST_VERSIONS", 2)
    for name, *parents in ("a", "ba", "cb", "db", "ed"):
        await family.born(name, *parents)
    first = await family.around("b", depth=1)

    last = await family.versioning.graph(GetLineage(model="b", version="0.0.1", depth=1, after=first.next))

    assert (names(first), names(last)) == (["a", "b"], ["c", "d"])
    assert last.truncated
    assert last.next is None


@pytest.mark.parametrize(("direction", "shown"), [("up", ["a", "b", "c"]), ("down", ["c", "d", "e"])])
async def test_one_direction_shows_no_other(family: Family, direction: Literal["up", "down"], shown: list[str]):
    for name, *parents in ("a", "ba", "cb", "dc", "ed"):
        await family.born(name, *parents)

    graph = await family.versioning.graph(GetLineage(model="c", version="0.0.1", direction=direction))

    assert names(graph) == shown
    assert not graph.truncated


@pytest.mark.parametrize("cursor", ["", "next", "IjEi", "WzEsMiwzXQ==", "Wzw=", "\x00", "é", "bnVsbA=="])
async def test_a_cursor_that_is_none_is_refused(family: Family, cursor: str):
    await family.born("a")

    with pytest.raises(Refused) as caught:
        await family.versioning.graph(GetLineage(model="a", version="0.0.1", after=cursor))

    assert caught.value.code == "invalid-cursor"
    assert str(caught.value) == f"after {cursor!r}: expected `next` of the page before"


async def test_a_cursor_of_another_question_is_refused(family: Family, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lineage, "MOST_VERSIONS", 1)
    for name, *parents in ("a", "ba"):
        await family.born(name, *parents)
    cursor = (await family.around("a")).next

    with pytest.raises(Refused) as caught:
        await family.versioning.graph(GetLineage(model="b", version="0.0.1", after=cursor))

    assert caught.value.code == "invalid-cursor"
    assert "it belongs to another question" in str(caught.value)


@pytest.mark.parametrize("depth", [-1, 1001, 10**12])
def test_a_depth_that_is_negative_or_huge_is_no_question(depth: int):
    with pytest.raises(ValidationError):
        GetLineage(model="a", version="0.0.1", depth=depth)


def test_of_walks_the_last_few_are_kept_for_a_minute():
    now = 0.0
    walks: Walks[list[int]] = Walks(lambda: now)
    for question in "abcdefghi":
        walks.keep(question, [1])

    assert walks.take("a") is None
    assert walks.take("b") == [1]
    assert walks.take("b") is None
    now = 61.0
    assert walks.take("c") is None


def test_of_large_walks_fewer_are_kept():
    walks: Walks[range] = Walks(lambda: 0.0)
    for question in "abc":
        walks.keep(question, range(90_000))

    assert walks.take("a") is None
    assert walks.take("b") == range(90_000)


async def test_versions_that_only_succeed_take_no_room_from_children(family: Family, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lineage, "MOST_VERSIONS", 2)
    for run, version in enumerate(("1.0.0", "1.0.3", "1.0.2", "1.0.1")):
        package = a_package(str(run))
        await family.versioning.hear(an_import(f"run-{run}", package=package, requested_version=version), at(run))
    base = (Base(model="resnet", version="1.0.0"),)
    await family.versioning.hear(an_import("child", model="child", bases=base, package=a_package("c")), at(9))

    graph = await family.versioning.graph(GetLineage(model="resnet", version="1.0.0"))

    assert names(graph) == ["child", "resnet"]


async def test_an_import_is_answered_with_its_version():
    versioning = Versioning()

    await versioning.hear(an_import())

    [event] = versioning.events.said
    assert isinstance(event, VersionAssigned)
    assert (event.version, event.package_digest, event.envelope.cause_id) == ("0.0.1", digest("a"), "import-1")


async def test_a_redelivered_import_gets_the_same_version_under_the_same_id():
    versioning = Versioning()

    await versioning.hear(an_import())
    await versioning.hear(an_import(), at(60))

    first, second = versioning.events.said
    assert first == second
