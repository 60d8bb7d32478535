"""What a service keeps in its database, to be compared with what it kept before, or keeps elsewhere."""

import re
from collections.abc import Mapping
from typing import Any

from motor.motor_asyncio import AsyncIOMotorDatabase

Dump = dict[str, dict[Any, Mapping[str, Any]]]

# What is a set and stands as an array: in the order in which its members became known.
SETS = {"parents", "late", "restricted_by"}
# By which versions bytes were known before: in which order versions looked around is not said in events. Only a handler
# that was cut off reads it, once it is called again.
PASSING = {"before"}
_PREFIXED = re.compile(r"g(\d+)\.(.+)")


async def generation_in_use(database: AsyncIOMotorDatabase) -> int:
    """Its collections are named `g<number>.<name>`, and those of generation 0 just `<name>`."""
    current = await database["generations"].find_one({"_id": "current"})
    return int(current.get("generation") or 0) if current else 0


async def dump(database: AsyncIOMotorDatabase, generation: int | None = None) -> Dump:
    """Every document of a generation, by collection and id; of the one in use unless another is named."""
    if generation is None:
        generation = await generation_in_use(database)
    found: Dump = {}
    for full_name in sorted(await database.list_collection_names()):
        prefixed = _PREFIXED.fullmatch(full_name)
        number, name = (int(prefixed[1]), prefixed[2]) if prefixed else (0, full_name)
        if number == generation and name not in {"generations", "suspects"} and not name.startswith("system."):
            documents = {one["_id"]: _comparable(one) async for one in database[full_name].find({})}
            if documents:
                found[name] = documents
    return found


def differences(one: Dump, other: Dump) -> list[str]:
    """Each field that is not the same in both, on a line."""
    lines = []
    for name in sorted(one.keys() | other.keys()):
        here, there = one.get(name, {}), other.get(name, {})
        for key in sorted(here.keys() | there.keys(), key=str):
            left, right = here.get(key), there.get(key)
            if left is None or right is None:
                lines.append(f"{name} {key}: only in the {'second' if left is None else 'first'}")
                continue
            lines += [
                f"{name} {key} {field}: {left.get(field)!r} is {right.get(field)!r}"
                for field in sorted(left.keys() | right.keys())
                if left.get(field) != right.get(field)
            ]
    return lines


def _comparable(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: sorted(value) if name in SETS else value for name, value in document.items() if name not in PASSING}
