"""Which versions of a training job lie at a location, and which of them were imported."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from services.importer import job_versions as module
from services.importer.domain import Unacceptable
from services.importer.job_versions import job_versions
from services.importer.ports import FoundFile
from shared.errors import Malformed, Transient
from shared.messages import ModelImported
from shared.queries import JobVersion, JobVersions, ListJobVersions
from shared.values import Job, Reason
from tests.fakes import InMemoryImportStore
from tests.samples import a_package, a_request, at

JOB = "file:///jobs/7"


class Folders:
    """The part of a model source that is asked: names of folders by location and workspace."""

    def __init__(self, below: Mapping[str, Sequence[str]], workspace: str = "0") -> None:
        self.below = below
        self.workspace = workspace
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.fails: Exception | None = None

    def found(self, location: str, workspace: str) -> AbstractAsyncContextManager[Sequence[FoundFile]]:
        raise AssertionError((location, workspace))

    async def folders(self, location: str, workspace: str) -> Sequence[str]:
        assert workspace == self.workspace
        self.asked.append(location)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.fails is not None:
            raise self.fails
        return self.below.get(location, [])


def a_job(*names: str, without_model: Sequence[str] = (), location: str = JOB) -> Folders:
    held = {f"{location}/{name}": ["code", "model"] for name in names}
    bare = {f"{location}/{name}": ["models"] for name in without_model}
    return Folders({location: [*names, *without_model], **held, **bare})


def question(**changes: Any) -> ListJobVersions:
    return ListJobVersions(**{"model": "resnet", "job": "job-7", "location": JOB, **changes})


async def asked(source: Folders, store: InMemoryImportStore | None = None, **changes: Any) -> JobVersions:
    return await job_versions(question(**changes), source, store or InMemoryImportStore())


async def with_import(**changes: Any) -> InMemoryImportStore:
    """A store in which run V002 of job-7 was imported as resnet."""
    store = InMemoryImportStore()
    request = a_request(**{"job": Job(id="job-7", version="V002"), **changes})
    outcome = request.answer(
        ModelImported,
        at(1),
        import_id=request.import_id,
        requested_by="trainer",
        source=request.origin,
        package=a_package(),
    )
    await store.decide(request, outcome)
    return store


def names(answer: JobVersions) -> list[str]:
    return [version.version for version in answer.versions]


async def test_each_version_has_its_place_and_is_imported_or_not():
    answer = await asked(a_job("V001", "V002"), await with_import())

    assert answer == JobVersions(
        versions=(
            JobVersion(version="V001", location="file:///jobs/7/V001", imported=False),
            JobVersion(version="V002", location="file:///jobs/7/V002", imported=True),
        )
    )


async def test_versions_are_in_the_order_of_their_numbers():
    source = a_job("V010", "V002", "V1000", "V999", "V1", "V001")

    assert names(await asked(source)) == ["V001", "V1", "V002", "V010", "V999", "V1000"]


async def test_only_folders_named_for_a_version_are_looked_into():
    source = a_job("V001", "V", "v002", "V002x", "xV002", "V002\n", "V-01", "V٣", "V1234567890", "model", "logs")

    assert names(await asked(source)) == ["V001"]
    assert source.asked == [JOB, f"{JOB}/V001"]


async def test_a_version_without_a_model_is_none():
    assert names(await asked(a_job("V001", "V003", without_model=["V002", "V004"]))) == ["V001", "V003"]


async def test_a_job_without_versions_has_none():
    assert await asked(a_job()) == JobVersions(versions=())


@pytest.mark.parametrize("location", [f"{JOB}/", f"{JOB}//"])
async def test_a_location_may_end_with_a_slash(location: str):
    assert names(await asked(a_job("V001"), location=location)) == ["V001"]


@pytest.mark.parametrize("changes", [{"model": "bert"}, {"workspace": "vision"}, {"job": "job-8"}])
async def test_a_version_that_was_imported_as_another_is_not_imported_as_this(changes: dict[str, str]):
    source = a_job("V002")
    source.workspace = changes.get("workspace", "0")

    assert [version.imported for version in (await asked(source, await with_import(), **changes)).versions] == [False]


async def test_a_version_is_imported_wherever_it_was_imported_from():
    store = await with_import(location="s3://elsewhere/V002")

    assert [version.imported for version in (await asked(a_job("V002"), store)).versions] == [True]


async def test_many_versions_are_looked_into_side_by_side_up_to_a_number(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "LOOKED_INTO_AT_ONCE", 4)
    source = a_job(*(f"V{number:03}" for number in range(1, 41)))

    assert len((await asked(source)).versions) == 40
    assert source.most_at_once == 4


@pytest.mark.parametrize("failure", [Unacceptable(Reason.LOCATION_NOT_FOUND, "no such folder"), Transient("away")])
async def test_what_the_source_raises_is_raised_as_it_is(failure: Exception):
    source = a_job("V001")
    source.fails = failure

    with pytest.raises(type(failure)) as caught:
        await asked(source)

    assert caught.value is failure


async def test_versions_come_in_pages_by_number():
    source = a_job("V010", "V001", "V100", "V002")

    page = await asked(source, limit=3)
    rest = await asked(source, limit=3, after=page.next)

    assert [one.version for one in page.versions] == ["V001", "V002", "V010"]
    assert ([one.version for one in rest.versions], rest.next) == (["V100"], None)


async def test_a_page_after_no_version_of_a_job_is_malformed():
    with pytest.raises(Malformed, match="job version 'latest': expected V and a number"):
        await asked(a_job("V001"), after="latest")
