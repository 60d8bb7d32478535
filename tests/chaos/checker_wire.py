"""What docs/asyncapi.json promises of every event: on which subjects there are any, and which fields each has."""

import json
from collections.abc import Mapping
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "asyncapi.json"


def _required() -> Mapping[str, frozenset[str]]:
    document = json.loads(DOCUMENT.read_bytes())
    schemas = document["components"]["schemas"]
    addresses = {name: channel.get("address") or "" for name, channel in document["channels"].items()}
    return {
        ".".join(address.split(".")[3:5]): frozenset(schemas[name].get("required", ()))
        for name, address in addresses.items()
        if address.startswith("modelkin.evt.v1.")
    }


REQUIRED: Mapping[str, frozenset[str]] = _required()
"""Kind of event → the fields that its body has in any case."""
HEADERS = frozenset({"ce-id", "ce-source", "ce-type", "ce-time", "ce-subject", "nats-msg-id"})
