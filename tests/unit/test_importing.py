"""One import from start to end, over packages and an artifact store in memory."""

import errno
import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import pytest

from services.importer.artifacts.folder import ArtifactFolder
from services.importer.domain import Unacceptable
from services.importer.importing import Importing
from services.importer.ports import Blob
from services.importer.sources.folders import LocalFolders
from services.importer.sources.limits import Limits
from services.importer.sources.spool import Spool
from shared.contents import Contents, ModelFile
from shared.errors import Transient
from shared.messages import ImportProgressed, ImportRefused, ImportStarted, ModelImported
from shared.values import Base, Code, Dataset, File, FromJob, Job, Package, Reason
from tests.fakes import InMemoryArtifactStore, InMemoryModelSource, RecordingEvents
from tests.importings import an_importing
from tests.samples import NOON, a_request, at, digest, noon

RUN_7 = "file:///models/run-7"
# sha256sum of "hello", of "{}", and of the manifest of a package that holds both.
HELLO = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
BRACES = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
MANIFEST = (
    '{"files":['
    f'{{"digest":"{HELLO}","path":"model/weights.pt","size_bytes":5}},'
    f'{{"digest":"{BRACES}","path":"notes.json","size_bytes":2}}'
    '],"schema":"modelkin.manifest.v1"}'
)
MANIFEST_DIGEST = "sha256:a4d2ed0d2bcdaa2e6d67fc49ff8e6add69068c0519619bff3a86a6749bdb3be2"


class BrokenStore:
    """An ArtifactStore that fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def put(self, *_: object) -> Blob:
        raise self._error


def ticking(*times: datetime) -> Callable[[], datetime]:
    """A clock that says these times, then the last one for ever."""
    left = iter(times)
    return lambda: next(left, times[-1])


def importing_of(
    files: Mapping[str, bytes],
    artifacts: InMemoryArtifactStore | BrokenStore | None = None,
    events: RecordingEvents | None = None,
    now: Callable[[], datetime] = noon,
) -> Importing:
    """Ready to import from RUN_7."""
    return an_importing(InMemoryModelSource({RUN_7: files}), artifacts, events, now)


def local(root: Path) -> LocalFolders:
    return LocalFolders([root], Limits(max_files=5, max_package_bytes=1000), Spool(root / "spool"))


TWO_FILES = {"notes.json": b"{}", "model/weights.pt": b"hello"}


async def test_a_package_is_copied_and_said_to_be_imported():
    outcome = await importing_of(TWO_FILES).bring_in(a_request())

    assert outcome == ModelImported(
        envelope=a_request().envelope.of_answer("modelkin.evt.v1.model.imported", "modelkin/importer", NOON),
        workspace="0",
        model="resnet",
        import_id="a58625af-5d88-52f2-b04b-2d1e831c0a20",
        requested_by="trainer",
        requested_version=None,
        source=FromJob(location=RUN_7, job=Job(id="job-7", version="V001"), built_in_algorithm="resnet_v1_50"),
        deployment_types=("real-time", "batch"),
        package=Package(
            digest=MANIFEST_DIGEST,
            size_bytes=7,
            file_count=2,
            files=(
                File(path="model/weights.pt", digest=HELLO, size_bytes=5),
                File(path="notes.json", digest=BRACES, size_bytes=2),
            ),
        ),
        contents=Contents(
            files=(
                ModelFile(
                    path="model/weights.pt", format="pytorch", problem="expected a zip archive or a pickle of PyTorch"
                ),
            ),
        ),
    )


async def test_the_files_and_their_manifest_are_kept():
    artifacts = InMemoryArtifactStore()

    await importing_of(TWO_FILES, artifacts).bring_in(a_request())

    assert artifacts.blobs == {HELLO: b"hello", BRACES: b"{}", MANIFEST_DIGEST: MANIFEST.encode()}


async def test_everything_that_the_request_says_of_the_model_is_said_again():
    request = a_request(
        datasets=[Dataset(name="coco", version="2017")],
        code=Code(repository="https://git.example/resnet", commit="abc123"),
        parameters={"a.b": 1, "$x": [None]},
        metrics={"f1": 0.75},
        bases=[Base(digest=digest("b"), relation="quantized")],
        version="1.0.0",
    )

    outcome = await importing_of(TWO_FILES).bring_in(request)

    assert isinstance(outcome, ModelImported)
    assert outcome.datasets == (Dataset(name="coco", version="2017"),)
    assert outcome.code == Code(repository="https://git.example/resnet", commit="abc123")
    assert outcome.parameters == {"a.b": 1, "$x": [None]}
    assert outcome.metrics == {"f1": 0.75}
    assert outcome.bases == (Base(digest=digest("b"), relation="quantized"),)
    assert outcome.requested_version == "1.0.0"


async def test_importing_twice_says_the_same_and_keeps_the_bytes_once():
    artifacts = InMemoryArtifactStore()
    importing = importing_of(TWO_FILES, artifacts)

    first, second = await importing.bring_in(a_request()), await importing.bring_in(a_request())

    assert first == second
    assert len(artifacts.blobs) == 3


async def test_two_names_for_the_same_bytes_are_two_files_of_one_blob():
    artifacts = InMemoryArtifactStore()

    outcome = await importing_of({"a.pt": b"hello", "b.pt": b"hello"}, artifacts).bring_in(a_request())

    assert isinstance(outcome, ModelImported)
    assert [(file.path, file.digest) for file in outcome.package.files] == [("a.pt", HELLO), ("b.pt", HELLO)]
    assert len(artifacts.blobs) == 2


async def test_a_request_that_breaks_a_rule_is_refused_before_anything_is_read():
    artifacts = InMemoryArtifactStore()

    outcome = await importing_of(TWO_FILES, artifacts).bring_in(a_request(model="res net"))

    assert isinstance(outcome, ImportRefused)
    assert outcome.reason is Reason.INVALID_NAME
    assert outcome.message.startswith("model name 'res net' (7 characters): expected 1 to 64 letters")
    assert outcome.subject == "modelkin.evt.v1.import.refused.0.~"
    assert artifacts.blobs == {}


@pytest.mark.parametrize("algorithm", ["", "x" * 129, "resnet\x1b[31m"])
async def test_a_built_in_algorithm_has_a_name_that_can_be_shown(algorithm: str):
    artifacts = InMemoryArtifactStore()

    outcome = await importing_of(TWO_FILES, artifacts).bring_in(a_request(built_in_algorithm=algorithm))

    assert isinstance(outcome, ImportRefused)
    assert outcome.reason is Reason.INVALID_JOB
    assert "built-in algorithm" in outcome.message
    assert artifacts.blobs == {}


async def test_the_query_of_a_presigned_url_is_not_said_again():
    signed = "https://models.example/a.zip?X-Amz-Signature=sesame"
    importing = an_importing(InMemoryModelSource({signed: TWO_FILES}))

    outcome = await importing.bring_in(a_request(location=signed))

    assert isinstance(outcome, ModelImported)
    assert outcome.source.location == "https://models.example/a.zip?…"
    assert "sesame" not in outcome.body()


async def test_a_question_mark_in_a_file_s_name_is_part_of_where_it_came_from():
    location = "file:///models/what?"
    importing = an_importing(InMemoryModelSource({location: TWO_FILES}))

    outcome = await importing.bring_in(a_request(location=location))

    assert isinstance(outcome, ModelImported)
    assert outcome.source.location == location


async def test_a_package_that_is_not_there_is_refused_with_what_was_wrong():
    outcome = await importing_of(TWO_FILES).bring_in(a_request(location="file:///models/run-8"))

    assert isinstance(outcome, ImportRefused)
    assert (outcome.reason, outcome.message) == (Reason.LOCATION_NOT_FOUND, "file:///models/run-8 does not exist")
    assert outcome.import_id == "a58625af-5d88-52f2-b04b-2d1e831c0a20"
    assert outcome.envelope.cause_id == "request-1"


async def test_a_store_that_is_full_refuses():
    full = BrokenStore(Unacceptable(Reason.ARTIFACT_STORE_FULL, "full"))

    outcome = await importing_of(TWO_FILES, full).bring_in(a_request())

    assert isinstance(outcome, ImportRefused)
    assert (outcome.reason, outcome.message) == (Reason.ARTIFACT_STORE_FULL, "full")


async def test_a_store_that_is_away_decides_nothing():
    with pytest.raises(Transient, match="away"):
        await importing_of(TWO_FILES, BrokenStore(Transient("away"))).bring_in(a_request())


async def test_a_refusal_of_an_endless_name_is_short():
    outcome = await importing_of(TWO_FILES).bring_in(a_request(model="x" * 100_000, workspace="y" * 100_000))

    assert isinstance(outcome, ImportRefused)
    assert (outcome.model, outcome.workspace) == ("x" * 100, "y" * 100)
    assert len(outcome.body()) < 1000


@pytest.mark.parametrize(
    "location", ["gopher:" + "\x7f" * 250_000, "file://" + "\x7f" * 250_000, "file:///" + "x" * 250_000]
)
async def test_a_refusal_of_an_endless_location_is_short(tmp_path: Path, location: str):
    importing = an_importing(local(tmp_path))

    outcome = await importing.bring_in(a_request(location=location))

    assert isinstance(outcome, ImportRefused)
    assert outcome.reason is Reason.INVALID_LOCATION
    assert len(outcome.body()) < 1000
    assert ImportRefused.read(outcome.body(), outcome.envelope) == outcome


async def test_a_model_of_which_more_is_told_than_events_hold_is_refused():
    request = a_request(parameters={"note": "x" * 261_000})
    files = {f"{'模' * 340}{number:04}": b"" for number in range(256)}
    more = {f"{'模' * 1000}{number:05}": b"" for number in range(256)}

    fitting = await importing_of(files).bring_in(request)
    too_large = await importing_of(more).bring_in(request)

    assert isinstance(fitting, ModelImported)
    assert ModelImported.read(fitting.body().encode(), fitting.envelope) == fitting
    assert isinstance(too_large, ImportRefused)
    assert too_large.reason is Reason.METADATA_TOO_LARGE
    assert too_large.message.endswith(" bytes: expected at most 786432")


async def test_a_quick_import_tells_no_progress():
    events = RecordingEvents()

    await importing_of(TWO_FILES, events=events).bring_in(a_request())

    assert events.announced == []


async def test_a_slow_import_tells_every_half_second_how_far_it_is():
    events = RecordingEvents()
    files = {"a": b"12345", "b": b"123", "c": b"12", "d": b"1"}
    clock = ticking(NOON, NOON, at(0.4), at(0.5), at(0.9), at(1.0), at(1.1))

    outcome = await importing_of(files, events=events, now=clock).bring_in(a_request())

    assert isinstance(outcome, ModelImported)
    assert [(told.done_bytes, told.total_bytes) for told in progress_of(events)] == [(8, 11), (11, 11)]
    assert [told.envelope.time for told in progress_of(events)] == [at(0.5), at(1.0)]
    assert {told.import_id for told in progress_of(events)} == {outcome.import_id}
    assert [type(event) for event in events.said] == [ImportStarted]


def progress_of(events: RecordingEvents) -> list[ImportProgressed]:
    return [event for event in events.announced if isinstance(event, ImportProgressed)]


def open_below(folder: Path) -> list[str]:
    """The files of a folder that this process has open."""
    links = (os.path.realpath(entry) for entry in Path("/proc/self/fd").iterdir())
    return [path for path in links if path.startswith(os.fspath(folder))]


async def test_over_real_folders_bytes_arrive_and_no_file_stays_open(tmp_path: Path):
    run, store = tmp_path / "run-7", ArtifactFolder(tmp_path / "artifacts")
    (run / "model").mkdir(parents=True)
    (run / "model" / "weights.pt").write_bytes(b"hello")
    (run / "notes.json").write_bytes(b"{}")
    await store.prepare()
    importing = an_importing(local(tmp_path), store)

    outcome = await importing.bring_in(a_request(location=run.as_uri()))

    assert isinstance(outcome, ModelImported)
    assert outcome.package.digest == MANIFEST_DIGEST
    assert store.path_of(MANIFEST_DIGEST).read_text() == MANIFEST
    assert store.path_of(HELLO).read_bytes() == b"hello"
    assert open_below(tmp_path) == []


async def test_a_file_that_goes_while_others_are_copied_refuses_the_import(tmp_path: Path):
    class Vanishing(InMemoryArtifactStore):
        async def put(self, content: BinaryIO, progress: Callable[[int], Awaitable[None]]) -> Blob:
            (tmp_path / "run-7" / "b").unlink(missing_ok=True)
            return await super().put(content, progress)

    (tmp_path / "run-7").mkdir()
    for name in ("a", "b"):
        (tmp_path / "run-7" / name).write_bytes(b"hello")
    importing = an_importing(local(tmp_path), Vanishing())

    outcome = await importing.bring_in(a_request(location=(tmp_path / "run-7").as_uri()))

    assert isinstance(outcome, ImportRefused)
    assert outcome.message == f"'b' cannot be read: {os.strerror(errno.ENOENT)}"
