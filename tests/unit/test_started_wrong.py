"""What an operator set up wrong is one line that says what to do, before anything runs."""

from pathlib import Path

import pytest

from modelkin.errors import ModelkinError
from modelkin.launcher import _locked
from services.importer.artifacts.folder import ArtifactFolder
from services.importer.secrets import Secrets
from services.importer.sources.spool import Spool
from shared.errors import Transient
from shared.store import connect


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://db.example", "Invalid URI scheme: URI must begin with 'mongodb://' or 'mongodb+srv://'"),
        ("mongodb://importer:p@ss@db.example/", "Username and password must be escaped"),
        ("mongodb://db.example:99999/", "Port must be an integer between 0 and 65535"),
        ("mongodb://db.example/?tls=true&tlsCAFile=/nowhere.pem", "No such file or directory: '/nowhere.pem'"),
    ],
)
def test_a_mongodb_uri_that_cannot_be_understood_names_its_variable(uri: str, said: str):
    with pytest.raises(ValueError, match=r"^MODELKIN_MONGO_URI: ") as caught:
        connect(uri)

    assert said in str(caught.value)
    assert "p@ss" not in str(caught.value)


def test_a_folder_of_secrets_that_is_missing_or_a_file_is_told(tmp_path: Path):
    (tmp_path / "file").touch()

    with pytest.raises(ValueError, match=r"^MODELKIN_SECRETS: /\S+/nowhere is not there, or may not be read: expected"):
        Secrets(tmp_path / "nowhere").check()
    with pytest.raises(
        ValueError, match=r"^MODELKIN_SECRETS: /\S+/file is (a file|not there, or may not be read): exp"
    ):
        Secrets(tmp_path / "file").check()
    Secrets(tmp_path).check()
    Secrets(None).check()


async def test_an_artifact_folder_that_is_there_and_cannot_be_written_is_told_at_the_start(tmp_path: Path):
    (tmp_path / "partial").symlink_to("/proc")  # nobody makes a file there, root neither

    with pytest.raises(Transient) as caught:
        await ArtifactFolder(tmp_path).prepare()

    assert str(caught.value).startswith(f"the artifact folder cannot be written: {tmp_path}: ")
    assert str(caught.value).endswith("may write (MODELKIN_ARTIFACTS)")


def test_a_spool_that_is_there_and_cannot_be_written_is_told_at_the_start():
    with pytest.raises(OSError, match="No such file or directory"):
        Spool(Path("/proc")).prepare()


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_data_folder_that_cannot_be_made_is_told(tmp_path: Path, name: str):
    (tmp_path / "file").touch()

    with (
        pytest.raises(ModelkinError, match=r"cannot be written: [A-Z][a-z ]+: name another folder with --data$"),
        _locked(tmp_path / name),
    ):
        pass
