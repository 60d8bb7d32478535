"""What lists keep of a version: what it is shown by, compared by and found by. Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from services.registry.domain import RegisteredVersion
from shared.queries import VersionSummary

Scalar = bool | int | float | str

# Parameters may be 256 KB of anything; conditions compare single values. What is nearest to the top is kept.
MOST_PARAMETERS = 200
LONGEST_TEXT = 200
DEEPEST = 16


@dataclass(frozen=True, slots=True)
class Facts:
    """A version, as conditions see it."""

    summary: VersionSummary
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    """By path: `optimizer.lr` of {"optimizer": {"lr": 0.01}}."""

    @property
    def live(self) -> bool:
        return self.summary.status != "deleted"

    @classmethod
    def of(cls, version: RegisteredVersion) -> "Facts":
        return cls(version.summary(), kept_parameters(version.imported.parameters))

    def written(self) -> dict[str, str]:
        """As text: names and numbers may be such as BSON has not."""
        return {"summary": self.summary.model_dump_json(), "parameters": json.dumps(self.parameters)}

    @classmethod
    def read(cls, written: Mapping[str, str]) -> "Facts":
        return cls(
            VersionSummary.model_validate_json(written["summary"]), json.loads(written.get("parameters") or "{}")
        )


def kept_parameters(parameters: Mapping[str, JsonValue]) -> dict[str, Scalar]:
    """The single values by their path, at most 200, none of them a text of more than 200 characters; no lists."""
    kept: dict[str, Scalar] = {}
    for path, value in _by_level(parameters):
        if len(kept) == MOST_PARAMETERS:
            break
        kept.setdefault(path, value)
    return kept


def _by_level(parameters: Mapping[str, JsonValue]) -> Iterator[tuple[str, Scalar]]:
    level: list[tuple[str, Mapping[str, JsonValue]]] = [("", parameters)]
    for _ in range(DEEPEST):
        deeper: list[tuple[str, Mapping[str, JsonValue]]] = []
        for above, values in level:
            for name, value in values.items():
                path = f"{above}{name}"
                if isinstance(value, dict):
                    deeper.append((f"{path}.", value))
                elif isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= LONGEST_TEXT):
                    yield path, value
        level = deeper


def revision(version: RegisteredVersion) -> int:
    """Grows with everything that is added to a version, in whichever order its changes are applied."""
    changes = (version.released, version.edited, version.lifted, version.deleted)
    return sum(change.ordinal for change in changes if change) + len(version.found_later)
