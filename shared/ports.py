"""What handlers of every service need of the outside."""

from typing import Protocol

from shared.messages import Message


class Events(Protocol):
    """Where a handler says what it decided."""

    async def publish(self, event: Message) -> None:
        """Say it; when this returns, it is kept. A copy of the same id is dropped inside the stream's window.

        Raises:
            Transient: the stream did not confirm; it may or may not be there.
        """
        ...

    async def announce(self, event: Message) -> None:
        """Say it to whoever listens now. It may be lost."""
        ...


class Pingable(Protocol):
    """A store that can say it is there."""

    async def ping(self) -> None:
        """Raises Transient where it is away."""
        ...
