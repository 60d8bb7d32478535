"""Handlers of versioning. Numbers and lineage are decided in the store, by the rules of domain.py."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import structlog

from services.versioning.affected import affected_by
from services.versioning.cursors import Walks
from services.versioning.lineage import Walk, graph_around
from services.versioning.ports import LineageStore, RecallStore, VersionStore, can_exist
from services.versioning.recalling import publish_all, recall
from services.versioning.recognising import recognise
from services.versioning.telling import InOrder
from services.versioning.walks import Step
from shared.given import Given
from shared.messages import (
    DatasetRecalled,
    DeploymentReport,
    DeploymentRequested,
    ModelImported,
    RecallVersion,
    RolloutRequested,
    VersionAssigned,
    VersionDeleted,
)
from shared.ports import Events
from shared.queries import AffectedPage, GetAffected, GetLineage, LineageGraph

log = structlog.get_logger()

Store = Annotated[VersionStore, Given("store")]
Lineage = Annotated[LineageStore, Given("lineage")]
Recalls = Annotated[RecallStore, Given("recalls")]
Graphs = Annotated[Walks[Walk], Given("graphs")]
Traces = Annotated[Walks[list[Step]], Given("traces")]
Bus = Annotated[Events, Given("events")]
Tell = Annotated[InOrder, Given("in_order")]
Now = Annotated[Callable[[], datetime], Given("now")]

Change = VersionDeleted | DeploymentRequested | RolloutRequested | DeploymentReport


async def on_model_imported(
    imported: ModelImported, store: Store, lineage: Lineage, events: Bus, in_order: Tell, now: Now
) -> None:
    """Assign the version, or refuse it; then say what that changed about older ones.

    A redelivery says again what stands, under the same ids.
    """
    time = now()
    decided = await store.decide(imported, time)
    more = await recognise(imported, decided, store, lineage, time)
    if isinstance(decided.decision, VersionAssigned):
        await in_order.say(decided.decision, store)
    else:
        await events.publish(decided.decision)
    if more:
        async for page in lineage.recorded(imported.envelope.id):
            await publish_all(page, events)


async def on_change(change: Change, lineage: Lineage) -> None:
    """Keep what becomes of versions, in whatever order it is heard."""
    match change:
        case VersionDeleted():
            await lineage.delete(change)
        case DeploymentRequested() | RolloutRequested():
            await lineage.request(change)
        case DeploymentReport() if can_exist(change):
            await lineage.report(change)
        case _:
            # The registry answers for what deployers say.
            log.warning("report ignored", report=change.envelope.id, by=change.envelope.source)


async def on_recall_version(command: RecallVersion, lineage: Lineage, recalls: Recalls, events: Bus, now: Now) -> None:
    await recall(command, lineage, recalls, events, now())


async def on_dataset_recalled(
    recalled: DatasetRecalled, lineage: Lineage, recalls: Recalls, events: Bus, now: Now
) -> None:
    await recall(recalled, lineage, recalls, events, now())


async def on_get_lineage(query: GetLineage, lineage: Lineage, graphs: Graphs) -> LineageGraph:
    return await graph_around(query, lineage, graphs)


async def on_get_affected(query: GetAffected, lineage: Lineage, traces: Traces) -> AffectedPage:
    return await affected_by(query, lineage, traces)
