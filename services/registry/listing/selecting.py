"""What filters let pass, and which indexes lead to it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from services.registry.listing.conditions import Condition, read_metric_conditions
from services.registry.listing.documents import instant
from services.registry.listing.facts import Facts
from services.registry.listing.paging import Way
from services.registry.listing.terms import Part, both, folded, grams, term, times_between
from services.registry.listing.walking import Document, Path, Span
from shared.naming import is_name
from shared.queries import Filters

Order = Literal["by_number", "by_name", "by_created", "by_updated", "by_size"]
# Of the grams of a text so many are weighed against each other: each costs a round trip or two.
GRAMS_WEIGHED = 4
# Of all in a workspace, or in a time: nobody needs to measure that it is more than what a filter leads to.
MUCH = 10**9
_EVERYTHING: Span = Span()
_ASCENDING = {"by_number", "by_name"}


@dataclass(frozen=True, slots=True)
class Selection:
    """The filters of a question, read."""

    filters: Filters
    part: Part
    names: frozenset[str] | None
    """The models that are meant; None: any."""
    name_part: str
    description: str
    """Folded, like the part of a name."""
    conditions: tuple[Condition, ...]
    created: Span

    @property
    def impossible(self) -> bool:
        """Whether nothing can be found, whatever there is."""
        return not is_name(self.filters.workspace) or self.names == frozenset() or self.created.low >= self.created.high

    @property
    def set_filters(self) -> frozenset[str]:
        """Which filters are set, beside that of creation; what is deleted lies apart from the rest and needs none."""
        filters = self.filters
        given = {
            "names": self.names is not None,
            "name_part": bool(self.name_part),
            "q": filters.status == "quarantined",
            "status": filters.status == "published",
            "e": filters.engine is not None,
            "not_engine": filters.not_engine is not None,
            "l": filters.label is not None,
            "description": bool(self.description),
            "conditions": bool(self.conditions),
        }
        return frozenset(name for name, is_set in given.items() if is_set)

    def lets_pass(self, document: Document) -> bool:
        facts, filters = Facts.read(document), self.filters
        summary = facts.summary
        return (
            facts.live == (self.part == "L")
            and (self.names is None or summary.model in self.names)
            and self.name_part in folded(summary.model)
            and self.description in folded(summary.description)
            and filters.status in {None, summary.status}
            and filters.engine in {None, summary.engine}
            and (filters.not_engine is None or filters.not_engine != summary.engine)
            and (filters.label is None or filters.label in summary.labels)
            and self.created.low < document["by_created"] < self.created.high
            and all(condition.met_by(facts) for condition in self.conditions)
        )

    def among(self, names: frozenset[str]) -> "Selection":
        """With the part of a name made out to be these."""
        return replace(self, names=names if self.names is None else self.names & names, name_part="")


def select(filters: Filters, model: str | None = None) -> Selection:
    """Read filters; of one model alone, where it is said.

    Raises:
        Refused: `invalid-condition`.
    """
    named = {name for name in (filters.name, model) if name is not None}
    low = instant(filters.created_from) if filters.created_from else _EVERYTHING.low
    high = instant(filters.created_before) if filters.created_before else _EVERYTHING.high
    return Selection(
        filters=filters,
        part="D" if filters.status == "deleted" else "L",
        # Of two names that differ, nothing has both.
        names=frozenset(named if len(named) == 1 else ()) if named else None,
        name_part=folded(filters.name_part or ""),
        description=folded(filters.description or ""),
        conditions=read_metric_conditions(filters.metrics),
        created=Span(low, high),
    )


def is_descending(filters: Filters, order: Order) -> bool:
    """Names and numbers ascend, times and sizes descend, where nothing is said."""
    return order not in _ASCENDING if filters.descending is None else filters.descending


def ways_to_versions(selection: Selection, order: Order, of_model: int | None) -> list[Way]:
    """The indexes that lead to versions; `of_model` is how many there are, where they are of one model."""
    everything = _term(selection, "*")
    if of_model is not None and selection.names:
        field = "scopes" if order == "by_number" else "terms"
        everything = _term(selection, "m", *selection.names)
        size = of_model if selection.created == _EVERYTHING else None
        base = _way(selection, Path(field, everything, order), {"names"}, size)
        # The index of a model by number is also the way to all of it, where that is little.
        others = [_way(selection, Path("scopes", everything, "by_number"), {"names"}, of_model)]
    else:
        base, others = (
            _in_its_time(selection, order) or _way(selection, Path("terms", everything, order), set(), None),
            [],
        )
    if selection.created != _EVERYTHING and order != "by_created":
        others.append(_way(selection, Path("terms", everything, "by_created"), set(), None))
    others += [
        _way(selection, Path("terms", found, key), told, None)
        for told, found in _kinds(selection)
        for key in dict.fromkeys(("by_created", order))
        if key != "by_number"
    ]
    return [base, *others, *_description_ways(selection)]


def ways_to_models(selection: Selection, order: Order) -> list[Way]:
    """The indexes that lead to models."""
    base = _way(selection, Path("scopes", _term(selection, "*"), order), set(), None)
    others = [_way(selection, Path("terms", found, "by_name"), told, None) for told, found in _kinds(selection)]
    if selection.created != _EVERYTHING and order != "by_created":
        others.append(_way(selection, Path("scopes", _term(selection, "*"), "by_created"), set(), None))
    return [base, *others]


def ways_to_names(workspace: str, part_of_name: str) -> list[Path]:
    return [Path("terms", found, "by_name") for found in weighed_grams("L", workspace, part_of_name)]


def _way(selection: Selection, path: Path, told: set[str], size: int | None) -> Way:
    """A way, cut to when it was created where it sorts by that."""
    if path.key == "by_created":
        path = replace(path, span=selection.created)
    whole = selection.set_filters <= told and (path.key == "by_created" or selection.created == _EVERYTHING)
    if size is None and not told and path.span == _EVERYTHING and not whole:
        size = MUCH
    return Way((path,), whole, size)


def _in_its_time(selection: Selection, order: Order) -> Way | None:
    """By size, among what was registered about then: all of a workspace may be much more."""
    first, end = selection.filters.created_from, selection.filters.created_before
    if order != "by_size" or first is None or end is None:
        return None
    times = times_between(selection.part, selection.filters.workspace, first, end)
    return Way(tuple(Path("times", one, order) for one in times), size=MUCH) if times else None


def _kinds(selection: Selection) -> Iterator[tuple[set[str], str]]:
    """The terms of filters, each with what it tells."""
    filters = selection.filters
    if filters.engine is not None and filters.label is not None:
        yield {"e", "l"}, _term(selection, "b", both(filters.engine, filters.label))
    elif filters.engine is not None:
        yield {"e"}, _term(selection, "e", filters.engine)
    elif filters.label is not None:
        yield {"l"}, _term(selection, "l", filters.label)
    if filters.status == "quarantined":
        yield {"q"}, _term(selection, "q")


def _description_ways(selection: Selection) -> list[Way]:
    found = weighed_grams(selection.part, selection.filters.workspace, selection.description)
    return [Way((Path("words", one, "by_created", selection.created),)) for one in found]


def weighed_grams(part: Part, workspace: str, text: str) -> list[str]:
    """Some of the grams of a text, from all over it."""
    found = sorted(grams(text), key=text.find)
    apart = -(-len(found) // GRAMS_WEIGHED) or 1
    return [term(part, workspace, "g", gram) for gram in found[::apart]]


def _term(selection: Selection, kind: str, what: str = "") -> str:
    return term(selection.part, selection.filters.workspace, kind, what)
