"""Credentials for stores and registries: one file a workspace, read when it is needed.

<folder>/<workspace>.json
{
  "stores":     {"s3://bucket/prefix": {"endpoint": …, "region": …, "access_key_id": …, "secret_access_key": …}},
  "registries": {"host:port": {"username": …, "password": …} or {"token": …}}
}
"""

import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from services.importer.domain import Unacceptable
from services.importer.images.login import Login
from shared.naming import NAME_RULE, is_name
from shared.values import Reason

LARGEST_FILE_BYTES = 1024 * 1024
# What a part of a document may be called in a message: a store, or a host.
_NAMED = re.compile(r"(s3|obs|gs|az)://[\w./-]{1,80}|[\w-]{1,60}[.:][\w.:-]{1,60}")
_EXPECTED_FOLDER = "expected the folder of <workspace>.json"
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}


def _check_endpoint(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in {"http", "https"} or not url.hostname or "@" in url.netloc or url.query or url.fragment:
        raise ValueError("expected http(s)://host[:port], without a user name")
    return text.rstrip("/")


Endpoint = Annotated[str, AfterValidator(_check_endpoint)]
StoreName = Annotated[str, StringConstraints(pattern=r"^(s3|obs|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]*(/[^@]*)?$")]
Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.\[\]:_-]+$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class StoreSecret(_Part):
    """How to reach a bucket, and as whom. What is left out comes from the environment."""

    endpoint: Endpoint | None = None
    region: str | None = Field(default=None, pattern=r"^[a-z0-9-]{1,64}$")
    access_key_id: SecretStr | None = Field(default=None, description="of s3:// and obs://")
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    service_account_key: SecretStr | None = Field(default=None, description="of gs://: the JSON document as a text")
    account_name: str | None = Field(default=None, description="of az://", pattern=r"^[a-z0-9]{3,24}$")
    account_key: SecretStr | None = None
    sas_token: SecretStr | None = None

    @model_validator(mode="after")
    def _comes_in_pairs(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key come together")
        return self


class _RegistrySecret(_Part):
    username: str = ""
    password: SecretStr = SecretStr("")
    token: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if bool(self.token.get_secret_value()) == bool(self.username):
            raise ValueError("expected a username with a password, or a token")
        return self


class _Document(_Part):
    stores: dict[StoreName, StoreSecret] = Field(default_factory=dict)
    registries: dict[Host, _RegistrySecret] = Field(default_factory=dict)


class _Read(NamedTuple):
    """A file's document, and by what it is known to be the same file still."""

    stamp: tuple[int, int, int]
    document: _Document


class Secrets:
    """What the operator put down for each workspace; where that is nothing, the environment's word holds."""

    def __init__(self, folder: Path | None, environment: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self.environment = os.environ if environment is None else environment
        self._read: dict[str, _Read] = {}

    def check(self) -> None:
        """Raises ValueError where the folder is none, or may not be read: each workspace would seem to have no secrets."""
        if self._folder is not None and not os.access(self._folder, os.R_OK | os.X_OK):
            raise ValueError(f"MODELKIN_SECRETS: {self._folder} is not there, or may not be read: {_EXPECTED_FOLDER}")
        if self._folder is not None and not self._folder.is_dir():
            raise ValueError(f"MODELKIN_SECRETS: {self._folder} is a file: {_EXPECTED_FOLDER}")

    def store(self, workspace: str, location: str) -> StoreSecret | None:
        """What is said of the longest store name that the location lies in.

        Raises:
            Unacceptable: the workspace's file is wrong.
        """
        stores = self._document(workspace).stores
        names = [name for name in stores if f"{location}/".startswith(f"{name.rstrip('/')}/")]
        return stores[max(names, key=len)] if names else None

    def registry_login(self, workspace: str, host: str) -> Login | None:
        """As whom to ask an image registry; None: as nobody. Raises as `store` does."""
        secret = self._document(workspace).registries.get(host)
        if secret is None:
            return None
        password, token = secret.password.get_secret_value(), secret.token.get_secret_value()
        return Login(username=secret.username, password=password, token=token)

    def _document(self, workspace: str) -> _Document:
        if not is_name(workspace):
            raise Unacceptable(Reason.INVALID_WORKSPACE, f"workspace {workspace[:80]!r}: expected {NAME_RULE}")
        if self._folder is None:
            return _NOTHING
        path = self._folder / f"{workspace}.json"
        try:
            return self._current(workspace, path)
        except OSError as error:
            if error.errno in _ABSENT:
                return _NOTHING
            raise _wrong(path, f"cannot be read: {error.strerror}") from None

    def _current(self, workspace: str, path: Path) -> _Document:
        status = path.stat()
        stamp = status.st_ino, status.st_mtime_ns, status.st_size
        known = self._read.get(workspace)
        if known is None or known.stamp != stamp:
            known = self._read[workspace] = _Read(stamp, _parsed(path))
        return known.document


_NOTHING = _Document()
_FIELDS = {*_Document.model_fields, *StoreSecret.model_fields, *_RegistrySecret.model_fields}


def _parsed(path: Path) -> _Document:
    with path.open("rb") as file:
        content = file.read(LARGEST_FILE_BYTES + 1)
    if len(content) > LARGEST_FILE_BYTES:
        raise _wrong(path, f"has more than {LARGEST_FILE_BYTES} bytes")
    try:
        return _Document.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(_part(part) for part in first["loc"])
        what = "is no JSON document" if first["type"] == "json_invalid" else f"{where or 'it'}: {first['msg']}"
    raise _wrong(path, what)


def _part(part: int | str) -> str:
    """A name out of the file; what looks like no name might be a secret in the wrong place."""
    text = str(part)
    return text if text in _FIELDS or _NAMED.fullmatch(text) else "…"


def _wrong(path: Path, what: str) -> Unacceptable:
    return Unacceptable(Reason.NOT_AUTHORIZED, f"the secrets of the workspace are wrong: {path.name}: {what}")
