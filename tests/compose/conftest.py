"""One Docker engine for all that is brought up in it."""

from collections.abc import Iterator

import pytest

from tests.engine import Engine, running_engine


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with running_engine() as engine:
        yield engine
