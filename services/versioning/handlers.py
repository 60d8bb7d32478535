"""Handlers of versioning. Numbers and lineage are decided in the store, by the rules of domain.py."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from faststream import Context

from services.versioning.lineage import graph_around
from services.versioning.ports import VersionStore
from shared.messages import ModelImported
from shared.ports import Events
from shared.queries import GetLineage, LineageGraph

Store = Annotated[VersionStore, Context("store")]
Bus = Annotated[Events, Context("events")]
Now = Annotated[Callable[[], datetime], Context("now")]


async def on_model_imported(imported: ModelImported, store: Store, events: Bus, now: Now) -> None:
    """Assign the version, or refuse it. A redelivery says the decision that stands again, under its id."""
    await events.publish(await store.decide(imported, now()))


async def on_get_lineage(query: GetLineage, store: Store) -> LineageGraph:
    return await graph_around(query, store)
