"""Whether a version reproduced another: from the same inputs, with the same metrics, to the same bytes. Pure values."""

from collections.abc import Sequence

from pydantic import Field, JsonValue

from modelkin.comparing import Difference, Part, code_of, data_of, differences, environment_of, flat
from modelkin.lacking import RecipeBase
from shared.queries import VersionDetails
from shared.values import Value

# Of two floating-point numbers that are as far apart as is allowed, the difference may come out a little larger.
ROUNDING = 1 + 1e-9


class MetricCheck(Value):
    name: str
    expected: float
    found: float | None
    difference: float | None = Field(
        description="relative to what was expected; null where that is 0 or nothing was found"
    )
    within: bool


class Check(Value):
    """Whether a version reproduced another: from the same inputs, with metrics within the tolerance."""

    version: str
    by: str
    tolerance: float = Field(description="relative")
    same_inputs: bool
    differences: dict[str, tuple[Difference, ...]] = Field(description="part → inputs that are not the same")
    metrics: tuple[MetricCheck, ...]
    metrics_within: bool
    same_bytes: bool
    reproduced: bool


def check(
    version: VersionDetails,
    bases: Sequence[RecipeBase],
    other: VersionDetails,
    other_bases: Sequence[RecipeBase],
    tolerance: float,
) -> Check:
    """Whether `other` reproduced `version`.

    It did if it was made from the same inputs and every metric of `version` is found within the
    tolerance; where `version` has no metrics, if its bytes are the same.
    """
    parts = {
        "data": _data_differences(version, other),
        "bases": _differing(*_declared(bases, other_bases)),
        "code": _differing(code_of(version), code_of(other)),
        "parameters": _differing(dict(flat(version.parameters)), dict(flat(other.parameters))),
        "environment": _differing(environment_of(version), environment_of(other)),
    }
    metrics = tuple(
        _metric(name, value, other.metrics.get(name), tolerance) for name, value in sorted(version.metrics.items())
    )
    same_inputs = not any(parts.values())
    same_bytes = version.package.digest == other.package.digest
    within = all(one.within for one in metrics)
    return Check(
        version=f"{version.model}@{version.version}",
        by=f"{other.model}@{other.version}",
        tolerance=tolerance,
        same_inputs=same_inputs,
        differences=parts,
        metrics=metrics,
        metrics_within=within,
        same_bytes=same_bytes,
        reproduced=same_inputs and within and (bool(metrics) or same_bytes),
    )


def _differing(left: Part, right: Part) -> tuple[Difference, ...]:
    return tuple(one for one in differences(left, right) if one.change != "same")


def _data_differences(version: VersionDetails, other: VersionDetails) -> tuple[Difference, ...]:
    differing = _differing(*data_of(version.datasets, other.datasets))
    return tuple(one for one in differing if not (one.change == "changed" and _same_data(one.left, one.right)))


def _same_data(left: JsonValue, right: JsonValue) -> bool:
    """By digest where both have one, else by version: the same data may lie in another place."""
    if not (isinstance(left, dict) and isinstance(right, dict)):
        return False
    known = next((name for name in ("digest", "version") if name in left and name in right), None)
    return known is not None and left[known] == right[known]


def _declared(bases: Sequence[RecipeBase], others: Sequence[RecipeBase]) -> tuple[Part, Part]:
    """Named by the request, and known by their bytes: the same package under another number is the same base."""
    names = {base.package_digest: base.base for base in reversed((*bases, *others)) if base.package_digest}

    def named(one_side: Sequence[RecipeBase]) -> Part:
        return {names.get(base.package_digest or "", base.base): base.relation for base in one_side if base.declared}

    return named(bases), named(others)


def _metric(name: str, expected: float, found: float | None, tolerance: float) -> MetricCheck:
    if found is None:
        return MetricCheck(name=name, expected=expected, found=None, difference=None, within=False)
    away = abs(found - expected)
    return MetricCheck(
        name=name,
        expected=expected,
        found=found,
        difference=away / abs(expected) if expected else None,
        within=away <= tolerance * abs(expected) * ROUNDING,
    )
