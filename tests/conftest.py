"""Real servers for the tests: one MongoDB-protocol server a run, a NATS server of its own for each test that asks."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from motor.motor_asyncio import AsyncIOMotorDatabase

from modelkin.processes import Server, start_mongo, start_nats
from shared.store import Document, connect
from tests.oci import Registry, start_registry
from tests.s3 import S3Server, start_s3


@pytest.fixture(scope="session")
def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that speaks MongoDB's protocol; another one by MODELKIN_TEST_MONGO_URI."""
    given = os.environ.get("MODELKIN_TEST_MONGO_URI")
    if given:
        yield given
        return
    folder = tmp_path_factory.mktemp("mongo")
    # It lives as long as the tests. To wait for a disk at every write would take a quarter of their time.
    server = asyncio.run(start_mongo(folder / "data", folder / "mongo.log", synced=False))
    yield server.url
    server.process.stop()


@pytest.fixture
def database_name() -> str:
    return f"test_{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def database(mongo_uri: str, database_name: str) -> AsyncIterator[AsyncIOMotorDatabase[Document]]:
    """A database of the test's own."""
    client = connect(mongo_uri)
    yield client[database_name]
    await client.drop_database(database_name)
    client.close()


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[Server]:
    """A NATS server of the test's own, without streams."""
    server = await start_nats(tmp_path / "nats", tmp_path / "nats.log")
    yield server
    server.process.stop()


@pytest.fixture(scope="session")
def image_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An image registry that lets everybody in; each test has repositories of its own."""
    registry = asyncio.run(start_registry(tmp_path_factory.mktemp("images")))
    yield registry
    registry.process.stop()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server of the run; each test has buckets of its own."""
    server = asyncio.run(start_s3(tmp_path_factory.mktemp("s3")))
    yield server
    # It waits a long time for those who keep a connection.
    server.process.kill()
