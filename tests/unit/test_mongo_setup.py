"""What the one-shot beside MongoDB makes of its answers, which a server that is no replica set never gives."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo.errors import ConnectionFailure, OperationFailure

import deploy.mongo.setup
from deploy.mongo.setup import set_up

PASSWORDS = {"root": "r", "importer": "i", "registry": "g", "versioning": "v"}
MEMBERS = ("mongo-1:27017", "mongo-2:27017", "mongo-3:27017")


class Starting:
    """A mongod that is in no replica set yet, and answers `replSetInitiate` with an error."""

    def __init__(self, code: int) -> None:
        self.admin = self
        self._code = code

    def command(self, name: str, *_: Any, **__: Any) -> dict[str, Any]:
        if name == "hello":
            return {"isreplicaset": True}
        raise OperationFailure(f"{name} failed", self._code)


def beside(monkeypatch: pytest.MonkeyPatch, mongod: Starting) -> None:
    @contextmanager
    def client(*_: Any, **__: Any) -> Iterator[Starting]:
        yield mongod

    monkeypatch.setattr(deploy.mongo.setup, "_client", client)


def test_a_member_that_is_not_there_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    beside(monkeypatch, Starting(code=74))

    with pytest.raises(ConnectionFailure, match="replSetInitiate failed"):
        set_up(MEMBERS, PASSWORDS)


def test_a_replica_set_that_mongodb_does_not_take_is_an_error(monkeypatch: pytest.MonkeyPatch):
    beside(monkeypatch, Starting(code=93))

    with pytest.raises(OperationFailure, match="replSetInitiate failed"):
        set_up(MEMBERS, PASSWORDS)
