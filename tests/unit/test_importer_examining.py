"""What an importer finds of its artifact folder and of the room that is left."""

import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from services.importer.artifacts.folder import ArtifactFolder
from services.importer.examining import importer_checks

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - as shutil gives it
GB = 1024**3


def checks(folder: Path):
    """Of a database that nobody asks here."""
    return importer_checks({}, ArtifactFolder(folder), str(folder))


async def test_a_folder_that_is_written_and_read_is_well_and_keeps_nothing_of_it(tmp_path: Path):
    await ArtifactFolder(tmp_path).prepare()
    finding = await checks(tmp_path)["artifacts"]()

    assert (finding.level, finding.message) == ("ok", f"{tmp_path} is written and read")
    assert [files for _, _, files in os.walk(tmp_path) if files] == []


@pytest.mark.parametrize(("free", "level"), [(50 * GB, "ok"), (1 * GB, "warning"), (0.1 * GB, "wrong")])
async def test_little_room_is_warned_of_and_none_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, level: str
):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 * GB, 100 * GB - free, free))
    finding = await checks(tmp_path)["free space"]()

    assert finding.level == level
    assert f"{free / GB:.1f} GB of 100.0 GB are free" in finding.message


def test_of_a_bucket_no_free_space_is_told():
    assert "free space" not in importer_checks({}, ArtifactFolder(Path("/nowhere")), "s3://bucket/prefix")
