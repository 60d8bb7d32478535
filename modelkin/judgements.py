"""How comparisons, rankings and recipes look to a person."""

from collections.abc import Iterator, Sequence

import yaml
from pydantic import JsonValue
from rich.console import Group, RenderableType
from rich.table import Table

from modelkin.comparing import PARTS, Comparison, Difference, FileDifference
from modelkin.render import table_of
from modelkin.reproducing import Recipe
from modelkin.rerunning import Check, MetricCheck
from modelkin.wording import MOST_LINES, counted, escape, files, moment, plain, shortened
from shared.queries import BestVersions


def comparison_table(comparison: Comparison) -> RenderableType:
    """What differs, part by part, and how much is the same."""
    if not comparison.differs:
        return escape(f"{comparison.left} and {comparison.right}: nothing differs{_what_is_the_same(comparison)}")
    table = table_of("PART", "NAME", comparison.left, comparison.right, "")
    for part in PARTS:
        _add_part(table, part, getattr(comparison, part))
    if comparison.files is not None:
        _add_files(table, comparison.files)
        return table
    return Group(table, "files are not compared: the list of those of one version is gone with its bytes")


def _what_is_the_same(comparison: Comparison) -> str:
    if comparison.files is None:
        return "; files are not compared: the list of those of one version is gone with its bytes"
    return f" in data, bases, code, parameters, environment, metrics and {files(len(comparison.files))}"


def _add_part(table: Table, part: str, rows: Sequence[Difference]) -> None:
    differing = [row for row in rows if row.change != "same"]
    for place, row in enumerate(differing[:MOST_LINES]):
        known = (row.change != "added", row.change != "removed")
        left, right = (
            _shown(value) if there else "-" for value, there in zip((row.left, row.right), known, strict=True)
        )
        away = "" if row.difference is None else f"{row.difference:+.6g}"
        table.add_row(part if place == 0 else "", *map(escape, (row.name, left, right, away or row.change)))
    _add_rest(table, part, len(differing), len(rows))


def _add_files(table: Table, rows: Sequence[FileDifference]) -> None:
    differing = [row for row in rows if row.change != "same"]
    for place, row in enumerate(differing[:MOST_LINES]):
        moved = f"moved from {row.moved_from}" if row.moved_from is not None else row.change
        cells = (row.path, plain(row.left or "-"), plain(row.right or "-"), moved)
        table.add_row("files" if place == 0 else "", *map(escape, cells))
    _add_rest(table, "files", len(differing), len(rows))


def _add_rest(table: Table, part: str, differing: int, count: int) -> None:
    said = [
        *([f"… {differing - MOST_LINES} more differ"] if differing > MOST_LINES else []),
        *([f"{count - differing} the same"] if count > differing else []),
        *(["nothing recorded"] if not count else []),
    ]
    if said:
        table.add_row("" if differing else part, f"[dim]{', '.join(said)}[/]", "", "", "")


def _shown(value: JsonValue) -> str:
    """{"version": "2"} → version 2"""
    if isinstance(value, dict) and value:
        return shortened(", ".join(f"{name} {plain(inner)}" for name, inner in value.items()))
    return shortened(plain(value))


def best_table(best: BestVersions) -> RenderableType:
    table = table_of("", "VERSION", best.metric, "ALIASES", "LABELS", "REGISTERED")
    for place, one in enumerate(best.versions):
        table.add_row(
            "best" if place == 0 else str(place + 1),
            one.version,
            f"{one.value:.6g}",
            escape(", ".join(one.aliases)),
            escape(", ".join(one.labels)),
            moment(one.registered_at),
        )
    return Group(table, f"[dim]{escape(best_line(best))}[/]")


def best_line(best: BestVersions) -> str:
    others = f"{best.without_metric} without {best.metric}, {best.excluded} excluded by the conditions"
    return f"{counted(best.matching, 'version')} compared; {others}"


def recipe_yaml(recipe: Recipe) -> str:
    """The recipe as YAML, in the order of its fields; what is not known is left out."""
    facts = recipe.model_dump(mode="json", exclude_none=True)
    text = _yaml(facts, allow_unicode=True)
    # Chinese is to be read, and a character that a terminal would obey is not to reach it.
    return text if all(char.isprintable() or char == "\n" for char in text) else _yaml(facts, allow_unicode=False)


def _yaml(facts: dict[str, JsonValue], *, allow_unicode: bool) -> str:
    text: str = yaml.safe_dump(facts, sort_keys=False, allow_unicode=allow_unicode, width=120)
    return text


def recipe_header(recipe: Recipe) -> str:
    """Comment lines above the recipe: the verdict."""
    name = f"{recipe.model}@{recipe.version}"
    if recipe.reproducible:
        return f"# {name} is reproducible: nothing that a rerun needs is missing.\n"
    return f"# {name} is not reproducible: {counted(len(recipe.missing), 'thing')} missing, as named at the end.\n"


def check_table(check: Check) -> RenderableType:
    return Group(*map(escape, _check_lines(check)))


def _check_lines(check: Check) -> Iterator[str]:
    yield f"inputs   {'the same' if check.same_inputs else 'differ'}"
    for part, differing in check.differences.items():
        for one in differing:
            yield f"         {part} {one.name}: {_both(one)}"
    yield f"metrics  {_metrics_verdict(check)}"
    for metric in check.metrics:
        yield f"         {metric.name}: {_metric_line(metric)}"
    yield f"bytes    {'equal' if check.same_bytes else 'not equal'}"
    yield f"{check.by} {'reproduced' if check.reproduced else 'did not reproduce'} {check.version}"


def _both(one: Difference) -> str:
    match one.change:
        case "added":
            return f"{_shown(one.right)} was added"
        case "removed":
            return f"{_shown(one.left)} is missing"
        case _:
            return f"{_shown(one.left)} became {_shown(one.right)}"


def _metrics_verdict(check: Check) -> str:
    tolerance = f"a tolerance of {check.tolerance:g}"
    if not check.metrics:
        return "none to compare: only equal bytes would be a proof"
    return f"within {tolerance}" if check.metrics_within else f"not within {tolerance}"


def _metric_line(metric: MetricCheck) -> str:
    if metric.found is None:
        return f"{metric.expected:.6g} expected, not measured"
    away = "" if metric.difference is None else f", off by {metric.difference:.3%}"
    return f"{metric.expected:.6g} expected, {metric.found:.6g} found{away}: {'within' if metric.within else 'too far'}"
