"""How changes, reports and what they make of aliases and services stand in documents. The layout is drawn in store.py."""

from typing import Any

from services.registry.documents import Fields, time_of, until, when, written
from services.registry.rules.placement import (
    LONGEST_MESSAGE,
    Placement,
    Report,
    ServiceState,
    mode_in,
    state_in,
    weights_in,
)
from shared.messages import (
    AliasMoved,
    Change,
    DeploymentReport,
    DeploymentRequested,
    LineageExtended,
    ModelMessage,
    RolloutRequested,
    VersionRestricted,
)
from shared.naming import VersionNumber


def model_id(workspace: str, model: str) -> str:
    return f"{workspace}/{model}"


def alias_id(workspace: str, model: str, alias: str) -> str:
    return f"{workspace}/{model}/{alias}"


def service_id(workspace: str, service: str) -> str:
    return f"{workspace}/{service}"


def deployment_id(workspace: str, service: str, version: str) -> str:
    return f"{workspace}/{service}/{version}"


def rank(version: str) -> int:
    return VersionNumber.parse(version).rank


def number(of_rank: int) -> str:
    return str(VersionNumber.from_rank(of_rank))


def changed(change: Change, *, founds: bool) -> Fields:
    """A change; `founds` where it is the first that names its service."""
    document = {**_happened(change), "ordinal": change.ordinal, "cause": change.envelope.cause_id}
    versions: list[str | None] = []
    match change:
        case AliasMoved():
            document["alias"] = change.alias
            versions = [change.old, change.new]
        case DeploymentRequested() | RolloutRequested():
            document["service"] = change.service
            document["grants"] = [grant.id for grant in grants_in(change).values()]
            versions = [*weights_in(change)]
            if founds:
                document["founds"] = service_id(change.workspace, change.service)
        case _:
            versions = [_version_in(change)]
            granted = getattr(change, "grant", None)
            if granted is not None:
                document["grants"] = [granted.id]
    document["numbers"] = [rank(version) for version in versions if version is not None]
    return document


def reported(report: DeploymentReport) -> Fields:
    document = {**_happened(report), "ordinal": report.envelope.id, "service": report.service}
    return {**document, "numbers": [rank(report.version)]}


def told(event: VersionRestricted | LineageExtended) -> Fields:
    return {**_happened(event), "ordinal": event.envelope.id, "numbers": [rank(event.version)]}


def _happened(event: ModelMessage) -> Fields:
    """`ordinal` is unique within a model: what is no change has its own id there."""
    return {
        "_id": event.envelope.id,
        "workspace": event.workspace,
        "model": event.model,
        "when": when(event),
        "address": event.address,
        **written(event),
    }


def _version_in(change: Change) -> str | None:
    return getattr(change, "version", None)


def grants_in(change: Change) -> dict[str, Any]:
    """The grants of a change, by version."""
    match change:
        case RolloutRequested():
            return {target.version: target.grant for target in change.targets}
        case _:
            grant = getattr(change, "grant", None)
            version = _version_in(change)
            return {version: grant} if grant is not None and version is not None else {}


def alias_facts(moved: AliasMoved) -> Fields:
    return {
        "workspace": moved.workspace,
        "model": moved.model,
        "alias": moved.alias,
        "number": rank(moved.new) if moved.new else None,
        "ordinal": moved.ordinal,
        "moved_by": moved.by,
        "moved_at": until(moved.envelope.time),
        "why": moved.why,
    }


def service_facts(request: DeploymentRequested | RolloutRequested) -> Fields:
    return {
        "workspace": request.workspace,
        "service": request.service,
        "model": request.model,
        "mode": mode_in(request),
        "ordinal": request.ordinal,
    }


def deployment_facts(request: DeploymentRequested | RolloutRequested) -> dict[str, Fields]:
    """What is asked of each version in the service."""
    about = {
        **service_facts(request),
        "requested_at": until(request.envelope.time),
    }
    return {
        version: {**about, "number": rank(version), "weight": weight} for version, weight in weights_in(request).items()
    }


def report_facts(report: DeploymentReport) -> Fields:
    return {
        "when": when(report),
        "state": state_in(report),
        "message": report.message[:LONGEST_MESSAGE],
    }


def read_service(document: Fields) -> ServiceState:
    return ServiceState(
        document["workspace"], document["service"], document["model"], document["mode"], document["ordinal"]
    )


def read_placement(document: Fields, newest_ordinal: int) -> Placement:
    """`newest_ordinal` is that of the newest request of the service."""
    said = document.get("said")
    return Placement(
        service=document["service"],
        mode=document["mode"],
        version=number(document["number"]),
        weight=document["weight"],
        named=document["ordinal"] == newest_ordinal,
        requested_at=time_of(document["requested_at"]),
        report=Report(time_of(said["when"]), said["state"], said["message"]) if said else None,
    )
