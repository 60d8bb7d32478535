"""The VersionStore: numbers without gap or double, and lineage, whoever decides. In memory and in MongoDB."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import pytest
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase

from services.versioning import store as mongo_store
from services.versioning.edges import origin, place_of, version_node
from services.versioning.graph.store import MongoLineageStore
from services.versioning.ports import Decided, LineageStore, RecallPage, RecallStore, VersionStore
from services.versioning.recalls.store import MongoRecallStore
from services.versioning.recognising import recognise
from services.versioning.store import MongoVersionStore
from services.versioning.walks import above
from shared.errors import Transient
from shared.messages import (
    CommandRefused,
    DeploymentFailed,
    DeploymentReady,
    DeploymentReport,
    DeploymentStarted,
    DeploymentStopped,
    LineageExtended,
    ModelImported,
    RecallTraced,
    RecallVersion,
    RolloutRequested,
    VersionAffected,
    VersionAssigned,
    VersionDeleted,
    VersionRefused,
    VersionRestricted,
)
from shared.naming import Bump
from shared.store import Document
from shared.values import (
    Base,
    Dataset,
    Edge,
    FromAutoLearning,
    FromStorage,
    FromTemplate,
    Reason,
    Target,
    TemplateInput,
)
from tests.samples import NOON, a_deployment_request, a_file, a_grant, a_package, an_import, at, digest, said
from tests.versionings import InMemoryLineageStore, InMemoryRecallStore, InMemoryVersionStore

Database = AsyncIOMotorDatabase[Document]
Open = Callable[[], Awaitable["Process"]]
ODD = {"a.b": 1, "$x": {"$set": None}, "": "", "huge": 123456789012345678901234567890, "模型": [True, -0.0, 1e300]}


class Process:
    """What one process has of the stores."""

    def __init__(self, store: VersionStore, lineage: LineageStore) -> None:
        self.store, self.lineage = store, lineage

    async def decide(self, imported: ModelImported, time: datetime) -> VersionAssigned | VersionRefused:
        return (await self.decided(imported, time)).decision

    async def decided(self, imported: ModelImported, time: datetime) -> Decided:
        """As a handler would, all but saying it."""
        decided = await self.store.decide(imported, time)
        await recognise(imported, decided, self.store, self.lineage, time)
        return decided

    async def version(self, node: str) -> VersionAssigned | None:
        recorded = (await self.lineage.versions([node])).get(node)
        return recorded.assigned if recorded else None

    async def children(self, *nodes: str) -> list[str]:
        return sorted(child.node for child in await self.lineage.children(nodes))

    async def late(self, imported: ModelImported) -> list[tuple[str, str | None, str]]:
        """What was found because of an import: child, how, base."""
        found = [event async for page in self.lineage.recorded(imported.envelope.id) for event in page]
        edges = [edge for event in found if isinstance(event, LineageExtended) for edge in event.edges]
        return sorted((edge.source, edge.how, edge.target) for edge in edges)

    async def restricted(self, imported: ModelImported) -> list[tuple[str, tuple[str, ...]]]:
        found = [event async for page in self.lineage.recorded(imported.envelope.id) for event in page]
        return sorted(
            (version_node(event.workspace, event.model, event.version), event.restricted_by)
            for event in found
            if isinstance(event, VersionRestricted)
        )


@pytest.fixture(params=["fake", "mongo"])
def open_store(request: pytest.FixtureRequest) -> Open:
    """Opens the stores, again and again: each is a process of its own on the same data."""
    if request.param == "fake":
        lineage = InMemoryLineageStore()
        fake = InMemoryVersionStore(lineage)

        async def open_fake() -> Process:
            return Process(fake, lineage)

        return open_fake
    database = cast("Database", request.getfixturevalue("database"))
    return lambda: opened(database)


async def opened(database: Database) -> Process:
    lineage = MongoLineageStore(database)
    store = MongoVersionStore(database, lineage)
    await store.prepare()
    await lineage.prepare()
    return Process(store, lineage)


@pytest.fixture
async def store(open_store: Open) -> Process:
    return await open_store()


def run(number: int, **changes: Any) -> ModelImported:
    """An import with bytes of its own."""
    package = a_package().model_copy(update={"digest": f"sha256:{number:064x}"})
    return an_import(f"import-{number}", **{"package": package, **changes})


async def assigned(store: Process, imported: ModelImported) -> VersionAssigned:
    decision = await store.decide(imported, at(1))
    assert isinstance(decision, VersionAssigned)
    return decision


async def refused(store: Process, imported: ModelImported) -> VersionRefused:
    decision = await store.decide(imported, at(1))
    assert isinstance(decision, VersionRefused)
    return decision


async def numbers(store: Process, *imports: ModelImported) -> list[str]:
    """What imports get that are decided at once."""
    return [one.version for one in await asyncio.gather(*(assigned(store, imported) for imported in imports))]


def targets(decision: VersionAssigned, kind: str) -> list[str]:
    return [edge.target for edge in decision.edges if edge.kind == kind]


async def test_versions_of_a_model_are_counted_from_0_0_1(store: Process):
    decisions = [await assigned(store, run(number)) for number in range(3)]

    assert [(one.version, one.ordinal) for one in decisions] == [("0.0.1", 1), ("0.0.2", 2), ("0.0.3", 3)]
    assert [targets(one, "succeeds") for one in decisions] == [
        [],
        ["version:0/resnet@0.0.1"],
        ["version:0/resnet@0.0.2"],
    ]


async def test_models_and_workspaces_are_counted_apart(store: Process):
    imports = [run(1), run(2, model="bert"), run(3, workspace="vision"), run(4)]

    assert await numbers(store, *imports) == ["0.0.1", "0.0.1", "0.0.1", "0.0.2"]


async def test_a_repeat_gets_the_decision_that_stands(store: Process):
    first = await store.decide(run(1), at(1))
    await store.decide(run(2), at(2))

    assert await store.decide(run(1), at(3)) == first


async def test_a_repeat_within_one_batch_is_one_decision(store: Process):
    assert await numbers(store, run(1), run(1), run(2), run(1)) == ["0.0.1", "0.0.1", "0.0.2", "0.0.1"]


async def test_a_decision_is_there_for_the_next_process(open_store: Open):
    first = await (await open_store()).decide(run(1), at(1))
    other = await open_store()

    assert await other.decide(run(1), at(9)) == first
    assert (await assigned(other, run(2))).version == "0.0.2"


async def test_a_decision_comes_back_as_it_was_with_odd_names_and_numbers(store: Process):
    decision = await assigned(store, run(1, parameters=ODD, metrics={"f1": 0.1 + 0.2}))

    again = await store.version("version:0/resnet@0.0.1")

    assert again == decision
    assert again is not None
    assert again.parameters == ODD
    assert again.metrics == {"f1": 0.30000000000000004}


async def test_a_number_may_be_asked_for_once(store: Process):
    await assigned(store, run(1, requested_version="2.0.0"))

    refusal = await refused(store, run(2, requested_version="2.0.0"))

    assert refusal.reason is Reason.VERSION_EXISTS
    assert (await assigned(store, run(3))).version == "2.0.1"


async def test_of_two_that_ask_for_one_number_at_once_one_gets_it(open_store: Open):
    stores = [await open_store(), await open_store()]
    imports = [run(number, requested_version="2.0.0") for number in range(16)]

    decisions = await asyncio.gather(
        *(stores[index % 2].decide(imported, at(1)) for index, imported in enumerate(imports))
    )

    assert [isinstance(one, VersionAssigned) for one in decisions].count(True) == 1
    assert {one.reason for one in decisions if isinstance(one, VersionRefused)} == {Reason.VERSION_EXISTS}


async def test_a_refusal_stands_and_takes_no_number(store: Process):
    await assigned(store, run(1))
    refusal = await refused(store, run(2, requested_version="0.0.1"))

    assert await store.decide(run(2, requested_version="0.0.1"), at(9)) == refusal
    assert (await assigned(store, run(3))).ordinal == 2


async def test_a_refusal_stands_though_it_would_be_granted_now(store: Process):
    wish = run(1, bases=(Base(model="bert", version="0.0.1"),))
    refusal = await refused(store, wish)
    await assigned(store, run(2, model="bert"))

    assert await store.decide(wish, at(9)) == refusal
    assert (await assigned(store, run(3, bases=(Base(model="bert", version="0.0.1"),)))).version == "0.0.1"


async def test_many_refusals_of_one_model_stand_side_by_side(store: Process):
    await assigned(store, run(0))

    decisions = await asyncio.gather(
        *(store.decide(run(number, requested_version="0.0.1"), at(1)) for number in range(1, 9))
    )

    assert all(isinstance(one, VersionRefused) for one in decisions)
    assert len({one.envelope.id for one in decisions}) == 8


async def test_after_the_last_number_free_ones_are_given_on_request(store: Process):
    await assigned(store, run(1, requested_version="99.99.99"))

    assert (await refused(store, run(2))).reason is Reason.VERSIONS_EXHAUSTED
    assert (await assigned(store, run(3, requested_version="5.0.0"))).version == "5.0.0"


async def test_a_lower_number_succeeds_the_one_right_below_it(store: Process):
    for number, version in enumerate(("0.0.1", "0.0.5", "3.0.0")):
        await assigned(store, run(number, requested_version=version))

    between = await assigned(store, run(9, requested_version="1.0.0"))

    assert targets(between, "succeeds") == ["version:0/resnet@0.0.5"]
    assert between.ordinal == 4
    assert (await assigned(store, run(10))).version == "3.0.1"


async def test_a_lower_number_succeeds_the_one_right_below_it_for_a_process_that_just_started(open_store: Open):
    first = await open_store()
    for number, version in enumerate(("0.0.1", "0.0.5", "3.0.0")):
        await assigned(first, run(number, requested_version=version))

    between = await assigned(await open_store(), run(9, requested_version="1.0.0"))

    assert targets(between, "succeeds") == ["version:0/resnet@0.0.5"]


async def test_numbers_asked_for_in_falling_order_at_once_have_the_same_lineage_as_one_by_one(store: Process):
    await assigned(store, run(0, requested_version="1.0.0"))
    opening = asyncio.create_task(assigned(store, run(1, model="bert")))
    await asyncio.sleep(0)

    five, three = await asyncio.gather(
        assigned(store, run(2, requested_version="5.0.0")), assigned(store, run(3, requested_version="3.0.0"))
    )
    await opening

    assert targets(five, "succeeds") == ["version:0/resnet@1.0.0"]
    assert targets(three, "succeeds") == ["version:0/resnet@1.0.0"]


async def test_a_base_may_be_registered_in_the_same_batch(store: Process):
    bases = (Base(model="bert", version="0.0.1", relation="quantized"),)

    _, quantized = await asyncio.gather(assigned(store, run(1, model="bert")), assigned(store, run(2, bases=bases)))

    assert targets(quantized, "derived-from") == ["version:0/bert@0.0.1"]


async def test_bases_and_twins_are_found_by_their_bytes(store: Process):
    await assigned(store, an_import("first", model="bert", package=a_package("a", a_file("w.pt", "b"))))

    twin = await assigned(store, an_import("twin", package=a_package("a", a_file("w.pt", "b"))))
    heir = await assigned(store, an_import("heir", package=a_package("c", a_file("base.pt", "b"), a_file("w.pt", "d"))))
    named = await assigned(store, an_import("named", package=a_package("e"), bases=(Base(digest=digest("a")),)))

    assert targets(twin, "same-bytes-as") == ["version:0/bert@0.0.1"]
    assert targets(twin, "derived-from") == []
    assert targets(heir, "derived-from") == ["version:0/bert@0.0.1"]
    assert targets(named, "derived-from") == ["version:0/bert@0.0.1"]


async def test_bytes_of_another_workspace_are_not_found(store: Process):
    await assigned(store, an_import("first", workspace="vision"))

    assert targets(await assigned(store, an_import("second")), "same-bytes-as") == []


async def test_bytes_are_found_within_one_batch(store: Process):
    first, second = await asyncio.gather(
        assigned(store, an_import("first", model="bert")), assigned(store, an_import("second"))
    )

    assert targets(first, "same-bytes-as") == []
    assert targets(second, "same-bytes-as") == ["version:0/bert@0.0.1"]


async def test_versions_of_every_origin_are_numbered_in_one_row(store: Process):
    sources = (
        FromStorage(location="s3://models/resnet"),
        FromTemplate(template="t", inputs=(TemplateInput(input_id="i", location="l"),)),
        FromAutoLearning(location="l", project="flowers", run="V001"),
    )

    decisions = [await assigned(store, run(number, source=source)) for number, source in enumerate(sources)]

    assert [one.version for one in decisions] == ["0.0.1", "0.0.2", "0.0.3"]
    assert [targets(one, "made-from") for one in decisions] == [[], ["template:t"], []]
    assert [targets(one, "trained-by") for one in decisions] == [[], [], ["job:0/flowers@V001"]]
    assert await store.version("version:0/resnet@0.0.2") == decisions[1]


async def test_versions_are_found_by_their_nodes(store: Process):
    one, two = await assigned(store, run(1)), await assigned(store, run(2))
    await refused(store, run(3, requested_version="0.0.1"))

    assert await store.version("version:0/resnet@0.0.2") == two
    assert await store.version("version:0/resnet@0.0.3") is None
    found = await store.lineage.versions(["version:0/resnet@0.0.1", "version:0/resnet@0.0.2", "version:0/bert@0.0.1"])
    assert {node: recorded.assigned for node, recorded in found.items()} == {
        "version:0/resnet@0.0.1": one,
        "version:0/resnet@0.0.2": two,
    }
    assert await store.lineage.versions([]) == {}


async def test_children_are_the_versions_that_were_made_from_one(store: Process):
    await assigned(store, run(1, model="bert"))
    bert = (Base(model="bert", version="0.0.1"),)
    for number in (2, 3):
        await assigned(store, run(number, model=f"heir-{number}", bases=bert))
    await assigned(store, run(1, model="twin", envelope=said("twin")))
    await assigned(store, run(5, model="bert"))

    assert await store.children("version:0/bert@0.0.1") == [
        "version:0/heir-2@0.0.1",
        "version:0/heir-3@0.0.1",
        "version:0/twin@0.0.1",
    ]
    assert await store.children("version:0/bert@0.0.2", "job:0/job-7@V001") == []


async def test_a_child_of_several_is_one_child(store: Process):
    for number, model in enumerate("ab"):
        await assigned(store, run(number, model=model))
    both = (Base(model="a", version="0.0.1"), Base(model="b", version="0.0.1"))
    await assigned(store, run(3, model="merged", bases=both))

    assert await store.children("version:0/a@0.0.1", "version:0/b@0.0.1") == ["version:0/merged@0.0.1"]


async def test_64_imports_of_one_model_decided_by_two_processes_get_64_numbers_without_a_gap(open_store: Open):
    stores = [await open_store(), await open_store()]

    decisions = await asyncio.gather(*(assigned(stores[number % 2], run(number)) for number in range(64)))

    in_order = sorted(decisions, key=lambda one: one.ordinal)
    assert [one.version for one in in_order] == [f"0.0.{number}" for number in range(1, 65)]
    assert [one.ordinal for one in in_order] == list(range(1, 65))
    assert [targets(one, "succeeds") for one in in_order[1:]] == [
        [f"version:0/resnet@0.0.{number}"] for number in range(1, 64)
    ]


async def test_imports_that_two_processes_both_decide_get_one_number_each(open_store: Open):
    stores = [await open_store(), await open_store()]

    decisions = await asyncio.gather(*(assigned(store, run(number)) for number in range(32) for store in stores))

    by_import: dict[str, set[str]] = {}
    for decision in decisions:
        by_import.setdefault(decision.import_id, set()).add(decision.body())
    assert [len(said) for said in by_import.values()] == [1] * 32
    assert sorted(decision.ordinal for decision in decisions) == sorted([*range(1, 33)] * 2)


async def test_a_process_that_was_overtaken_goes_on_from_the_newest(open_store: Open):
    slow, fast = await open_store(), await open_store()
    await assigned(slow, run(1))
    for number in (2, 3):
        await assigned(fast, run(number))

    assert (await assigned(slow, run(4))).version == "0.0.4"
    assert (await assigned(fast, run(5))).version == "0.0.5"


async def test_after_130_versions_a_process_that_just_started_goes_on(open_store: Open):
    first = await open_store()
    await numbers(first, *(run(number) for number in range(70)))
    for number in range(70, 76):
        await assigned(first, run(number))
    await numbers(first, *(run(number) for number in range(76, 130)))

    later = [await assigned(await open_store(), run(number)) for number in (200, 201)]

    assert [(one.version, one.ordinal) for one in later] == [("0.1.31", 131), ("0.1.32", 132)]


async def test_the_newest_version_is_known_to_a_process_that_just_started_though_an_older_one_is_higher(
    open_store: Open,
):
    first = await open_store()
    for number, version in enumerate(("7.0.0", "1.0.1", "1.0.0")):
        await assigned(first, run(number, requested_version=version))

    following = await assigned(await open_store(), run(9))

    assert (following.version, following.ordinal) == ("7.0.1", 4)


async def test_the_highest_number_is_known_to_a_process_that_just_started_after_many_lower_ones(open_store: Open):
    first = await open_store()
    await assigned(first, run(0, requested_version="7.0.0"))
    await numbers(first, *(run(number, requested_version=f"1.0.{number}") for number in range(1, 80)))

    assert (await assigned(await open_store(), run(200))).version == "7.0.1"


def weights(model: str, *letters: str, **changes: Any) -> ModelImported:
    """The import of a model whose files of weights are those; its package is its own."""
    package = a_package("0", *(a_file(f"model/{letter}.pt", letter) for letter in letters))
    own = package.model_copy(update={"digest": f"sha256:{model.encode().hex():0>64}"})
    return an_import(f"import-{model}", model=model, **{"package": own, **changes})


def node(model: str) -> str:
    return f"version:0/{model}@0.0.1"


def automatic(model: str, *letters: str, **changes: Any) -> ModelImported:
    """The same, made by automatic learning."""
    return weights(model, *letters, source=FromAutoLearning(location="l", project="flowers", run=model), **changes)


async def parents(store: Process, model: str) -> list[str]:
    return sorted((await store.lineage.kin([node(model)]))[node(model)].parents)


async def restricted_by(store: Process, model: str) -> list[str]:
    return sorted((await store.lineage.kin([node(model)]))[node(model)].restricted_by)


WAITS_FOR_B = (Base(digest=digest("b"), relation="quantized"),)


@pytest.mark.parametrize("base", [weights("base", "b"), an_import("import-base", model="base", package=a_package("b"))])
async def test_a_base_that_was_named_by_its_digest_and_comes_later_becomes_the_base(
    store: Process, base: ModelImported
):
    child = await assigned(store, weights("child", "c", bases=WAITS_FOR_B))
    other = weights("other", "d", bases=WAITS_FOR_B)
    await assigned(store, other)

    assert targets(child, "derived-from") == []
    assert targets(await assigned(store, base), "derived-from") == []
    assert await store.late(base) == [
        (node("child"), "quantized", node("base")),
        (node("other"), "quantized", node("base")),
    ]
    assert await parents(store, "child") == [node("base")]
    assert await store.children(node("base")) == [node("child"), node("other")]
    recorded = (await store.lineage.versions([node("child")]))[node("child")]
    assert recorded.assigned == child
    assert recorded.late == (Edge(source=node("child"), kind="derived-from", target=node("base"), how="quantized"),)


async def test_who_holds_what_others_wait_for_second_is_no_base_of_theirs(store: Process):
    await assigned(store, weights("child", "c", bases=WAITS_FOR_B))
    await assigned(store, weights("base", "b", "1"))
    second = weights("second", "b", "2")

    assert targets(await assigned(store, second), "derived-from") == [node("base")]
    assert await store.late(second) == []
    assert await parents(store, "child") == [node("base")]


async def test_what_another_workspace_waits_for_is_not_found(store: Process):
    await assigned(store, weights("child", "c", bases=WAITS_FOR_B))
    base = weights("base", "b", workspace="vision")
    await assigned(store, base)

    assert await store.late(base) == []


async def test_a_base_whose_weights_an_older_version_holds_among_others_is_found_late(store: Process):
    adapted = await assigned(store, weights("adapted", "b", "c"))
    tuned = await assigned(store, weights("tuned", "b", "c", "d"))
    sibling = await assigned(store, weights("sibling", "b", "e"))
    base = weights("base", "b")

    assert targets(await assigned(store, base), "derived-from") == []
    assert await store.late(base) == [
        (node("adapted"), "holds its model/b.pt", node("base")),
        (node("sibling"), "holds its model/b.pt", node("base")),
        (node("tuned"), "holds its model/b.pt", node("base")),
    ]
    assert targets(adapted, "derived-from") == []
    assert targets(tuned, "derived-from") == [node("adapted")]
    assert targets(sibling, "derived-from") == [node("adapted")]
    assert await parents(store, "tuned") == [node("adapted"), node("base")]
    later = await assigned(store, weights("later", "b", "f"))
    assert targets(later, "derived-from") == [node("base")]


async def test_a_version_that_shares_some_weights_with_an_older_one_derives_from_it(store: Process):
    await assigned(store, weights("older", "b", "c"))
    newer = weights("newer", "b", "d")

    assert targets(await assigned(store, newer), "derived-from") == [node("older")]
    assert await store.late(newer) == []


async def test_a_version_with_exactly_the_weights_of_an_older_one_derives_from_it(store: Process):
    await assigned(store, weights("older", "b", "c"))
    newer = weights("newer", "b", "c")

    assert targets(await assigned(store, newer), "derived-from") == [node("older")]
    assert await store.late(newer) == []


async def test_a_version_without_weights_is_nobodys_base(store: Process):
    await assigned(store, weights("older", "b"))
    newer = weights("newer")
    await assigned(store, newer)

    assert await store.late(newer) == []


async def test_of_a_package_whose_files_are_not_all_listed_nobody_knows_what_it_is_part_of(store: Process):
    await assigned(store, weights("older", "b", "c"))
    large = weights("newer", "b")
    large = large.model_copy(update={"package": large.package.model_copy(update={"file_count": 300})})

    assert targets(await assigned(store, large), "derived-from") == [node("older")]
    assert await store.late(large) == []


async def test_bases_that_come_from_the_largest_to_the_smallest_make_one_line(store: Process):
    for model, letters in (("large", "bcd"), ("middle", "bc"), ("small", "b")):
        await assigned(store, weights(model, *letters))

    assert await parents(store, "large") == [node("middle"), node("small")]
    assert await parents(store, "middle") == [node("small")]
    assert await parents(store, "small") == []


async def test_a_base_between_two_that_are_there_comes_between_them(store: Process):
    await assigned(store, weights("small", "b"))
    await assigned(store, weights("large", "b", "c", "d"))
    middle = weights("middle", "b", "c")

    assert targets(await assigned(store, middle), "derived-from") == [node("small")]
    assert await store.late(middle) == [(node("large"), "holds its model/c.pt", node("middle"))]
    assert await parents(store, "large") == [node("middle"), node("small")]


async def test_a_part_of_an_older_version_that_names_it_as_its_base_is_its_child(store: Process):
    await assigned(store, weights("whole", "b", "c"))
    await assigned(store, weights("tuned", "d", bases=(Base(model="whole", version="0.0.1"),)))
    part = weights("part", "b", bases=(Base(model="tuned", version="0.0.1", relation="distilled"),))

    assert sorted(targets(await assigned(store, part), "derived-from")) == [node("tuned"), node("whole")]
    assert await store.late(part) == []
    assert await parents(store, "whole") == []


async def test_a_late_base_and_its_children_may_come_in_one_batch(store: Process):
    child, larger, base = weights("child", "c", bases=WAITS_FOR_B), weights("larger", "b", "d"), weights("base", "b")

    await asyncio.gather(*(assigned(store, one) for one in (child, larger, base)))

    assert await parents(store, "larger") == [node("base")]
    assert await parents(store, "base") == []
    # Also that which held the bytes before the base came, if it was known in between.
    assert node("base") in await parents(store, "child")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("round_number", range(4))
@pytest.mark.parametrize(
    ("child", "how"),
    [(weights("child", "c", bases=WAITS_FOR_B), "quantized"), (weights("child", "b", "c"), "holds its model/b.pt")],
    ids=["named", "found"],
)
async def test_two_processes_that_decide_child_and_base_at_once_find_the_edge_once(
    open_store: Open, child: ModelImported, how: str, order: tuple[int, int], round_number: int
):
    processes = [await open_store(), await open_store()]
    imports = child, weights("base", "b")

    await asyncio.gather(*(assigned(processes[index], imports[index]) for index in order))

    assert await parents(processes[0], "child") == [node("base")]
    assert await parents(processes[0], "base") == []
    recorded = (await processes[0].lineage.versions([node("child")]))[node("child")]
    edges = [edge for edge in (*recorded.assigned.edges, *recorded.late) if edge.kind == "derived-from"]
    assert [(edge.target, edge.how) for edge in edges] == [(node("base"), how)]
    assert len([edge for one in imports for edge in await processes[0].late(one)]) == len(recorded.late)


@pytest.mark.parametrize("round_number", range(4))
async def test_versions_with_common_bytes_that_are_decided_at_once_make_no_cycle(open_store: Open, round_number: int):
    processes = [await open_store() for _ in range(3)]
    sets = {"one": "bc", "two": "bcd", "three": "cd", "four": "bcde", "five": "db", "six": "bc"}

    imports = [weights(model, *letters) for model, letters in sets.items()]
    await asyncio.gather(*(assigned(processes[n % 3], one) for n, one in enumerate(imports)))

    above = {model: {place_of(one).model for one in await parents(processes[0], model)} for model in sets}
    for _ in sets:
        above = {model: bases | {more for base in bases for more in above[base]} for model, bases in above.items()}
    assert [model for model, bases in above.items() if model in bases] == []
    assert {"one", "three", "five"} & above["four"]
    assert above["two"]


async def test_a_redelivery_finds_the_same_late_edges(open_store: Open):
    first = await open_store()
    for model, letters in (("large", "bcd"), ("middle", "bc")):
        await assigned(first, weights(model, *letters))
    await assigned(first, weights("child", "1", bases=WAITS_FOR_B))
    base = weights("base", "b")
    await first.decided(base, at(1))
    said = [event async for page in first.lineage.recorded("import-base") for event in page]

    again = await (await open_store()).decided(base, at(60))

    assert again.again
    assert [event async for page in first.lineage.recorded("import-base") for event in page] == said
    assert len(said) == 2


async def test_a_process_that_died_after_it_decided_is_followed_by_one_that_finds_the_rest(open_store: Open):
    first = await open_store()
    await assigned(first, weights("larger", "b", "c"))
    await assigned(first, weights("child", "1", bases=(Base(digest=digest("d")),)))
    base = weights("base", "b", "d")
    smaller = weights("smaller", "b")
    for one in (base, smaller):
        await first.store.decide(one, at(1))

    for one in (smaller, base):
        await (await open_store()).decided(one, at(60))

    assert await parents(first, "child") == [node("base")]
    assert node("smaller") in await parents(first, "larger")
    assert node("smaller") in await parents(first, "base")
    assert node("base") not in await parents(first, "smaller")


@pytest.mark.parametrize("generations", [1, 3])
async def test_a_version_that_claims_to_descend_from_what_waits_for_its_bytes_is_refused(
    store: Process, generations: int
):
    await assigned(store, weights("gen-1", "c", bases=WAITS_FOR_B))
    for number in range(2, generations + 1):
        bases = (Base(model=f"gen-{number - 1}", version="0.0.1"),)
        await assigned(store, weights(f"gen-{number}", str(number), bases=bases))

    refusal = await refused(store, weights("ancestor", "b", bases=(Base(model=f"gen-{generations}", version="0.0.1"),)))

    assert refusal.reason is Reason.LINEAGE_CYCLE
    assert refusal.message == (
        f"base 0/gen-{generations}@0.0.1 descends from this version, which holds {digest('b')},"
        " the base of 0/gen-1@0.0.1: expected a base that does not"
    )
    assert await parents(store, "gen-1") == []


async def test_a_cycle_by_digest_alone_is_refused_too(store: Process):
    await assigned(store, weights("child", "c", bases=WAITS_FOR_B))

    refusal = await refused(store, weights("ancestor", "b", bases=(Base(digest=digest("c")),)))

    assert refusal.reason is Reason.LINEAGE_CYCLE


async def test_a_cycle_within_one_batch_is_refused(store: Process):
    decisions = await asyncio.gather(
        store.decide(weights("child", "c", bases=WAITS_FOR_B), at(1)),
        store.decide(weights("ancestor", "b", bases=(Base(model="child", version="0.0.1"),)), at(1)),
    )

    assert [one.reason for one in decisions if isinstance(one, VersionRefused)] == [Reason.LINEAGE_CYCLE]


async def test_who_holds_the_child_itself_and_its_base_makes_no_cycle(store: Process):
    await assigned(store, weights("child", "c", bases=WAITS_FOR_B))
    both = weights("both", "b", "c", "d")

    assert targets(await assigned(store, both), "derived-from") == [node("child")]
    assert await store.late(both) == []


async def test_what_descends_from_automatic_learning_is_restricted_by_it(store: Process):
    await assigned(store, automatic("auto", "b"))
    tuned = await assigned(store, weights("tuned", "c", bases=(Base(model="auto", version="0.0.1"),)))
    holding = await assigned(store, weights("holding", "b", "d"))
    merged = await assigned(
        store, weights("merged", "e", bases=(Base(model="tuned", version="0.0.1"), Base(digest=digest("d"))))
    )
    second = await assigned(store, automatic("second", "f", bases=(Base(model="merged", version="0.0.1"),)))
    last = await assigned(store, weights("last", "3", bases=(Base(model="second", version="0.0.1"),)))
    free = await assigned(store, weights("free", "4"))

    by = [one.restricted_by for one in (tuned, holding, merged, second, last, free)]
    assert by == [*[(node("auto"),)] * 4, (node("auto"), node("second")), ()]


async def test_restrictions_are_inherited_within_one_batch(store: Process):
    imports = (
        automatic("auto", "b"),
        weights("tuned", "c", bases=(Base(model="auto", version="0.0.1"),)),
        weights("last", "d", bases=(Base(model="tuned", version="0.0.1"),)),
    )

    decisions = await asyncio.gather(*(assigned(store, one) for one in imports))

    assert [one.restricted_by for one in decisions] == [(), (node("auto"),), (node("auto"),)]


@pytest.mark.parametrize("late", ["named", "found"])
async def test_a_late_base_by_automatic_learning_restricts_three_generations(store: Process, late: str):
    child = weights("child", "b", "c") if late == "found" else weights("child", "c", bases=WAITS_FOR_B)
    await assigned(store, child)
    await assigned(store, weights("grandchild", "d", bases=(Base(model="child", version="0.0.1"),)))
    both = (Base(model="child", version="0.0.1"), Base(model="grandchild", version="0.0.1"))
    await assigned(store, weights("last", "e", bases=both))
    await assigned(store, weights("free", "f"))
    base = automatic("auto", "b")

    assert (await assigned(store, base)).restricted_by == ()
    assert await store.restricted(base) == [(node(model), (node("auto"),)) for model in ("child", "grandchild", "last")]
    assert await restricted_by(store, "last") == [node("auto")]
    heir = await assigned(store, weights("heir", "1", bases=(Base(model="last", version="0.0.1"),)))
    assert heir.restricted_by == (node("auto"),)


async def test_a_late_base_that_is_itself_restricted_restricts_its_children(store: Process):
    await assigned(store, weights("child", "c", bases=WAITS_FOR_B))
    await assigned(store, automatic("auto", "1"))
    base = weights("base", "b", bases=(Base(model="auto", version="0.0.1"),))
    await assigned(store, base)

    assert await store.restricted(base) == [(node("child"), (node("auto"),))]


async def test_older_versions_with_the_same_bytes_as_one_by_automatic_learning_are_restricted_by_it(store: Process):
    package = a_package("b", a_file("w.pt", "c"))
    await assigned(store, an_import("import-open", model="open", package=package))
    await assigned(store, an_import("import-twin", model="twin", package=package))
    await assigned(store, weights("tuned", "d", bases=(Base(model="open", version="0.0.1"),)))
    auto = automatic("auto").model_copy(update={"package": package})

    assert targets(await assigned(store, auto), "same-bytes-as") == [node("open")]
    assert await store.restricted(auto) == [(node(model), (node("auto"),)) for model in ("open", "tuned", "twin")]
    assert await restricted_by(store, "auto") == []


async def test_restrictions_are_said_once_by_whoever_finds_them_and_again_on_a_redelivery(open_store: Open):
    store = await open_store()
    await assigned(store, weights("child", "c", bases=WAITS_FOR_B))
    await assigned(store, weights("last", "d", bases=(Base(model="child", version="0.0.1"),)))
    base = automatic("auto", "b")
    await store.decided(base, at(1))
    said = [event async for page in store.lineage.recorded("import-auto") for event in page]

    await (await open_store()).decided(base, at(60))

    assert [event async for page in store.lineage.recorded("import-auto") for event in page] == said
    assert [type(event).__name__ for event in said].count("VersionRestricted") == 2


@pytest.mark.parametrize("round_number", range(4))
async def test_a_child_that_is_decided_while_its_parent_is_restricted_is_restricted_too(
    open_store: Open, round_number: int
):
    one, other = await open_store(), await open_store()
    await assigned(one, weights("child", "c", bases=WAITS_FOR_B))
    heirs = [weights(f"heir-{n}", str(n), bases=(Base(model="child", version="0.0.1"),)) for n in range(5)]

    await asyncio.gather(assigned(one, automatic("auto", "b")), *(assigned(other, heir) for heir in heirs))

    assert [await restricted_by(one, f"heir-{n}") for n in range(5)] == [[node("auto")]] * 5


async def test_a_number_that_two_ask_for_is_refused_with_the_import_that_has_it(store: Process):
    winner = await assigned(store, run(1, requested_version="2.0.0"))

    refusal = await refused(store, run(2, requested_version="2.0.0"))

    assert refusal.message == (
        f"resnet has a version 2.0.0 already, of import {winner.import_id}: expected a number that is free"
    )


async def test_a_wish_for_the_next_minor_or_major_number_is_granted(store: Process):
    wishes: list[Bump] = ["patch", "patch", "minor", "patch", "major", "minor"]

    decisions = [await assigned(store, run(n, requested_bump=bump)) for n, bump in enumerate(wishes)]

    assert [one.version for one in decisions] == ["0.0.1", "0.0.2", "0.1.0", "0.1.1", "1.0.0", "1.1.0"]
    assert targets(decisions[-1], "succeeds") == ["version:0/resnet@1.0.0"]


async def test_a_deleted_version_is_marked_and_its_number_is_not_given_again(store: Process):
    made = await assigned(store, run(1))
    gone = a_deletion(made)
    await store.lineage.delete(gone)
    await store.lineage.delete(gone)

    assert (await store.lineage.versions(["version:0/resnet@0.0.1"]))["version:0/resnet@0.0.1"].deleted
    assert [one.deleted for one in await store.lineage.relatives(["version:0/resnet@0.0.1"])] == [True]
    assert (await assigned(store, run(2))).version == "0.0.2"
    assert (await refused(store, run(3, requested_version="0.0.1"))).reason is Reason.VERSION_EXISTS


async def test_a_deletion_waits_for_the_version(store: Process):
    elsewhere = await InMemoryVersionStore(InMemoryLineageStore()).decide(run(1), NOON)
    assert isinstance(elsewhere.decision, VersionAssigned)

    with pytest.raises(Transient):
        await store.lineage.delete(a_deletion(elsewhere.decision))


def a_deletion(assigned: VersionAssigned) -> VersionDeleted:
    return VersionDeleted(
        envelope=said("deletion"),
        workspace="0",
        model=assigned.model,
        version=assigned.version,
        ordinal=1,
        by="operator",
        import_id=assigned.import_id,
        package_digest=assigned.package_digest,
        deletions=1,
    )


def a_report(
    kind: type[DeploymentReport], seconds: float, service: str = "shop", report_id: str = ""
) -> DeploymentReport:
    envelope = said(report_id or f"{kind.__name__}-{seconds}", "deployer", at(seconds))
    return kind(envelope=envelope, model="resnet", service=service, version="0.0.1")


def a_rollout_request(*versions: str) -> RolloutRequested:
    return RolloutRequested(
        envelope=said("rollout", "modelkin/registry"),
        workspace="0",
        model="resnet",
        ordinal=1,
        by="operator",
        service="shop",
        targets=tuple(Target(version=version, weight=50, grant=a_grant("shop")) for version in versions),
    )


async def services(store: Process) -> tuple[str, ...]:
    return (await store.lineage.versions(["version:0/resnet@0.0.1"]))["version:0/resnet@0.0.1"].services


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_of_reports_the_newest_stands_in_whatever_order_they_are_heard(store: Process, order: tuple[int, ...]):
    await assigned(store, run(1))
    await store.lineage.request(a_deployment_request())
    await store.lineage.request(a_deployment_request(service="other"))
    reports = [a_report(DeploymentStarted, 1), a_report(DeploymentStopped, 2), a_report(DeploymentReady, 3, "other")]
    for index in order:
        await store.lineage.report(reports[index])

    assert await services(store) == ("other",)


@pytest.mark.parametrize(
    ("kind", "deployed"),
    [(DeploymentStarted, True), (DeploymentReady, True), (DeploymentFailed, False), (DeploymentStopped, False)],
)
async def test_a_version_is_deployed_from_its_start_until_it_fails_or_stops(
    store: Process, kind: type[DeploymentReport], deployed: bool
):
    await assigned(store, run(1))
    await store.lineage.request(a_deployment_request())
    await store.lineage.report(a_report(DeploymentStarted, 1))
    await store.lineage.report(a_report(kind, 2))

    assert await services(store) == (("shop",) if deployed else ())


async def test_of_reports_of_one_instant_all_come_to_the_same(store: Process):
    await assigned(store, run(1))
    await store.lineage.request(a_deployment_request())
    ready, stopped = a_report(DeploymentReady, 1, report_id="a"), a_report(DeploymentStopped, 1, report_id="b")
    for report in (stopped, ready, stopped):
        await store.lineage.report(report)

    assert await services(store) == ()


async def test_a_report_counts_once_it_was_requested_and_not_before(store: Process):
    await assigned(store, run(1))
    await store.lineage.report(a_report(DeploymentReady, 1))
    unasked = await services(store)
    await store.lineage.request(a_deployment_request(service="another"))
    still_unasked = await services(store)
    await store.lineage.request(a_deployment_request())

    assert (unasked, still_unasked, await services(store)) == ((), (), ("shop",))


async def test_a_request_that_is_heard_again_changes_nothing_of_what_was_reported(store: Process):
    await assigned(store, run(1))
    await store.lineage.request(a_deployment_request())
    await store.lineage.report(a_report(DeploymentReady, 1))
    await store.lineage.request(a_deployment_request())

    assert await services(store) == ("shop",)


async def test_a_rollout_requests_each_version_that_it_names(store: Process):
    await assigned(store, run(1))
    await assigned(store, run(2))
    await store.lineage.request(a_rollout_request("0.0.1", "0.0.2"))
    await store.lineage.report(a_report(DeploymentReady, 1))

    assert await services(store) == ("shop",)


async def test_a_report_on_a_version_that_is_not_there_does_no_harm(store: Process):
    await store.lineage.report(a_report(DeploymentReady, 1))

    assert await store.lineage.versions(["version:0/resnet@0.0.1"]) == {}


async def test_versions_are_found_by_the_datasets_and_jobs_they_came_from(store: Process):
    coco = Dataset(name="coco", version="2017", digest=digest("d"))
    await assigned(store, run(1, datasets=(coco, Dataset(name="a@1"))))
    await assigned(store, run(2, datasets=(Dataset(name="coco", version="2014"), Dataset(name="a", version="1"))))
    await assigned(store, run(3, source=FromAutoLearning(location="l", project="flowers", run="V001")))
    await assigned(store, run(4, workspace="vision", datasets=(coco,)))

    async def found(kind: str, name: str, version: str | None = None) -> list[str]:
        return sorted(
            [place_of(one.node).version async for one in store.lineage.made_with(origin(kind, "0", name, version))]
        )

    assert await found("dataset", "coco") == ["0.0.1", "0.0.2"]
    assert await found("dataset", "coco", "2017") == ["0.0.1"]
    assert await found("dataset", "coco", digest("d")) == ["0.0.1"]
    assert await found("dataset", "a@1") == ["0.0.1"]
    assert await found("dataset", "a", "1") == ["0.0.2"]
    assert await found("dataset", "voc") == []
    assert await found("job", "flowers", "V001") == ["0.0.3"]
    assert await found("job", "job-7") == ["0.0.1", "0.0.2"]
    assert await found("job", "job-7", "V002") == []


async def test_a_model_is_there_when_it_has_a_version(store: Process):
    await assigned(store, run(1))
    await refused(store, run(2, model="bert", bases=(Base(model="gpt", version="0.0.1"),)))

    assert await store.lineage.has_model("0", "resnet")
    assert not await store.lineage.has_model("0", "bert")
    assert not await store.lineage.has_model("vision", "resnet")


async def test_it_is_there(store: Process):
    await store.store.ping()


async def decided_unseen(database: Database, imports: Sequence[ModelImported]) -> None:
    """As by processes that all died before they wrote down who holds what."""
    for number, imported in enumerate(imports):
        await (await opened(database)).store.decide(imported, at(number))
        await database["holders"].delete_many({})


async def related(store: Process, model: str, other: str) -> bool:
    """Whether one of the two is known to descend from the other."""
    return node(other) in await above([node(model)], store.lineage) or node(model) in await above(
        [node(other)], store.lineage
    )


class TestInMongo:
    """What only the real store can get wrong."""

    @pytest.fixture
    async def mongo(self, database: Database) -> Process:
        return await opened(database)

    async def test_a_process_that_died_before_it_wrote_the_holders_is_healed_by_the_redelivery(
        self, mongo: Process, database: Database
    ):
        first = an_import("first", model="bert", package=a_package("a", a_file("w.pt", "b")))
        decision = await mongo.decide(first, at(1))
        await database["holders"].delete_many({})

        again = await opened(database)
        assert await again.decide(first, at(9)) == decision

        heir = await assigned(again, an_import("heir", package=a_package("c", a_file("w.pt", "b"))))
        assert targets(heir, "derived-from") == ["version:0/bert@0.0.1"]

    async def test_healing_does_not_take_bytes_from_whoever_holds_them(self, mongo: Process, database: Database):
        await mongo.decide(an_import("first", model="bert"), at(1))
        await mongo.decide(an_import("second", model="gpt"), at(2))

        await (await opened(database)).decide(an_import("second", model="gpt"), at(3))

        third = await assigned(mongo, an_import("third"))
        assert targets(third, "same-bytes-as") == ["version:0/bert@0.0.1"]

    @pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
    @pytest.mark.parametrize(
        ("sets", "known_by"),
        [
            (("b", "b", "b"), {"b": "m0"}),
            (("bc", "bd", "be"), {"b": "m0", "c": "m0", "d": "m1", "e": "m2"}),
            (("bc", "bd", "b"), {"b": "m2", "c": "m0", "d": "m1"}),
            (("b", "bc", "bc"), {"b": "m0", "c": "m1"}),
            (("bcd", "bc", "b"), {"b": "m2", "c": "m1", "d": "m0"}),
        ],
        ids="-".join,
    )
    async def test_of_versions_decided_at_once_the_same_one_holds_the_bytes_whoever_looks_around_first(
        self,
        mongo: Process,
        database: Database,
        sets: tuple[str, ...],
        known_by: dict[str, str],
        order: tuple[int, ...],
    ):
        imports = [weights(f"m{number}", *letters) for number, letters in enumerate(sets)]
        await decided_unseen(database, imports)

        for number in order:
            await (await opened(database)).decided(imports[number], at(60))

        holders = {one["_id"]: one["node"] async for one in database["holders"].find()}
        assert {letter: holders[f"0/{digest(letter)}"] for letter in known_by} == {
            letter: node(model) for letter, model in known_by.items()
        }
        for number, letters in enumerate(sets):
            for holder in {known_by[letter] for letter in letters} - {f"m{number}"}:
                assert await related(mongo, f"m{number}", holder)

    @pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
    @pytest.mark.parametrize("automatic_one", range(3))
    async def test_of_one_package_decided_at_once_the_oldest_is_the_twin_and_all_are_restricted(
        self, mongo: Process, database: Database, order: tuple[int, ...], automatic_one: int
    ):
        package = a_package("b", a_file("w.pt", "c"))
        imports = [
            (automatic if number == automatic_one else weights)(f"m{number}", package=package) for number in range(3)
        ]
        await decided_unseen(database, imports)

        for number in order:
            await (await opened(database)).decided(imports[number], at(60))

        source = node(f"m{automatic_one}")
        assert {(await mongo.lineage.kin([node(f"m{n}")]))[node(f"m{n}")].restricts for n in range(3)} == {
            frozenset([source])
        }
        assert await parents(mongo, "m0") == []
        assert node("m0") in await parents(mongo, "m1")
        assert node("m0") in await above(await parents(mongo, "m2"), mongo.lineage)

    async def test_a_head_is_written_down_within_64_versions(self, mongo: Process, database: Database):
        await numbers(mongo, *(run(number) for number in range(64)))

        assert await database["heads"].find_one({"_id": "0/resnet"}) == {
            "_id": "0/resnet",
            "ordinal": 64,
            "highest": 64,
        }

    async def test_a_head_that_was_never_written_down_is_found_all_the_same(self, mongo: Process, database: Database):
        await numbers(mongo, *(run(number) for number in range(70)))
        await database["heads"].delete_many({})

        assert (await assigned(await opened(database), run(70))).ordinal == 71

    async def test_a_full_memory_of_heads_is_emptied_without_harm(
        self, mongo: Process, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(mongo_store, "KNOWN_HEADS", 1)
        await mongo.decide(run(1, model="bert"), at(1))
        await mongo.decide(run(2, model="gpt"), at(1))

        assert (await assigned(mongo, run(3, model="bert"))).version == "0.0.2"

    async def test_every_question_has_an_index(self, mongo: Process, database: Database):
        await mongo.decide(weights("child", "c", bases=WAITS_FOR_B), at(1))
        await mongo.lineage.report(a_report(DeploymentReady, 1))
        wanted: dict[str, list[Document]] = {
            "versions": [
                {"node": {"$in": ["a", "b"]}},
                {"parents": {"$in": ["a", "b"]}},
                {"weights": "0/a"},
                {"waits": "0/a"},
                {"origins": "a"},
                {"workspace": "0", "model": "child", "ordinal": 1},
                {"workspace": "0", "model": "child", "ordinal": {"$gt": 1}},
            ],
            "late": [{"cause": "a", "_id": {"$gt": "b"}}],
            "deployments": [{"node": {"$in": ["a"]}}],
        }

        plans = [str(await database[name].find(one).explain()) for name, asked in wanted.items() for one in asked]

        assert [("COLLSCAN" in plan, "IXSCAN" in plan) for plan in plans] == [(False, True)] * 9

    async def test_preparing_twice_is_as_good_as_once(self, mongo: Process):
        await mongo.decide(run(1), at(1))
        await cast("MongoVersionStore", mongo.store).prepare()

        assert (await assigned(mongo, run(2))).version == "0.0.2"


@pytest.fixture(params=["fake", "mongo"])
def recalls(request: pytest.FixtureRequest) -> RecallStore:
    if request.param == "fake":
        return InMemoryRecallStore()
    return MongoRecallStore(cast("Database", request.getfixturevalue("database")))


A_RECALL = RecallVersion(envelope=said("recall"), model="bert", version="0.0.1", why="poisoned")


def a_page(number: int, *models: str, services: tuple[str, ...] = ()) -> RecallPage:
    events = tuple(
        A_RECALL.answer(
            VersionAffected, at(1), part=model, model=model, version="0.0.1", recalled=node("bert"), distance=1,
            services=services, by="operator", why="poisoned",
        )
        for model in models
    )  # fmt: skip
    return RecallPage(number, tuple(node(model) for model in models), services, events)


async def test_pages_of_a_recall_are_kept_in_order_and_their_events_until_they_are_said(recalls: RecallStore):
    if isinstance(recalls, MongoRecallStore):
        await recalls.prepare()
        await recalls.prepare()
    pages = [a_page(0, "a", "b"), a_page(1, "c", services=("shop",)), *(a_page(n, f"m{n}") for n in range(2, 12))]
    for page in pages:
        await recalls.write("recall", page)
    await recalls.write("other", a_page(0, "z"))
    await recalls.said("recall", 0)

    kept = [page async for page in recalls.pages("recall")]

    assert kept == [replace(pages[0], events=()), *pages[1:]]
    assert [page async for page in recalls.pages("neither")] == []


async def test_a_page_of_a_recall_is_written_once(recalls: RecallStore):
    await recalls.write("recall", a_page(0, "a"))

    with pytest.raises(Transient):
        await recalls.write("recall", a_page(0, "b"))

    assert [page.nodes async for page in recalls.pages("recall")] == [(node("a"),)]


async def test_a_recall_that_has_ended_takes_no_page(recalls: RecallStore):
    await recalls.write("recall", a_page(0, "a"))
    await recalls.close(A_RECALL.answer(RecallTraced, at(1), recalled=node("bert"), versions=1, services=0))

    with pytest.raises(Transient):
        await recalls.write("recall", a_page(0, "a"))

    assert [page async for page in recalls.pages("recall")] == []


async def test_a_recall_ends_once(recalls: RecallStore):
    first = A_RECALL.answer(RecallTraced, at(1), recalled=node("bert"), versions=2, services=1)
    second = A_RECALL.answer(RecallTraced, at(2), recalled=node("bert"), versions=3, services=1)

    assert await recalls.answer("recall") is None
    assert await recalls.close(first) == first
    assert await recalls.close(second) == first
    assert await recalls.answer("recall") == first


async def test_a_recall_may_end_with_a_refusal(recalls: RecallStore):
    facts = {"command": A_RECALL.address, "reason": Reason.VERSION_NOT_FOUND, "message": "bert has none"}
    refusal = A_RECALL.answer(CommandRefused, at(1), **facts)

    await recalls.close(refusal)

    assert await recalls.answer("recall") == refusal


async def test_where_mongodb_is_away_every_call_is_transient():
    client: AsyncIOMotorClient[Document] = AsyncIOMotorClient("mongodb://127.0.0.1:1", serverSelectionTimeoutMS=50)
    lineage = MongoLineageStore(client["nowhere"])
    store = MongoVersionStore(client["nowhere"], lineage)
    recalls = MongoRecallStore(client["nowhere"])
    decided = await InMemoryVersionStore(InMemoryLineageStore()).decide(run(1), NOON)
    assert decided.kin is not None

    said = await asyncio.gather(
        store.prepare(),
        store.ping(),
        store.decide(run(1), NOON),
        store.claim(decided.kin, [digest("a")]),
        store.take_over(decided.kin, {digest("a"): "version:0/bert@0.0.1"}),
        lineage.prepare(),
        lineage.kin(["version:0/resnet@0.0.1"]),
        lineage.relatives(["version:0/resnet@0.0.1"]),
        lineage.children(["version:0/resnet@0.0.1"]),
        lineage.versions(["version:0/resnet@0.0.1"]),
        lineage.has_model("0", "resnet"),
        anext(lineage.containing("0", digest("a"))),
        anext(lineage.waiting("0", digest("a"))),
        anext(lineage.made_with("job")),
        anext(lineage.recorded("import-1")),
        recalls.prepare(),
        recalls.answer("recall"),
        anext(recalls.pages("recall")),
        recalls.write("recall", a_page(0, "a")),
        recalls.said("recall", 0),
        return_exceptions=True,
    )
    client.close()

    assert [type(fault) for fault in said] == [Transient] * len(said)
