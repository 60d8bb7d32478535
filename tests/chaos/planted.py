"""A service with a fault, so that the checker can be seen to find it: python -m tests.chaos.planted FAULT SERVICE.

acknowledge-first    a message is acknowledged before its decision is written; the write takes its time
no-unique-index      no index is unique
skipped-publish      every third event is decided and not said
"""

import asyncio
import importlib
import sys
from collections.abc import Callable
from enum import StrEnum
from itertools import count
from typing import Any

import pymongo
from faststream import AckPolicy

from shared import delivery

# It is killed meanwhile, however long that takes.
WRITE_TAKES_S = 3600.0
SKIPPED_EVERY = 3
FIRST_WRITE = {
    "importer": ("services.importer.store", "MongoImportStore", "decide"),
    "versioning": ("services.versioning.store", "MongoVersionStore", "decide"),
    "registry": ("services.registry.store", "MongoModelStore", "record_version"),
}


def _acknowledge_first(service: str) -> None:
    class AlwaysFirst:
        NACK_ON_ERROR = AckPolicy.ACK_FIRST

    _replace(delivery, "AckPolicy", AlwaysFirst)
    module, store, method = FIRST_WRITE[service]
    owner = getattr(importlib.import_module(module), store)
    written = getattr(owner, method)

    async def slow(*arguments: Any) -> Any:
        await asyncio.sleep(WRITE_TAKES_S)
        return await written(*arguments)

    _replace(owner, method, slow)


def _no_unique_index(_: str) -> None:
    made = pymongo.IndexModel.__init__

    def not_unique(index: pymongo.IndexModel, keys: Any, **options: Any) -> None:
        made(index, keys, **{**options, "unique": False})

    _replace(pymongo.IndexModel, "__init__", not_unique)


def _skipped_publish(_: str) -> None:
    publish = delivery.StreamedEvents.publish
    numbers = count(1)

    async def forgetful(events: delivery.StreamedEvents, event: Any) -> None:
        if next(numbers) % SKIPPED_EVERY:
            await publish(events, event)

    _replace(delivery.StreamedEvents, "publish", forgetful)


class Fault(StrEnum):
    ACKNOWLEDGE_FIRST = "acknowledge-first"
    NO_UNIQUE_INDEX = "no-unique-index"
    SKIPPED_PUBLISH = "skipped-publish"


PATCHES: dict[Fault, Callable[[str], None]] = {
    Fault.ACKNOWLEDGE_FIRST: _acknowledge_first,
    Fault.NO_UNIQUE_INDEX: _no_unique_index,
    Fault.SKIPPED_PUBLISH: _skipped_publish,
}


def _replace(owner: object, name: str, part: object) -> None:
    assert hasattr(owner, name), f"{owner} has no {name} to replace"
    setattr(owner, name, part)


def main() -> None:
    fault, service = sys.argv[1:]
    PATCHES[Fault(fault)](service)
    importlib.import_module(f"services.{service}.app").main()


if __name__ == "__main__":
    main()
