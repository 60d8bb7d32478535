"""Samples of what is said once a version is there: changes, deployments, recalls, bytes, and the questions about them."""

from datetime import UTC, datetime

from shared.envelope import Envelope
from shared.messages import (
    AliasMoved,
    ArtifactCorrupted,
    CollectGarbage,
    DatasetRecalled,
    DeadLetterAdded,
    DeadLetterDropped,
    DeadLetterRedriven,
    DeleteVersion,
    DeletionReported,
    DeploymentFailed,
    DeploymentReady,
    DeploymentRequested,
    DeploymentStarted,
    DeploymentStopped,
    DeployVersion,
    DownloadGranted,
    DownloadVersion,
    EditVersion,
    GarbageCollected,
    LiftRestriction,
    LineageExtended,
    Message,
    MoveAlias,
    PackageVerified,
    ProjectionRebuilt,
    RebuildProgressed,
    RebuildRegistry,
    RebuildVersioning,
    RecallTraced,
    RecallVersion,
    RestrictionLifted,
    RollOut,
    RolloutRequested,
    TrainingSucceeded,
    VerifyPackage,
    VersionAffected,
    VersionAssigned,
    VersionDeleted,
    VersionEdited,
    VersionReleased,
    VersionRestricted,
)
from shared.queries import (
    AffectedPage,
    AffectedVersion,
    AliasPage,
    AliasState,
    BestVersions,
    Deletion,
    Deployed,
    Examination,
    Examine,
    FileBytes,
    FilePage,
    FindBest,
    Finding,
    GetAffected,
    GetGrant,
    GetHistory,
    GetLineage,
    GetService,
    GetVersion,
    GrantDetails,
    HistoryEntry,
    HistoryPage,
    Lift,
    LineageGraph,
    LineageVersion,
    ListAliases,
    ListFiles,
    ListModels,
    ListVersions,
    ModelPage,
    ModelSummary,
    Query,
    RankedVersion,
    ReadBytes,
    ServiceDetails,
    VersionDetails,
    VersionPage,
    VersionSummary,
)
from shared.values import (
    Base,
    Document,
    Edge,
    File,
    FromStorage,
    Grant,
    Job,
    NotDeleted,
    Notes,
    Package,
    Reason,
    Restriction,
    Target,
    Value,
    Weight,
)

NOON = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)
LATER = datetime(2026, 1, 5, 12, 0, 1, 500_000, tzinfo=UTC)
A, B = (f"sha256:{letter * 64}" for letter in "ab")
GRANT = Grant(id="0f3c", package_digest=A, service="classify", expires_at=LATER)
READING = Grant(id="77aa", package_digest=A, expires_at=LATER)
BEFORE = Notes(labels=("dev",), description="first try")
AFTER = Notes(labels=("prod", "eu"), documents=(Document(name="card", url="https://docs.example/card"),))
ROOT = "version:vision/flowers@0.0.1"
CHILD = "version:vision/resnet@1.2.3"
DEPLOYED = Deployed(
    service="classify", mode="real-time", version="1.2.3", weight=90, state="ready", since=LATER, message="2 replicas"
)


def asked(message_id: str, source: str = "operator") -> Envelope:
    return Envelope.of_request(message_id, source, NOON)


def answered(message_id: str, source: str = "modelkin/registry") -> Envelope:
    return Envelope(id=message_id, source=source, time=NOON, correlation_id="command-9", cause_id="command-9")


LETTER = {"letter": 12, "durable": "importer-on-import-model", "message_id": "command-9"}
VISION = {"workspace": "vision", "model": "resnet"}
CHANGED = {**VISION, "ordinal": 7, "by": "operator", "why": "best f1"}

MESSAGES: dict[str, Message] = {
    "RebuildRegistry.v1": RebuildRegistry(envelope=asked("command-9")),
    "RebuildVersioning.v1": RebuildVersioning(envelope=asked("command-9")),
    "ProjectionRebuilt.v1": ProjectionRebuilt(
        envelope=answered("rebuilt-9"), service="registry", events=1200, seconds=1.5
    ),
    "RebuildProgressed.v1": RebuildProgressed(
        envelope=answered("progress-9"), service="registry", events_done=600, events_total=1200
    ),
    "DeadLetterAdded.v1": DeadLetterAdded(
        envelope=answered("letter-9", "modelkin/importer"),
        **VISION,
        **LETTER,
        reason="failed",
        message="ValueError('no')",
        attempts=5,
        original_subject="modelkin.cmd.v1.model.import.vision.resnet",
        stream="COMMANDS",
        sequence=77,
    ),
    "DeadLetterRedriven.v1": DeadLetterRedriven(
        envelope=asked("redrive-9"), **VISION, **LETTER, why="the bug is mended"
    ),
    "DeadLetterDropped.v1": DeadLetterDropped(envelope=asked("drop-9"), **VISION, **LETTER, why="a test"),
    "TrainingSucceeded.v1.bump": TrainingSucceeded(
        envelope=asked("run 8", "trainer/a"),
        **VISION,
        job=Job(id="job-7", version="V002"),
        location="file:///models/run-8",
        bump="minor",
        bases=(
            Base(workspace="vision", model="bert", version="0.0.1", relation="fine-tuned"),
            Base(digest=B, relation="adapter"),
        ),
    ),
    "VersionAssigned.v1.restricted": VersionAssigned(
        envelope=answered("assign-9", "modelkin/versioning"),
        **VISION,
        import_id="import-9",
        version="1.2.3",
        ordinal=3,
        package_digest=A,
        edges=(Edge(source=CHILD, kind="derived-from", target=ROOT, how="fine-tuned"),),
        restricted_by=(ROOT,),
    ),
    "LiftRestriction.v1": LiftRestriction(envelope=asked("command-9"), **VISION, version="1.2.3", why="trained anew"),
    "MoveAlias.v1": MoveAlias(envelope=asked("command-9"), **VISION, alias="champion", version="1.2.3", why="best f1"),
    "MoveAlias.v1.remove": MoveAlias(envelope=asked("command-9"), **VISION, alias="champion", version=None),
    "EditVersion.v1": EditVersion(
        envelope=asked("command-9"),
        **VISION,
        version="1.2.3",
        labels=("prod", "eu"),
        documents=(Document(name="card", url="https://docs.example/card"),),
    ),
    "DeleteVersion.v1": DeleteVersion(envelope=asked("command-9"), **VISION, version="1.2.3", why="old"),
    "DeleteVersion.v1.cascade": DeleteVersion(envelope=asked("command-9"), **VISION, cascade=True),
    "DeployVersion.v1": DeployVersion(
        envelope=asked("command-9"), **VISION, version="1.2.3", service="classify", mode="real-time"
    ),
    "RollOut.v1": RollOut(
        envelope=asked("command-9"),
        **VISION,
        service="classify",
        weights=(Weight(version="1.2.3", weight=90), Weight(version="1.3.0", weight=10)),
    ),
    "DownloadVersion.v1": DownloadVersion(envelope=asked("command-9"), **VISION, version="1.2.3", why="a look"),
    "RecallVersion.v1": RecallVersion(envelope=asked("command-9"), **VISION, version="1.2.3", why="wrong labels"),
    "VerifyPackage.v1": VerifyPackage(envelope=asked("command-9"), **VISION, version="1.2.3", package_digest=A),
    "CollectGarbage.v1": CollectGarbage(envelope=asked("command-9"), dry_run=True),
    "VersionReleased.v1": VersionReleased(envelope=answered("release-1"), **CHANGED, version="1.2.3"),
    "RestrictionLifted.v1": RestrictionLifted(
        envelope=answered("lift-1"), **CHANGED, version="1.2.3", restriction=Restriction.DERIVED
    ),
    "VersionRestricted.v1": VersionRestricted(
        envelope=answered("restrict-1", "modelkin/versioning"), **VISION, version="1.2.3", restricted_by=(ROOT,)
    ),
    "LineageExtended.v1": LineageExtended(
        envelope=answered("extend-1", "modelkin/versioning"),
        **VISION,
        version="1.2.3",
        edges=(Edge(source=CHILD, kind="derived-from", target=ROOT, how="adapter"),),
    ),
    "AliasMoved.v1": AliasMoved(envelope=answered("move-1"), **CHANGED, alias="champion", old=None, new="1.2.3"),
    "AliasMoved.v1.removed": AliasMoved(
        envelope=answered("move-2"), **CHANGED, alias="champion", old="1.2.3", new=None
    ),
    "VersionEdited.v1": VersionEdited(
        envelope=answered("edit-1"), **CHANGED, version="1.2.3", before=BEFORE, after=AFTER
    ),
    "VersionDeleted.v1": VersionDeleted(
        envelope=answered("delete-1"),
        **CHANGED,
        version="1.2.3",
        import_id="import-9",
        package_digest=A,
        deletions=2,
    ),
    "DeletionReported.v1": DeletionReported(
        envelope=answered("report-1"),
        **VISION,
        deleted=("0.0.1",),
        failed=(NotDeleted(version="1.2.3", reason=Reason.VERSION_DEPLOYED, message="classify serves it"),),
        left=1,
    ),
    "DeploymentRequested.v1": DeploymentRequested(
        envelope=answered("deploy-1"), **CHANGED, service="classify", mode="real-time", version="1.2.3", grant=GRANT
    ),
    "RolloutRequested.v1": RolloutRequested(
        envelope=answered("rollout-1"),
        **CHANGED,
        service="classify",
        targets=(Target(version="1.2.3", weight=100, grant=GRANT),),
    ),
    "DeploymentStarted.v1": DeploymentStarted(
        envelope=asked("d-1", "deployer/k8s"), **VISION, service="classify", version="1.2.3"
    ),
    "DeploymentReady.v1": DeploymentReady(
        envelope=asked("d-2", "deployer/k8s"), **VISION, service="classify", version="1.2.3", message="2 replicas"
    ),
    "DeploymentFailed.v1": DeploymentFailed(
        envelope=asked("d-3", "deployer/k8s"), **VISION, service="classify", version="1.2.3", message="out of memory"
    ),
    "DeploymentStopped.v1": DeploymentStopped(
        envelope=asked("d-4", "deployer/k8s"), **VISION, service="classify", version="1.2.3"
    ),
    "DownloadGranted.v1": DownloadGranted(envelope=answered("grant-1"), **CHANGED, version="1.2.3", grant=READING),
    "DatasetRecalled.v1": DatasetRecalled(
        envelope=asked("recall-1", "data-platform"), workspace="vision", dataset="coco", version="2017", why="licence"
    ),
    "VersionAffected.v1": VersionAffected(
        envelope=answered("affect-1", "modelkin/versioning"),
        **VISION,
        version="1.2.3",
        recalled="dataset:vision/coco@2017",
        distance=2,
        services=("classify",),
        by="data-platform",
        why="licence",
    ),
    "RecallTraced.v1": RecallTraced(
        envelope=answered("trace-1", "modelkin/versioning"),
        workspace="vision",
        model="coco",
        recalled="dataset:vision/coco@2017",
        versions=3,
        services=1,
    ),
    "ArtifactCorrupted.v1": ArtifactCorrupted(
        envelope=answered("corrupt-1", "modelkin/importer"),
        **VISION,
        version="1.2.3",
        package_digest=A,
        path="model/weights.pt",
        digest=B,
        size_bytes=10,
        found="missing",
    ),
    "PackageVerified.v1": PackageVerified(
        envelope=answered("verify-1", "modelkin/importer"),
        **VISION,
        version="1.2.3",
        package_digest=A,
        file_count=2,
        size_bytes=14,
        corrupted=1,
    ),
    "GarbageCollected.v1": GarbageCollected(
        envelope=answered("collect-1", "modelkin/importer"),
        dry_run=True,
        removed_files=2,
        removed_bytes=14,
        kept_files=3,
        kept_bytes=30,
    ),
}

QUERIES_ASKED: dict[str, Query] = {
    "ListModels.v1.filters": ListModels(
        workspace="vision",
        name_part="res",
        status="published",
        engine="PyTorch",
        label="prod",
        description="may",
        metrics=("f1>=0.9",),
        created_from=NOON,
        created_before=LATER,
        sort="updated",
        descending=False,
        offset=20,
        limit=10,
    ),
    "ListVersions.v1.filters": ListVersions(
        workspace="vision", name="resnet", not_engine="Image", sort="size", after="c2l6ZQ"
    ),
    "GetVersion.v1.at": GetVersion(workspace="vision", model="resnet", version="champion", at=NOON),
    "Examine.v1": Examine(),
    "FindBest.v1": FindBest(model="resnet", metric="f1", goal="min", where=("params.lr<0.01", "label=prod"), limit=3),
    "ListAliases.v1": ListAliases(model="resnet"),
    "GetHistory.v1": GetHistory(model="resnet", version="1.2.3", after="x", limit=10),
    "GetService.v1": GetService(service="classify"),
    "GetGrant.v1": GetGrant(grant="0f3c"),
    "ListFiles.v1": ListFiles(package_digest=A, after="model/a.bin", limit=10),
    "ReadBytes.v1": ReadBytes(grant="0f3c", digest=A, offset=524288, size_bytes=1024),
    "GetLineage.v1.up": GetLineage(model="resnet", version="1.2.3", direction="up", depth=3, after="x"),
    "GetAffected.v1": GetAffected(dataset="coco", dataset_version="2017", limit=10),
}

REPLIES: dict[str, Value] = {
    "ModelPage.v1.total": ModelPage(
        models=(
            ModelSummary(
                workspace="0",
                model="resnet",
                versions=12,
                deleted=2,
                latest="1.0.0",
                created_at=NOON,
                updated_at=LATER,
                engine="PyTorch",
                size_bytes=10,
                labels=("prod",),
                description="of May",
                metrics={"f1": 0.75},
            ),
        ),
        next="resnet",
        total=1000,
        total_is_exact=False,
    ),
    "VersionPage.v1.total": VersionPage(
        versions=(
            VersionSummary(
                model="resnet",
                version="1.2.3",
                registered_at=NOON,
                package_digest=A,
                size_bytes=10,
                metrics={"f1": 0.75},
                description="of May",
                status="deleted",
            ),
        ),
        total=1,
    ),
    "VersionDetails.v1.changed": VersionDetails(
        **VISION,
        version="1.2.3",
        status="deleted",
        downloadable=False,
        deployable=False,
        restrictions=(Restriction.DERIVED,),
        restricted_by=(ROOT,),
        lift=Lift(lifted_by="operator", why="trained anew", lifted_at=LATER),
        deletion=Deletion(deleted_by="operator", why="old", deleted_at=LATER),
        aliases=("champion",),
        services=(DEPLOYED,),
        import_id="import-9",
        requested_by="trainer/a",
        imported_at=NOON,
        registered_at=LATER,
        source=FromStorage(location="s3://models/resnet"),
        package=Package(digest=A, size_bytes=1, file_count=1, files=(File(path="a", digest=B, size_bytes=1),)),
    ),
    "BestVersions.v1": BestVersions(
        metric="f1",
        goal="max",
        versions=(
            RankedVersion(version="1.2.3", value=0.75, registered_at=NOON, labels=("prod",), aliases=("champion",)),
        ),
        matching=1,
        without_metric=2,
        excluded=3,
    ),
    "AliasPage.v1": AliasPage(
        aliases=(AliasState(alias="champion", version="1.2.3", moved_by="operator", moved_at=NOON, why="best f1"),)
    ),
    "HistoryPage.v1": HistoryPage(
        changes=(
            HistoryEntry(
                at=NOON,
                event="alias.moved",
                event_id="move-1",
                cause_id="command-9",
                version="1.2.3",
                by="operator",
                why="best f1",
                facts={"alias": "champion", "old": None},
            ),
        ),
        next="x",
    ),
    "ServiceDetails.v1": ServiceDetails(**VISION, service="classify", mode="real-time", versions=(DEPLOYED,)),
    "GrantDetails.v1": GrantDetails(**VISION, version="1.2.3", **GRANT.model_dump()),
    "FileBytes.v1": FileBytes(),
    "Examination.v1": Examination(
        service="registry",
        version="0.2.0",
        instance="a1b2:7",
        time=NOON,
        findings=(
            Finding(check="store", message="answers in 2 ms"),
            Finding(
                check="indexes",
                level="wrong",
                message="versions: workspace_1_model_1_number_1 is missing",
                remedy="restart the registry",
            ),
        ),
    ),
    "FilePage.v1": FilePage(files=(File(path="model/b.bin", digest=B, size_bytes=4),), next="model/b.bin"),
    "LineageGraph.v1.page": LineageGraph(
        root=CHILD,
        versions=(
            LineageVersion(
                node=ROOT,
                workspace="vision",
                model="flowers",
                version="0.0.1",
                assigned_at=NOON,
                parameters={},
                metrics={},
                steps=1,
                deleted=True,
            ),
        ),
        edges=(Edge(source=CHILD, kind="deployed-as", target="service:vision/classify"),),
        truncated=False,
        next="x",
    ),
    "AffectedPage.v1": AffectedPage(
        root="dataset:vision/coco@2017",
        versions=(
            AffectedVersion(
                node=CHILD,
                **VISION,
                version="1.2.3",
                distance=2,
                via=ROOT,
                services=("classify",),
                deleted=True,
            ),
        ),
        total=1,
    ),
}
