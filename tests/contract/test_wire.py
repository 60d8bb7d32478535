"""What was once on the wire is still understood: one stored sample for each message and version, kept for ever.

A sample is never changed. A message that gets a new optional field gets a second sample beside the first.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.dead_letters import DeadLetter
from shared.envelope import Envelope
from shared.messages import (
    EVENTS,
    LIVE,
    Event,
    ImportProgressed,
    ImportRefused,
    ModelImported,
    ModelRegistered,
    TrainingSucceeded,
    VersionAssigned,
    VersionRefused,
    event_of,
    read_json,
)
from shared.queries import (
    QUERIES,
    GetImport,
    GetLineage,
    GetModel,
    GetVersion,
    ImportStatus,
    LineageGraph,
    LineageVersion,
    ListModels,
    ListVersions,
    ModelPage,
    ModelSummary,
    Ping,
    Pong,
    Query,
    QueryFailed,
    VersionDetails,
    VersionPage,
    VersionSummary,
)
from shared.values import Base, Code, Dataset, Edge, File, Job, Package, Reason, Source, Value

WIRE = Path(__file__).parent / "wire"
NOON = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)
LATER = datetime(2026, 1, 5, 12, 0, 1, 500_000, tzinfo=UTC)
A, B, C, D = (f"sha256:{letter * 64}" for letter in "abcd")
JOB = Job(id="job-7", version="V001")
SOURCE = Source(method="training-job", location="file:///models/run-7", job=JOB)
RESNET = ModelSummary(workspace="0", model="resnet", versions=12, latest="1.0.0", created_at=NOON, updated_at=LATER)


def envelope(message_id: str, source: str, cause: str, time: datetime = NOON) -> Envelope:
    return Envelope(id=message_id, source=source, time=time, correlation_id="request-1", cause_id=cause)


def edge(kind: str, target: str, how: str | None = None) -> Edge:
    return Edge(source="version:0/resnet@0.1.0", kind=kind, target=target, how=how)


EVENT_SAMPLES: dict[str, Event] = {
    "TrainingSucceeded.v1": TrainingSucceeded(
        envelope=Envelope(id="run 7", source="trainer/a", time=NOON, correlation_id="pipeline-9", cause_id="nightly-3"),
        workspace="vision",
        model="图像分类",
        job=JOB,
        location="file:///models/run-7",
        version="1.2.3",
        datasets=(Dataset(name="coco", version="2017", digest=D, location="s3://data/coco"), Dataset(name="mine")),
        code=Code(repository="https://git.example/vision", commit="0a1b2c3", entry_point="train.py"),
        parameters={"lr": 0.1, "layers": [64, 32], "a.b": None, "$x": {"seed": 18446744073709551616}},
        metrics={"f1": 0.75, "loss": 0.5},
        bases=(
            Base(model="resnet", version="0.0.9", relation="fine-tuned"),
            Base(digest=B, relation="adapter"),
        ),
    ),
    "TrainingSucceeded.v1.least": TrainingSucceeded(
        envelope=Envelope(id="EVENTS-7", source="unknown", time=LATER, correlation_id="EVENTS-7", cause_id=None),
        workspace="0",
        model="resnet",
        job=JOB,
        location="file:///models/run-7",
        version=None,
        datasets=(),
        code=None,
        parameters={},
        metrics={},
        bases=(),
    ),
    "ModelImported.v1": ModelImported(
        envelope=envelope("3844210e-a0f8-5b9a-bb6b-8f4266398eb2", "modelkin/importer", "request-1", LATER),
        workspace="vision",
        model="resnet",
        import_id="a58625af-5d88-52f2-b04b-2d1e831c0a20",
        requested_by="trainer/a",
        requested_version="1.2.3",
        source=SOURCE,
        package=Package(
            digest=A,
            size_bytes=12,
            file_count=2,
            files=(
                File(path="model/config.json", digest=C, size_bytes=2),
                File(path="model/weights.pt", digest=B, size_bytes=10),
            ),
        ),
        datasets=(Dataset(name="coco", version="2017"),),
        code=Code(repository="https://git.example/vision", commit="0a1b2c3"),
        parameters={"lr": 0.1},
        metrics={"f1": 0.75},
        bases=(Base(digest=B, relation="quantized"),),
    ),
    "ImportRefused.v1": ImportRefused(
        envelope=envelope("refusal-1", "modelkin/importer", "request-1"),
        workspace="0",
        model="res net",
        import_id="import-1",
        reason=Reason.INVALID_NAME,
        message=("model name 'res net' (7 characters): expected 1 to 64 letters (of any script), digits, '-' or '_'"),
    ),
    "VersionAssigned.v1": VersionAssigned(
        envelope=envelope("assignment-1", "modelkin/versioning", "import-message-1"),
        workspace="0",
        model="resnet",
        import_id="import-1",
        version="0.1.0",
        ordinal=100,
        package_digest=A,
        parameters={"lr": 0.1},
        metrics={"f1": 0.75},
        edges=(
            edge("succeeds", "version:0/resnet@0.0.99"),
            edge("trained-by", "job:0/job-7@V001"),
            edge("trained-on", "dataset:0/coco@2017"),
            edge("built-from", "code:https://git.example/vision@0a1b2c3"),
            edge("derived-from", "version:0/bert@0.0.1", "fine-tuned"),
            edge("same-bytes-as", "version:0/gpt@0.0.1"),
        ),
    ),
    "VersionRefused.v1": VersionRefused(
        envelope=envelope("refusal-2", "modelkin/versioning", "import-message-1"),
        workspace="0",
        model="resnet",
        import_id="import-1",
        reason=Reason.VERSION_EXISTS,
        message="resnet has a version 0.0.1 already: expected a number that is free",
    ),
    "ModelRegistered.v1": ModelRegistered(
        envelope=envelope("registration-1", "modelkin/registry", "assignment-1"),
        workspace="0",
        model="resnet",
        import_id="import-1",
        version="0.0.1",
        package_digest=A,
        size_bytes=12,
    ),
    "ImportProgressed.v1": ImportProgressed(
        envelope=envelope("progress-1", "modelkin/importer", "request-1"),
        workspace="0",
        model="resnet",
        import_id="import-1",
        done_bytes=64,
        total_bytes=128,
    ),
}

QUERY_SAMPLES: dict[str, Query] = {
    "ListModels.v1": ListModels(workspace="vision", after="bert", limit=50),
    "GetModel.v1": GetModel(workspace="vision", model="resnet"),
    "ListVersions.v1": ListVersions(workspace="vision", model="resnet", after="0.0.9", limit=50),
    "GetVersion.v1": GetVersion(workspace="vision", model="resnet", version="0.0.9"),
    "GetImport.v1": GetImport(import_id="import-1"),
    "GetLineage.v1": GetLineage(workspace="vision", model="resnet", version="0.0.9", depth=3),
    "Ping.v1": Ping(),
}

REPLY_SAMPLES: dict[str, Value] = {
    "ModelSummary.v1": RESNET,
    "ModelPage.v1": ModelPage(models=(RESNET,), next="resnet"),
    "VersionPage.v1": VersionPage(
        versions=(
            VersionSummary(
                version="0.0.9",
                registered_at=NOON,
                package_digest=A,
                size_bytes=12,
                metrics={"f1": 0.75},
                job="job-7@V001",
            ),
        ),
        next="0.0.9",
    ),
    "VersionDetails.v1": VersionDetails(
        workspace="0",
        model="resnet",
        version="0.0.9",
        status="published",
        import_id="import-1",
        requested_by="trainer/a",
        imported_at=NOON,
        registered_at=LATER,
        source=SOURCE,
        package=Package(
            digest=A,
            size_bytes=10,
            file_count=1,
            files=(File(path="model/weights.pt", digest=B, size_bytes=10),),
        ),
        datasets=(Dataset(name="coco", version="2017"),),
        parameters={"lr": 0.1},
        metrics={"f1": 0.75},
    ),
    "ImportStatus.v1": ImportStatus(
        import_id="import-1",
        workspace="0",
        model="resnet",
        status="failed",
        version=None,
        reason=Reason.VERSION_EXISTS,
        message="resnet has a version 0.0.1 already: expected a number that is free",
    ),
    "LineageGraph.v1": LineageGraph(
        root="version:0/resnet@0.0.9",
        versions=(
            LineageVersion(
                node="version:0/resnet@0.0.9",
                workspace="0",
                model="resnet",
                version="0.0.9",
                assigned_at=NOON,
                parameters={"lr": 0.1},
                metrics={"f1": 0.75},
            ),
        ),
        edges=(
            Edge(
                source="version:0/resnet@0.0.9",
                kind="derived-from",
                target="version:0/bert@0.0.1",
                how="holds its model/base.safetensors",
            ),
        ),
        truncated=True,
    ),
    "Pong.v1": Pong(service="registry", version="0.1.0"),
    "QueryFailed.v1": QueryFailed(error="model-not-found", message="there is no model 'bert' in workspace '0'"),
}

DEAD_LETTER = DeadLetter(
    durable="importer-on-training-succeeded",
    reason="malformed",
    message='the body is a JSON list: expected an object\n"模"',
    attempts=1,
    subject="modelkin.evt.v1.training.succeeded.0.resnet",
    message_id="request 1",
    stream="EVENTS",
    sequence=12,
)


def sample(name: str) -> dict[str, Any]:
    return json.loads((WIRE / f"{name}.json").read_text(encoding="utf-8"))


def body_of(name: str) -> bytes:
    return json.dumps(sample(name)["body"]).encode()


def says_all_of(now: object, then: object) -> bool:
    """Whether everything that stood on the wire then stands there now, with the same value; more may stand beside it."""
    match now, then:
        case dict(), dict():
            return all(name in now and says_all_of(now[name], value) for name, value in then.items())
        case list(), list():
            return len(now) == len(then) and all(map(says_all_of, now, then))
        case _:
            return type(now) is type(then) and now == then


@pytest.mark.parametrize("name", EVENT_SAMPLES)
def test_an_event_is_understood_as_it_was_meant(name: str):
    stored = sample(name)

    event = event_of(stored["subject"], stored["headers"], body_of(name), fallback_id="EVENTS-7", fallback_time=LATER)

    assert event == EVENT_SAMPLES[name]
    assert type(event) is type(EVENT_SAMPLES[name])


@pytest.mark.parametrize("name", EVENT_SAMPLES)
def test_an_event_is_still_written_as_it_was(name: str):
    stored, event = sample(name), EVENT_SAMPLES[name]

    assert event.subject == stored["subject"]
    assert says_all_of(event.headers(), stored["headers"])
    assert says_all_of(json.loads(event.body()), stored["body"])


@pytest.mark.parametrize("name", QUERY_SAMPLES)
def test_a_query_is_understood_and_written_as_it_was(name: str):
    stored, query = sample(name), QUERY_SAMPLES[name]

    assert query.address == stored["subject"]
    assert read_json(type(query), body_of(name)) == query
    assert says_all_of(json.loads(query.model_dump_json()), stored["body"])


@pytest.mark.parametrize("name", REPLY_SAMPLES)
def test_a_reply_is_understood_and_written_as_it_was(name: str):
    stored, reply = sample(name), REPLY_SAMPLES[name]

    assert read_json(type(reply), body_of(name)) == reply
    assert says_all_of(json.loads(reply.model_dump_json()), stored["body"])


def test_a_dead_letter_is_understood_and_written_as_it_was():
    stored = sample("DeadLetter.v1")

    assert DeadLetter.from_headers(stored["headers"]) == DEAD_LETTER
    own = {name: value for name, value in stored["headers"].items() if name != "ce-id"}
    assert says_all_of(DEAD_LETTER.headers(), own)


def test_every_message_has_a_sample_of_its_version():
    addressed = (*EVENTS, *LIVE, *QUERIES)
    named = {kind: f"{kind.__name__}.{kind.address.split('.')[2]}" for kind in addressed}
    replies = {f"{kind.reply.__name__}.{kind.address.split('.')[2]}" for kind in QUERIES}

    assert {*named.values(), *replies, "QueryFailed.v1", "DeadLetter.v1"} <= {path.stem for path in WIRE.iterdir()}


def test_every_stored_sample_is_tested():
    assert {path.name for path in WIRE.iterdir()} == {
        f"{name}.json" for name in (*EVENT_SAMPLES, *QUERY_SAMPLES, *REPLY_SAMPLES, "DeadLetter.v1")
    }


@pytest.mark.parametrize("name", [*EVENT_SAMPLES, *QUERY_SAMPLES, *REPLY_SAMPLES])
def test_a_field_of_a_later_release_is_ignored(name: str):
    known = (EVENT_SAMPLES | QUERY_SAMPLES | REPLY_SAMPLES)[name]
    extra = {"envelope": known.envelope} if isinstance(known, Event) else {}
    body = json.dumps({**sample(name)["body"], "from_a_later_release": {"x": 1}})

    assert read_json(type(known), body, **extra) == known
