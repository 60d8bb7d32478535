"""What a pickle may import: which names are harmless, which run code, and which nobody has judged.

A name is judged by lists (names.py), never by importing it. Harmless is what builds values and has no other effect,
whatever it is given. What is on no list is unknown.
"""

import _compat_pickle
from enum import IntEnum

from services.importer.inspection.names import (
    BOOSTERS,
    CLASS,
    DANGEROUS_MODULES,
    DANGEROUS_ROOTS,
    DENIED,
    ESTIMATORS,
    LAYERS,
    NAMED,
    NO_ESTIMATORS,
    SCRIPTED,
    STORAGES,
    TELLING,
)


class Trust(IntEnum):
    """Larger is worse."""

    HARMLESS = 0
    UNKNOWN = 1
    DANGEROUS = 2


def trust_in(module: str, name: str) -> Trust:
    """How far a name that a pickle imports can be trusted."""
    module, name = _modern(module, name)
    if name in NAMED.get(module, ()) or _is_harmless_class(module, name):
        return Trust.HARMLESS
    return Trust.DANGEROUS if _is_dangerous(module, name) else Trust.UNKNOWN


def is_scripted(module: str, name: str) -> bool:
    """Whether it is a name of TorchScript."""
    return SCRIPTED.fullmatch(f"{module} {name}") is not None


def _modern(module: str, name: str) -> tuple[str, str]:
    """As Python 3 names what Python 2 named otherwise; it does the same when it loads old pickles."""
    renamed = _compat_pickle.NAME_MAPPING.get((module, name))
    return renamed or (_compat_pickle.IMPORT_MAPPING.get(module, module), name)


def _is_harmless_class(module: str, name: str) -> bool:
    if STORAGES.fullmatch(f"{module} {name}") or BOOSTERS.fullmatch(f"{module} {name}"):
        return True
    if not CLASS.fullmatch(name):
        return False
    is_estimator = ESTIMATORS.fullmatch(module) is not None and name not in NO_ESTIMATORS
    return is_estimator or LAYERS.fullmatch(module) is not None


def _is_dangerous(module: str, name: str) -> bool:
    if module.partition(".")[0] in DANGEROUS_ROOTS:
        return True
    if any(module == denied or module.startswith(f"{denied}.") for denied in DANGEROUS_MODULES):
        return True
    return name in DENIED.get(module, ()) or any(TELLING.fullmatch(part) for part in name.split("."))
