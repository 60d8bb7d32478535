"""What a rule is given: the command, what is known when it is decided, and the moment; and how it refuses. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from services.registry.domain import RegisteredVersion
from services.registry.rules.placement import Placement, ServiceState
from shared.messages import Change, CommandRefused, ModelCommand
from shared.naming import NAME_RULE, NUMBER_RULE, is_name, is_number
from shared.texts import shown
from shared.values import Grant, Reason

Changed = TypeVar("Changed", bound=Change)

LONGEST_WHY = 1000
# Of a command that is refused, so much is said again.
SAID_AGAIN = 100


class Head(NamedTuple):
    """How far the changes of a model have come."""

    ordinal: int = 0
    at: datetime | None = None
    """When the newest one was made."""
    deletions: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """Which facts a rule needs; all of one model."""

    versions: tuple[str, ...] = ()
    alias: str | None = None
    service: str | None = None
    twins: bool = False
    """Also who has the same bytes."""
    whole: bool = False
    """Also the aliases that point to the versions, and where they are deployed."""


@dataclass(frozen=True, slots=True)
class Known:
    """The facts as they stand after all changes up to the head, and none after it."""

    head: Head = field(default_factory=Head)
    had: int = 0
    """How many versions the model has had; 0: there is no such model."""
    versions: Mapping[str, RegisteredVersion] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Versions by the aliases that point to them."""
    owner: str | None = None
    """The model that the service belongs to."""
    service: ServiceState | None = None
    placements: tuple[Placement, ...] = ()
    twins: Mapping[str, str] = field(default_factory=dict)
    """By version: one that automatic learning made and that has the same bytes, as <model> <number>."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When it is decided, and what else comes from outside."""

    now: datetime
    new_id: Callable[[], str]
    grant_lifetime: timedelta

    def after(self, head: Head) -> datetime:
        """The time of the next change: those of a model have different times, in the order in which they were made."""
        return self.now if head.at is None else max(self.now, head.at + timedelta(microseconds=1))

    def grant(self, version: RegisteredVersion, time: datetime, service: str | None = None) -> Grant:
        return Grant(
            id=self.new_id(),
            package_digest=version.imported.package.digest,
            service=service,
            expires_at=time + self.grant_lifetime,
        )


class Refused(Exception):
    """A rule forbids it."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def change(
    command: ModelCommand, kind: type[Changed], known: Known, moment: Moment, *, part: str = "", **facts: Any
) -> Changed:
    """The next change of the model."""
    about = {"ordinal": known.head.ordinal + 1, "by": command.envelope.source, "why": command.why[:LONGEST_WHY]}
    return command.answer(kind, moment.after(known.head), part=part, **{**about, **facts})


def refusal(command: ModelCommand, refused: Refused, time: datetime) -> CommandRefused:
    return command.answer(
        CommandRefused,
        time,
        workspace=command.workspace[:SAID_AGAIN],
        model=command.model[:SAID_AGAIN],
        command=command.address,
        by=command.envelope.source,
        reason=refused.reason,
        message=str(refused),
    )


def check_names(command: ModelCommand) -> None:
    """Raises Refused where the workspace or the model cannot be one."""
    if not is_name(command.workspace):
        raise Refused(Reason.INVALID_WORKSPACE, f"workspace {shown(command.workspace)}: expected {NAME_RULE}")
    if not is_name(command.model):
        raise Refused(Reason.INVALID_NAME, f"model {shown(command.model)}: expected {NAME_RULE}")


def check_number(version: str) -> None:
    if not is_number(version):
        raise Refused(Reason.INVALID_VERSION, f"version {shown(version)}: expected {NUMBER_RULE}")


def check_model(command: ModelCommand, known: Known) -> None:
    if not known.had:
        message = f"there is no model {command.model!r} in workspace {command.workspace!r}"
        raise Refused(Reason.MODEL_NOT_FOUND, message)


def registered(command: ModelCommand, version: str, known: Known) -> RegisteredVersion:
    """The version, deleted or not."""
    check_number(version)
    check_model(command, known)
    found = known.versions.get(version)
    if found is None:
        message = f"{command.model} has no version {version}: expected one that is registered"
        raise Refused(Reason.VERSION_NOT_FOUND, message)
    return found


def live(command: ModelCommand, version: str, known: Known) -> RegisteredVersion:
    """The version, which is not deleted."""
    found = registered(command, version, known)
    if found.deleted:
        raise Refused(Reason.VERSION_DELETED, deleted_message(found))
    return found


def deleted_message(version: RegisteredVersion) -> str:
    deleted = version.deleted
    assert deleted is not None
    day = f"{deleted.envelope.time:%Y-%m-%d}"
    return f"{version.model} {version.assigned.version} was deleted by {shown(deleted.by)} on {day}"


def check_not_quarantined(version: RegisteredVersion) -> None:
    if version.quarantined:
        message = f"{version.model} {version.assigned.version} is in quarantine: expected one that was released from it"
        raise Refused(Reason.VERSION_QUARANTINED, message)
