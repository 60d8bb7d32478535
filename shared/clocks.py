"""Whether the clocks of two machines agree, as far as that can be seen by asking one of them."""

import json
from datetime import UTC, datetime
from typing import Final, NamedTuple, Self

from nats.aio.client import Client

# Events of one model are ordered by a stream, not by clocks: a second makes no difference, half a minute spoils times.
CLOCKS_AGREE_S: Final = 1.0
CLOCKS_DIFFER_S: Final = 30.0
KEEP_CLOCKS: Final = "keep clocks by NTP: times of events come from them"


class Offset(NamedTuple):
    """How far a clock is ahead of this machine's: what was asked and answered meanwhile leaves some play."""

    least_s: float
    most_s: float

    @classmethod
    def of(cls, said: datetime, asked: datetime, heard: datetime) -> Self:
        """The clock said a time between a question and its answer."""
        return cls((said - heard).total_seconds(), (said - asked).total_seconds())

    @classmethod
    async def of_nats(cls, connection: Client, question: str, timeout_s: float) -> Self | None:
        """The server's; None where it is too old to say.

        Args:
            connection: to the server.
            question: a subject of the JetStream API whose answer says when it was given.
            timeout_s: how long the server may take.

        Raises:
            one of BROKER_AWAY: it does not answer.
        """
        asked = datetime.now(UTC)
        reply = await connection.request(question, b"", timeout=timeout_s)
        heard = datetime.now(UTC)
        said = json.loads(reply.data).get("ts")
        return None if said is None else cls.of(datetime.fromisoformat(said), asked, heard)

    def apart_s(self, other: "Offset") -> float:
        """How far two clocks are apart at least; positive where this one is ahead."""
        if self.least_s > other.most_s:
            return self.least_s - other.most_s
        return min(self.most_s - other.least_s, 0.0)


HERE: Final = Offset(0.0, 0.0)


def difference(apart_s: float, whose: str) -> str | None:
    """`4.2 s behind <whose>`; None where two clocks agree well enough.

    Args:
        apart_s: how far one clock is ahead of the other at least.
        whose: the other one.
    """
    if abs(apart_s) <= CLOCKS_AGREE_S:
        return None
    return f"{abs(apart_s):.1f} s {'ahead of' if apart_s > 0 else 'behind'} {whose}"
