"""Rules of what deployers report: only on what a service was asked to serve. Pure."""

from datetime import datetime

from services.registry.rules.known import SAID_AGAIN
from services.registry.rules.placement import ServiceState
from shared.messages import CommandRefused, DeploymentReport
from shared.naming import NAME_RULE, NUMBER_RULE, is_name, is_number
from shared.texts import shown
from shared.values import Reason


def check_report(report: DeploymentReport, time: datetime) -> CommandRefused | None:
    """The refusal of a report that names what cannot be."""
    named = [
        (is_name(report.workspace), Reason.INVALID_WORKSPACE, "workspace", report.workspace, NAME_RULE),
        (is_name(report.model), Reason.INVALID_NAME, "model", report.model, NAME_RULE),
        (is_name(report.service), Reason.INVALID_SERVICE, "service", report.service, NAME_RULE),
        (is_number(report.version), Reason.INVALID_VERSION, "version", report.version, NUMBER_RULE),
    ]
    for obeys, reason, what, came, rule in named:
        if not obeys:
            return _refused(report, reason, f"{what} {shown(came)}: expected {rule}", time)
    return None


def not_requested(report: DeploymentReport, service: ServiceState | None, time: datetime) -> CommandRefused:
    """The refusal of a report on what was never asked for."""
    if service is None:
        message = (
            f"there is no service {report.service!r} in workspace {report.workspace!r}: expected one that was deployed"
        )
        return _refused(report, Reason.SERVICE_NOT_FOUND, message, time)
    if service.model != report.model:
        message = f"service {report.service!r} serves model {service.model!r}, not {report.model!r}"
        return _refused(report, Reason.SERVICE_NOT_FOUND, message, time)
    message = f"service {report.service!r} was never asked to serve {report.model} {report.version}"
    return _refused(report, Reason.VERSION_NOT_FOUND, message, time)


def _refused(report: DeploymentReport, reason: Reason, message: str, time: datetime) -> CommandRefused:
    return report.answer(
        CommandRefused,
        time,
        workspace=report.workspace[:SAID_AGAIN],
        model=report.model[:SAID_AGAIN],
        command=report.address,
        by=report.envelope.source,
        reason=reason,
        message=message,
    )
