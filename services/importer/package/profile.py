"""What a person may say of a version when it is imported: labels, documents, deployment types and the like."""

import math
from collections.abc import Iterator

from services.importer.domain import Refusal
from services.importer.package.faults import cut, shown
from shared.notes import broken_rules
from shared.values import Profile, Reason, Specs

REAL_TIME = "real-time"
BATCH = "batch"
DEPLOYMENT_TYPES = (REAL_TIME, BATCH)


def profile_refusals(profile: Profile, allows_batch: bool) -> Iterator[Refusal]:  # noqa: FBT001  # of the mode, by name
    """Every rule that a profile breaks.

    Args:
        profile: of the request.
        allows_batch: the input/output mode lets the model be deployed as `batch`.
    """
    yield from (Refusal(broken.reason, broken.message) for broken in broken_rules(profile))
    yield from _deployment_refusals(profile.deployment_types, allows_batch=allows_batch)
    if profile.minimum_specs:
        yield from _specs_refusals(profile.minimum_specs)


def deployment_types(profile: Profile, allows_batch: bool) -> tuple[str, ...]:  # noqa: FBT001  # of the mode, by name
    """How the version may be deployed: what was asked for, or everything where nothing was."""
    asked = profile.deployment_types or DEPLOYMENT_TYPES
    return tuple(kind for kind in DEPLOYMENT_TYPES if kind in asked and (allows_batch or kind != BATCH))


def _deployment_refusals(kinds: tuple[str, ...], *, allows_batch: bool) -> Iterator[Refusal]:
    unknown = [kind for kind in kinds if kind not in DEPLOYMENT_TYPES]
    if unknown:
        message = f"deployment type {shown(unknown[0])}: expected {' or '.join(DEPLOYMENT_TYPES)}"
        yield Refusal(Reason.INVALID_DEPLOYMENT_TYPES, message)
    if BATCH in kinds and not allows_batch:
        message = "deployment type 'batch': expected real-time alone, for the input/output mode is undefined"
        yield Refusal(Reason.INVALID_DEPLOYMENT_TYPES, message)


def _specs_refusals(specs: Specs) -> Iterator[Refusal]:
    for name, amount in specs:
        if amount is not None and not (math.isfinite(amount) and amount >= 0):
            message = f"minimum of {name} {cut(str(amount))}: expected a finite number, 0 or more"
            yield Refusal(Reason.INVALID_SPECS, message)
