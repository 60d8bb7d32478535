"""Handlers of the importer: load, decide, store, answer. The work is in importing.py, the rules in domain.py."""

from typing import Annotated

from faststream import Context

from services.importer.importing import Importing
from services.importer.job_versions import job_versions
from services.importer.ports import ImportStore, ModelSource
from services.importer.templates.catalogue import Catalogue
from shared.messages import ImportRequest, VersionRefused
from shared.ports import Events
from shared.queries import GetTemplate, JobVersions, ListJobVersions, ListTemplates, TemplatePage
from shared.templates import Template

Store = Annotated[ImportStore, Context("store")]
Work = Annotated[Importing, Context("importing")]
Bus = Annotated[Events, Context("events")]
Models = Annotated[ModelSource, Context("source")]
Templates = Annotated[Catalogue, Context("catalogue")]


async def on_import_requested(request: ImportRequest, store: Store, importing: Work, events: Bus) -> None:
    """Import the model that a request names, once.

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


async def on_list_job_versions(query: ListJobVersions, source: Models, store: Store) -> JobVersions:
    return await job_versions(query, source, store)


async def on_list_templates(query: ListTemplates, catalogue: Templates) -> TemplatePage:
    found = catalogue.list(query.type, query.engine, query.environment, query.word)
    return TemplatePage(templates=tuple(found))


async def on_get_template(query: GetTemplate, catalogue: Templates) -> Template:
    return catalogue.get(query.template)
