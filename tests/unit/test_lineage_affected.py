"""What hangs on a dataset, a job or a version; and that everyone who does is told of a recall, once."""

from collections.abc import Sequence
from typing import Any

import pytest

from services.versioning import recalling
from services.versioning.cursors import Walks
from services.versioning.ports import RecallPage
from shared.errors import NotFound, Refused, Transient
from shared.messages import (
    CommandRefused,
    DatasetRecalled,
    DeploymentReady,
    DeploymentStopped,
    Message,
    RecallTraced,
    RecallVersion,
    VersionAffected,
    VersionDeleted,
)
from shared.queries import AffectedPage, GetAffected, GetLineage
from shared.values import Base, Dataset, FromJob, FromStorage, Job, Reason
from tests.samples import a_deployment_request, a_package, an_import, at, digest, said
from tests.versionings import Versioning

COCO = Dataset(name="coco", version="2017", digest=digest("d"))


class Family:
    """Models with one version each: a is trained on coco, b and c derive from a, d from both, e from d; f stands alone."""

    def __init__(self) -> None:
        self.versioning = Versioning()

    async def born(self, name: str, *bases: str, **changes: Any) -> None:
        fields = {
            "model": name,
            "bases": tuple(Base(model=base, version="0.0.1") for base in bases),
            "package": a_package().model_copy(update={"digest": f"sha256:{name.encode().hex():0>64}"}),
            "source": FromStorage(location="s3://models"),
        }
        await self.versioning.hear(an_import(f"import-{name}", **{**fields, **changes}))

    async def deploy(self, model: str, service: str) -> None:
        await self.versioning.change(a_deployment_request(model, service))
        report = {"model": model, "version": "0.0.1", "service": service}
        await self.versioning.change(DeploymentReady(envelope=said(f"{model}-{service}"), **report))

    async def affected(self, **question: Any) -> AffectedPage:
        return await self.versioning.affected(GetAffected(**question))

    def said(self) -> list[Message]:
        return [
            one
            for one in self.versioning.events.said
            if isinstance(one, VersionAffected | RecallTraced | CommandRefused)
        ]


@pytest.fixture
async def family() -> Family:
    family = Family()
    await family.born("a", datasets=(COCO,))
    for name, *bases in ("ba", "ca", "dbc", "ed", "f"):
        await family.born(name, *bases)
    return family


def shown(page: AffectedPage) -> list[tuple[str, int, str]]:
    return [(version.model, version.distance, version.via) for version in page.versions]


def node(model: str) -> str:
    return f"version:0/{model}@0.0.1"


async def test_on_a_dataset_hang_those_trained_on_it_and_all_that_came_from_them(family: Family):
    page = await family.affected(dataset="coco", dataset_version="2017")

    assert page.root == "dataset:0/coco@2017"
    assert shown(page) == [
        ("a", 1, "dataset:0/coco@2017"),
        ("b", 2, node("a")),
        ("c", 2, node("a")),
        ("d", 3, node("b")),
        ("e", 4, node("d")),
    ]
    assert (page.total, page.next) == (5, None)


@pytest.mark.parametrize(
    ("version", "root"), [(None, "dataset:0/coco"), (digest("d"), f"dataset:0/coco@{digest('d')}")]
)
async def test_a_dataset_is_found_without_version_and_by_its_digest(family: Family, version: str | None, root: str):
    page = await family.affected(dataset="coco", dataset_version=version)

    assert (page.root, page.total) == (root, 5)


async def test_a_version_that_is_trained_on_the_dataset_and_descends_from_another_is_shown_once_as_near_as_it_is(
    family: Family,
):
    await family.born("g", "e", datasets=(COCO,))

    assert shown(await family.affected(dataset="coco"))[:2] == [("a", 1, "dataset:0/coco"), ("g", 1, "dataset:0/coco")]
    assert (await family.affected(dataset="coco")).total == 6


async def test_on_a_version_hang_itself_and_its_descendants(family: Family):
    page = await family.affected(model="c", version="0.0.1")

    assert shown(page) == [("c", 0, node("c")), ("d", 1, node("c")), ("e", 2, node("d"))]


async def test_on_a_job_hang_the_versions_it_trained(family: Family):
    for run in ("V001", "V002"):
        source = FromJob(location="l", job=Job(id="job-1", version=run))
        await family.born(f"of-{run}", source=source)

    assert (await family.affected(job="job-1")).total == 2
    page = await family.affected(job="job-1", job_version="V002")
    assert shown(page) == [("of-V002", 1, "job:0/job-1@V002")]


async def test_what_is_affected_says_what_it_is_deployed_as_and_whether_it_was_deleted(family: Family):
    await family.deploy("d", "shop")
    await family.deploy("d", "app")
    gone = {"model": "e", "version": "0.0.1", "ordinal": 1, "by": "o", "import_id": "i", "deletions": 1}
    await family.versioning.change(
        VersionDeleted(envelope=said("gone"), workspace="0", package_digest=digest("e"), **gone)
    )

    d, e = (await family.affected(model="d", version="0.0.1")).versions

    assert (d.services, d.deleted) == (("app", "shop"), False)
    assert (e.services, e.deleted) == ((), True)


@pytest.mark.parametrize("kept", [True, False])
async def test_page_after_page_shows_everything_once(family: Family, kept: bool):
    pages = [await family.affected(dataset="coco", limit=2)]
    while pages[-1].next is not None:
        if not kept:
            family.versioning.traces = Walks()
        pages.append(await family.affected(dataset="coco", limit=2, after=pages[-1].next))

    assert [[version.model for version in page.versions] for page in pages] == [["a", "b"], ["c", "d"], ["e"]]
    assert {page.total for page in pages} == {5}


async def test_a_cursor_of_another_question_is_refused(family: Family):
    page = await family.affected(dataset="coco", limit=2)

    with pytest.raises(Refused) as caught:
        await family.affected(dataset="coco", dataset_version="2017", limit=2, after=page.next)

    assert caught.value.code == "invalid-cursor"


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ({}, "nothing"),
        ({"dataset": "coco", "job": "job-1"}, "dataset, job"),
        ({"dataset": "coco", "job_version": "V001"}, "dataset, job_version"),
        ({"dataset_version": "2017"}, "dataset_version"),
        ({"job_version": "V001"}, "job_version"),
        ({"model": "a"}, "model"),
        ({"version": "0.0.1"}, "version"),
        ({"model": "a", "version": "0.0.1", "dataset": "coco"}, "dataset, model, version"),
    ],
)
async def test_a_question_that_does_not_name_one_thing_is_refused(family: Family, question: dict[str, str], named: str):
    with pytest.raises(Refused) as caught:
        await family.affected(**question)

    assert caught.value.code == "invalid-question"
    assert str(caught.value) == f"{named} is named: expected a dataset, or a job, or a model with a version"


@pytest.mark.parametrize(
    ("question", "code", "message"),
    [
        ({"dataset": "vo\nc"}, "dataset-not-found", r"no version was trained on dataset 'vo\nc' in workspace '0'"),
        (
            {"dataset": "coco", "dataset_version": "2014"},
            "dataset-not-found",
            "no version was trained on dataset 'coco' of version or digest '2014' in workspace '0'",
        ),
        (
            {"dataset": "coco", "workspace": "vision"},
            "dataset-not-found",
            "no version was trained on dataset 'coco' in workspace 'vision'",
        ),
        ({"job": "job-9"}, "job-not-found", "no version was trained by job 'job-9' in workspace '0'"),
        ({"model": "z", "version": "0.0.1"}, "model-not-found", "there is no model 'z' in workspace '0'"),
        ({"model": "a", "version": "9.0.0"}, "version-not-found", "'a' has no version '9.0.0'"),
    ],
)
async def test_what_is_not_there_is_not_found(family: Family, question: dict[str, str], code: str, message: str):
    with pytest.raises(NotFound) as caught:
        await family.affected(**question)

    assert (caught.value.code, str(caught.value)) == (code, message)


def a_recall(**changes: Any) -> RecallVersion:
    fields = {"envelope": said("recall", "security"), "model": "c", "version": "0.0.1", "why": "poisoned"}
    return RecallVersion(**{**fields, **changes})


def a_dataset_recall(**changes: Any) -> DatasetRecalled:
    return DatasetRecalled(**{"envelope": said("recall", "lake"), "dataset": "coco", "why": "poisoned", **changes})


def told(events: Sequence[Message]) -> list[str]:
    return [event.model for event in events if isinstance(event, VersionAffected)]


async def test_everyone_who_hangs_on_a_recalled_version_is_told_then_it_is_said_that_they_were(family: Family):
    await family.deploy("d", "shop")
    await family.deploy("e", "shop")
    await family.deploy("e", "app")
    await family.versioning.recall(a_recall())

    events = family.said()
    assert [(type(event).__name__, event.topic) for event in events] == [
        ("VersionAffected", "c"),
        ("VersionAffected", "d"),
        ("VersionAffected", "e"),
        ("RecallTraced", "c"),
    ]
    d, traced = events[1], events[3]
    assert isinstance(d, VersionAffected)
    assert (d.version, d.recalled, d.distance, d.services) == ("0.0.1", node("c"), 1, ("shop",))
    assert (d.by, d.why, d.envelope.cause_id) == ("security", "poisoned", "recall")
    assert isinstance(traced, RecallTraced)
    assert (traced.recalled, traced.versions, traced.services) == (node("c"), 3, 2)
    assert len({event.envelope.id for event in events}) == 4


@pytest.mark.parametrize("version", [None, "2017", digest("d")])
async def test_everyone_who_hangs_on_a_recalled_dataset_is_told(family: Family, version: str | None):
    await family.versioning.recall(a_dataset_recall(version=version))

    assert told(family.said()) == ["a", "b", "c", "d", "e"]
    assert family.said()[-1].topic == "coco"


async def test_a_recall_tells_the_same_as_the_question_does(family: Family):
    await family.versioning.recall(a_dataset_recall())

    assert told(family.said()) == [version.model for version in (await family.affected(dataset="coco")).versions]


@pytest.mark.parametrize(
    ("recall", "reason", "message"),
    [
        (a_recall(version="9.0.0"), Reason.VERSION_NOT_FOUND, "c has no version 9.0.0 in workspace 0"),
        (a_recall(version="latest"), Reason.INVALID_VERSION, "version 'latest': expected N.N.N"),
        (a_recall(model="a b\n"), Reason.INVALID_NAME, r"model name 'a b\n': expected 1 to 64"),
        (a_recall(workspace="a.b"), Reason.INVALID_WORKSPACE, "workspace 'a.b': expected 1 to 64"),
        (a_dataset_recall(workspace="*"), Reason.INVALID_WORKSPACE, "workspace '*': expected"),
        (a_dataset_recall(dataset="vo.c"), Reason.DATASET_NOT_FOUND, "no version was trained on dataset 'vo.c'"),
        (
            a_dataset_recall(version="2014"),
            Reason.DATASET_NOT_FOUND,
            "no version was trained on dataset 'coco' of version or digest '2014'",
        ),
    ],
)
async def test_a_recall_of_nothing_is_refused(
    family: Family, recall: RecallVersion | DatasetRecalled, reason: Reason, message: str
):
    await family.versioning.recall(recall)

    [refused] = family.said()
    assert isinstance(refused, CommandRefused)
    assert (refused.reason, refused.command, refused.topic) == (reason, recall.address, recall.topic)
    assert message in refused.message
    assert (refused.envelope.source, refused.envelope.cause_id) == ("modelkin/versioning", "recall")


async def test_a_refused_recall_stays_refused_under_its_id(family: Family):
    await family.versioning.recall(a_dataset_recall(dataset="voc"))
    await family.born("late", datasets=(Dataset(name="voc"),))
    await family.versioning.recall(a_dataset_recall(dataset="voc"))

    first, second = family.said()
    assert first == second


async def test_a_recall_that_is_redelivered_after_its_end_only_says_its_end_again(family: Family):
    await family.versioning.recall(a_recall())
    before = family.said()
    await family.born("late", "c")
    await family.versioning.recall(a_recall())

    assert family.said() == [*before, before[-1]]


class Dying(Exception):
    """The process is gone."""


@pytest.mark.parametrize("page", [1, 2, 100])
@pytest.mark.parametrize("lived_for", range(1, 6))
async def test_a_recall_goes_on_where_a_process_died(
    family: Family, monkeypatch: pytest.MonkeyPatch, lived_for: int, page: int
):
    monkeypatch.setattr(recalling, "VERSIONS_A_PAGE", page)
    publish, published = family.versioning.events.publish, 0

    async def dying(event: Message) -> None:
        nonlocal published
        published += 1
        if published > lived_for:
            raise Dying
        await publish(event)

    monkeypatch.setattr(family.versioning.events, "publish", dying)
    with pytest.raises(Dying):
        await family.versioning.recall(a_dataset_recall())
    monkeypatch.setattr(family.versioning.events, "publish", publish)
    at_death = len(told(family.said()))
    await family.born("late", "e")
    await family.born("aunt", "a")
    await family.versioning.recall(a_dataset_recall())

    said_of = told(family.said())
    assert set(said_of) >= {"a", "b", "c", "d", "e"}
    # What was not marked as said is said again: of one page at most, and under the same ids.
    assert len(said_of) - len(set(said_of)) <= min(page, at_death)
    by_id = {event.envelope.id: event for event in family.said()}
    assert len(by_id) == len(set(said_of)) + 1
    assert all(by_id[event.envelope.id] == event for event in family.said())
    traced = family.said()[-1]
    assert isinstance(traced, RecallTraced)
    assert traced.versions == len(set(said_of))


async def test_two_processes_at_one_recall_do_not_both_tell(family: Family):
    page = RecallPage(0, ("version:0/a@0.0.1",), (), ())
    await family.versioning.recalls.write("recall", page)

    with pytest.raises(Transient):
        await family.versioning.recalls.write("recall", page)


async def test_who_looked_before_a_recall_ended_tells_nobody_afterwards(
    family: Family, monkeypatch: pytest.MonkeyPatch
):
    await family.versioning.recall(a_recall())
    before = family.said()
    await family.born("late", "c")

    async def not_yet(_: str) -> None:
        return None

    monkeypatch.setattr(family.versioning.recalls, "answer", not_yet)
    with pytest.raises(Transient):
        await family.versioning.recall(a_recall())

    assert family.said() == before


async def test_a_reason_of_any_length_is_said_short_to_each(family: Family):
    await family.versioning.recall(a_recall(why="x" * 100_000))

    assert {len(event.why) for event in family.said() if isinstance(event, VersionAffected)} == {1000}


@pytest.mark.parametrize(
    "report",
    [{"service": "a b"}, {"model": "*"}, {"version": "newest"}, {"workspace": "a.b"}],
)
async def test_a_report_of_what_can_never_be_is_ignored(family: Family, report: dict[str, str]):
    fields = {"model": "a", "version": "0.0.1", "service": "shop", **report}
    await family.versioning.change(DeploymentReady(envelope=said("report"), **fields))

    assert (await family.affected(model="a", version="0.0.1")).versions[0].services == ()


async def test_a_service_that_is_deployed_is_an_edge_until_it_stops(family: Family):
    await family.deploy("f", "shop")
    graph = await family.versioning.graph(GetLineage(model="f", version="0.0.1"))
    stopped = {"model": "f", "version": "0.0.1", "service": "shop"}
    await family.versioning.change(DeploymentStopped(envelope=said("stop", time=at(5)), **stopped))
    after = await family.versioning.graph(GetLineage(model="f", version="0.0.1"))

    assert [(edge.kind, edge.source, edge.target) for edge in graph.edges] == [
        ("deployed-as", node("f"), "service:0/shop")
    ]
    assert after.edges == ()
