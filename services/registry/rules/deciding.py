"""Which rule decides a command, and which facts it needs. Pure."""

from collections.abc import Callable
from typing import Any

from services.registry.rules import aliases, deployments, versions
from services.registry.rules.known import Asked, Known, Moment, Refused, check_names, refusal
from shared.messages import (
    Change,
    CommandRefused,
    DeployVersion,
    DownloadVersion,
    EditVersion,
    LiftRestriction,
    ModelCommand,
    MoveAlias,
    ReleaseVersion,
    RollOut,
)
from shared.naming import is_name, is_number


def asked_by(command: ModelCommand) -> Asked:
    """What to look up for a command; what cannot be a name or a number is not looked for."""
    match command:
        case MoveAlias():
            return Asked(_numbers(command.version), alias=command.alias if is_name(command.alias) else None)
        case DeployVersion():
            return Asked(_numbers(command.version), service=command.service if is_name(command.service) else None)
        case RollOut():
            named = tuple(wanted.version for wanted in command.weights[: deployments.MOST_TARGETS])
            return Asked(_numbers(*named), service=command.service if is_name(command.service) else None)
        case LiftRestriction() | DownloadVersion():
            return Asked(_numbers(command.version), twins=True)
        case ReleaseVersion() | EditVersion():
            return Asked(_numbers(command.version))
    raise TypeError(f"no rule decides {type(command).__name__}")


def decide(command: ModelCommand, known: Known, moment: Moment) -> Change | CommandRefused:
    """What becomes of a command that changes one thing."""
    try:
        check_names(command)
        return _RULES[type(command)](command, known, moment)
    except Refused as refused:
        return refusal(command, refused, moment.now)


_RULES: dict[type[ModelCommand], Callable[[Any, Known, Moment], Change]] = {
    ReleaseVersion: versions.release,
    LiftRestriction: versions.lift,
    EditVersion: versions.edit,
    DownloadVersion: versions.download,
    MoveAlias: aliases.move,
    DeployVersion: deployments.deploy,
    RollOut: deployments.roll_out,
}


def _numbers(*texts: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text is not None and is_number(text)))
