"""The graph around a version: both directions, level by level, and cut where it would grow too large."""

import pytest

from services.versioning import lineage
from services.versioning.handlers import on_get_lineage, on_model_imported
from shared.errors import NotFound
from shared.messages import VersionAssigned
from shared.queries import GetLineage, LineageGraph
from shared.values import Base, FromTemplate, Image, TemplateInput
from tests.fakes import InMemoryVersionStore, RecordingEvents
from tests.samples import a_package, an_import, at, digest, noon


class Family:
    """Models with one version each, named by letters: `born("b", "a")` derives b@0.0.1 from a@0.0.1."""

    def __init__(self) -> None:
        self.store = InMemoryVersionStore()

    async def born(self, name: str, *parents: str) -> None:
        bases = tuple(Base(model=parent, version="0.0.1") for parent in parents)
        package = a_package().model_copy(update={"digest": f"sha256:{name.encode().hex():0>64}"})
        decision = await self.store.decide(an_import(f"import-{name}", model=name, bases=bases, package=package), at(1))
        assert isinstance(decision, VersionAssigned)

    async def around(self, name: str, depth: int = 10) -> LineageGraph:
        return await on_get_lineage(GetLineage(model=name, version="0.0.1", depth=depth), self.store)


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
    await family.store.decide(imported, at(7))

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
        await family.store.decide(an_import(f"import-{run}", package=package), at(run))

    graph = await on_get_lineage(GetLineage(model="resnet", version="0.0.2"), family.store)

    assert [version.version for version in graph.versions] == ["0.0.2"]
    assert ("succeeds", "version:0/resnet@0.0.1") in [(edge.kind, edge.target) for edge in graph.edges]
    assert not graph.truncated


async def test_a_twin_with_the_same_bytes_is_kin(family: Family):
    await family.store.decide(an_import("import-1", model="a"), at(1))
    await family.store.decide(an_import("import-2", model="b"), at(2))

    assert names(await family.around("a")) == ["a", "b"]
    assert names(await family.around("b")) == ["a", "b"]


async def test_a_template_and_an_image_in_common_are_shown_and_make_no_kin(family: Family):
    templated = FromTemplate(template="t", inputs=(TemplateInput(input_id="i", location="l"),))
    image = Image(reference="r", digest=digest("1"), media_type="m", platform="p", size_bytes=0, layers=())
    for name, letter in (("a", "a"), ("b", "b")):
        imported = an_import(f"import-{name}", model=name, source=templated, image=image, package=a_package(letter))
        await family.store.decide(imported, at(1))

    graph = await family.around("a")

    assert names(graph) == ["a"]
    assert [(edge.kind, edge.target) for edge in graph.edges] == [
        ("made-from", "template:t"),
        ("packaged-as", f"image:{digest('1')}"),
    ]
    assert not graph.truncated


async def test_workspaces_have_no_kin_in_each_other(family: Family):
    await family.born("a")
    await family.store.decide(an_import("other", workspace="vision", model="a"), at(1))

    graph = await on_get_lineage(GetLineage(workspace="vision", model="a", version="0.0.1"), family.store)

    assert graph.root == "version:vision/a@0.0.1"
    assert len(graph.versions) == 1


@pytest.mark.parametrize(("model", "version"), [("bert", "0.0.1"), ("a", "0.0.2"), ("a", "newest")])
async def test_a_version_that_is_not_there_is_not_found(family: Family, model: str, version: str):
    await family.born("a")

    with pytest.raises(NotFound) as caught:
        await on_get_lineage(GetLineage(model=model, version=version), family.store)

    assert caught.value.code == "version-not-found"
    assert str(caught.value) == f"{model} has no version {version}"


async def test_a_long_line_is_cut_at_the_largest_size_and_says_so(family: Family, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lineage, "MOST_VERSIONS", 2)
    for name, *parents in ("a", "ba", "cb", "dc", "ed", "fe", "gf"):
        await family.born(name, *parents)

    graph = await family.around("d")

    assert names(graph) == ["b", "c", "d", "e", "f"]
    assert graph.truncated


async def test_more_children_than_fit_are_cut_and_it_says_so(family: Family, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lineage, "MOST_VERSIONS", 3)
    for name, *parents in ("a", "ba", "ca", "da", "ea", "fa"):
        await family.born(name, *parents)

    graph = await family.around("a")

    assert len(graph.versions) == 4
    assert graph.truncated


async def test_more_parents_than_fit_are_cut_and_it_says_so(family: Family, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lineage, "MOST_VERSIONS", 3)
    for name, *parents in ("a", "b", "c", "d", "e", "fabcde"):
        await family.born(name, *parents)

    graph = await family.around("f")

    assert len(graph.versions) == 4
    assert graph.truncated


async def test_versions_that_only_succeed_take_no_room_from_children(family: Family, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lineage, "MOST_VERSIONS", 2)
    for run, version in enumerate(("1.0.0", "1.0.3", "1.0.2", "1.0.1")):
        package = a_package(str(run))
        await family.store.decide(an_import(f"run-{run}", package=package, requested_version=version), at(run))
    base = (Base(model="resnet", version="1.0.0"),)
    await family.store.decide(an_import("child", model="child", bases=base, package=a_package("c")), at(9))

    graph = await on_get_lineage(GetLineage(model="resnet", version="1.0.0"), family.store)

    assert names(graph) == ["child", "resnet"]


async def test_an_import_is_answered_with_its_version():
    store, events = InMemoryVersionStore(), RecordingEvents()

    await on_model_imported(an_import(), store, events, noon)

    [event] = events.said
    assert isinstance(event, VersionAssigned)
    assert (event.version, event.package_digest, event.envelope.cause_id) == ("0.0.1", digest("a"), "import-1")


async def test_a_redelivered_import_gets_the_same_version_under_the_same_id():
    store, events = InMemoryVersionStore(), RecordingEvents()

    await on_model_imported(an_import(), store, events, noon)
    await on_model_imported(an_import(), store, events, lambda: at(60))

    first, second = events.said
    assert first == second
