"""Rules of the importer: what may be asked for. Pure: no clock, no network, no disk."""

from collections.abc import Iterator
from typing import NamedTuple

from shared.messages import TrainingSucceeded
from shared.naming import NAME_RULE, NUMBER_RULE, is_name, is_number
from shared.values import Base, Job, Reason

JOB_LENGTH = 128
LOCATION_LENGTH = 2000
# Each becomes an edge of lineage, all of which one event must hold.
MOST_INPUTS = 100
# Of a text that breaks a rule, this much is said back.
SHOWN_LENGTH = 80


class Fault(NamedTuple):
    """What was wrong, and what was expected."""

    reason: Reason
    message: str


class Unacceptable(Exception):
    """A package or its place breaks a rule. The request is refused with the fault; trying again would not help."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(reason, message)


def fault_of(request: TrainingSucceeded) -> Fault | None:
    """The first rule of the request's own fields that is broken, None when all hold."""
    return next(_faults(request), None)


def _faults(request: TrainingSucceeded) -> Iterator[Fault]:
    if not is_name(request.workspace):
        yield Fault(Reason.INVALID_WORKSPACE, _expected("workspace", request.workspace, NAME_RULE))
    if not is_name(request.model):
        yield Fault(Reason.INVALID_NAME, _expected("model name", request.model, NAME_RULE))
    if request.version is not None and not is_number(request.version):
        yield Fault(Reason.INVALID_VERSION, _expected("version", request.version, NUMBER_RULE))
    if len(request.location) > LOCATION_LENGTH:
        rule = f"at most {LOCATION_LENGTH} characters"
        yield Fault(Reason.INVALID_LOCATION, _expected("location", request.location, rule))
    yield from _job_faults(request.job)
    for what, inputs in (("data sets", request.datasets), ("bases", request.bases)):
        if len(inputs) > MOST_INPUTS:
            yield Fault(Reason.TOO_MANY_INPUTS, f"{len(inputs)} {what}: expected at most {MOST_INPUTS}")
    for base in request.bases:
        yield from _base_faults(base)


def _job_faults(job: Job) -> Iterator[Fault]:
    for what, text in (("job id", job.id), ("job version", job.version)):
        if not (1 <= len(text) <= JOB_LENGTH and text.isprintable()):
            yield Fault(Reason.INVALID_JOB, _expected(what, text, f"1 to {JOB_LENGTH} printable characters"))


def _base_faults(base: Base) -> Iterator[Fault]:
    if base.model is not None and not is_name(base.model):
        yield Fault(Reason.INVALID_BASE, _expected("model name of a base", base.model, NAME_RULE))
    if base.version is not None and not is_number(base.version):
        yield Fault(Reason.INVALID_BASE, _expected("version of a base", base.version, NUMBER_RULE))


def _expected(what: str, came: str, rule: str) -> str:
    shown = came if len(came) <= SHOWN_LENGTH else f"{came[:SHOWN_LENGTH]}…"
    return f"{what} {shown!r} ({len(came)} characters): expected {rule}"
