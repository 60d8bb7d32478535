"""The best versions of a model by a metric. Pure."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

from services.registry.listing.conditions import Condition
from services.registry.listing.facts import Facts
from shared.errors import NotFound
from shared.naming import VersionNumber
from shared.queries import BestVersions, FindBest, RankedVersion
from shared.texts import SHOWN_LENGTH

MOST_NAMED = 10


@dataclass(slots=True)
class Ranking:
    """Takes versions one by one and keeps the best of them: never more than are asked for, twice."""

    query: FindBest
    conditions: tuple[Condition, ...]
    matching: int = 0
    without_metric: int = 0
    excluded: int = 0
    has_metric: bool = False
    metrics: set[str] = field(default_factory=set)
    best: list[Facts] = field(default_factory=list)

    def add(self, versions: Iterable[Facts]) -> None:
        for facts in versions:
            self._add(facts)
        self.best = heapq.nsmallest(self.query.limit, self.best, key=self._place)

    def _add(self, facts: Facts) -> None:
        has_it = self.query.metric in facts.summary.metrics
        self.has_metric |= has_it
        if not self.has_metric:
            self.metrics |= facts.summary.metrics.keys()
        if not all(condition.met_by(facts) for condition in self.conditions):
            self.excluded += 1
        elif not has_it:
            self.without_metric += 1
        else:
            self.matching += 1
            self.best.append(facts)

    def _place(self, facts: Facts) -> tuple[float, object, VersionNumber]:
        """Best first; of equals the older."""
        value = facts.summary.metrics[self.query.metric]
        better = -value if self.query.goal == "max" else value
        return better, facts.summary.registered_at, VersionNumber.parse(facts.summary.version)

    def reply(self) -> BestVersions:
        """
        Raises:
            NotFound: `metric-not-found`; names metrics that there are.
        """
        if not self.has_metric:
            raise NotFound(
                "metric-not-found", f"no version of {self.query.model} has a metric {self._shown()}: {self._known()}"
            )
        return BestVersions(
            metric=self.query.metric,
            goal=self.query.goal,
            versions=tuple(self._ranked(facts) for facts in self.best),
            matching=self.matching,
            without_metric=self.without_metric,
            excluded=self.excluded,
        )

    def _ranked(self, facts: Facts) -> RankedVersion:
        summary = facts.summary
        return RankedVersion(
            version=summary.version,
            value=summary.metrics[self.query.metric],
            registered_at=summary.registered_at,
            labels=summary.labels,
        )

    def _shown(self) -> str:
        return repr(self.query.metric[:SHOWN_LENGTH])

    def _known(self) -> str:
        if not self.metrics:
            return "none of them has any"
        known = sorted(self.metrics)
        more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
        return f"expected one of {', '.join(repr(name[:SHOWN_LENGTH]) for name in known[:MOST_NAMED])}{more}"
