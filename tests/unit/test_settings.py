"""Settings of the importer, as an operator writes them."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.importer.domain import UnsafePolicy
from services.importer.settings import ImporterSettings, Policies
from services.registry.settings import RegistrySettings
from shared.connection import Nats
from shared.login import Credentials
from shared.settings import faults_of


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MODELKIN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MODELKIN_ARTIFACTS", "/artifacts")


@pytest.mark.parametrize(
    ("written", "roots"),
    [
        ("", ()),
        ("/models", (Path("/models"),)),
        ("/models:/mnt/runs", (Path("/models"), Path("/mnt/runs"))),
        (":/models:", (Path("/models"),)),
    ],
)
def test_allowed_roots_are_written_like_a_search_path(
    monkeypatch: pytest.MonkeyPatch, written: str, roots: tuple[Path, ...]
):
    monkeypatch.setenv("MODELKIN_ALLOWED_ROOTS", written)

    assert ImporterSettings().allowed_roots == roots


def test_where_no_root_is_named_none_is_allowed():
    assert ImporterSettings().allowed_roots == ()


def test_the_folder_of_the_artifacts_must_be_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MODELKIN_ARTIFACTS")

    with pytest.raises(ValidationError, match="artifacts"):
        ImporterSettings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODELKIN_ARTIFACTS", ""),
        ("MODELKIN_MAX_FILES", "0"),
        ("MODELKIN_MAX_PACKAGE_BYTES", "0"),
        ("MODELKIN_CONCURRENT_FILES", "0"),
        ("MODELKIN_CONCURRENT_FILES", "65"),
        ("MODELKIN_MAX_EVENT_BYTES", "1023"),
        ("MODELKIN_MAX_EVENT_BYTES", "786433"),
        ("MODELKIN_MAX_IMPORTS_PER_WORKSPACE", "0"),
        ("MODELKIN_MAX_IMPORTS_PER_WORKSPACE", "3001"),
        ("MODELKIN_LARGE_PACKAGE_BYTES", "0"),
        ("MODELKIN_CONCURRENT_LARGE_IMPORTS", "0"),
        ("MODELKIN_INSPECT_TIMEOUT_S", "0"),
        ("MODELKIN_CONCURRENT_IMPORTS", "0"),
        ("MODELKIN_CONCURRENT_IMPORTS", "many"),
        ("MODELKIN_STOP_TIMEOUT_S", "0"),
        ("MODELKIN_LOG_FORMAT", "xml"),
    ],
)
def test_a_setting_out_of_its_range_is_an_error(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError, match=name.removeprefix("MODELKIN_").lower()):
        ImporterSettings()


@pytest.mark.parametrize(
    ("imports", "large", "at_once"), [(16, 4, 4), (16, 64, 8), (8, 4, 4), (4, 4, 2), (3, 4, 1), (1, 4, 1), (16, 1, 1)]
)
def test_large_imports_leave_half_of_the_lanes_free(imports: int, large: int, at_once: int):
    settings = ImporterSettings(concurrent_imports=imports, concurrent_large_imports=large)

    assert settings.large_at_once == at_once


@pytest.mark.parametrize("value", ["0", "-1", "86401", "soon"])
def test_a_grant_lasts_a_second_to_a_day(monkeypatch: pytest.MonkeyPatch, value: str):
    monkeypatch.setenv("MODELKIN_GRANT_LIFETIME_S", value)

    with pytest.raises(ValidationError, match="grant_lifetime_s"):
        RegistrySettings()


@pytest.mark.parametrize("name", ["allowed_hosts", "allowed_registries", "insecure_registries"])
def test_what_is_no_host_is_an_error(monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv(f"MODELKIN_{name.upper()}", "files.example,10.0.0.5/8")

    with pytest.raises(ValidationError, match=r"'10.0.0.5/8': expected '\*', a host, an address or a range"):
        ImporterSettings()


def test_registries_outside_may_be_asked_unless_others_are_listed(monkeypatch: pytest.MonkeyPatch):
    assert ImporterSettings().allowed_registries == ("*",)
    monkeypatch.setenv("MODELKIN_ALLOWED_REGISTRIES", "registry.example, 10.0.0.0/8")
    assert ImporterSettings().allowed_registries == ("registry.example", "10.0.0.0/8")


@pytest.mark.parametrize(
    ("written", "policies"),
    [
        ("refuse", Policies(UnsafePolicy.REFUSE)),
        ("allow", Policies(UnsafePolicy.ALLOW)),
        ("refuse,research=quarantine", Policies(UnsafePolicy.REFUSE, (("research", UnsafePolicy.QUARANTINE),))),
        (
            " quarantine , research=allow , 视觉=refuse ",
            Policies(UnsafePolicy.QUARANTINE, (("research", UnsafePolicy.ALLOW), ("视觉", UnsafePolicy.REFUSE))),
        ),
    ],
)
def test_a_policy_for_all_comes_first_and_those_of_workspaces_after_it(
    monkeypatch: pytest.MonkeyPatch, written: str, policies: Policies
):
    monkeypatch.setenv("MODELKIN_UNSAFE_FILES", written)

    assert ImporterSettings().unsafe_files == policies


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("Refuse", "'Refuse': expected one of refuse, quarantine, allow"),
        ("research=allow", "'research=allow': expected one of refuse, quarantine, allow"),
        ("refuse,research", "'': expected one of refuse, quarantine, allow"),
        ("refuse,research=always", "'always': expected one of refuse, quarantine, allow"),
        ("refuse,", "workspace '': expected 1 to 64 letters"),
        ("refuse,=allow", "workspace '': expected 1 to 64 letters"),
        ("refuse,a b=allow", "workspace 'a b': expected 1 to 64 letters"),
        ("refuse,research = allow", "workspace 'research ': expected 1 to 64 letters"),
    ],
)
def test_a_policy_that_is_none_is_an_error_that_says_which(
    monkeypatch: pytest.MonkeyPatch, written: str, complaint: str
):
    monkeypatch.setenv("MODELKIN_UNSAFE_FILES", written)

    with pytest.raises(ValidationError) as caught:
        ImporterSettings()

    [fault] = caught.value.errors()
    assert fault["loc"] == ("unsafe_files",)
    assert fault["msg"].startswith(f"Value error, {complaint}")


@pytest.mark.parametrize("written", [None, ""])
def test_where_no_policy_is_written_unsafe_files_are_refused(monkeypatch: pytest.MonkeyPatch, written: str | None):
    if written is not None:
        monkeypatch.setenv("MODELKIN_UNSAFE_FILES", written)

    assert ImporterSettings().unsafe_files.of("0") is UnsafePolicy.REFUSE


@pytest.mark.parametrize(
    ("written", "hosts"),
    [("", ()), ("registry:5000", ("registry:5000",)), (" a , b:80,", ("a", "b:80"))],
)
def test_insecure_registries_are_written_with_commas_between_them(
    monkeypatch: pytest.MonkeyPatch, written: str, hosts: tuple[str, ...]
):
    monkeypatch.setenv("MODELKIN_INSECURE_REGISTRIES", written)

    assert ImporterSettings().insecure_registries == hosts


@pytest.mark.parametrize("artifacts", ["/artifacts", "s3://bucket/prefix", "obs://bucket"])
def test_the_artifact_store_is_a_folder_or_a_url(monkeypatch: pytest.MonkeyPatch, artifacts: str):
    monkeypatch.setenv("MODELKIN_ARTIFACTS", artifacts)

    assert ImporterSettings().artifacts == artifacts


def test_a_login_is_whole_or_it_is_an_error_that_names_the_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "password").write_text("  secret\n")
    monkeypatch.setenv("MODELKIN_NATS_USER", "registry")

    with pytest.raises(ValidationError) as missing:
        RegistrySettings()
    monkeypatch.setenv("MODELKIN_NATS_PASSWORD_FILE", str(tmp_path / "password"))
    settings = RegistrySettings()
    monkeypatch.setenv("MODELKIN_NATS_PASSWORD", "other")
    with pytest.raises(ValidationError) as twice:
        RegistrySettings()

    assert faults_of(missing.value) == [
        "MODELKIN_NATS_USER is set without a password: expected MODELKIN_NATS_PASSWORD or MODELKIN_NATS_PASSWORD_FILE"
    ]
    assert settings.nats.login.secret() == "secret"
    assert faults_of(twice.value) == [
        "MODELKIN_NATS_PASSWORD and MODELKIN_NATS_PASSWORD_FILE are both set: expected one of them"
    ]


def test_a_password_stands_in_no_text_of_the_settings(monkeypatch: pytest.MonkeyPatch):
    for server in ("NATS", "MONGO"):
        monkeypatch.setenv(f"MODELKIN_{server}_USER", "registry")
        monkeypatch.setenv(f"MODELKIN_{server}_PASSWORD", "hunter2")
    settings = RegistrySettings()

    assert (
        "hunter2"
        not in f"{settings} {settings!r} {settings.nats!r} {settings.mongo_login} {settings.model_dump_json()}"
    )


def test_a_user_in_the_url_has_an_inbox_of_its_own():
    place = Nats("nats://operator-0:secret@127.0.0.1:4222")

    assert Credentials(place.as_whom).inbox_prefix == "_INBOX.operator-0"
    assert Credentials(Nats("nats://127.0.0.1:4222").as_whom).inbox_prefix == "_INBOX"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://a:4222", "nats://a:4222"),
        ("nats://kim:secret@a:4222", "nats://a:4222"),
        ("kim:secret@a", "a"),
        ("nats://kim:secret@a,tls://kim:secret@b", "nats://a,tls://b"),
    ],
)
def test_what_is_secret_in_a_url_is_shown_to_nobody(url: str, shown: str):
    assert Nats(url).shown == shown
