"""Files of secrets: which one holds for a place, and what is said of one that is wrong. Never what is in it."""

import json
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.importer.domain import Unacceptable
from services.importer.images.login import Login
from services.importer.secrets import Secrets
from services.importer.sources.buckets import Bucket, Place, bucket_of
from shared.values import Reason

SECRET = "wJalrXUtnFEMIbPxRfiCY"
KEYS = {"access_key_id": "AKIDX", "secret_access_key": SECRET}


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    return Secrets(tmp_path, {})


def put_down(folder: Path, document: object, workspace: str = "0") -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    (folder / f"{workspace}.json").write_text(text, encoding="utf-8")


def refusal(secrets: Secrets, workspace: str = "0") -> Unacceptable:
    with pytest.raises(Unacceptable) as caught:
        secrets.store(workspace, "s3://bucket/run")
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"
    return caught.value


@pytest.mark.parametrize(
    ("location", "endpoint"),
    [
        ("s3://bucket", "https://wide"),
        ("s3://bucket/other", "https://wide"),
        ("s3://bucket/runs", "https://narrow"),
        ("s3://bucket/runs/7", "https://narrow"),
        ("s3://bucket/runs-of-others", "https://wide"),
        ("s3://bucket-of-others/runs", None),
        ("obs://bucket/runs", None),
    ],
)
def test_the_longest_name_that_a_place_lies_in_holds(
    secrets: Secrets, tmp_path: Path, location: str, endpoint: str | None
):
    stores = {"s3://bucket": {"endpoint": "https://wide"}, "s3://bucket/runs/": {"endpoint": "https://narrow"}}
    put_down(tmp_path, {"stores": stores})

    found = secrets.store("0", location)

    assert (found and found.endpoint) == endpoint


def test_the_secrets_of_a_workspace_are_its_own(secrets: Secrets, tmp_path: Path):
    put_down(tmp_path, {"stores": {"s3://bucket": KEYS}}, "模型")

    assert secrets.store("0", "s3://bucket") is None
    assert secrets.store("模型", "s3://bucket/run") is not None


def test_without_a_folder_there_are_no_secrets():
    assert Secrets(None, {}).store("0", "s3://bucket") is None
    assert Secrets(None, {}).registry_login("0", "registry:5000") is None


def test_a_file_that_was_replaced_is_read_again(secrets: Secrets, tmp_path: Path):
    put_down(tmp_path, {"stores": {"s3://bucket": {"region": "first"}}})
    before = secrets.store("0", "s3://bucket")
    put_down(tmp_path, {"stores": {"s3://bucket": {"region": "second"}}})
    after = secrets.store("0", "s3://bucket")
    (tmp_path / "0.json").unlink()

    assert (before and before.region, after and after.region) == ("first", "second")
    assert secrets.store("0", "s3://bucket") is None


def test_a_registry_has_a_user_with_a_password_or_a_token(secrets: Secrets, tmp_path: Path):
    put_down(
        tmp_path,
        {"registries": {"registry:5000": {"username": "u", "password": SECRET}, "images.example": {"token": SECRET}}},
    )

    assert secrets.registry_login("0", "registry:5000") == Login(username="u", password=SECRET)
    assert secrets.registry_login("0", "images.example") == Login(token=SECRET)
    assert secrets.registry_login("0", "other.example") is None


@pytest.mark.parametrize("workspace", ["../0", "a/b", "", "a.b", "x" * 65])
def test_no_workspace_leads_out_of_the_folder(secrets: Secrets, workspace: str):
    assert refusal(secrets, workspace).refusal.reason is Reason.INVALID_WORKSPACE


def test_a_name_too_long_for_a_file_has_no_secrets(secrets: Secrets):
    assert secrets.store("𐐀" * 64, "s3://bucket") is None


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{", "0.json: is no JSON document"),
        (f'{{"stores": "{SECRET}', "0.json: is no JSON document"),
        ([], "0.json: it: Input should be an object"),
        (
            {"stores": {"s3://bucket": {"endpoint": SECRET}}},
            "stores.s3://bucket.endpoint: Value error, expected http(s)",
        ),
        (
            {"stores": {"s3://bucket": {"endpoint": f"https://u:{SECRET}@host"}}},
            "stores.s3://bucket.endpoint: Value error, expected http(s)",
        ),
        (
            {"stores": {"s3://bucket": {"secret_access_key": SECRET}}},
            "stores.s3://bucket: Value error, access_key_id and",
        ),
        ({"stores": {"s3://bucket": {SECRET: "x"}}}, "stores.s3://bucket.…: Extra inputs are not permitted"),
        ({"stores": {f"s3://u:{SECRET}@bucket": {}}}, "stores.….…: String should match pattern"),
        (
            {"stores": {"s3://bucket": {**KEYS, "access_key_id": 7}}},
            "stores.s3://bucket.access_key_id: Input should be",
        ),
        (
            {"registries": {"images.example": {"password": SECRET}}},
            "registries.images.example: Value error, expected a username",
        ),
        ({"registries": {"images.example": SECRET}}, "registries.images.example: Input should be an object"),
        ({SECRET: {}}, "0.json: …: Extra inputs are not permitted"),
    ],
)
def test_of_a_file_that_is_wrong_the_place_is_said_and_no_value(
    secrets: Secrets, tmp_path: Path, document: object, said: str
):
    put_down(tmp_path, document)

    refused = refusal(secrets)

    assert refused.refusal.reason is Reason.NOT_AUTHORIZED
    assert said in str(refused)
    assert str(tmp_path) not in str(refused)


def test_a_file_that_is_too_large_is_not_read(secrets: Secrets, tmp_path: Path):
    put_down(tmp_path, " " * (1024 * 1024 + 1))

    assert str(refusal(secrets)).endswith("0.json: has more than 1048576 bytes")


def test_a_folder_in_the_place_of_a_file_is_wrong(secrets: Secrets, tmp_path: Path):
    (tmp_path / "0.json").mkdir()

    assert str(refusal(secrets)).endswith("0.json: cannot be read: Is a directory")


def bucket(secrets: Secrets, location: str) -> Bucket:
    return bucket_of(Place.parse(location), secrets, "0")


def test_keys_of_a_workspace_are_not_mixed_with_the_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    environment = {
        "AWS_ACCESS_KEY_ID": "AKIDENV",
        "AWS_SECRET_ACCESS_KEY": "env",
        "AWS_SESSION_TOKEN": "env-token",
        "AWS_ENDPOINT_URL_S3": "https://env",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    put_down(tmp_path, {"stores": {"s3://mine": {**KEYS, "endpoint": "http://127.0.0.1:9"}}})
    secrets = Secrets(tmp_path)

    mine, others = bucket(secrets, "s3://mine/run"), bucket(secrets, "s3://others/run")

    assert (mine.endpoint, mine.keys) == ("http://127.0.0.1:9", ("AKIDX", SECRET, None))
    assert (others.endpoint, others.keys) == ("https://env", ("AKIDENV", "env", "env-token"))
    assert mine.client.config["endpoint_url_s3"] == "http://127.0.0.1:9"
    assert mine.client.credential_provider() == {
        "access_key_id": "AKIDX",
        "secret_access_key": SECRET,
        "token": None,
        "expires_at": None,
    }


def test_plain_http_is_allowed_where_the_endpoint_says_it_and_nowhere_else(tmp_path: Path):
    put_down(tmp_path, {"stores": {"s3://near": {**KEYS, "endpoint": "http://127.0.0.1:9"}, "s3://far": KEYS}})
    secrets = Secrets(tmp_path, {})

    assert bucket(secrets, "s3://near").client.client_options["allow_http"] == "true"
    assert "allow_http" not in bucket(secrets, "s3://far").client.client_options


def test_obs_is_s3_with_the_bucket_in_the_name_of_the_host(tmp_path: Path):
    put_down(tmp_path, {"stores": {"obs://models": KEYS}})
    secrets = Secrets(tmp_path, {"MODELKIN_OBS_ENDPOINT": "https://obs.cn-north-4.myhuaweicloud.com"})

    config = bucket(secrets, "obs://models/run").client.config

    assert config["endpoint"] == "https://models.obs.cn-north-4.myhuaweicloud.com"
    assert config["virtual_hosted_style_request"] == "true"
    assert config["region"] == "cn-north-4"
    assert config["bucket"] == "models"


def test_google_and_azure_take_their_own_secrets(tmp_path: Path):
    account = json.dumps({"client_email": "a@b", "private_key": "", "private_key_id": "", "disable_oauth": True})
    put_down(
        tmp_path,
        {
            "stores": {
                "gs://models": {"service_account_key": account},
                "az://models": {"account_name": "models", "account_key": "c2VjcmV0"},
                "az://signed": {"account_name": "models", "sas_token": "sv=1&sig=2", "endpoint": "http://127.0.0.1:9"},
            }
        },
    )
    secrets = Secrets(tmp_path, {})

    assert bucket(secrets, "gs://models/run").client.config == {"bucket": "models", "service_account_key": account}
    assert bucket(secrets, "az://models/run").client.config == {
        "container_name": "models",
        "account_name": "models",
        "account_key": "c2VjcmV0",
    }
    assert bucket(secrets, "az://signed/run").client.config["sas_key"] == "sv=1&sig=2"
    assert bucket(secrets, "az://signed/run").client.config["endpoint"] == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("s3://bucket/run", "AWS_ACCESS_KEY_ID"),
        ("obs://bucket/run", "MODELKIN_OBS_ENDPOINT"),
        ("gs://bucket/run", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("az://bucket/run", "AZURE_STORAGE_ACCOUNT_NAME"),
    ],
)
def test_a_scheme_that_nobody_configured_says_what_to_set(secrets: Secrets, location: str, name: str):
    with pytest.raises(Unacceptable) as caught:
        bucket(secrets, location)

    assert caught.value.refusal.reason is Reason.UNSUPPORTED_SCHEME
    assert f"expected {name} to be set, or secrets of the workspace" in str(caught.value)


def test_what_does_not_fit_together_is_refused_without_saying_it(tmp_path: Path):
    put_down(tmp_path, {"stores": {"gs://models": {"service_account_key": SECRET}}})

    with pytest.raises(Unacceptable) as caught:
        _ = bucket(Secrets(tmp_path, {}), "gs://models").client

    assert caught.value.refusal.reason is Reason.UNSUPPORTED_SCHEME
    assert SECRET not in str(caught.value)


def test_a_bucket_and_its_secrets_show_no_secret(tmp_path: Path):
    put_down(tmp_path, {"stores": {"s3://bucket": KEYS}})
    secrets = Secrets(tmp_path, {})

    secret = secrets.store("0", "s3://bucket")

    assert secret is not None
    assert secret.secret_access_key == SecretStr(SECRET)
    assert SECRET not in f"{bucket(secrets, 's3://bucket')!r} {secret!r} {bucket(secrets, 's3://bucket').client!r}"


@pytest.mark.parametrize(
    "location",
    [
        "s3://",
        "s3:///run",
        "s3://a",
        f"s3://AKID:{SECRET}@bucket/run",
        "s3://bucket/a//b",
        "s3://bucket/../b",
        "s3://bucket/./b",
        "s3://bucket/a\nb",
        f"s3://bucket/{'x' * 1025}",
    ],
)
def test_a_location_that_names_no_key_is_refused(location: str):
    with pytest.raises(Unacceptable) as caught:
        Place.parse(location)

    assert caught.value.refusal.reason is Reason.INVALID_LOCATION
    assert SECRET not in str(caught.value)


def test_a_key_stands_in_a_location_as_it_is():
    assert Place.parse("s3://bucket/run 7/a%20b?x=1#y/") == Place("s3", "bucket", "run 7/a%20b?x=1#y")


@pytest.fixture(autouse=True)
def _no_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_")):
            monkeypatch.delenv(name)
