"""Where versions are deployed: what services were asked to serve, and what their deployers said of it. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from shared.messages import (
    DeploymentFailed,
    DeploymentReady,
    DeploymentReport,
    DeploymentRequested,
    DeploymentStarted,
    RolloutRequested,
)
from shared.queries import Deployed
from shared.values import DeploymentMode

State = Literal["requested", "started", "ready", "failed", "stopped"]
LONGEST_MESSAGE = 1000


class Report(NamedTuple):
    """What a deployer said last of a version in a service."""

    at: datetime
    state: State
    message: str


class ServiceState(NamedTuple):
    """A service by its newest request."""

    workspace: str
    name: str
    model: str
    mode: DeploymentMode
    ordinal: int
    """Of the request."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A version in a service."""

    service: str
    mode: DeploymentMode
    version: str
    weight: int
    """Percent, of the newest request that named it."""
    named: bool
    """By the newest request of the service."""
    requested_at: datetime
    report: Report | None = None

    @property
    def _reported(self) -> Report | None:
        """The newest report, unless it was asked for anew since."""
        return self.report if self.report and self.report.at >= self.requested_at else None

    @property
    def state(self) -> State:
        return self._reported.state if self._reported else "requested"

    @property
    def serves(self) -> bool:
        """Whether the version is needed there: it is at work, or is to be."""
        return self.state in {"started", "ready"} or (self.named and self.state == "requested")

    @property
    def counts(self) -> bool:
        """Whether it is worth telling; what is neither asked for nor at work is history."""
        return self.named or self.serves

    def shown(self) -> Deployed:
        reported = self._reported
        return Deployed(
            service=self.service,
            mode=self.mode,
            version=self.version,
            weight=self.weight if self.named else 0,
            state=self.state,
            since=reported.at if reported else self.requested_at,
            message=reported.message if reported else "",
        )


def state_in(report: DeploymentReport) -> State:
    match report:
        case DeploymentStarted():
            return "started"
        case DeploymentReady():
            return "ready"
        case DeploymentFailed():
            return "failed"
        case _:
            return "stopped"


def weights_in(request: DeploymentRequested | RolloutRequested) -> dict[str, int]:
    """Percent of the traffic, by version."""
    if isinstance(request, DeploymentRequested):
        return {request.version: 100}
    return {target.version: target.weight for target in request.targets}


def mode_in(request: DeploymentRequested | RolloutRequested) -> DeploymentMode:
    return request.mode if isinstance(request, DeploymentRequested) else "real-time"
