"""The registry alone: both halves of a version said by hand."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from shared.envelope import Envelope
from shared.messages import ModelImported, ModelRegistered, VersionAssigned, VersionRefused
from shared.values import Code, Dataset, File, Job, Package, Reason, Source
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
    source=Source(method="training-job", location="file:///models/a", job=Job(id="job-1", version="V001")),
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
        "import_id": "import-1",
        "requested_by": "trainer",
        "imported_at": "2026-01-02T03:04:05Z",
        "source": {
            "method": "training-job",
            "location": "file:///models/a",
            "job": {"id": "job-1", "version": "V001"},
        },
        "package": {
            "digest": DIGEST,
            "size_bytes": 3,
            "file_count": 1,
            "files": [{"path": "a.bin", "digest": DIGEST, "size_bytes": 3}],
        },
        "datasets": [{"name": "imagenet", "version": "2012", "digest": None, "location": None}],
        "code": {"repository": "git://code", "commit": "abc", "entry_point": None},
        "parameters": {"lr": 0.1, "a.b": {"$set": None}},
        "metrics": {"f1": 0.5},
        "bases": [],
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
