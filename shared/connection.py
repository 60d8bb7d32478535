"""A connection to NATS for a question or a command: made now, or not at all."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from pydantic import SecretStr

from shared.login import CA_VARIABLE, EXPIRED, NOBODY, Credentials, Login, NotEncrypted

# Everything that nats-py raises where the server is away or does not answer.
BROKER_AWAY: Final = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)
# What nats-py has of it is a text alone.
_VIOLATION = "authorization violation"
_EXPIRED = 10
GIVEN_UP_AFTER_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Nats:
    """Where NATS listens, and as whom one connects there."""

    url: str
    login: Login = NOBODY

    @property
    def as_whom(self) -> Login:
        """The user that was named, or the one that stands in the URL."""
        there = urlsplit(self.url.partition(",")[0])
        if self.login.user is not None or there.username is None or there.password is None:
            return self.login
        return replace(self.login, user=there.username, password=SecretStr(there.password))

    @property
    def shown(self) -> str:
        return shown_url(self.url)


def shown_url(url: str) -> str:
    """Each of its servers without the user name and password that may stand there."""
    return ",".join(_shown(server) for server in url.split(","))


def _shown(server: str) -> str:
    scheme, slashes, place = server.rpartition("://")
    return f"{scheme}{slashes}{place.rpartition('@')[2]}"


class NotLetIn(nats.errors.Error):
    """NATS is there, and either side does not accept the other; the message says what to do."""


@contextlib.asynccontextmanager
async def connected(place: Nats | str, name: str, **options: Any) -> AsyncIterator[Client]:
    """Connect for the time of a block, without waiting for a server that is away; to a mere URL as nobody.

    Raises:
        NotLetIn: wrong password, wrong certificate.
        one of BROKER_AWAY: nobody listens there.
    """
    connection = await opened(
        place if isinstance(place, Nats) else Nats(place),
        name=name,
        connect_timeout=5,
        # nats-py tries 60 times, two seconds apart, also where reconnecting is off.
        allow_reconnect=False,
        max_reconnect_attempts=1,
        reconnect_time_wait=0,
        **options,
    )
    try:
        yield connection
    finally:
        await connection.close()


async def opened(place: Nats, **options: Any) -> Client:
    """A connection, to be closed by who asked for it. Raises as `connected` does."""
    credentials, connection = Credentials(place.as_whom), Client()
    try:
        await connection.connect(
            place.url,
            user=credentials.user,
            password=credentials.password,
            tls=credentials.tls,
            inbox_prefix=credentials.inbox_prefix,
            **{"error_cb": _quiet, **options},
        )
        if credentials.user is None:  # else it was looked at before the password was sent
            credentials.check_encrypted()
    except asyncio.CancelledError:
        await _given_up(connection)
        raise
    except BROKER_AWAY as error:
        await _given_up(connection)
        why = why_not_let_in(error, place.as_whom)
        if why is None:
            raise
        raise NotLetIn(why) from error
    return connection


async def _given_up(connection: Client) -> None:
    """Close what was never quite open: after a TLS handshake that failed, nats-py waits for an end that does not come."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GIVEN_UP_AFTER_S):
            await connection.close()


def why_not_let_in(error: BaseException, login: Login) -> str | None:
    """What to do where one side does not accept the other; None where the server is merely away."""
    match error:
        case NotEncrypted():
            return f"{error}: is {CA_VARIABLE} meant for this server?"
        case ssl.SSLCertVerificationError():
            return _not_trusted(error, login)
        case ssl.SSLError():
            return f"no TLS with it: {error.reason or error}"
        case nats.errors.Error() if _VIOLATION in str(error).lower():
            return _wrong_password(login)
        case _:
            return None


def _not_trusted(error: ssl.SSLCertVerificationError, login: Login) -> str:
    why = error.verify_message
    if login.ca is None:
        return f"it wants TLS ({why}): set {CA_VARIABLE} to the certificate of the CA that made its own"
    if error.verify_code == _EXPIRED:
        return EXPIRED
    return f"its certificate is not accepted ({why}): is it of the CA in {CA_VARIABLE}, {login.ca}?"


def _wrong_password(login: Login) -> str:
    if login.user is None:
        return "it lets in nobody without a user: set MODELKIN_NATS_USER and MODELKIN_NATS_PASSWORD_FILE"
    source = f" in {login.password_file}" if login.password_file else ""
    return f"it does not accept the user {login.user!r} with the password{source}: is it the one that NATS was given?"


async def settle(connection: Client, timeout_s: int = 10) -> None:
    """Wait until the server has read, and answered for, everything that was sent before.

    Raises:
        one of BROKER_AWAY: it is not there, or did not answer twice in this time.
    """
    # nats-py sends the PING of a flush ahead of what still waits to be sent; what the first one waits for is sent by then.
    for _ in range(2):
        await connection.flush(timeout_s)
        if not connection.is_connected:  # then a flush waits for nothing
            raise nats.errors.ConnectionReconnectingError


async def _quiet(_: Exception) -> None:
    """Failures are raised where they matter; nats-py would print them a second time."""
