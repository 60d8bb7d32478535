"""Rules of deployment: which versions a service may serve, and how its traffic is divided. Pure."""

from collections import Counter
from typing import Any, cast, get_args

from services.registry.domain import RegisteredVersion
from services.registry.rules.known import Known, Moment, Refused, change, check_not_quarantined, live
from services.registry.rules.placement import ServiceState
from shared.messages import DeploymentRequested, DeployVersion, RollOut, RolloutRequested
from shared.naming import NAME_RULE, is_name
from shared.texts import shown
from shared.values import DeploymentMode, Reason, Target

MOST_TARGETS = 20
WHOLE_PERCENT = 100


def deploy(command: DeployVersion, known: Known, moment: Moment) -> DeploymentRequested:
    """Let a service serve one version, whatever it served before."""
    check_service_name(command.service)
    mode = _mode(command.mode)
    version = live(command, command.version, known)
    _check_deployable(version, mode)
    _check_owner(command.service, command.model, known)
    if known.service and known.service.mode != mode:
        message = f"service {command.service!r} is {known.service.mode}: expected that, not {mode}"
        raise Refused(Reason.INVALID_MODE, message)
    grant = moment.grant(version, moment.after(known.head), command.service)
    asked: dict[str, Any] = {"service": command.service, "mode": mode, "version": command.version}
    return change(command, DeploymentRequested, known, moment, **asked, grant=grant)


def roll_out(command: RollOut, known: Known, moment: Moment) -> RolloutRequested:
    """Divide the traffic of a service."""
    check_service_name(command.service)
    _check_weights(command)
    versions = [live(command, wanted.version, known) for wanted in command.weights]
    _check_real_time(command, known)
    for version in versions:
        _check_deployable(version, "real-time")
    time = moment.after(known.head)
    targets = tuple(
        Target(version=wanted.version, weight=wanted.weight, grant=moment.grant(version, time, command.service))
        for wanted, version in zip(command.weights, versions, strict=True)
    )
    return change(command, RolloutRequested, known, moment, service=command.service, targets=targets)


def check_service_name(service: str) -> None:
    if not is_name(service):
        raise Refused(Reason.INVALID_SERVICE, f"service {shown(service)}: expected {NAME_RULE}")


def _mode(mode: str) -> DeploymentMode:
    if mode not in get_args(DeploymentMode):
        raise Refused(Reason.INVALID_MODE, f"mode {shown(mode)}: expected {' or '.join(get_args(DeploymentMode))}")
    return cast("DeploymentMode", mode)


def _check_deployable(version: RegisteredVersion, mode: DeploymentMode) -> None:
    allowed = version.imported.deployment_types
    if mode not in allowed:
        message = f"{version.model} {version.assigned.version} may be deployed as {' or '.join(allowed)}: not as {mode}"
        raise Refused(Reason.DEPLOYMENT_TYPE_NOT_ALLOWED, message)
    check_not_quarantined(version)


def _check_owner(service: str, model: str, known: Known) -> None:
    if known.owner not in {None, model}:
        message = f"service {service!r} serves model {known.owner!r}: expected that, not {model!r}"
        raise Refused(Reason.SERVICE_OF_ANOTHER_MODEL, message)


def _check_real_time(command: RollOut, known: Known) -> ServiceState:
    _check_owner(command.service, command.model, known)
    if known.service is None:
        message = f"there is no service {command.service!r} in workspace {command.workspace!r}: expected one that was deployed"
        raise Refused(Reason.SERVICE_NOT_FOUND, message)
    if known.service.mode != "real-time":
        message = f"service {command.service!r} is {known.service.mode}: expected real-time for a rollout"
        raise Refused(Reason.INVALID_MODE, message)
    return known.service


def _check_weights(command: RollOut) -> None:
    weights = command.weights
    if not 1 <= len(weights) <= MOST_TARGETS:
        raise Refused(Reason.INVALID_WEIGHTS, f"{len(weights)} versions: expected 1 to {MOST_TARGETS}")
    twice = next((one for one, count in Counter(wanted.version for wanted in weights).items() if count > 1), None)
    if twice is not None:
        raise Refused(Reason.VERSION_TWICE, f"version {shown(twice)} is there twice: expected each once")
    for wanted in weights:
        if not 1 <= wanted.weight <= WHOLE_PERCENT:
            message = (
                f"weight {shown(str(wanted.weight))} of version {shown(wanted.version)}: expected 1 to {WHOLE_PERCENT}"
            )
            raise Refused(Reason.INVALID_WEIGHTS, message)
    total = sum(wanted.weight for wanted in weights)
    if total != WHOLE_PERCENT:
        raise Refused(Reason.INVALID_WEIGHTS, f"the weights sum to {total}: expected {WHOLE_PERCENT}")
