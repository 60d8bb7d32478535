"""Sample messages: whole and valid, each part to be replaced by name."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.envelope import Envelope
from shared.messages import (
    AutoLearningDeployed,
    DeploymentRequested,
    ImportModel,
    ModelImported,
    ReleaseVersion,
    TrainingSucceeded,
    VersionAssigned,
    VersionRefused,
    VersionReleased,
)
from shared.values import Edge, File, FromJob, FromStorage, Grant, Job, Package, Reason

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def noon() -> datetime:
    return NOON


def digest(letter: str) -> str:
    """A digest that people can tell from another: `digest("a")` is sha256:aaaa…"""
    return f"sha256:{letter * 64}"


def said(message_id: str = "request-1", source: str = "trainer", time: datetime = NOON) -> Envelope:
    """The envelope of a message that nothing caused."""
    return Envelope.of_request(message_id, source, time)


def a_request(message_id: str = "request-1", **changes: Any) -> TrainingSucceeded:
    """Job `job-7`, run V001, left model `resnet` in /models/run-7. Its algorithm was built in: it needs no configuration."""
    fields: dict[str, Any] = {
        "envelope": said(message_id),
        "model": "resnet",
        "job": Job(id="job-7", version="V001"),
        "location": "file:///models/run-7",
        "built_in_algorithm": "resnet_v1_50",
    }
    return TrainingSucceeded(**{**fields, **changes})


def a_deployment(message_id: str = "deployment-1", **changes: Any) -> AutoLearningDeployed:
    """Project `flowers`, run V001, left its model in /auto/flowers."""
    fields: dict[str, Any] = {
        "envelope": said(message_id, "auto-learning"),
        "project": "flowers",
        "run": "V001",
        "location": "file:///auto/flowers",
    }
    return AutoLearningDeployed(**{**fields, **changes})


def an_import_command(message_id: str = "command-1", **changes: Any) -> ImportModel:
    """Import `resnet` from the package in s3://models/resnet."""
    fields: dict[str, Any] = {
        "envelope": said(message_id, "operator"),
        "model": "resnet",
        "source": FromStorage(location="s3://models/resnet"),
    }
    return ImportModel(**{**fields, **changes})


def a_release_command(message_id: str = "release-1", **changes: Any) -> ReleaseVersion:
    """Take `resnet` 0.0.1 out of quarantine."""
    fields: dict[str, Any] = {
        "envelope": said(message_id, "operator"),
        "model": "resnet",
        "version": "0.0.1",
        "why": "read by eye",
    }
    return ReleaseVersion(**{**fields, **changes})


def a_release(message_id: str = "release-1", time: datetime | None = None, **changes: Any) -> VersionReleased:
    """The answer of the registry to a_release_command of that id."""
    command = a_release_command(message_id)
    facts: dict[str, Any] = {"version": "0.0.1", "ordinal": 1, "by": "operator", "why": "read by eye"}
    return command.answer(VersionReleased, time or at(2), **{**facts, **changes})


def a_grant(service: str) -> Grant:
    return Grant(id="grant-1", package_digest=digest("a"), service=service, expires_at=at(900))


def a_deployment_request(model: str = "resnet", service: str = "shop") -> DeploymentRequested:
    return DeploymentRequested(
        envelope=said(f"requested-{model}-{service}", "modelkin/registry"),
        workspace="0",
        model=model,
        ordinal=1,
        by="operator",
        service=service,
        mode="real-time",
        version="0.0.1",
        grant=a_grant(service),
    )


def a_file(path: str = "model/weights.pt", letter: str = "f", size_bytes: int = 5) -> File:
    return File(path=path, digest=digest(letter), size_bytes=size_bytes)


def a_package(letter: str = "a", *files: File) -> Package:
    """A package with that digest. Without files it holds one that is no weights, so that nothing is found by it."""
    held = files or (File(path="model/readme.md", digest=digest("0"), size_bytes=3),)
    return Package(
        digest=digest(letter),
        size_bytes=sum(file.size_bytes for file in held),
        file_count=len(held),
        files=held,
    )


def an_import(message_id: str = "import-1", **changes: Any) -> ModelImported:
    """Model `resnet` of workspace 0, by job `job-7`, run V001. Imports are told apart by their message id."""
    fields: dict[str, Any] = {
        "envelope": said(message_id, "modelkin/importer"),
        "workspace": "0",
        "model": "resnet",
        "import_id": f"of-{message_id}",
        "requested_by": "trainer",
        "source": FromJob(location="file:///models/run-7", job=Job(id="job-7", version="V001")),
        "package": a_package(),
    }
    return ModelImported(**{**fields, **changes})


def an_assignment(
    imported: ModelImported, version: str = "0.0.1", ordinal: int = 1, *edges: Edge, time: datetime | None = None
) -> VersionAssigned:
    """The number that versioning gave to an import."""
    return imported.answer(
        VersionAssigned,
        time or at(1),
        import_id=imported.import_id,
        version=version,
        ordinal=ordinal,
        package_digest=imported.package.digest,
        parameters=imported.parameters,
        metrics=imported.metrics,
        edges=edges,
    )


def a_refusal(
    imported: ModelImported, message: str = "resnet has a version 0.0.1 already", time: datetime = NOON
) -> VersionRefused:
    """The answer of versioning to an import that gets no number."""
    return imported.answer(
        VersionRefused, time, import_id=imported.import_id, reason=Reason.VERSION_EXISTS, message=message
    )
