"""What a model, a workspace and a version may be called. Their text is also a subject token, so no dot, space or wildcard."""

import unicodedata
from typing import Annotated, Literal, NamedTuple, Self, get_args

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

NAME_LENGTH = 64
NAME_RULE = f"1 to {NAME_LENGTH} letters (of any script), digits, '-' or '_'"
NUMBER_RULE = "N.N.N, each N from 0 to 99 without a leading zero"
DEFAULT_WORKSPACE = "0"
# Stands on a subject for a name that breaks the rule; no real name can be it.
UNNAMEABLE = "~"
Bump = Literal["patch", "minor", "major"]
BUMPS: tuple[Bump, ...] = get_args(Bump)


def _check_composed(name: str) -> str:
    """Two names that look alike are alike."""
    if not unicodedata.is_normalized("NFC", name):
        raise ValueError("expected the composed form of Unicode (NFC)")
    return name


Name = Annotated[
    str,
    StringConstraints(pattern=rf"^[\p{{L}}\p{{M}}\p{{Nd}}_-]{{1,{NAME_LENGTH}}}$"),
    AfterValidator(_check_composed),
    Field(description=NAME_RULE),
]
Number = Annotated[
    str,
    StringConstraints(pattern=r"^(0|[1-9][0-9]?)(\.(0|[1-9][0-9]?)){2}$"),
    Field(description=NUMBER_RULE),
]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]

_name: TypeAdapter[str] = TypeAdapter(Name, config=ConfigDict(defer_build=True))
_number: TypeAdapter[str] = TypeAdapter(Number, config=ConfigDict(defer_build=True))


def is_name(text: str) -> bool:
    """Whether `text` obeys the name rule."""
    return _accepts(_name, text)


def is_number(text: str) -> bool:
    """Whether `text` is a version number as it must be written."""
    return _accepts(_number, text)


def token(text: str) -> str:
    """The subject token for a name; `~` where the text is no name."""
    return text if is_name(text) else UNNAMEABLE


class VersionNumber(NamedTuple):
    """Compares as numbers do: 0.0.10 comes after 0.0.9."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `N.N.N`.

        Raises:
            ValueError: the text breaks the number rule.
        """
        if not is_number(text):
            raise ValueError(f"{text!r} is not a version number: expected {NUMBER_RULE}")
        return cls(*(int(part) for part in text.split(".")))

    @classmethod
    def from_rank(cls, rank: int) -> Self:
        return cls(rank // 10_000, rank // 100 % 100, rank % 100)

    @property
    def rank(self) -> int:
        """Place among all possible numbers, 0 to 999,999: what stores sort by."""
        return self.major * 10_000 + self.minor * 100 + self.patch

    def next(self, bump: Bump = "patch") -> Self | None:
        """The first number after this one: of all, with the next minor number, or with the next major one.

        0.0.99 is followed by 0.1.0, and 0.99.3 by 1.0.0 even where only the next minor is asked for; None after the last.
        """
        step = {"patch": 1, "minor": 100, "major": 10_000}[bump]
        rank = (self.rank // step + 1) * step
        return None if rank > LAST.rank else self.from_rank(rank)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


FIRST = VersionNumber(0, 0, 1)
LAST = VersionNumber(99, 99, 99)


def _accepts(rule: TypeAdapter[str], text: str) -> bool:
    try:
        rule.validate_python(text)
    except ValidationError:
        return False
    return True
