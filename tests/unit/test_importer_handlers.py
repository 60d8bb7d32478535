"""The importer's handlers: the same request is answered the same, however often and under whatever id it comes."""

import pytest

from services.importer.garbage.watch import Watch
from services.importer.handlers import on_import_requested, on_version_refused
from shared.errors import Transient
from shared.messages import ImportRefused, ImportRequest, ImportStarted, Message, ModelImported
from tests.fakes import (
    InMemoryArtifactStore,
    InMemoryGarbageStore,
    InMemoryImportStore,
    InMemoryModelSource,
    RecordingEvents,
)
from tests.importings import an_importing
from tests.samples import a_refusal, a_request, at

RUN_7 = "file:///models/run-7"


class Importer:
    """The service without its wires. Its clock goes on by a second each time it is read."""

    def __init__(self) -> None:
        self.store = InMemoryImportStore()
        self.events = RecordingEvents()
        self.packages: dict[str, dict[str, bytes]] = {RUN_7: {"weights.pt": b"hello"}}
        self._seconds = 0

    @property
    def said(self) -> list[Message]:
        """Every outcome, repeats too; not that an import was started."""
        return [event for event in self.events.said if not isinstance(event, ImportStarted)]

    @property
    def kept(self) -> list[Message]:
        return [event for event in self.events.kept.values() if not isinstance(event, ImportStarted)]

    def _now(self):
        self._seconds += 1
        return at(self._seconds)

    async def hears(self, request: ImportRequest) -> None:
        source = InMemoryModelSource(self.packages)
        importing = an_importing(source, events=self.events, now=self._now)
        watch = Watch(InMemoryGarbageStore(), InMemoryArtifactStore())
        await watch.tell()
        await on_import_requested(request, b"{}", self.store, importing, watch, self.events)


@pytest.fixture
def importer() -> Importer:
    return Importer()


async def test_a_request_is_answered_with_the_imported_model(importer: Importer):
    await importer.hears(a_request())

    [event] = importer.said
    assert isinstance(event, ModelImported)
    assert event.envelope.cause_id == "request-1"


async def test_a_redelivery_says_the_very_same_event_again(importer: Importer):
    await importer.hears(a_request())
    await importer.hears(a_request())

    first, second = importer.said
    assert first == second
    assert len(importer.kept) == 1


async def test_a_repeat_under_a_fresh_id_says_the_outcome_of_the_first(importer: Importer):
    await importer.hears(a_request("request-1"))
    await importer.hears(a_request("request-2"))

    first, second = importer.said
    assert first == second
    assert second.envelope.cause_id == "request-1"


async def test_a_repeat_is_not_read_again(importer: Importer):
    await importer.hears(a_request("request-1"))
    importer.packages.clear()
    await importer.hears(a_request("request-2"))

    assert len(importer.kept) == 1


async def test_another_run_of_the_job_is_another_import(importer: Importer):
    await importer.hears(a_request("request-1"))
    await importer.hears(a_request("request-2", job={"id": "job-7", "version": "V002"}))

    assert len(importer.kept) == 2


async def test_a_refusal_is_said_again_at_redelivery_though_it_would_work_now(importer: Importer):
    package = importer.packages.pop(RUN_7)
    await importer.hears(a_request())
    importer.packages[RUN_7] = package
    await importer.hears(a_request())

    first, second = importer.said
    assert isinstance(first, ImportRefused)
    assert first == second


async def test_what_was_refused_works_under_a_new_id_once_the_reason_is_gone(importer: Importer):
    package = importer.packages.pop(RUN_7)
    await importer.hears(a_request("request-1"))
    importer.packages[RUN_7] = package
    await importer.hears(a_request("request-2"))

    refused, imported = importer.said
    assert isinstance(refused, ImportRefused)
    assert isinstance(imported, ModelImported)
    assert imported.envelope.cause_id == "request-2"


async def test_where_publishing_fails_the_redelivery_says_what_was_decided(importer: Importer):
    class AwayAfterTheStart(RecordingEvents):
        async def publish(self, event: Message) -> None:
            await super().publish(event)
            self.away = isinstance(event, ImportStarted)

    importer.events = AwayAfterTheStart()
    with pytest.raises(Transient):
        await importer.hears(a_request())
    importer.events.away = False
    importer.packages.clear()
    await importer.hears(a_request())

    [event] = importer.said
    assert isinstance(event, ModelImported)


async def test_of_two_that_import_side_by_side_both_say_the_outcome_stored_first(importer: Importer):
    class Overtaken(InMemoryImportStore):
        """Another process decides between the look and the decision."""

        async def outcome_of(self, _: ImportRequest) -> None:
            return None

    importer.store = Overtaken()
    await importer.hears(a_request("request-1"))
    await importer.hears(a_request("request-2"))

    first, second = importer.said
    assert first == second


async def test_an_import_that_got_no_version_may_be_asked_for_again(importer: Importer):
    await importer.hears(a_request("request-1"))
    [first] = importer.said
    assert isinstance(first, ModelImported)
    await on_version_refused(a_refusal(first), importer.store)
    await importer.hears(a_request("request-2"))

    second = importer.said[-1]
    assert isinstance(second, ModelImported)
    assert second.envelope.cause_id == "request-2"
    assert second.import_id == first.import_id


async def test_after_a_refused_version_the_old_request_still_has_its_old_outcome(importer: Importer):
    await importer.hears(a_request("request-1"))
    [first] = importer.said
    assert isinstance(first, ModelImported)
    await on_version_refused(a_refusal(first), importer.store)
    await on_version_refused(a_refusal(first), importer.store)
    await importer.hears(a_request("request-1"))

    assert importer.said[-1] == first
