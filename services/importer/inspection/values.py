"""What a pickle builds, as far as it must be known to judge and describe it: no object of it is ever made."""

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Imported:
    """A module's name, as the pickle gives it."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes, and where they are in the stream."""

    start: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Stored:
    """Numbers that are kept beside the pickle: what PyTorch refers to by a persistent id."""

    dtype: str


@dataclass(slots=True, eq=False)
class Made:
    """What a call gives."""

    by: Imported | None
    arguments: "tuple[Value, ...]" = ()
    entries: "dict[str, Value]" = field(default_factory=dict)
    state: "Value" = None


@dataclass(slots=True, eq=False)
class Mapping:
    """A dict: its first entries by text, and how many there are."""

    entries: "dict[str, Value]" = field(default_factory=dict)
    count: int = 0


class Opaque:
    """A value that need not be known."""

    def __repr__(self) -> str:
        return "Opaque"


class Mark:
    """Where the items of a collection begin on the stack."""


OPAQUE: Final = Opaque()
MARK: Final = Mark()
Value = None | bool | int | str | tuple["Value", ...] | Imported | Blob | Stored | Made | Mapping | Opaque | Mark
