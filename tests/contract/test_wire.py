"""What was once on the wire is still understood: one stored sample for each message and version, kept for ever.

A sample is never changed. A message that gets a new optional field gets a second sample beside the first.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from shared.contents import Contents, HuggingFaceFolder, MLflowFolder, ModelFile, Tensor, UnsafeFile
from shared.dead_letters import DeadLetter
from shared.envelope import Envelope
from shared.messages import (
    COMMANDS,
    EVENTS,
    LIVE,
    AutoLearningDeployed,
    CommandRefused,
    ImportModel,
    ImportProgressed,
    ImportRefused,
    ImportStarted,
    Message,
    ModelImported,
    ModelRegistered,
    ReleaseVersion,
    TrainingSucceeded,
    VersionAssigned,
    VersionRefused,
    message_of,
    read_json,
)
from shared.queries import (
    QUERIES,
    GetImport,
    GetLineage,
    GetModel,
    GetTemplate,
    GetVersion,
    ImportStatus,
    JobVersion,
    JobVersions,
    LineageGraph,
    LineageVersion,
    ListJobVersions,
    ListModels,
    ListTemplates,
    ListVersions,
    ModelPage,
    ModelSummary,
    Ping,
    Pong,
    Query,
    QueryFailed,
    Release,
    TemplatePage,
    VersionDetails,
    VersionPage,
    VersionSummary,
)
from shared.templates import InputRule, Template
from shared.values import (
    Base,
    Code,
    Dataset,
    Document,
    Edge,
    Fault,
    File,
    FromAutoLearning,
    FromImage,
    FromJob,
    FromStorage,
    FromTemplate,
    Image,
    Job,
    Layer,
    Package,
    Reason,
    Restriction,
    Specs,
    TemplateInput,
    Value,
)
from tests.contract import change_samples

WIRE = Path(__file__).parent / "wire"
NOON = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)
LATER = datetime(2026, 1, 5, 12, 0, 1, 500_000, tzinfo=UTC)
A, B, C, D = (f"sha256:{letter * 64}" for letter in "abcd")
JOB = Job(id="job-7", version="V001")
SOURCE = FromJob(location="file:///models/run-7", job=JOB)
RESNET = ModelSummary(workspace="0", model="resnet", versions=12, latest="1.0.0", created_at=NOON, updated_at=LATER)
CONFIG = {"model_algorithm": "image_classification", "model_type": "Image", "health": {"url": "/health"}}
IMAGE = Image(
    reference="registry.example/serve:1",
    digest=A,
    index_digest=B,
    media_type="application/vnd.oci.image.manifest.v1+json",
    platform="linux/arm64/v8",
    size_bytes=30,
    layers=(Layer(digest=C, size_bytes=10), Layer(digest=D, size_bytes=20)),
    labels={"org.opencontainers.image.title": "serve"},
    ports=("8080/tcp",),
    created="2026-01-04T00:00:00Z",
)
UNSAFE = UnsafeFile(
    path="model/model.zip!/data.pkl", verdict="dangerous", imports=("os.system",), message="calls os.system"
)
CONTENTS = Contents(
    files=(
        ModelFile(
            path="model/net.onnx",
            format="onnx",
            framework="pytorch",
            framework_version="2.6.0",
            tensor_count=2,
            parameter_count=12,
            dtypes={"float32": 2},
            inputs=(Tensor(name="x", dtype="float32", shape=("batch", 3, None)),),
            outputs=(Tensor(name="y", dtype="float32"),),
            details={"opset": 17},
        ),
        ModelFile(path="model/old.pt", format="pytorch-zip", problem="the archive is cut off"),
    ),
    hugging_face=(
        HuggingFaceFolder(
            path="model",
            model_type="bert",
            architectures=("BertModel",),
            transformers_version="5.0.0",
            torch_dtype="float32",
            config={"hidden_size": 8},
            card="model/README.md",
            licence="apache-2.0",
            base_models=("bert-base",),
            languages=("en",),
            tags=("tiny",),
        ),
    ),
    mlflow=(
        MLflowFolder(
            path="",
            mlflow_version="3.1.0",
            flavors={"sklearn": "1.7.0", "python_function": None},
            run_id="run-7",
            model_uuid="m-7",
            inputs=({"name": "x", "type": "double"},),
            outputs=({"type": "long"},),
        ),
    ),
    unsafe=(UNSAFE,),
)
SERVED = Package(digest=D, size_bytes=4, file_count=1, files=(File(path="model/config.json", digest=C, size_bytes=4),))
INPUT_RULE = InputRule(
    input_id="model_folder",
    description="the folder with the weights",
    folder="huggingface",
    must_hold=(("config.json",), ("*.safetensors", "*.bin")),
)
TEMPLATE = Template(
    id="transformers",
    name="Hugging Face transformers",
    description="Any model that transformers can load",
    engine="PyTorch",
    runtime="python3.11",
    type="general",
    environment="CPU or GPU, Python 3.11",
    inputs=(INPUT_RULE,),
    mode="undefined",
    mode_replaceable=False,
    model_algorithm="predict_analysis",
    dependencies=({"installer": "pip", "packages": [{"package_name": "transformers"}]},),
    engine_files=False,
)


def envelope(message_id: str, source: str, cause: str, time: datetime = NOON) -> Envelope:
    return Envelope(id=message_id, source=source, time=time, correlation_id="request-1", cause_id=cause)


def asked(message_id: str, source: str) -> Envelope:
    return Envelope.of_request(message_id, source, NOON)


def edge(kind: str, target: str, how: str | None = None) -> Edge:
    return Edge(source="version:0/resnet@0.1.0", kind=kind, target=target, how=how)


MESSAGE_SAMPLES: dict[str, Message] = {
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
    "TrainingSucceeded.v1.profile": TrainingSucceeded(
        envelope=asked("run-8", "trainer/a"),
        model="resnet",
        job=JOB,
        location="file:///models/run-7",
        built_in_algorithm="resnet_v1_50",
        reference=True,
        labels=("nightly", "图像"),
        description="every night",
        documents=(Document(name="paper", url="https://docs.example/resnet"),),
        deployment_types=("real-time",),
        minimum_specs=Specs(cpu=0.5, memory=2048.0, gpu=1.0, ascend=0.0),
    ),
    "AutoLearningDeployed.v1": AutoLearningDeployed(
        envelope=asked("auto-1", "auto-learning"),
        workspace="vision",
        project="花卉",
        run="V001",
        location="s3://auto/flowers/V001",
        version="0.1.0",
        labels=("auto",),
        metrics={"f1": 0.5},
    ),
    "ImportModel.v1": ImportModel(
        envelope=asked("command-1", "operator"),
        workspace="vision",
        model="resnet",
        version="1.2.3",
        source=FromStorage(location="s3://models/resnet.zip"),
        reference=True,
        description="made elsewhere",
        minimum_specs=Specs(cpu=1.0),
        bases=(Base(digest=B),),
    ),
    "ImportModel.v1.job": ImportModel(
        envelope=asked("command-2", "operator"),
        model="resnet",
        source=FromJob(location="file:///models/run-7", job=JOB, built_in_algorithm="resnet_v1_50"),
    ),
    "ImportModel.v1.template": ImportModel(
        envelope=asked("command-3", "operator"),
        model="resnet",
        source=FromTemplate(
            template="transformers",
            inputs=(
                TemplateInput(input_id="model_folder", location="file:///models/bert/model"),
                TemplateInput(input_id="code", location="file:///models/code"),
            ),
            mode="undefined",
        ),
    ),
    "ImportModel.v1.image": ImportModel(
        envelope=asked("command-4", "operator"),
        model="serve",
        source=FromImage(image="registry.example/serve:1", platform="linux/arm64/v8", config=CONFIG, probe=True),
        deployment_types=("batch", "real-time"),
    ),
    "ImportModel.v1.image-location": ImportModel(
        envelope=asked("command-5", "operator"),
        model="serve",
        source=FromImage(image=f"registry.example/serve@{A}", config_location="file:///models/serve/config.json"),
    ),
    "ReleaseVersion.v1": ReleaseVersion(
        envelope=asked("command-6", "operator"), workspace="vision", model="resnet", version="1.2.3", why="read by eye"
    ),
    "ImportStarted.v1": ImportStarted(
        envelope=envelope("start-1", "modelkin/importer", "request-1"),
        workspace="0",
        model="resnet",
        import_id="import-1",
        method="object-storage",
        engine="PyTorch",
        file_count=3,
        size_bytes=12,
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
    "ModelImported.v1.image": ModelImported(
        envelope=envelope("import-2", "modelkin/importer", "command-4"),
        workspace="0",
        model="serve",
        import_id="command-4",
        requested_by="operator",
        source=FromImage(image="registry.example/serve:1", platform="linux/arm64/v8", probe=True),
        package=SERVED,
        labels=("nightly",),
        description="serves",
        documents=(Document(name="paper", url="https://docs.example/serve"),),
        deployment_types=("real-time",),
        minimum_specs=Specs(memory=512.0),
        engine="Image",
        config=CONFIG,
        image=IMAGE,
    ),
    "ModelImported.v1.contents": ModelImported(
        envelope=envelope("import-3", "modelkin/importer", "command-1"),
        workspace="0",
        model="resnet",
        import_id="command-1",
        requested_by="operator",
        source=FromStorage(location="s3://models/resnet.zip"),
        package=SERVED.model_copy(update={"in_place": True}),
        engine="PyTorch",
        runtime="python3.11",
        config={"model_type": "PyTorch"},
        requirements=("numpy>=2.0",),
        inference_code="model/customize_service.py",
        contents=CONTENTS,
        restrictions=(Restriction.QUARANTINE,),
    ),
    "ModelImported.v1.auto-learning": ModelImported(
        envelope=envelope("import-4", "modelkin/importer", "auto-1"),
        workspace="vision",
        model="花卉_95de1506",
        import_id="95de1506-f10e-5d65-a824-0d5480213014",
        requested_by="auto-learning",
        source=FromAutoLearning(location="s3://auto/flowers/V001", project="花卉", run="V001"),
        package=SERVED,
        restrictions=(Restriction.AUTO_LEARNING, Restriction.QUARANTINE),
    ),
    "ModelImported.v1.template": ModelImported(
        envelope=envelope("import-5", "modelkin/importer", "command-3"),
        workspace="0",
        model="resnet",
        import_id="command-3",
        requested_by="operator",
        source=FromTemplate(
            template="transformers",
            inputs=(TemplateInput(input_id="model_folder", location="file:///models/bert/model"),),
        ),
        package=SERVED,
        deployment_types=("real-time",),
    ),
    "ImportRefused.v1": ImportRefused(
        envelope=envelope("refusal-1", "modelkin/importer", "request-1"),
        workspace="0",
        model="res net",
        import_id="import-1",
        reason=Reason.INVALID_NAME,
        message=("model name 'res net' (7 characters): expected 1 to 64 letters (of any script), digits, '-' or '_'"),
    ),
    "ImportRefused.v1.requested-by": ImportRefused(
        envelope=envelope("refusal-6", "modelkin/importer", "request-1"),
        workspace="0",
        model="res net",
        import_id="import-1",
        requested_by="trainer",
        reason=Reason.INVALID_NAME,
        message=("model name 'res net' (7 characters): expected 1 to 64 letters (of any script), digits, '-' or '_'"),
    ),
    "ImportRefused.v1.faults": ImportRefused(
        envelope=envelope("refusal-3", "modelkin/importer", "command-1"),
        workspace="0",
        model="resnet",
        import_id="command-1",
        reason=Reason.INVALID_CONFIG,
        message="config.json breaks 2 rules",
        faults=(
            Fault(path="$.apis[0].url", got="'/x'", expected="'/'"),
            Fault(path="$.model_type", got="nothing", expected="one of the engines"),
        ),
        unsafe=(
            UNSAFE,
            UnsafeFile(path="model/a.bin", verdict="unknown", imports=("numpy.load",), message="imports numpy.load"),
            UnsafeFile(path="model/b.pt", verdict="unreadable", message="is cut off"),
        ),
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
    "VersionAssigned.v1.origins": VersionAssigned(
        envelope=envelope("assignment-2", "modelkin/versioning", "import-message-2"),
        workspace="0",
        model="resnet",
        import_id="import-2",
        version="0.1.0",
        ordinal=1,
        package_digest=A,
        edges=(edge("made-from", "template:transformers"), edge("packaged-as", f"image:{B}")),
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
    "CommandRefused.v1": CommandRefused(
        envelope=envelope("refusal-4", "modelkin/registry", "command-6"),
        workspace="vision",
        model="resnet",
        command="modelkin.cmd.v1.version.release",
        reason=Reason.VERSION_NOT_FOUND,
        message="'resnet' has no version '1.2.3': expected one that is registered",
    ),
    "CommandRefused.v1.by": CommandRefused(
        envelope=envelope("refusal-5", "modelkin/registry", "command-6"),
        workspace="vision",
        model="resnet",
        command="modelkin.cmd.v1.version.release",
        by="operator-vision",
        reason=Reason.VERSION_NOT_FOUND,
        message="'resnet' has no version '1.2.3': expected one that is registered",
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
    "ListJobVersions.v1": ListJobVersions(
        workspace="vision", model="resnet", job="job-7", location="file:///models/job-7"
    ),
    "ListTemplates.v1": ListTemplates(type="general", engine="PyTorch", environment="CPU", word="hugging"),
    "GetTemplate.v1": GetTemplate(template="transformers"),
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
    "VersionPage.v1.methods": VersionPage(
        versions=(
            VersionSummary(
                version="0.0.9",
                registered_at=NOON,
                package_digest=A,
                size_bytes=12,
                metrics={},
                method="container-image",
                engine="Image",
                labels=("nightly",),
                restrictions=(Restriction.QUARANTINE,),
            ),
        ),
    ),
    "VersionDetails.v1.quarantined": VersionDetails(
        workspace="0",
        model="resnet",
        version="0.0.9",
        status="quarantined",
        downloadable=False,
        deployable=False,
        import_id="command-1",
        requested_by="operator",
        imported_at=NOON,
        registered_at=LATER,
        source=FromStorage(location="s3://models/resnet.zip"),
        package=SERVED,
        deployment_types=("batch",),
        engine="PyTorch",
        contents=Contents(unsafe=(UNSAFE,)),
        restrictions=(Restriction.QUARANTINE,),
    ),
    "VersionDetails.v1.released": VersionDetails(
        workspace="0",
        model="serve",
        version="0.0.9",
        release=Release(released_by="operator", why="read by eye", released_at=LATER),
        import_id="command-4",
        requested_by="operator",
        imported_at=NOON,
        registered_at=LATER,
        source=FromImage(image="registry.example/serve:1"),
        package=SERVED,
        engine="Image",
        config=CONFIG,
        image=IMAGE,
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
    "JobVersions.v1": JobVersions(
        versions=(
            JobVersion(version="V001", location="file:///models/job-7/V001", imported=True),
            JobVersion(version="V002", location="file:///models/job-7/V002", imported=False),
        )
    ),
    "TemplatePage.v1": TemplatePage(templates=(TEMPLATE,)),
    "Template.v1": TEMPLATE,
    "Pong.v1": Pong(service="registry", version="0.1.0"),
    "QueryFailed.v1": QueryFailed(error="model-not-found", message="there is no model 'bert' in workspace '0'"),
}

MESSAGE_SAMPLES |= change_samples.MESSAGES
MESSAGE_SAMPLES |= {f"{kind.__name__}.v1.actor": MESSAGE_SAMPLES[f"{kind.__name__}.v1"] for kind in COMMANDS}
# Of commands as they were first sent, without who sent them on the subject.
WITHOUT_ACTOR = frozenset(
    {
        "CollectGarbage.v1",
        "DeleteVersion.v1",
        "DeleteVersion.v1.cascade",
        "DeployVersion.v1",
        "DownloadVersion.v1",
        "EditVersion.v1",
        "ImportModel.v1",
        "ImportModel.v1.image",
        "ImportModel.v1.image-location",
        "ImportModel.v1.job",
        "ImportModel.v1.template",
        "LiftRestriction.v1",
        "MoveAlias.v1",
        "MoveAlias.v1.remove",
        "RebuildRegistry.v1",
        "RebuildVersioning.v1",
        "RecallVersion.v1",
        "ReleaseVersion.v1",
        "RollOut.v1",
        "VerifyPackage.v1",
    }
)
QUERY_SAMPLES |= change_samples.QUERIES_ASKED
REPLY_SAMPLES |= change_samples.REPLIES

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


# Words that stand on the wire and in stores: each is understood for ever. A new one is added here.
METHODS = {"training-job", "object-storage", "template", "container-image", "automatic-learning"}
EDGE_KINDS = {
    "succeeds",
    "trained-by",
    "trained-on",
    "built-from",
    "derived-from",
    "same-bytes-as",
    "packaged-as",
    "made-from",
    "deployed-as",
}
RESTRICTIONS = {"auto-learning", "quarantine", "derived-from-restricted"}
REASONS = {
    "invalid-name",
    "invalid-workspace",
    "invalid-version",
    "invalid-job",
    "invalid-base",
    "invalid-location",
    "invalid-labels",
    "invalid-description",
    "invalid-documents",
    "invalid-deployment-types",
    "invalid-specs",
    "invalid-project",
    "unsupported-scheme",
    "too-many-inputs",
    "metadata-too-large",
    "location-not-allowed",
    "location-not-found",
    "location-unreadable",
    "location-empty",
    "link-leaves-folder",
    "unsupported-file",
    "too-many-files",
    "package-too-large",
    "file-changed",
    "not-authorized",
    "unsupported-archive",
    "unsafe-archive",
    "unsafe-file",
    "model-folder-missing",
    "config-missing",
    "invalid-config",
    "more-than-one-config",
    "more-than-one-inference-code",
    "engine-file-missing",
    "more-than-one-model-file",
    "template-not-found",
    "invalid-template-input",
    "mode-not-found",
    "mode-not-replaceable",
    "invalid-image",
    "image-not-found",
    "platform-not-found",
    "unsupported-image",
    "probe-unavailable",
    "probe-failed",
    "artifact-store-full",
    "version-exists",
    "versions-exhausted",
    "base-not-found",
    "version-not-found",
    "not-quarantined",
    "base-in-other-workspace",
    "invalid-bump",
    "lineage-cycle",
    "model-not-found",
    "version-deleted",
    "version-deployed",
    "version-quarantined",
    "version-restricted",
    "not-liftable",
    "invalid-alias",
    "alias-not-found",
    "nothing-to-change",
    "invalid-service",
    "service-not-found",
    "service-of-another-model",
    "invalid-mode",
    "deployment-type-not-allowed",
    "invalid-weights",
    "version-twice",
    "kept-in-place",
    "dataset-not-found",
    "package-not-found",
    "imports-forgotten",
    "too-many-imports",
    "events-missing",
}


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


@pytest.mark.parametrize("name", MESSAGE_SAMPLES)
def test_a_message_is_understood_as_it_was_meant(name: str):
    stored = sample(name)

    event = message_of(stored["subject"], stored["headers"], body_of(name), fallback_id="EVENTS-7", fallback_time=LATER)

    assert event == MESSAGE_SAMPLES[name]
    assert type(event) is type(MESSAGE_SAMPLES[name])


@pytest.mark.parametrize("name", MESSAGE_SAMPLES)
def test_a_message_is_still_written_as_it_was(name: str):
    stored, event = sample(name), MESSAGE_SAMPLES[name]

    assert stored["subject"] == (event.place if name in WITHOUT_ACTOR else event.subject)
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


def test_every_word_that_was_once_said_is_still_understood():
    assert {*Reason} >= REASONS
    assert {*Restriction} >= RESTRICTIONS
    assert {*get_args(Edge.model_fields["kind"].annotation)} >= EDGE_KINDS


def test_a_method_has_a_sample_in_a_command_or_in_what_was_imported():
    said = {one.source.method for one in MESSAGE_SAMPLES.values() if isinstance(one, ImportModel | ModelImported)}

    assert said == METHODS


def test_every_message_has_a_sample_of_its_version():
    addressed = (*EVENTS, *COMMANDS, *LIVE, *QUERIES)
    named = {kind: f"{kind.__name__}.{kind.address.split('.')[2]}" for kind in addressed}
    replies = {f"{kind.reply.__name__}.{kind.address.split('.')[2]}" for kind in QUERIES}

    assert {*named.values(), *replies, "QueryFailed.v1", "DeadLetter.v1"} <= {path.stem for path in WIRE.iterdir()}


def test_every_stored_sample_is_tested():
    assert {path.name for path in WIRE.iterdir()} == {
        f"{name}.json" for name in (*MESSAGE_SAMPLES, *QUERY_SAMPLES, *REPLY_SAMPLES, "DeadLetter.v1")
    }


@pytest.mark.parametrize("name", [*MESSAGE_SAMPLES, *QUERY_SAMPLES, *REPLY_SAMPLES])
def test_a_field_of_a_later_release_is_ignored(name: str):
    known = (MESSAGE_SAMPLES | QUERY_SAMPLES | REPLY_SAMPLES)[name]
    extra = {"envelope": known.envelope} if isinstance(known, Message) else {}
    body = json.dumps({**sample(name)["body"], "from_a_later_release": {"x": 1}})

    assert read_json(type(known), body, **extra) == known
