"""One version as a person reads it."""

import pytest
from rich.console import Console

from modelkin.details import details_table
from shared.queries import Deletion, Deployed, Lift, Release
from shared.values import Dataset, Restriction
from tests.answers import a_version, node
from tests.samples import at, digest


def _facts(version, when=None):
    screen = Console(width=300, highlight=False)
    with screen.capture() as captured:
        screen.print(details_table(version, when))
    return [" ".join(line.split()) for line in captured.get().splitlines()]


def test_a_version_says_where_aliases_and_services_have_it():
    shop = Deployed(
        service="shop", mode="real-time", version="0.0.1", weight=90, state="failed", since=at(0), message="no [GPU]"
    )

    facts = _facts(a_version(aliases=("candidate", "champion"), services=(shop,)))

    assert "status published" in facts
    assert "use may be downloaded and deployed as real-time or batch" in facts
    assert "aliases candidate, champion" in facts
    assert "service shop real-time, 90 %, failed since 2026-01-05 12:00:00Z: no [GPU]" in facts


def test_a_restricted_version_says_by_what_and_who_lifted_it():
    version = a_version(
        restrictions=(Restriction.DERIVED,),
        downloadable=False,
        restricted_by=(node("auto@0.0.1"),),
        release=Release(released_by="bob", why="read", released_at=at(1)),
        lift=Lift(lifted_by="eve", why="trained anew", lifted_at=at(2)),
    )

    facts = _facts(version)

    assert "use may be deployed as real-time or batch (derived-from-restricted)" in facts
    assert "restricted by auto 0.0.1" in facts
    assert "released 2026-01-05 12:00:01Z by bob: read" in facts
    assert "lifted 2026-01-05 12:00:02Z by eve: trained anew" in facts


@pytest.mark.parametrize(("why", "expected"), [("old", "by eve: old"), ("", "by eve")])
def test_a_deleted_version_says_who_deleted_it(why, expected):
    deletion = Deletion(deleted_by="eve", why=why, deleted_at=at(3))

    facts = _facts(a_version(status="deleted", downloadable=False, deployable=False, deletion=deletion))

    assert "status deleted" in facts
    assert "use neither downloaded nor deployed" in facts
    assert f"deleted 2026-01-05 12:00:03Z {expected}" in facts


def test_a_version_as_it_was_says_when():
    assert "as of 2026-01-05 12:00:09Z" in _facts(a_version(), at(9))
    assert not any(fact.startswith("as of") for fact in _facts(a_version()))


def test_data_sets_are_said_with_version_and_digest():
    facts = _facts(a_version(datasets=(Dataset(name="cats", version="2", digest=digest("c")), Dataset(name="dogs"))))

    assert f"data set cats@2@{digest('c')}" in facts
    assert "data set dogs" in facts
