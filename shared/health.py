"""The one question that every service answers: are you there, and do you reach your store?"""

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Annotated

from shared.given import Given
from shared.ports import Pingable
from shared.queries import Ping, Pong


def ping_handler(service: str) -> Callable[..., Awaitable[Pong]]:
    """The handler of `Ping` for one service."""

    async def on_ping(_: Ping, store: Annotated[Pingable, Given("store")]) -> Pong:
        await store.ping()
        return Pong(service=service, version=version("modelkin"))

    return on_ping
