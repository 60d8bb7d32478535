"""Rules of the importer: what may be asked for. Pure: no clock, no network, no disk."""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from shared.contents import UnsafeFile
from shared.errors import Refused
from shared.messages import AutoLearningDeployed, ImportRequest
from shared.naming import BUMPS, NAME_RULE, NUMBER_RULE, is_name, is_number
from shared.texts import shown
from shared.values import (
    Base,
    Fault,
    FromAutoLearning,
    FromImage,
    FromJob,
    FromTemplate,
    Reason,
    Restriction,
    Source,
)

JOB_LENGTH = 128
LOCATION_LENGTH = 2000
# Each becomes an edge of lineage, all of which one event must hold.
MOST_INPUTS = 100
MOST_TEMPLATE_INPUTS = 16


class Refusal(NamedTuple):
    """What was wrong, and what was expected."""

    reason: Reason
    message: str
    faults: tuple[Fault, ...] = ()
    """Each rule that a configuration breaks, where it is one."""
    unsafe: tuple[UnsafeFile, ...] = ()
    """Files that loading would run code of, where it is those."""


class Unacceptable(Refused):
    """What is to be imported, or its place, breaks a rule. The request is refused; trying again would not help."""

    def __init__(
        self, reason: Reason, message: str, faults: Iterable[Fault] = (), unsafe: Iterable[UnsafeFile] = ()
    ) -> None:
        super().__init__(reason, message)
        self.refusal = Refusal(reason, message, tuple(faults), tuple(unsafe))


def length_refusal(body_bytes: int, limit_bytes: int) -> Refusal | None:
    """What is wrong with a request of so many bytes, None where nothing is."""
    if body_bytes <= limit_bytes:
        return None
    message = f"the request has {body_bytes} bytes: expected at most {limit_bytes} (MODELKIN_MAX_EVENT_BYTES)"
    return Refusal(Reason.METADATA_TOO_LARGE, message)


def refusal_of(request: ImportRequest) -> Refusal | None:
    """The first rule of the request's own fields that is broken, None when all hold."""
    return next(_refusals(request), None)


def _refusals(request: ImportRequest) -> Iterator[Refusal]:
    if not is_name(request.workspace):
        yield Refusal(Reason.INVALID_WORKSPACE, expected("workspace", request.workspace, NAME_RULE))
    if isinstance(request, AutoLearningDeployed) and not is_name(request.project):
        yield Refusal(Reason.INVALID_PROJECT, expected("project", request.project, NAME_RULE))
    elif not is_name(request.model_name):
        yield Refusal(Reason.INVALID_NAME, expected("model name", request.model_name, NAME_RULE))
    if request.version is not None and not is_number(request.version):
        yield Refusal(Reason.INVALID_VERSION, expected("version", request.version, NUMBER_RULE))
    yield from _bump_refusals(request)
    yield from _origin_refusals(request.origin)
    for what, inputs in (("data sets", request.datasets), ("bases", request.bases)):
        if len(inputs) > MOST_INPUTS:
            yield Refusal(Reason.TOO_MANY_INPUTS, f"{len(inputs)} {what}: expected at most {MOST_INPUTS}")
    for base in request.bases:
        yield from _base_refusals(base, request.workspace)


def _origin_refusals(origin: Source) -> Iterator[Refusal]:
    match origin:
        case FromTemplate(inputs=inputs):
            if len(inputs) > MOST_TEMPLATE_INPUTS:
                message = f"{len(inputs)} inputs of a template: expected at most {MOST_TEMPLATE_INPUTS}"
                yield Refusal(Reason.INVALID_TEMPLATE_INPUT, message)
            for one in inputs:
                yield from _location_refusals(one.location)
        case FromImage(config_location=location, config=config):
            if (location is None) == (config is None):
                came = "neither" if config is None else "both"
                message = f"the configuration of an image: expected it inline or at a location, got {came}"
                yield Refusal(Reason.CONFIG_MISSING if config is None else Reason.INVALID_CONFIG, message)
            yield from _location_refusals(location or "")
        case _:
            yield from _location_refusals(origin.location)
    match origin:
        case FromJob(job=job, built_in_algorithm=algorithm):
            named = [("job id", job.id), ("job version", job.version)]
            # An empty one would be a job without a built-in algorithm that needs no package all the same.
            yield from _job_refusals(*named, *([] if algorithm is None else [("built-in algorithm", algorithm)]))
        case FromAutoLearning(run=run):
            yield from _job_refusals(("run", run))


def _location_refusals(location: str) -> Iterator[Refusal]:
    if len(location) > LOCATION_LENGTH:
        rule = f"at most {LOCATION_LENGTH} characters"
        yield Refusal(Reason.INVALID_LOCATION, expected("location", location, rule))


def _job_refusals(*named: tuple[str, str]) -> Iterator[Refusal]:
    for what, text in named:
        if not (1 <= len(text) <= JOB_LENGTH and text.isprintable()):
            yield Refusal(Reason.INVALID_JOB, expected(what, text, f"1 to {JOB_LENGTH} printable characters"))


def _bump_refusals(request: ImportRequest) -> Iterator[Refusal]:
    if request.bump is None:
        return
    if request.bump not in BUMPS:
        yield Refusal(Reason.INVALID_BUMP, expected("bump", request.bump, f"one of {', '.join(BUMPS)}"))
    elif request.version is not None:
        message = f"bump {request.bump!r} beside version {shown(request.version)}: expected one of the two"
        yield Refusal(Reason.INVALID_BUMP, message)


def _base_refusals(base: Base, workspace: str) -> Iterator[Refusal]:
    if base.workspace not in {None, workspace}:
        rule = f"a version of the workspace of the import, {shown(workspace)}"
        yield Refusal(Reason.BASE_IN_OTHER_WORKSPACE, expected("workspace of a base", base.workspace or "", rule))
    if base.model is not None and not is_name(base.model):
        yield Refusal(Reason.INVALID_BASE, expected("model name of a base", base.model, NAME_RULE))
    if base.version is not None and not is_number(base.version):
        yield Refusal(Reason.INVALID_BASE, expected("version of a base", base.version, NUMBER_RULE))


class UnsafePolicy(StrEnum):
    """What becomes of a package with files that loading would run code of."""

    REFUSE = "refuse"
    QUARANTINE = "quarantine"
    ALLOW = "allow"


def restrictions_of(origin: Source, unsafe: Sequence[UnsafeFile], policy: UnsafePolicy) -> tuple[Restriction, ...]:
    """How the use of a version is restricted.

    A file that is not known to be dangerous, only not known to be harmless, is put in
    quarantine where a dangerous one is refused: somebody has to look at it.

    Raises:
        Unacceptable: the workspace refuses such files.
    """
    if policy is UnsafePolicy.REFUSE:
        refused = [file for file in unsafe if file.verdict != "unknown"]
        if refused:
            more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
            message = f"{shown(refused[0].path)}: {refused[0].message[:200]}{more}: expected files that run no code when loaded"
            raise Unacceptable(Reason.UNSAFE_FILE, message, unsafe=refused)
    restrictions = [Restriction.AUTO_LEARNING] if isinstance(origin, FromAutoLearning) else []
    if unsafe and policy is not UnsafePolicy.ALLOW:
        restrictions.append(Restriction.QUARANTINE)
    return tuple(restrictions)


def expected(what: str, came: str, rule: str) -> str:
    """The sentence of a refusal, as short as what came allows."""
    return f"{what} {shown(came)} ({len(came)} characters): expected {rule}"
