"""Handlers of the importer: load, decide, store, answer. The work is in importing.py, the rules in domain.py."""

from typing import Annotated

from faststream import Context

from services.importer.importing import Importing
from services.importer.ports import ImportStore
from shared.messages import TrainingSucceeded, VersionRefused
from shared.ports import Events

Store = Annotated[ImportStore, Context("store")]
Work = Annotated[Importing, Context("importing")]
Bus = Annotated[Events, Context("events")]


async def on_training_succeeded(request: TrainingSucceeded, store: Store, importing: Work, events: Bus) -> None:
    """Import the model of a training job, once.

    A request that was decided before, under its own id or another's, gets the same
    outcome under the same id. Where two processes import side by side, the outcome
    that was stored first is the one that both publish.

    Raises:
        Transient: a store or NATS is away; redelivery finds the decision or makes it.
    """
    outcome = await store.outcome_of(request)
    if outcome is None:
        outcome = await store.decide(request, await importing.bring_in(request))
    await events.publish(outcome)


async def on_version_refused(refused: VersionRefused, store: Store) -> None:
    """Let the job version be imported again: it got no version, so a new request makes no second one."""
    await store.release(refused)
