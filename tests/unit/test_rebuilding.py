"""In which order decisions are taken over when versioning is made anew."""

from services.versioning.ports import Taken
from services.versioning.rebuilding import _ready
from shared.values import Edge
from tests.samples import a_refusal, an_assignment, an_import

MODEL = ("0", "resnet")


def version(ordinal: int, *parents: str) -> Taken:
    imported = an_import(f"import-{ordinal}")
    own = f"version:0/resnet@0.0.{ordinal}"
    edges = (Edge(source=own, kind="derived-from", target=parent, how="fine-tuned") for parent in parents)
    return Taken(imported, an_assignment(imported, f"0.0.{ordinal}", ordinal, *edges))


def taken(*held_back: Taken, had: int = 0, known: set[str] | None = None) -> list[str]:
    return [one.imported.envelope.id for one in _ready(held_back, {MODEL: had}, known or set())]


def test_versions_of_a_model_go_in_by_their_ordinals():
    assert taken(version(3), version(1), version(2)) == ["import-1", "import-2", "import-3"]
    assert taken(version(3), version(2), had=1) == ["import-2", "import-3"]


def test_what_comes_after_a_missing_one_waits():
    assert taken(version(1), version(3), version(4)) == ["import-1"]


def test_a_version_comes_after_those_it_descends_from():
    child = version(1, "version:0/base@0.0.1")

    assert taken(child) == []
    assert taken(child, known={"version:0/base@0.0.1"}) == ["import-1"]


def test_a_refusal_waits_for_nothing():
    imported = an_import("import-9")

    assert taken(Taken(imported, a_refusal(imported)), version(2)) == ["import-9"]
