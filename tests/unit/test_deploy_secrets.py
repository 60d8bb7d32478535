"""What `make secrets` and `make certs` write, and what they leave alone."""

import stat
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy import certs, secrets
from deploy.certs import expiries, make_certs
from deploy.secrets import make_secrets

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def hashed(password: bytes) -> bytes:
    return b"hash of " + password


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_every_user_gets_a_password_of_its_own(tmp_path: Path):
    make_secrets(tmp_path, ["0"], hashed)

    nats = {path.stem: path.read_text() for path in (tmp_path / "nats").iterdir()}
    assert sorted(nats) == [
        "admin",
        "deployer-0",
        "importer",
        "operator-0",
        "registry",
        "subscriber-0",
        "topology",
        "training-0",
        "versioning",
    ]
    assert len(set(nats.values())) == 9
    assert min(map(len, nats.values())) == 43
    assert {path.name for path in (tmp_path / "mongo").iterdir()} == {
        "root.password",
        "importer.password",
        "registry.password",
        "versioning.password",
        "keyfile",
    }
    assert (tmp_path / "nats-users.conf").read_text().count("hash of ") == 9


def test_what_is_there_stays_and_a_workspace_is_added(tmp_path: Path):
    make_secrets(tmp_path, ["0"], hashed)
    before = contents(tmp_path)

    made = make_secrets(tmp_path, ["lab"], hashed)

    assert sorted(path.name for path in made) == [
        "deployer-lab.password",
        "operator-lab.password",
        "subscriber-lab.password",
        "training-lab.password",
    ]
    after = contents(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {"nats-users.conf"}
    assert b"workspace-0" in after["nats-users.conf"]
    assert b"workspace-lab" in after["nats-users.conf"]


def test_others_cannot_enter_the_folder_and_containers_can_read_its_files(tmp_path: Path):
    folder = tmp_path / "secrets"
    make_secrets(folder, ["0"], hashed)
    make_certs(folder, NOON)

    assert mode(folder) == "0o700"
    assert {mode(path) for path in folder.rglob("*") if path.is_dir()} == {"0o755"}
    assert {path.name: mode(path) for path in folder.rglob("*") if path.is_file() and mode(path) != "0o644"} == {
        "ca.key": "0o600"
    }


def test_an_empty_password_is_an_error_that_names_its_file(tmp_path: Path):
    make_secrets(tmp_path, ["0"], hashed)
    (tmp_path / "nats" / "admin.password").write_text("\n")

    with pytest.raises(ValueError, match=r"admin\.password is empty"):
        make_secrets(tmp_path, ["0"], hashed)


@pytest.mark.parametrize("workspace", ["a b", "a.b", "*", "", "../x"])
def test_a_workspace_that_is_no_name_is_refused(
    workspace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", ["secrets", "--folder", str(tmp_path / "new"), "--workspace", workspace])

    with pytest.raises(SystemExit):
        secrets.main()

    assert f"--workspace {workspace!r}: expected 1 to 64 letters" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_certificates_stay_until_they_are_renewed_and_the_ca_with_them(tmp_path: Path):
    make_certs(tmp_path, NOON, days=30)
    first = contents(tmp_path)
    make_certs(tmp_path, NOON, days=60)
    assert contents(tmp_path) == first

    make_certs(tmp_path, NOON, days=60, renew=True)

    changed = {name for name, content in contents(tmp_path).items() if content != first[name]}
    assert changed == {"tls/nats.pem", "tls/nats.key", "tls/mongo.pem"}
    assert expiries(tmp_path)["nats"] == datetime(2027, 1, 22, 12, tzinfo=UTC)


def test_a_ca_without_its_key_is_an_error_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make_certs(tmp_path, NOON)
    (tmp_path / "tls" / "ca.key").unlink()
    monkeypatch.setattr(sys, "argv", ["certs", "--folder", str(tmp_path)])

    with pytest.raises(SystemExit) as ended:
        certs.main()

    assert "ca.pem is there without" in str(ended.value)
    assert "put it back, or remove all of" in str(ended.value)
