"""Handlers of the importer: load, decide, store, answer. The work is in importing.py, the rules in domain.py."""

from typing import Annotated

from faststream.nats import NatsMessage

from services.importer.garbage.collecting import Collecting
from services.importer.garbage.watch import Watch
from services.importer.importing import Importing
from services.importer.job_versions import job_versions
from services.importer.ports import Answers, ImportStore, ModelSource
from services.importer.reading_out import ReadingOut
from services.importer.templates.catalogue import Catalogue
from services.importer.verifying import Verifying
from shared.given import Given
from shared.messages import CollectGarbage, ImportRequest, VerifyPackage, VersionDeleted, VersionRefused
from shared.ports import Events
from shared.queries import (
    FilePage,
    GetTemplate,
    JobVersions,
    ListFiles,
    ListJobVersions,
    ListTemplates,
    ReadBytes,
    TemplatePage,
)
from shared.templates import Template

Store = Annotated[ImportStore, Given("store")]
Work = Annotated[Importing, Given("importing")]
Bus = Annotated[Events, Given("events")]
Models = Annotated[ModelSource, Given("source")]
Templates = Annotated[Catalogue, Given("catalogue")]
Imports = Annotated[Watch, Given("watch")]
Answered = Annotated[Answers, Given("answers")]
Verification = Annotated[Verifying, Given("verifying")]
Collection = Annotated[Collecting, Given("collecting")]
Reading = Annotated[ReadingOut, Given("reading")]
Body = Annotated[bytes, Given("message.body")]


async def on_import_requested(
    request: ImportRequest, body: Body, store: Store, importing: Work, watch: Imports, events: Bus
) -> None:
    """Import the model that a request names, once.

    A request that was decided before, under its own id or another's, gets the same
    outcome under the same id. Where two processes import side by side, the outcome
    that was stored first is the one that both publish.

    Raises:
        Transient: a store or NATS is away, or there is no room for it now; redelivery finds the decision or makes it.
    """
    outcome = await store.outcome_of(request)
    if outcome is None:
        async with watch.shift() as shift:
            brought = await importing.bring_in(request, shift.keep, len(body))
            shift.check()
            outcome = await store.decide(request, brought)
    await events.publish(outcome)


async def on_version_refused(refused: VersionRefused, store: Store) -> None:
    """Let the job version be imported again: it got no version, so a new request makes no second one."""
    await store.release(refused)


async def on_version_deleted(deleted: VersionDeleted, store: Store) -> None:
    """Its bytes are needed no longer by it, and the job version may be imported again."""
    await store.delete(deleted)


async def on_verify_package(command: VerifyPackage, verifying: Verification, answers: Answered, events: Bus) -> None:
    """Say which files of a package are damaged. An answer that stands is said again, without reading again."""
    answer = await answers.answer_of(command)
    if answer is None:
        answer = await answers.keep_answer(await verifying.verified(command))
    await events.publish(answer)


async def on_collect_garbage(command: CollectGarbage, collecting: Collection, answers: Answered, events: Bus) -> None:
    """Remove what no version needs. An answer that stands is said again, and nothing more is removed for it.

    Raises:
        Transient: another process collects; this command is carried out after it.
    """
    answer = await answers.answer_of(command)
    if answer is None:
        answer = await answers.keep_answer(await collecting.answered(command))
    await events.publish(answer)


async def on_list_files(query: ListFiles, reading: Reading) -> FilePage:
    return await reading.files(query)


async def on_read_bytes(query: ReadBytes, message: NatsMessage, reading: Reading) -> bytes:
    """The bytes as they are. Who asks stands in the subject, where the broker checks it."""
    *_, workspace, reader = message.raw_message.subject.split(".")
    return await reading.read(query, workspace, reader)


async def on_list_job_versions(query: ListJobVersions, source: Models, store: Store) -> JobVersions:
    return await job_versions(query, source, store)


async def on_list_templates(query: ListTemplates, catalogue: Templates) -> TemplatePage:
    found = catalogue.list(query.type, query.engine, query.environment, query.word)
    return TemplatePage(templates=tuple(found))


async def on_get_template(query: GetTemplate, catalogue: Templates) -> Template:
    return catalogue.get(query.template)
