"""As whom a process connects, and how it knows that it speaks to the right server: users, passwords, certificates."""

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats.errors
from pydantic import SecretStr

CA_VARIABLE = "MODELKIN_TLS_CA"
EXPIRED = "its certificate has expired: 'python -m deploy.certs --renew' makes a new one for the server"


class Unusable(ValueError):
    """A file that holds no password, or no certificate."""


class NotEncrypted(nats.errors.Error):
    """A server without TLS, where TLS is wanted: no password is sent to it."""

    def __str__(self) -> str:
        return f"it offers no TLS, which {CA_VARIABLE} asks for; nothing was sent to it"


@dataclass(frozen=True, slots=True)
class Login:
    """A user of one server. A password in a file is read at every connection: a new one needs no restart."""

    user: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    ca: Path | None = None

    def secret(self) -> str:
        """Raises Unusable where the file of the password cannot be read, or is empty."""
        if self.password_file is None:
            return self.password.get_secret_value() if self.password else ""
        try:
            secret = self.password_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Unusable(f"{self.password_file} cannot be read: {_reason(error)}") from error
        if not secret:
            raise Unusable(f"{self.password_file} is empty: expected a password")
        return secret


NOBODY = Login()


class TlsContext(ssl.SSLContext):
    """A context that knows whether it has been used: nats-py goes on in the clear with a server that offers no TLS."""

    used = False

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        self.used = True
        return super().wrap_bio(*args, **options)


def trusting(ca: Path) -> TlsContext:
    """A context for servers whose certificates this CA made.

    Raises:
        Unusable: the file is not there, or holds no certificate.
    """
    logging.getLogger("asyncio").addFilter(_worth_saying)
    context = TlsContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise Unusable(f"{ca} holds no certificate that can be read: {_reason(error)}") from error
    return context


def _worth_saying(record: logging.LogRecord) -> bool:
    """Streams over TLS are warned of at each end of a connection, for what no code of ours decides."""
    return "eof_received() has no effect" not in record.getMessage()


@dataclass(slots=True)
class Credentials:
    """What one connection to NATS needs of a login; made anew for each."""

    login: Login
    tls: TlsContext | None = field(init=False)

    def __post_init__(self) -> None:
        self.tls = trusting(self.login.ca) if self.login.ca else None

    @property
    def user(self) -> str | None:
        return self.login.user

    @property
    def password(self) -> Callable[[], str] | None:
        return None if self.login.user is None else self._password

    @property
    def inbox_prefix(self) -> str:
        """Nobody may hear replies to another user."""
        return "_INBOX" if self.login.user is None else f"_INBOX.{self.login.user}"

    def check_encrypted(self) -> None:
        """Raises NotEncrypted where TLS is wanted, and there was none since this was asked last."""
        if self.tls is None:
            return
        if not self.tls.used:
            raise NotEncrypted
        self.tls.used = False

    def _password(self) -> str:
        self.check_encrypted()
        try:
            return self.login.secret()
        except Unusable as error:
            raise nats.errors.Error(str(error)) from error


def mongo_options(login: Login) -> dict[str, Any]:
    """What a client of MongoDB is given of a login."""
    options: dict[str, Any] = {}
    if login.user is not None:
        options |= {"username": login.user, "password": login.secret()}
    if login.ca is not None:
        options |= {"tls": True, "tlsCAFile": str(login.ca)}
    return options


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
