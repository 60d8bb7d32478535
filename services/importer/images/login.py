"""Who the importer says it is to an image registry."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Login:
    """A user name with a password, or a token that the registry itself takes. No part of it is ever shown."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    """Sent as it is (`Authorization: Bearer`), without asking a token server."""

    def __post_init__(self) -> None:
        if bool(self.token) == bool(self.username):
            raise ValueError("a login is either a user name with a password, or a token")


LoginFor = Callable[[str, str], Login | None]
"""(workspace, host as an image reference says it) → the login to use; None: as nobody. Does not block."""


def no_login(workspace: str, host: str) -> Login | None:  # noqa: ARG001 - a LoginFor
    """Everything is asked for as nobody."""
    return None
