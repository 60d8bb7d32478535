"""The ModelSource: the files of a package, by path. In memory and in real folders."""

from pathlib import Path

import pytest

from services.importer.domain import Unacceptable
from services.importer.ports import ModelSource
from services.importer.source import LocalFolders
from shared.values import Reason
from tests.fakes import InMemoryModelSource

PACKAGES = {
    "run-7": {"model/weights.pt": b"weights", "Notes": b"", "model/config.json": b"{}", "模型.txt": b"ab"},
    "run-8": {},
}


@pytest.fixture(params=["fake", "folders"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> ModelSource:
    if request.param == "fake":
        return InMemoryModelSource({(tmp_path / run).as_uri(): files for run, files in PACKAGES.items()})
    for run, files in PACKAGES.items():
        (tmp_path / run / "model").mkdir(parents=True)
        for path, content in files.items():
            (tmp_path / run / path).write_bytes(content)
    return LocalFolders([tmp_path], max_files=10)


async def test_the_files_of_a_package_are_found_by_path_with_their_sizes(source: ModelSource, tmp_path: Path):
    found = await source.find((tmp_path / "run-7").as_uri())

    assert [(file.path, file.size_bytes) for file in found] == [
        ("Notes", 0),
        ("model/config.json", 2),
        ("model/weights.pt", 7),
        ("模型.txt", 2),
    ]


async def test_each_file_gives_its_bytes_as_often_as_it_is_opened(source: ModelSource, tmp_path: Path):
    weights = (await source.find((tmp_path / "run-7").as_uri()))[2]

    for _ in range(2):
        with weights.open() as content:
            assert content.read() == b"weights"


@pytest.mark.parametrize(("run", "reason"), [("run-8", Reason.LOCATION_EMPTY), ("run-9", Reason.LOCATION_NOT_FOUND)])
async def test_a_place_without_a_package_is_refused(source: ModelSource, tmp_path: Path, run: str, reason: Reason):
    with pytest.raises(Unacceptable) as caught:
        await source.find((tmp_path / run).as_uri())

    assert caught.value.fault.reason is reason
