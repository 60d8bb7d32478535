"""Unit tests open no socket: what needs a server is tested in contract/ and integration/."""

from collections.abc import Iterator

import pytest
import pytest_socket
from hypothesis import settings

# Machines of tests are busy, so how long one example takes says nothing.
settings.register_profile("modelkin", deadline=None, max_examples=60, database=None)
settings.load_profile("modelkin")


@pytest.fixture(autouse=True)
def _no_socket() -> Iterator[None]:
    # asyncio wakes its loop through a pair of unix sockets.
    pytest_socket.disable_socket(allow_unix_socket=True)
    yield
    pytest_socket.enable_socket()
