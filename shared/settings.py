"""Settings that every service reads from the environment, once."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.connection import Nats
from shared.login import CA_VARIABLE, Login, Unusable, trusting

_PREFIX = "MODELKIN_"
_OF_LOGIN = ("USER", "PASSWORD", "PASSWORD_FILE")
LOGIN_VARIABLES = (CA_VARIABLE, *(f"{_PREFIX}{server}_{what}" for server in ("NATS", "MONGO") for what in _OF_LOGIN))


class NatsSettings(BaseSettings):
    """How NATS is reached. Each field is the variable MODELKIN_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_ignore_empty=True, frozen=True, hide_input_in_errors=True)

    nats_url: str = Field(default="nats://127.0.0.1:4222", description="where NATS listens")
    nats_user: str | None = Field(default=None, description="the user of NATS to connect as")
    nats_password: SecretStr | None = Field(default=None, description="its password")
    nats_password_file: Path | None = Field(default=None, description="a file that holds it; read at each connection")
    tls_ca: Path | None = Field(
        default=None, description="certificate of the CA of NATS and MongoDB, as PEM; given: TLS alone is spoken"
    )

    @property
    def nats(self) -> Nats:
        return Nats(self.nats_url, self._login("nats"))

    def _login(self, server: str) -> Login:
        user, password, file = (getattr(self, f"{server}_{what.lower()}") for what in _OF_LOGIN)
        return Login(user, password, file, self.tls_ca)

    @model_validator(mode="after")
    def _check_nats(self) -> Self:
        _check("MODELKIN_NATS", self._login("nats"))
        return self


class ServiceSettings(NatsSettings):
    """What every service reads."""

    mongo_uri: str = Field(default="mongodb://127.0.0.1:27017", description="where MongoDB listens")
    mongo_user: str | None = Field(default=None, description="the user of MongoDB to connect as")
    mongo_password: SecretStr | None = Field(default=None, description="its password")
    mongo_password_file: Path | None = Field(default=None, description="a file that holds it")
    mongo_database: str = Field(
        default="modelkin", description="start of the database names: each service adds its own"
    )
    stop_timeout_s: float = Field(default=15.0, gt=0, description="how long work under way may take after SIGTERM")
    log_format: Literal["console", "json"] = Field(default="console", description="for people or for machines")

    @property
    def mongo_login(self) -> Login:
        return self._login("mongo")

    @model_validator(mode="after")
    def _check_mongo(self) -> Self:
        _check("MODELKIN_MONGO", self.mongo_login)
        return self


def _check(start: str, login: Login) -> None:
    """Raises ValueError, naming the variables."""
    user, password, file = f"{start}_USER", f"{start}_PASSWORD", f"{start}_PASSWORD_FILE"
    given = login.password is not None, login.password_file is not None
    if all(given):
        raise ValueError(f"{password} and {file} are both set: expected one of them")
    if login.user is not None and not any(given):
        raise ValueError(f"{user} is set without a password: expected {password} or {file}")
    if login.user is None and any(given):
        raise ValueError(f"{password if given[0] else file} is set without {user}: expected the user's name")
    try:
        login.secret()
    except Unusable as error:
        raise ValueError(f"{file}: {error}") from error
    try:
        if login.ca is not None:
            trusting(login.ca)
    except Unusable as error:
        raise ValueError(f"{CA_VARIABLE}: {error}") from error


def faults_of(error: ValidationError) -> list[str]:
    """Each setting that is wrong, in one line that names its variable."""
    return [_fault(one["loc"], one["msg"]) for one in error.errors()]


def _fault(place: tuple[int | str, ...], message: str) -> str:
    said = message.removeprefix("Value error, ")
    return f"{_PREFIX}{'_'.join(map(str, place))}".upper() + f": {said}" if place else said
