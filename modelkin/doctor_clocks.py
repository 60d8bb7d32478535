"""Whether clocks agree, as far as that can be seen by asking."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Self

from modelkin.client import ASK_TIMEOUT_S, Client
from shared.queries import Finding
from shared.subjects import EVENTS_STREAM

# Events of one model are ordered by a stream, not by clocks: a second makes no difference, half a minute spoils times.
CLOCKS_AGREE_S = 1.0
CLOCKS_DIFFER_S = 30.0


class Offset(NamedTuple):
    """How far a clock is ahead of this machine's: what was asked and answered meanwhile leaves some play."""

    least_s: float
    most_s: float

    @classmethod
    def of(cls, said: datetime, asked: datetime, heard: datetime) -> Self:
        """The clock said a time between a question and its answer."""
        return cls((said - heard).total_seconds(), (said - asked).total_seconds())

    @classmethod
    async def of_server(cls, client: Client) -> Self | None:
        """The NATS server's; None where it is too old to say."""
        asked = datetime.now(UTC)
        reply = await client.connection.request(f"$JS.API.STREAM.INFO.{EVENTS_STREAM}", b"", timeout=ASK_TIMEOUT_S)
        heard = datetime.now(UTC)
        said = json.loads(reply.data).get("ts")
        return None if said is None else cls.of(datetime.fromisoformat(said), asked, heard)

    def apart_s(self, other: "Offset") -> float:
        """How far two clocks are apart at least; positive where this one is ahead."""
        if self.least_s > other.most_s:
            return self.least_s - other.most_s
        return min(self.most_s - other.least_s, 0.0)


HERE = Offset(0.0, 0.0)


def clock_finding(check: str, apart: Sequence[tuple[str, float]]) -> Finding:
    """Of one clock against others: whose, and how far ahead of it this one is at least."""
    whose, worst_s = max(apart, key=lambda one: abs(one[1]))
    if abs(worst_s) <= CLOCKS_AGREE_S:
        return Finding(check=check, message=f"agrees with {' and '.join(name for name, _ in apart)}")
    ahead = "ahead of" if worst_s > 0 else "behind"
    return Finding(
        check=check,
        level="wrong" if abs(worst_s) > CLOCKS_DIFFER_S else "warning",
        message=f"{abs(worst_s):.1f} s {ahead} {whose}",
        remedy="keep clocks by NTP: times of events come from them",
    )
