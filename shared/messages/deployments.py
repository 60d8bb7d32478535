"""What services are to serve, and what deployers say of it."""

from typing import ClassVar

from pydantic import Field

from shared.messages.base import ModelCommand, ModelMessage
from shared.messages.changes import Change
from shared.naming import Name, Number
from shared.values import DeploymentMode, Grant, Target, Weight


class DeployVersion(ModelCommand):
    """Let a service serve one version. Answered by DeploymentRequested, which a deployer acts upon."""

    address: ClassVar[str] = "modelkin.cmd.v1.version.deploy"

    version: str
    service: str
    mode: str = Field(description="real-time or batch")


class RollOut(ModelCommand):
    """Divide the traffic of a real-time service between versions of its model. Answered by RolloutRequested."""

    address: ClassVar[str] = "modelkin.cmd.v1.service.rollout"

    service: str
    weights: tuple[Weight, ...] = Field(description="percent; they sum to 100")


class DeploymentRequested(Change):
    """A service is to serve a version: a deployer fetches the bytes and answers with DeploymentStarted and so on."""

    address: ClassVar[str] = "modelkin.evt.v1.deployment.requested"

    service: Name
    mode: DeploymentMode
    version: Number
    grant: Grant


class RolloutRequested(Change):
    """The traffic of a real-time service is to be divided so. What it served before and is not named goes."""

    address: ClassVar[str] = "modelkin.evt.v1.rollout.requested"

    service: Name
    targets: tuple[Target, ...]


class DeploymentReport(ModelMessage):
    """What a deployer says of one version in one service."""

    said_by: ClassVar[str] = "deployer"

    service: str
    version: str
    message: str = ""


class DeploymentStarted(DeploymentReport):
    """The deployer is at work on it."""

    address: ClassVar[str] = "modelkin.evt.v1.deployment.started"


class DeploymentReady(DeploymentReport):
    """The version serves."""

    address: ClassVar[str] = "modelkin.evt.v1.deployment.ready"


class DeploymentFailed(DeploymentReport):
    """The version does not serve, and will not."""

    address: ClassVar[str] = "modelkin.evt.v1.deployment.failed"


class DeploymentStopped(DeploymentReport):
    """The version serves no longer."""

    address: ClassVar[str] = "modelkin.evt.v1.deployment.stopped"
