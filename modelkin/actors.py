"""In whose name a connection sends commands."""

from nats.aio.client import Client as Nats


def actor_of(connection: Nats) -> str | None:
    """The user that the connection was opened as; None where it was opened as nobody, or with something else than a password.

    Who may send commands as this user only is denied every other name by the broker.
    """
    user, password = connection.options.get("user"), connection.options.get("password")
    if user is not None and password is not None:
        return str(user() if callable(user) else user)
    url = connection.connected_url
    return None if url is None or url.password is None else url.username
