"""Buckets of object stores: their URLs, their clients, and what their errors mean here.

s3://bucket/key         any S3
obs://bucket/key        OBS: S3 with the bucket in the host name; the endpoint is MODELKIN_OBS_ENDPOINT
gs://bucket/key         Google Cloud Storage
az://container/key      Azure Blob Storage

A key stands in a URL as it is: nothing is escaped, and '?' and '#' are characters like others.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from obstore import exceptions
from obstore.store import AzureStore, GCSStore, S3Store

from services.importer.domain import Unacceptable
from services.importer.secrets import Secrets, StoreSecret
from services.importer.sources.limits import LONGEST_PATH_BYTES, shown_end
from shared.errors import Transient
from shared.texts import shown
from shared.values import Reason

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config, S3Credential

Client = S3Store | GCSStore | AzureStore
OBS_ENDPOINT = "MODELKIN_OBS_ENDPOINT"
# Any of them in the environment makes a scheme usable for workspaces without secrets of their own. Without one, the
# client would look for credentials in the network of a cloud, and wait.
CONFIGURED_BY = {
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_METADATA_ENDPOINT",
        "AWS_SKIP_SIGNATURE",
    ),
    "obs": (OBS_ENDPOINT,),
    "gs": (
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_PATH",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "GOOGLE_BEARER_TOKEN",
        "GOOGLE_SKIP_SIGNATURE",
    ),
    "az": ("AZURE_STORAGE_ACCOUNT_NAME",),
}
SCHEMES = tuple(CONFIGURED_BY)
# The first that is set holds. Read here, because plain http must be allowed where an endpoint says it.
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "obs": (OBS_ENDPOINT,),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_OBS_REGION = re.compile(r"obs\.([a-z0-9-]+)\.")
# A large object takes longer than any fixed time; what must not happen is that nothing comes.
_CLIENT: "ClientConfig" = {"timeout": timedelta(days=7), "connect_timeout": "5s", "read_timeout": "30s"}
_RETRY: "RetryConfig" = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}


class Place(NamedTuple):
    """What a location names: a bucket, and a key or the start of keys in it ('' for all)."""

    scheme: str
    bucket: str
    key: str

    @classmethod
    def parse(cls, location: str) -> "Place":
        """Raises Unacceptable where the location has another scheme, or no bucket, or a key that cannot be."""
        scheme, _, rest = location.partition("://")
        bucket, _, key = rest.partition("/")
        key = key.removesuffix("/")
        if scheme not in SCHEMES:
            raise Unacceptable(
                Reason.UNSUPPORTED_SCHEME, f"scheme {shown(scheme)}: expected one of {', '.join(SCHEMES)}"
            )
        if not _BUCKET.fullmatch(bucket):
            # Not said back: credentials may stand in it.
            raise Unacceptable(Reason.INVALID_LOCATION, f"expected {scheme}://bucket/key, and no credentials in it")
        if key and (set(key.split("/")) & {"", ".", ".."} or not key.isprintable() or _is_long(key)):
            expected = "printable names with one '/' between them, none of them '.' or '..'"
            raise Unacceptable(Reason.INVALID_LOCATION, f"key {shown_end(key)}: expected {expected}")
        return cls(scheme, bucket, key)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}".rstrip("/")


def _is_long(key: str) -> bool:
    return len(key.encode(errors="replace")) > LONGEST_PATH_BYTES


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket as it is seen with certain credentials. Can be pickled; its text shows no secret."""

    scheme: str
    name: str
    endpoint: str | None = None
    region: str | None = None
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    keys: tuple[str, str, str | None] | None = field(default=None, repr=False)
    """Of S3: id, secret, session token. None: what the environment says."""

    @property
    def client(self) -> Client:
        return _client(self)


def bucket_of(place: Place, secrets: Secrets, workspace: str) -> Bucket:
    """The bucket with the credentials of a workspace, or with the environment's.

    Raises:
        Unacceptable: nobody said how to reach such a bucket.
    """
    secret = secrets.store(workspace, str(place))
    return _bucket(place, secret or StoreSecret(), secrets.environment, configured=secret is not None)


def operators_bucket(place: Place, environment: Mapping[str, str]) -> Bucket:
    """The bucket with the environment's credentials. Raises as `bucket_of` does."""
    return _bucket(place, StoreSecret(), environment, configured=False)


def _bucket(place: Place, secret: StoreSecret, environment: Mapping[str, str], *, configured: bool) -> Bucket:
    names = _ENDPOINTS[place.scheme]
    endpoint = secret.endpoint or next((environment[name] for name in names if environment.get(name)), None)
    needed = CONFIGURED_BY[place.scheme]
    if not (configured or any(environment.get(name) for name in needed)) or (place.scheme == "obs" and not endpoint):
        message = f"{place.scheme}:// is not configured: expected {needed[0]} to be set, or secrets of the workspace"
        raise Unacceptable(Reason.UNSUPPORTED_SCHEME, message)
    region = secret.region
    if place.scheme == "s3":
        region = region or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    keys = _keys(secret) or _environment_keys(place.scheme, environment)
    return Bucket(place.scheme, place.bucket, endpoint, region, _options(secret), keys)


def _keys(secret: StoreSecret) -> tuple[str, str, str | None] | None:
    if secret.access_key_id is None or secret.secret_access_key is None:
        return None
    token = secret.session_token.get_secret_value() if secret.session_token else None
    return secret.access_key_id.get_secret_value(), secret.secret_access_key.get_secret_value(), token


def _environment_keys(scheme: str, environment: Mapping[str, str]) -> tuple[str, str, str | None] | None:
    key_id, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if scheme not in {"s3", "obs"} or not key_id or not secret:
        return None
    return key_id, secret, environment.get("AWS_SESSION_TOKEN") or None


def _options(secret: StoreSecret) -> tuple[tuple[str, str], ...]:
    """What gs:// and az:// take, under the names that their clients have for it."""
    named = {
        "service_account_key": secret.service_account_key,
        "account_key": secret.account_key,
        "sas_key": secret.sas_token,
    }
    options = {name: value.get_secret_value() for name, value in named.items() if value is not None}
    if secret.account_name:
        options["account_name"] = secret.account_name
    return tuple(sorted(options.items()))


class _Keys:
    """Gives keys to a client. Keys in its configuration would be mixed with a session token of the environment."""

    def __init__(self, keys: tuple[str, str, str | None]) -> None:
        self._keys = keys

    def __call__(self) -> "S3Credential":
        key_id, secret, token = self._keys
        return {"access_key_id": key_id, "secret_access_key": secret, "token": token, "expires_at": None}


@functools.lru_cache(maxsize=64)
def _client(bucket: Bucket) -> Client:
    """A client keeps its connections: one for each bucket, not for each file."""
    options: ClientConfig = {**_CLIENT}
    if bucket.endpoint is not None:
        options["allow_http"] = bucket.endpoint.startswith("http://")
    try:
        return _connected(bucket, options)
    except (exceptions.BaseError, ValueError):
        message = f"{bucket.scheme}:// is not configured as it must be: the settings or secrets do not fit together"
        raise Unacceptable(Reason.UNSUPPORTED_SCHEME, message) from None


def _connected(bucket: Bucket, options: "ClientConfig") -> Client:
    config = dict(bucket.options)
    if bucket.scheme == "gs":
        if bucket.endpoint is not None:
            config["base_url"] = bucket.endpoint
        return GCSStore(bucket.name, config=config, client_options=options, retry_config=_RETRY)  # type: ignore[arg-type]  # names are GCSConfig's
    if bucket.scheme == "az":
        if bucket.endpoint is not None:
            config["endpoint"] = bucket.endpoint
        return AzureStore(bucket.name, config=config, client_options=options, retry_config=_RETRY)  # type: ignore[arg-type]  # names are AzureConfig's
    provider = _Keys(bucket.keys) if bucket.keys else None
    return S3Store(
        bucket.name,
        config=_s3_config(bucket),
        client_options=options,
        retry_config=_RETRY,
        credential_provider=provider,
    )


def _s3_config(bucket: Bucket) -> "S3Config":
    config: S3Config = {}
    endpoint, region = bucket.endpoint, bucket.region
    if bucket.scheme == "obs" and endpoint is not None:
        url = urlsplit(endpoint)
        endpoint = f"{url.scheme}://{bucket.name}.{url.netloc}"
        config["virtual_hosted_style_request"] = True
        known = _OBS_REGION.match(url.netloc)
        region = region or (known.group(1) if known else None)
    if endpoint is not None:
        # Of the two, the client prefers the second, which the environment may hold.
        config["endpoint"] = config["aws_endpoint_url_s3"] = endpoint
    if region is not None:
        config["region"] = region
    return config


def fault_of(error: Exception, what: str) -> Exception:
    """What an error of a client means. Its own text holds URLs and answers, and goes nowhere."""
    match error:
        case FileNotFoundError():
            return Unacceptable(Reason.LOCATION_NOT_FOUND, f"{what} does not exist")
        case exceptions.PermissionDeniedError() | exceptions.UnauthenticatedError():
            return Unacceptable(Reason.NOT_AUTHORIZED, f"{what} may not be read with the credentials at hand")
        case exceptions.PreconditionError():
            return Unacceptable(Reason.FILE_CHANGED, f"{what} changed while it was read")
        case exceptions.InvalidPathError() | ValueError():
            return Unacceptable(Reason.UNSUPPORTED_FILE, f"{what} holds a key that is no printable path")
        case _:
            return Transient(f"the object store of {what} is away, or answers what cannot be understood")
