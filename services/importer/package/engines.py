"""The engines that a model may be made for, and the files each must find in the folder `model`."""

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Literal, NamedTuple, get_args

EngineName = Literal[
    "TensorFlow",
    "MindSpore",
    "MXNet",
    "Caffe",
    "PyTorch",
    "XGBoost",
    "Scikit_Learn",
    "Spark_MLlib",
    "ONNX",
    "Image",
]
ENGINE_NAMES: tuple[EngineName, ...] = get_args(EngineName)
IMAGE: EngineName = "Image"


class Way(NamedTuple):
    """One set of files that together are a model."""

    patterns: tuple[str, ...]
    """Each matches at least one file, and case counts. `*` stays within a name, and does not begin a hidden one;
    a pattern that ends in `/` is a folder."""
    words: str
    but: frozenset[str] = frozenset()
    """Names that a pattern matches and that are something else."""
    spare: bool = False
    """Common as other things too: looked at only where no other way has a file."""


class Engine(NamedTuple):
    name: EngineName
    ways: tuple[Way, ...] = ()

    @property
    def needs(self) -> str:
        return " or ".join(way.words for way in self.ways)


def _one(pattern: str) -> Way:
    return Way((pattern,), f"a {pattern}")


_TABLE = (
    Engine(
        "TensorFlow",
        (
            Way(
                ("saved_model.pb", "variables/variables.index", "variables/variables.data-*"),
                "saved_model.pb with variables/variables.index and variables/variables.data-*,",
            ),
            Way(("*.pb",), "a frozen *.pb", but=frozenset({"saved_model.pb"})),
        ),
    ),
    Engine("MindSpore", (_one("*.ckpt"), _one("*.om"), _one("*.mindir"))),
    Engine("MXNet", (Way(("*-symbol.json", "*.params"), "a *-symbol.json and a *.params"),)),
    Engine("Caffe", (Way(("*.prototxt", "*.caffemodel"), "a *.prototxt and a *.caffemodel"),)),
    Engine("PyTorch", (_one("*.pth"), _one("*.pt"), _one("*.safetensors"))),
    Engine(
        "XGBoost",
        (_one("*.m"), _one("*.ubj"), Way(("*.json",), "a *.json", but=frozenset({"config.json"}), spare=True)),
    ),
    Engine("Scikit_Learn", (_one("*.m"), _one("*.pkl"), _one("*.joblib"), _one("*.skops"))),
    Engine("Spark_MLlib", (Way(("spark_model/",), "a folder spark_model"),)),
    Engine("ONNX", (_one("*.onnx"),)),
    Engine("Image"),
)
ENGINES: Mapping[EngineName, Engine] = {engine.name: engine for engine in _TABLE}

# Files that belong to one another by their number: model-00001-of-00002.safetensors.
_PART = re.compile(r"(?P<stem>.*)-(?P<number>[0-9]{5})-of-(?P<total>[0-9]{5})(?P<end>\.\w+)?", re.DOTALL)


class Parts(NamedTuple):
    """A file in numbered parts."""

    stem: str
    total: str
    end: str

    def part(self, number: int) -> str:
        return f"{self.stem}-{number:05}-of-{self.total}{self.end}"


def matches(pattern: str, path: str) -> bool:
    """Whether a path inside `model` is what a pattern of a way means."""
    return _expression(pattern).fullmatch(path) is not None


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    inner = "[^/]*".join(map(re.escape, pattern.split("*")))
    # macOS puts a ._name beside each file that it archives.
    unhidden = r"(?!\.)" if pattern.startswith("*") else ""
    return re.compile(f"{unhidden}{inner}.+" if pattern.endswith("/") else f"{unhidden}{inner}", re.DOTALL)


def whole(paths: Iterable[str]) -> dict[str | Parts, str | None]:
    """The files that paths stand for, one in parts once; to each the first part that is missing, or None."""
    found: dict[str | Parts, str | None] = {}
    numbers: dict[Parts, set[int]] = {}
    for path in paths:
        part = _PART.fullmatch(path)
        if part is None:
            found[path] = None
        else:
            name = Parts(part["stem"], part["total"], part["end"] or "")
            numbers.setdefault(name, set()).add(int(part["number"]))
    return found | {name: _first_missing(name, held) for name, held in numbers.items()}


def _first_missing(name: Parts, held: set[int]) -> str | None:
    # TensorFlow counts from 0, Hugging Face from 1.
    first = 0 if 0 in held else 1
    expected = range(first, first + int(name.total))
    return next((name.part(number) for number in expected if number not in held), None)


def nearest(text: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, whatever its case and separators."""
    words = {re.sub(r"[\W_]", "", word).lower(): word for word in known}
    meant = re.sub(r"[\W_]", "", text).lower()
    close = difflib.get_close_matches(meant[:64], words, n=1)
    return words[close[0]] if close else None
