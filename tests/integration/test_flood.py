"""Far more requests at once than can be handled: the stream holds them, no process does."""

from pathlib import Path

import pytest

from shared.queries import SERVICES
from tests.bench.flood import flood
from tests.bench.machine import MB

# `python -m tests.bench flood --requests 100000` does the same for longer.
REQUESTS = 2000
# From measuring 100 to 5,000 requests: what a process takes on first use, and none of it again.
ROOM_BYTES = 60 * MB
GROWTH_BYTES = 20 * MB


@pytest.mark.timeout(400)
async def test_a_flood_is_answered_and_no_service_grows_with_it(tmp_path: Path):
    went = await flood(tmp_path, REQUESTS)

    for service in SERVICES:
        assert went.peak_bytes(service) < went.usages[service][0].resident_bytes + ROOM_BYTES, service
        assert went.growth_bytes(service) < GROWTH_BYTES, service
