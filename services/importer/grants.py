"""Grants, as the registry knows them: asked for over NATS, remembered for some seconds."""

import time
from collections import OrderedDict
from collections.abc import Callable

from faststream.nats import NatsBroker

from shared.connection import BROKER_AWAY
from shared.errors import Refused, Transient
from shared.messages import read_json
from shared.queries import ERROR_HEADER, GetGrant, GrantDetails, QueryFailed

# So long bytes may still leave after a version was deleted or restricted.
REMEMBERED_S = 10.0
MOST_REMEMBERED = 1000
ASK_TIMEOUT_S = 5.0
# Codes that pass: the registry cannot say now.
_PASSING = {"unavailable", "internal"}


class RegistryGrants:
    """The Grants port."""

    def __init__(self, broker: NatsBroker, clock: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, GrantDetails]] = OrderedDict()

    async def get(self, grant: str) -> GrantDetails:
        known = self._known.get(grant)
        if known is None or self._clock() - known[0] > REMEMBERED_S:
            self._known.pop(grant, None)
            known = self._known[grant] = self._clock(), await self._asked(grant)
            while len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)
        return known[1]

    async def _asked(self, grant: str) -> GrantDetails:
        question = GetGrant(grant=grant).model_dump_json().encode()
        try:
            reply = await self._broker.connection.request(GetGrant.address, question, timeout=ASK_TIMEOUT_S)
        except BROKER_AWAY as error:
            raise Transient(f"the registry does not say whether a grant holds: {error!r}") from error
        if ERROR_HEADER not in (reply.headers or {}):
            return read_json(GrantDetails, reply.data)
        failure = read_json(QueryFailed, reply.data)
        if failure.error in _PASSING:
            raise Transient(f"the registry does not say whether a grant holds: {failure.message}")
        raise Refused(failure.error, failure.message)
