"""Bases that come after their children, and restrictions that come with them, over two versioning processes."""

import asyncio
from typing import Any

import pytest

from shared.messages import LineageExtended, Message, ModelImported, VersionAssigned, VersionRefused, VersionRestricted
from shared.values import Base, Dataset, FromAutoLearning, Reason
from tests.integration.system import System, eventually
from tests.samples import a_deployment_request, a_file, a_package, an_import, digest


def imported(model: str, *letters: str, **changes: Any) -> ModelImported:
    package = a_package("0", *(a_file(f"model/{letter}.pt", letter) for letter in letters))
    own = package.model_copy(update={"digest": f"sha256:{model.encode().hex():0>64}"})
    return an_import(f"import-{model}", model=model, **{"package": own, **changes})


def node(model: str) -> str:
    return f"version:0/{model}@0.0.1"


WAITING = imported("child", "c", bases=(Base(digest=digest("b"), relation="quantized"),))
CONTAINING = imported("child", "b", "c")
BASE = imported("base", "b")


async def descent(system: System, model: str) -> list[tuple[str, str, str]]:
    graph = await system.ask("modelkin.qry.v1.lineage.get", {"model": model, "version": "0.0.1"})
    edges = [edge for edge in graph["edges"] if edge["kind"] == "derived-from"]
    return [(edge["source"], edge["how"], edge["target"]) for edge in edges]


@pytest.mark.parametrize(
    ("child", "how"), [(WAITING, "quantized"), (CONTAINING, "holds its model/b.pt")], ids=["named", "found"]
)
async def test_the_edge_appears_when_the_base_comes(bare_system: System, child: ModelImported, how: str):
    system = bare_system
    await system.start("versioning", "versioning")
    await system.say(child)
    await system.hear(VersionAssigned)
    assert await descent(system, "child") == []
    await system.say(BASE)

    extended = await system.hear(LineageExtended)
    assert (extended.model, extended.version, extended.envelope.cause_id) == ("child", "0.0.1", "import-base")
    assert [(edge.source, edge.how, edge.target) for edge in extended.edges] == [(node("child"), how, node("base"))]
    # Who has heard it can query it; the version's own event was said first.
    assert await descent(system, "child") == [(node("child"), how, node("base"))]
    assert await descent(system, "base") == [(node("child"), how, node("base"))]
    assert [one.is_a(LineageExtended) for one in (await system.said())[-2:]] == [False, True]
    await system.quiet()
    assert len(await system.all_of(LineageExtended)) == 1


@pytest.mark.parametrize(
    ("child", "how"), [(WAITING, "quantized"), (CONTAINING, "holds its model/b.pt")], ids=["named", "found"]
)
async def test_in_the_other_order_it_is_there_at_once(bare_system: System, child: ModelImported, how: str):
    system = bare_system
    await system.start("versioning", "versioning")
    await system.say(BASE)
    await system.hear(VersionAssigned)
    await system.say(child)

    await system.hear(VersionAssigned, count=2)
    await system.quiet()
    assert await descent(system, "child") == [(node("child"), how, node("base"))]
    assert await system.all_of(LineageExtended) == []


async def test_many_children_and_their_bases_at_once_find_each_other(bare_system: System):
    system = bare_system
    await system.start("versioning", "versioning")
    families = dict(zip("01234567", "89abcdef", strict=True))
    children = [imported(f"child-{one}", one, own) for one, own in families.items()]
    waiting = [imported(f"waiting-{one}", bases=(Base(digest=digest(one)),)) for one in families]
    bases = [imported(f"base-{one}", one) for one in families]
    await asyncio.gather(*(system.say(one) for trio in zip(children, bases, waiting, strict=True) for one in trio))

    await system.hear(VersionAssigned, count=24)
    await system.quiet()
    for one in families:
        question = {"model": f"base-{one}", "version": "0.0.1", "direction": "down"}
        graph = await system.ask("modelkin.qry.v1.lineage.get", question)
        # What waited may have found the child first, which holds the bytes too.
        assert {version["model"] for version in graph["versions"]} == {f"base-{one}", f"child-{one}", f"waiting-{one}"}
        edges = [(edge["source"], edge["target"]) for edge in graph["edges"] if edge["kind"] == "derived-from"]
        assert (node(f"child-{one}"), node(f"base-{one}")) in edges
    said = [(edge.source, edge.target) for event in await system.all_of(LineageExtended) for edge in event.edges]
    assert len(said) == len(set(said))
    assert await system.dead_letters() == []


async def test_a_version_that_claims_to_descend_from_its_descendant_is_refused(bare_system: System):
    system = bare_system
    await system.start("versioning", "versioning")
    await system.say(WAITING)
    await system.hear(VersionAssigned)
    await system.say(imported("base", "b", bases=(Base(model="child", version="0.0.1"),)))

    refused = await system.hear(VersionRefused)
    assert refused.reason is Reason.LINEAGE_CYCLE


async def test_three_generations_are_restricted_by_a_base_of_automatic_learning_that_comes_late(bare_system: System):
    system = bare_system
    await system.start("versioning", "versioning")
    await system.say(WAITING)
    await system.hear(VersionAssigned)
    for parent, child in (("child", "grandchild"), ("grandchild", "last")):
        await system.say(imported(child, bases=(Base(model=parent, version="0.0.1"),)))
        await system.hear(VersionAssigned, child)
    await system.say(imported("auto", "b", source=FromAutoLearning(location="l", project="flowers", run="V001")))

    await system.hear(VersionRestricted, count=3)
    await system.quiet()
    restricted = await system.all_of(VersionRestricted)
    assert sorted((one.model, one.restricted_by) for one in restricted) == [
        (model, (node("auto"),)) for model in ("child", "grandchild", "last")
    ]
    await system.say(imported("heir", bases=(Base(model="last", version="0.0.1"),)))
    assert (await system.hear(VersionAssigned, "heir")).restricted_by == (node("auto"),)


async def test_a_redelivery_says_all_of_it_again_under_the_same_ids(bare_system: System):
    system = bare_system
    jetstream = system.client.jetstream()
    config = (await jetstream.stream_info("EVENTS")).config
    await jetstream.update_stream(config.evolve(duplicate_window=0.1))
    await system.start("versioning")
    await system.say(WAITING)
    await system.hear(VersionAssigned)
    auto = imported("auto", "b", source=FromAutoLearning(location="l", project="f", run="V001"))
    await system.say(auto)
    await system.hear(VersionRestricted)
    await system.quiet()
    before = [one.event() for one in await system.said() if not one.is_a(ModelImported)]
    assert [type(event) for event in before] == [VersionAssigned, VersionAssigned, LineageExtended, VersionRestricted]

    async def after() -> list[Message]:
        return [one.event() for one in await system.said() if not one.is_a(ModelImported)]

    async def said_again() -> bool:
        """Once the stream has forgotten every id; it forgets them one after the other."""
        await system.say(auto)
        said = await after()
        return all(said.count(event) > 1 for event in before[1:])

    await eventually(said_again)
    await system.quiet()
    assert all(event in before for event in await after())


async def test_datasets_jobs_and_deployments_are_asked_about_over_the_wire(bare_system: System):
    system = bare_system
    await system.start("versioning", "versioning")
    await system.say(imported("trained", "b", datasets=(Dataset(name="coco", version="2017"),)))
    await system.hear(VersionAssigned)
    await system.say(imported("tuned", "c", bases=(Base(model="trained", version="0.0.1"),)))
    await system.hear(VersionAssigned, count=2)
    await system.say(a_deployment_request("tuned"))
    report = {"model": "tuned", "version": "0.0.1", "service": "shop"}
    await system.publish(report, subject="modelkin.evt.v1.deployment.ready.0.tuned")
    await system.publish(report, subject="modelkin.evt.v1.deployment.ready.0.tuned", id="again")

    async def deployed() -> list[str]:
        page = await system.ask("modelkin.qry.v1.lineage.affected", {"dataset": "coco"})
        return [service for version in page["versions"] for service in version["services"]]

    assert await eventually(deployed) == ["shop"]
    page = await system.ask("modelkin.qry.v1.lineage.affected", {"dataset": "coco", "dataset_version": "2017"})
    assert [(one["model"], one["distance"]) for one in page["versions"]] == [("trained", 1), ("tuned", 2)]
    for question, error in (
        ({"dataset": "voc"}, "dataset-not-found"),
        ({"job": "job-9"}, "job-not-found"),
        ({"model": "x", "version": "0.0.1"}, "model-not-found"),
        ({}, "invalid-question"),
        ({"dataset": "coco", "limit": 0}, "malformed"),
        ({"dataset": "coco", "after": "x"}, "invalid-cursor"),
    ):
        assert (await system.ask("modelkin.qry.v1.lineage.affected", question))["error"] == error
