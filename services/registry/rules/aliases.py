"""Rules of aliases: names that point to one version each, and can point to another at any time. Pure."""

import re

from services.registry.rules.known import Known, Moment, Refused, change, check_model, live
from shared.messages import AliasMoved, MoveAlias
from shared.naming import NAME_RULE, is_name
from shared.texts import shown
from shared.values import Reason

_LIKE_A_NUMBER = re.compile(r"[0-9.]+")


def move(command: MoveAlias, known: Known, moment: Moment) -> AliasMoved:
    """Let an alias point to a version, or to none."""
    check_alias(command.alias)
    old = known.aliases.get(command.alias)
    if command.version is None:
        check_model(command, known)
        if old is None:
            raise Refused(Reason.ALIAS_NOT_FOUND, f"{command.model} has no alias {command.alias!r}")
    else:
        live(command, command.version, known)
        if old == command.version:
            message = f"alias {command.alias!r} of {command.model} points to {old} already"
            raise Refused(Reason.NOTHING_TO_CHANGE, message)
    return change(command, AliasMoved, known, moment, alias=command.alias, old=old, new=command.version)


def check_alias(alias: str) -> None:
    if _LIKE_A_NUMBER.fullmatch(alias):
        message = f"alias {shown(alias)} is written like a version number: expected a name with a letter"
        raise Refused(Reason.INVALID_ALIAS, message)
    if not is_name(alias):
        raise Refused(Reason.INVALID_ALIAS, f"alias {shown(alias)}: expected {NAME_RULE}")
