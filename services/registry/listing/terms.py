"""By which words a version or a model is found: the entries of the inverted index, and how texts are cut for it. Pure.

A term is <level>|<L or D>|<workspace>|<kind>[|<what>], with L for live and D for deleted:

    0|L|0|*              everything that is not deleted in workspace 0
    0|L|0|m|resnet       of one model
    0|L|0|e|PyTorch      of one engine
    0|L|0|l|prod         with a label
    0|L|0|b|["PyTorch","prod"]    both: what the one and the other lead to may be much, and both together little
    0|L|0|q              in quarantine
    0|L|0|g|era          with a gram in its description (of a model: in its name)

    0|L|0|t|3600|491353  registered in this hour since 1970: hours, days, 30 days (of versions)

Each is there once more on level 1 with one document in 32, on level 2 with one in 1,024, and so on, chosen by the digest
of the id: milestones. They tell how far to read for so many documents, and how many there are about, without reading
them. A store that materialises what a query matches before it limits needs that; any other loses little by it.
"""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal

from services.registry.listing.facts import Facts

Part = Literal["L", "D"]
LEVELS = 3
SPARSER = 32
GRAM = 3
# An hour, a day, 30 days. Nine at most cover a time, and a sixth at least of what they cover is in it, as long as it is an hour or more.
UNITS_S = (3600, 24 * 3600, 30 * 24 * 3600)
MOST_UNITS = 9


def folded(text: str) -> str:
    """The form in which texts are compared in any case."""
    return unicodedata.normalize("NFC", text).casefold()


def grams(text: str) -> frozenset[str]:
    """Three characters each; of scripts whose words are short also two.

    Whatever contains a text contains all grams of it. A text that is too short has none.
    """
    whole = folded(text)
    threes = {whole[start : start + GRAM] for start in range(len(whole) - GRAM + 1)}
    twos = {whole[start : start + 2] for start in range(len(whole) - 1)}
    return frozenset(threes | {two for two in twos if not two.isascii()})


def level_of(document_id: str) -> int:
    """0 for most; each level above is 32 times as rare."""
    number = int.from_bytes(hashlib.blake2b(document_id.encode(), digest_size=4).digest())
    level = 0
    while level < LEVELS and number % SPARSER == 0:
        number //= SPARSER
        level += 1
    return level


def at_level(level: int, term: str) -> str:
    return f"{level}{term[1:]}"


def on_levels(document_id: str, terms: Iterable[str]) -> list[str]:
    """The terms of a document, with those of the milestones that it is."""
    top = level_of(document_id)
    return [at_level(level, term) for term in terms for level in range(top + 1)]


def term(part: Part, workspace: str, kind: str, what: str = "") -> str:
    return f"0|{part}|{workspace}|{kind}|{what}"


def both(engine: str, label: str) -> str:
    """Texts of any characters, told apart."""
    return json.dumps([engine, label], ensure_ascii=False, separators=(",", ":"))


def part_of(facts: Facts) -> Part:
    return "L" if facts.live else "D"


def terms_of(workspace: str, facts: Facts) -> list[str]:
    """What a version is found by, beside the words of its description."""
    part, summary = part_of(facts), facts.summary
    return [term(part, workspace, "*"), term(part, workspace, "m", summary.model), *_kinds(part, workspace, facts)]


def model_terms(workspace: str, head: Facts) -> list[str]:
    """What a model is found by beside its name: by what its highest version is."""
    return list(_kinds(part_of(head), workspace, head))


def word_terms(workspace: str, facts: Facts) -> list[str]:
    part = part_of(facts)
    return [term(part, workspace, "g", gram) for gram in sorted(grams(facts.summary.description))]


def time_terms(workspace: str, facts: Facts) -> list[str]:
    """When it was registered."""
    second = int(facts.summary.registered_at.timestamp())
    return [_time_term(part_of(facts), workspace, unit_s, second // unit_s) for unit_s in UNITS_S]


def times_between(part: Part, workspace: str, first: datetime, end: datetime) -> list[str] | None:
    """A few terms that have what was registered between two times, and some before and after; None where it would be many."""
    start_s, end_s = int(first.timestamp()), int(end.timestamp())
    for unit_s in UNITS_S:
        units = range(start_s // unit_s, end_s // unit_s + 1)
        if len(units) <= MOST_UNITS:
            return [_time_term(part, workspace, unit_s, unit) for unit in units]
    return None


def _time_term(part: Part, workspace: str, unit_s: int, unit: int) -> str:
    return term(part, workspace, "t", f"{unit_s}|{unit}")


def _kinds(part: Part, workspace: str, facts: Facts) -> Iterator[str]:
    summary = facts.summary
    if summary.engine is not None:
        yield term(part, workspace, "e", summary.engine)
    for label in dict.fromkeys(summary.labels):
        yield term(part, workspace, "l", label)
        if summary.engine is not None:
            yield term(part, workspace, "b", both(summary.engine, label))
    if summary.status == "quarantined":
        yield term(part, workspace, "q")
