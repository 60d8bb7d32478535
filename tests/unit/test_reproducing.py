"""Recipes, what is missing from them, and whether a version reproduced another."""

import json
import shlex

import pytest
import yaml
from rich.console import Console

from modelkin.judgements import check_table, recipe_header, recipe_yaml
from modelkin.lacking import RecipeBase
from modelkin.reproducing import bases_from, recipe_of
from modelkin.rerunning import check
from shared.values import Base, Code, Dataset, FromJob, FromStorage, Image, Job
from tests.answers import a_version, an_edge, node
from tests.samples import a_file, a_package, digest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CODE = Code(repository="https://git.example/cats", commit=COMMIT, entry_point="train.py")
WHOLE = {
    "datasets": (Dataset(name="cats", version="2", digest=digest("c"), location="s3://data/cats"),),
    "code": CODE,
    "parameters": {"optimizer": {"lr": 0.1}, "layers": [1, 2], "amp": True},
    "metrics": {"f1": 0.5},
    "engine": "PyTorch",
    "runtime": "python3.11",
    "requirements": ("torch==2.1",),
}
BASE = RecipeBase(
    base="0/resnet@0.0.1", relation="fine-tuned", package_digest=digest("b"), status="published", downloadable=True
)


def shown(renderable):
    screen = Console(width=200, highlight=False)
    with screen.capture() as captured:
        screen.print(renderable, soft_wrap=True)
    return captured.get()


def _missing(bases=(), **changes):
    return [one.what for one in recipe_of(a_version("0.0.2", **{**WHOLE, **changes}), bases).missing]


def test_a_recipe_with_everything_is_reproducible():
    recipe = recipe_of(a_version("0.0.2", **WHOLE), [BASE])

    assert (recipe.reproducible, recipe.missing) == (True, ())
    assert recipe_header(recipe) == "# resnet@0.0.2 is reproducible: nothing that a rerun needs is missing.\n"


def test_a_recipe_is_yaml_in_the_order_in_which_it_is_needed():
    recipe = recipe_of(a_version("0.0.2", **WHOLE), [BASE])

    text = recipe_yaml(recipe)

    assert yaml.safe_load(text) == {
        "workspace": "0",
        "model": "resnet",
        "version": "0.0.2",
        "registered_at": "2026-01-05T12:00:02Z",
        "made_by": {"method": "training-job", "location": "file:///models/run-7", "job": "job-7@V001"},
        "data": [{"name": "cats", "version": "2", "digest": digest("c"), "location": "s3://data/cats"}],
        "code": {"repository": "https://git.example/cats", "commit": COMMIT, "entry_point": "train.py"},
        "parameters": {"optimizer": {"lr": 0.1}, "layers": [1, 2], "amp": True},
        "environment": {
            "engine": "PyTorch",
            "runtime": "python3.11",
            "requirements": ["torch==2.1"],
            "frameworks": {},
        },
        "bases": [
            {
                "base": "0/resnet@0.0.1",
                "relation": "fine-tuned",
                "declared": True,
                "package_digest": digest("b"),
                "status": "published",
                "downloadable": True,
            }
        ],
        "command": [
            "git clone https://git.example/cats code",
            f"git -C code checkout --detach {COMMIT}",
            "cd code",
            "python train.py --optimizer.lr=0.1 --amp=true",
        ],
        "result": {"package_digest": digest("a"), "size_bytes": 3, "metrics": {"f1": 0.5}},
        "reproducible": True,
        "missing": [],
    }
    names = [line.partition(":")[0] for line in text.splitlines() if line[0].isalpha()]
    assert names == ["workspace", "model", "version", "registered_at", "made_by", "data", "code", "parameters", "environment", "bases", "command", "result", "reproducible", "missing"]  # fmt: skip
    assert recipe_yaml(recipe) == text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"datasets": ()}, ["data"]),
        ({"datasets": (Dataset(name="cats"),)}, ["version or digest of data set cats"]),
        ({"datasets": (Dataset(name="cats", digest=digest("c")),)}, []),
        ({"code": None}, ["code"]),
        ({"code": CODE.model_copy(update={"commit": "main"})}, ["full commit hash of https://git.example/cats"]),
        ({"code": CODE.model_copy(update={"commit": COMMIT[:12]})}, ["full commit hash of https://git.example/cats"]),
        ({"code": CODE.model_copy(update={"commit": "a" * 64})}, []),
        ({"code": CODE.model_copy(update={"entry_point": None})}, ["entry point of the code"]),
        ({"parameters": {}}, ["parameters"]),
        ({"requirements": ()}, ["environment"]),
        ({"requirements": ("torch>=2", "numpy", "pillow==1.*", "scipy==1.2")}, ["exact version of dependency torch", "exact version of dependency numpy", "exact version of dependency pillow"]),
        ({"requirements": ("torch==2", "torch>=1")}, ["exact version of dependency torch"]),
        ({"requirements": (), "config": {"swr_location": "registry.example/cats:1"}}, ["digest of image registry.example/cats:1"]),
        ({"package": a_package().model_copy(update={"in_place": True})}, ["kept bytes of resnet@0.0.2"]),
    ],
)  # fmt: skip
def test_what_a_rerun_needs_and_nobody_recorded_is_named(changes, expected):
    assert _missing(**changes) == expected


def test_a_pinned_image_is_an_environment():
    image = Image(
        reference="registry.example/cats:1",
        digest=digest("d"),
        media_type="m",
        platform="linux/amd64",
        size_bytes=1,
        layers=(),
    )

    recipe = recipe_of(a_version(**{**WHOLE, "requirements": (), "image": image}), [])

    assert recipe.missing == ()
    assert recipe.environment.image.digest == digest("d")


def test_a_built_in_algorithm_brings_its_code_and_environment():
    source = FromJob(location="file:///m", job=Job(id="j", version="1"), built_in_algorithm="resnet_v1_50")

    assert _missing(source=source, code=None, requirements=()) == []
    assert _missing(source=source, code=Code(repository="r", commit="main")) == ["full commit hash of r"]


def test_a_quantized_model_needs_no_data():
    assert _missing([BASE.model_copy(update={"relation": "quantized"})], datasets=()) == []


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ("deleted", "it was deleted"),
        (None, "it is not registered"),
        ("quarantined", "it is in quarantine"),
        ("published", "it may not be downloaded"),
    ],
)
def test_a_base_whose_bytes_nobody_can_have_is_missing(status, why):
    recipe = recipe_of(a_version(**WHOLE), [BASE.model_copy(update={"status": status, "downloadable": False})])

    assert [(one.what, one.why.partition(":")[0]) for one in recipe.missing] == [("base 0/resnet@0.0.1", why)]
    assert recipe_header(recipe) == "# resnet@0.0.1 is not reproducible: 1 thing missing, as named at the end.\n"


def test_a_model_that_was_made_elsewhere_says_where_it_came_from():
    recipe = recipe_of(a_version(source=FromStorage(location="s3://models/resnet")), [])

    assert recipe.made_by.model_dump(exclude_none=True) == {
        "method": "object-storage",
        "location": "s3://models/resnet",
    }
    assert [one.what for one in recipe.missing] == ["data", "code", "parameters", "environment"]


@pytest.mark.parametrize(
    "changes", [{"entry_point": None}, {"entry_point": "-c import os"}, {"commit": "--force"}, {"repository": "-x"}]
)
def test_no_command_is_suggested_where_it_is_not_known_or_a_word_would_be_an_option(changes):
    assert recipe_of(a_version(code=CODE.model_copy(update=changes)), []).command == ()


def test_words_of_a_command_are_quoted_for_a_shell():
    code = Code(repository="https://git.example/a b;rm -rf ~", commit="x$(id)", entry_point="run it.sh")

    command = recipe_of(a_version(code=code, parameters={"note": "it's `x`\n", "none": None}), []).command

    assert [shlex.split(line) for line in command] == [
        ["git", "clone", "https://git.example/a b;rm -rf ~", "code"],
        ["git", "-C", "code", "checkout", "--detach", "x$(id)"],
        ["cd", "code"],
        ["sh", "run it.sh", "--note=it's `x`\n", "--none="],
    ]


def test_what_a_terminal_would_obey_is_escaped_and_chinese_is_not():
    chinese = recipe_yaml(recipe_of(a_version(parameters={"名": "值"}), []))
    hostile = recipe_yaml(recipe_of(a_version(parameters={"x": "\x1b[2J\u202e\n# y"}), []))

    assert "名: 值" in chinese
    assert all(char.isprintable() or char == "\n" for char in hostile)
    assert yaml.safe_load(hostile)["parameters"] == {"x": "\x1b[2J\u202e\n# y"}


def test_bases_are_those_that_were_named_and_those_that_were_found():
    version = a_version(
        "0.0.2",
        bases=(Base(digest=digest("1"), relation="adapter"), Base(digest=digest("2"), relation="merged")),
    )
    edges = [
        an_edge("resnet@0.0.2", "derived-from", "bert@0.0.1", "holds its model/weights.pt"),
        an_edge("resnet@0.0.2", "derived-from", "bert@0.0.2", "adapter"),
        an_edge("resnet@0.0.2", "trained-by", "job:0/job-7@V001"),
    ]
    known = {
        node("bert@0.0.1"): None,
        node("bert@0.0.2"): a_version(
            "0.0.2", model="bert", status="deleted", package=a_package("b", a_file("x", "1"))
        ),
    }

    bases = bases_from(version, edges, known)

    assert bases == [
        RecipeBase(
            base="0/bert@0.0.2", relation="adapter", package_digest=digest("b"), status="deleted", downloadable=True
        ),
        RecipeBase(base=digest("2"), relation="merged"),
        RecipeBase(base="0/bert@0.0.1", relation="holds its model/weights.pt", declared=False),
    ]


def _check(tolerance=0.01, bases=(), other_bases=(), **changes):
    other = a_version("0.0.3", **{**WHOLE, "package": a_package("e"), **changes})
    return check(a_version("0.0.2", **WHOLE), bases, other, other_bases, tolerance)


def test_a_rerun_from_the_same_inputs_with_the_same_metrics_reproduced():
    verdict = _check()

    assert (verdict.reproduced, verdict.same_inputs, verdict.metrics_within, verdict.same_bytes) == (True, True, True, False)  # fmt: skip
    assert shown(check_table(verdict)).splitlines() == [
        "inputs   the same",
        "metrics  within a tolerance of 0.01",
        "         f1: 0.5 expected, 0.5 found, off by 0.000%: within",
        "bytes    not equal",
        "resnet@0.0.3 reproduced resnet@0.0.2",
    ]


@pytest.mark.parametrize(
    ("found", "tolerance", "within"),
    [
        (0.505, 0.01, True),
        (0.495, 0.01, True),
        (0.5051, 0.01, False),
        (0.4, 0.01, False),
        (0.5, 0, True),
        (0.5000001, 0, False),
    ],
)
def test_metrics_may_be_off_by_the_tolerance(found, tolerance, within):
    assert _check(tolerance, metrics={"f1": found}).reproduced is within


def test_a_metric_that_is_zero_must_be_zero_again_and_none_may_be_missing():
    def judged(expected, found):
        version, other = a_version(metrics=expected), a_version("0.0.2", metrics=found)
        return check(version, [], other, [], 0.5)

    assert judged({"loss": 0.0}, {"loss": 0.0}).reproduced
    assert not judged({"loss": 0.0}, {"loss": 0.1}).reproduced
    assert not judged({"loss": 0.1}, {}).reproduced
    assert "loss: 0.1 expected, not measured" in shown(check_table(judged({"loss": 0.1}, {})))
    assert judged({"loss": -1.0}, {"loss": -1.2, "more": 1}).reproduced


def test_without_metrics_only_equal_bytes_are_a_reproduction():
    same = check(a_version(), [], a_version("0.0.2"), [], 0.01)
    other = check(a_version(), [], a_version("0.0.2", package=a_package("e")), [], 0.01)

    assert (same.reproduced, same.same_bytes) == (True, True)
    assert (other.reproduced, other.same_bytes) == (False, False)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("data", {"datasets": (Dataset(name="cats", version="2", digest=digest("9")),)}),
        ("data", {"datasets": ()}),
        ("code", {"code": CODE.model_copy(update={"commit": "f" * 40})}),
        ("parameters", {"parameters": {"optimizer": {"lr": 0.2}, "layers": [1, 2], "amp": True}}),
        ("environment", {"requirements": ("torch==2.2",)}),
        ("bases", {"other_bases": [BASE]}),
    ],
)
def test_each_input_that_is_another_is_named(part, changes):
    verdict = _check(**changes)

    assert (verdict.same_inputs, verdict.reproduced) == (False, False)
    assert [name for name, differing in verdict.differences.items() if differing] == [part]


def test_the_same_data_may_lie_in_another_place_or_bear_another_name_of_its_version():
    moved = Dataset(name="cats", version="two", digest=digest("c"), location="s3://elsewhere")
    unhashed = Dataset(name="cats", version="2")

    assert _check(datasets=(moved,)).same_inputs
    assert _check(datasets=(unhashed,)).same_inputs


def test_bases_with_the_same_bytes_are_the_same_and_those_found_by_bytes_are_no_input():
    twin = BASE.model_copy(update={"base": "0/resnet@0.0.7"})
    found = RecipeBase(base="0/x@0.0.1", relation="holds its a.pt", declared=False, package_digest=digest("8"))

    assert _check(bases=[BASE], other_bases=[twin, found]).same_inputs


def test_differing_inputs_are_said_to_people():
    verdict = _check(requirements=("torch==2.2",), datasets=(), parameters={**WHOLE["parameters"], "seed": 7})

    assert shown(check_table(verdict)).splitlines()[:4] == [
        "inputs   differ",
        "         data cats: version 2, digest sha256:cccccccccccc, location s3://data/cats is missing",
        "         parameters seed: 7 was added",
        "         environment requires torch: ==2.1 became ==2.2",
    ]


def test_a_check_is_json():
    said = json.loads(_check(metrics={"f1": 0.6}).model_dump_json())

    assert said["metrics"] == [
        {"name": "f1", "expected": 0.5, "found": 0.6, "difference": pytest.approx(0.2), "within": False}
    ]
    assert (said["version"], said["by"], said["reproduced"]) == ("resnet@0.0.2", "resnet@0.0.3", False)


def test_a_base_that_is_another_is_named_as_people_name_it():
    other = BASE.model_copy(update={"base": "0/bert@1.0.0", "package_digest": digest("7")})

    [removed, added] = sorted(_check(bases=[BASE], other_bases=[other]).differences["bases"], key=lambda one: one.change, reverse=True)  # fmt: skip

    assert (removed.name, removed.change) == ("0/resnet@0.0.1", "removed")
    assert (added.name, added.change) == ("0/bert@1.0.0", "added")
