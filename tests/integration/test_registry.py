"""The registry alone: both halves of a version said by hand."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from shared.envelope import Envelope
from shared.messages import (
    CommandRefused,
    ModelImported,
    ModelRegistered,
    ReleaseVersion,
    VersionAssigned,
    VersionRefused,
    VersionReleased,
)
from shared.values import Code, Dataset, File, FromJob, Job, Package, Reason, Restriction
from tests.integration.registering import forget
from tests.integration.system import System

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DIGEST = f"sha256:{'1' * 64}"
REQUEST = Envelope(id="request", source="trainer", time=WHEN, correlation_id="request")
IMPORTED = ModelImported(
    envelope=REQUEST.of_answer("imported", "modelkin/importer", WHEN),
    workspace="vision",
    model="resnet50",
    import_id="import-1",
    requested_by="trainer",
    source=FromJob(location="file:///models/a", job=Job(id="job-1", version="V001")),
    package=Package(
        digest=DIGEST, size_bytes=3, file_count=1, files=(File(path="a.bin", digest=DIGEST, size_bytes=3),)
    ),
    datasets=(Dataset(name="imagenet", version="2012"),),
    code=Code(repository="git://code", commit="abc"),
    parameters={"lr": 0.1, "a.b": {"$set": None}},
    metrics={"f1": 0.5},
)
ASSIGNED = IMPORTED.answer(
    VersionAssigned, WHEN, import_id="import-1", version="1.2.3", ordinal=4, package_digest=DIGEST
)
REFUSED = IMPORTED.answer(
    VersionRefused, WHEN, import_id="import-1", reason=Reason.VERSION_EXISTS, message="1.2.3 is there"
)
SUSPECT = IMPORTED.model_copy(update={"restrictions": (Restriction.QUARANTINE,)})
GET = {"workspace": "vision", "model": "resnet50"}


@pytest.fixture
async def registry(bare_system: System) -> System:
    """The registry runs, alone."""
    await bare_system.start("registry")
    return bare_system


@pytest.mark.parametrize("halves", [(IMPORTED, ASSIGNED), (ASSIGNED, IMPORTED)], ids=["in order", "number first"])
async def test_either_half_may_come_first_and_the_version_is_the_same(registry: System, halves: tuple):
    for half in halves:
        assert (await registry.ask("modelkin.qry.v1.version.get", GET))["error"] == "model-not-found"
        await registry.say(half)
        await registry.quiet()

    details = await registry.ask("modelkin.qry.v1.version.get", GET)
    model = await registry.ask("modelkin.qry.v1.model.get", GET)
    registered = await registry.all_of(ModelRegistered)
    assert details.pop("registered_at") == model["created_at"] == model["updated_at"]
    assert details == {
        "workspace": "vision",
        "model": "resnet50",
        "version": "1.2.3",
        "status": "published",
        "downloadable": True,
        "deployable": True,
        "release": None,
        "restricted_by": [],
        "lift": None,
        "deletion": None,
        "aliases": [],
        "services": [],
        "import_id": "import-1",
        "requested_by": "trainer",
        "imported_at": "2026-01-02T03:04:05Z",
        "source": {
            "method": "training-job",
            "location": "file:///models/a",
            "job": {"id": "job-1", "version": "V001"},
            "built_in_algorithm": None,
        },
        "package": {
            "digest": DIGEST,
            "size_bytes": 3,
            "file_count": 1,
            "in_place": False,
            "files": [{"path": "a.bin", "digest": DIGEST, "size_bytes": 3}],
        },
        "datasets": [{"name": "imagenet", "version": "2012", "digest": None, "location": None}],
        "code": {"repository": "git://code", "commit": "abc", "entry_point": None},
        "parameters": {"lr": 0.1, "a.b": {"$set": None}},
        "metrics": {"f1": 0.5},
        "bases": [],
        "labels": [],
        "description": "",
        "documents": [],
        "deployment_types": ["real-time", "batch"],
        "minimum_specs": None,
        "engine": None,
        "runtime": None,
        "config": None,
        "requirements": [],
        "inference_code": None,
        "image": None,
        "contents": {"files": [], "hugging_face": [], "mlflow": [], "unsafe": []},
        "restrictions": [],
    }
    assert (model["versions"], model["latest"]) == (4, "1.2.3")
    assert [(one.version, one.envelope.cause_id) for one in registered] == [("1.2.3", ASSIGNED.envelope.id)]
    assert UUID(registered[0].envelope.id).version == 5  # it derives from the cause: no clock, no chance


async def test_an_import_without_a_number_is_publishing(registry: System):
    await registry.say(IMPORTED)
    await registry.quiet()

    status = await registry.ask("modelkin.qry.v1.import.get", {"import_id": "import-1"})
    assert (status["status"], status["version"]) == ("publishing", None)


@pytest.mark.parametrize("halves", [(IMPORTED, REFUSED), (REFUSED, IMPORTED)], ids=["in order", "refusal first"])
async def test_an_import_whose_number_was_refused_has_failed_in_either_order(registry: System, halves: tuple):
    for half in halves:
        await registry.say(half)
        await registry.quiet()

    status = await registry.ask("modelkin.qry.v1.import.get", {"import_id": "import-1"})
    assert (status["status"], status["reason"], status["message"]) == ("failed", "version-exists", "1.2.3 is there")
    assert await registry.all_of(ModelRegistered) == []
    assert (await registry.ask("modelkin.qry.v1.version.get", GET))["error"] == "model-not-found"


def release(command_id: str, **changes: str) -> ReleaseVersion:
    envelope = Envelope.of_request(command_id, "operator", WHEN)
    about = {"workspace": "vision", "model": "resnet50", "version": "1.2.3", "why": "read by eye"}
    return ReleaseVersion(envelope=envelope, **{**about, **changes})


async def test_a_version_in_quarantine_is_released_by_a_command_and_says_so(registry: System):
    await registry.say(SUSPECT)
    await registry.say(ASSIGNED)
    await registry.quiet()
    before = await registry.ask("modelkin.qry.v1.version.get", GET)

    await registry.say(release("command-1"))
    released = await registry.hear(VersionReleased)

    after = await registry.ask("modelkin.qry.v1.version.get", GET)
    assert (before["status"], before["downloadable"], before["deployable"]) == ("quarantined", False, False)
    assert (after["status"], after["downloadable"], after["deployable"]) == ("published", True, True)
    assert (before["restrictions"], after["restrictions"]) == (["quarantine"], [])
    assert (released.version, released.by, released.why) == ("1.2.3", "operator", "read by eye")
    assert released.envelope.cause_id == "command-1"
    assert after["release"]["why"] == "read by eye"


async def test_a_command_that_cannot_be_done_is_answered_with_a_refusal(registry: System):
    await registry.say(IMPORTED)
    await registry.say(ASSIGNED)
    await registry.quiet()

    await registry.say(release("command-1"))
    await registry.say(release("command-2", version="9.9.9"))
    await registry.say(release("command-3", model="no name"))
    await registry.hear(CommandRefused, count=3)

    refused = {one.envelope.cause_id: one for one in await registry.all_of(CommandRefused)}
    assert {command_id: one.reason for command_id, one in refused.items()} == {
        "command-1": Reason.NOT_QUARANTINED,
        "command-2": Reason.VERSION_NOT_FOUND,
        "command-3": Reason.INVALID_NAME,
    }
    assert refused["command-3"].subject == "modelkin.evt.v1.command.refused.vision.~"
    assert await registry.all_of(VersionReleased) == []
    assert await registry.dead_letters() == []


async def test_a_registry_that_starts_again_remembers_a_release_and_says_it_once(registry: System):
    await registry.say(SUSPECT)
    await registry.say(ASSIGNED)
    await registry.quiet()
    await registry.say(release("command-1"))
    await registry.hear(VersionReleased)
    await registry.quiet()

    await registry.restart("registry")
    await registry.say(release("command-1"))
    await registry.say(release("command-2"))
    await registry.hear(CommandRefused)

    assert [one.envelope.cause_id for one in await registry.all_of(VersionReleased)] == ["command-1"]
    assert [one.envelope.cause_id for one in await registry.all_of(CommandRefused)] == ["command-2"]
    assert (await registry.ask("modelkin.qry.v1.version.get", GET))["status"] == "published"


async def test_a_registry_that_lost_its_database_knows_of_releases_again_from_the_stream(registry: System):
    await registry.say(SUSPECT)
    await registry.say(ASSIGNED)
    await registry.quiet()
    await registry.say(release("command-1"))
    await registry.hear(VersionReleased)
    await registry.quiet()
    before = await registry.ask("modelkin.qry.v1.version.get", GET)

    await forget(registry)
    await registry.start("registry")
    await registry.quiet()

    assert await registry.ask("modelkin.qry.v1.version.get", GET) == before
    assert before["release"] is not None
    assert await registry.all_of(CommandRefused) == []


async def test_a_command_that_cannot_be_read_is_set_aside(registry: System):
    subject = "modelkin.cmd.v1.version.release.vision.resnet50"
    await registry.client.jetstream().publish(subject, b'{"model": "resnet50"}')

    letter, _ = await registry.dead_letter()

    assert (letter.durable, letter.reason, letter.stream) == ("registry-on-commands", "malformed", "COMMANDS")
    assert letter.message.startswith("not a ReleaseVersion: why: Field required; version: Field required")
