"""Two versions side by side."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from modelkin.comparing import (
    Difference,
    FileDifference,
    alike,
    compare,
    differences,
    environment_of,
    file_differences,
    flat,
    metric_differences,
    requirements_of,
)
from modelkin.judgements import comparison_table
from shared.contents import Contents, HuggingFaceFolder, MLflowFolder, ModelFile
from shared.values import Base, Code, Dataset, FromJob, FromTemplate, Image, Job, TemplateInput
from tests.answers import a_version
from tests.samples import a_file, digest


def shown(renderable):
    screen = Console(width=200, highlight=False)
    with screen.capture() as captured:
        screen.print(renderable)
    return captured.get()


def _compare(left, right):
    return compare(left, right, (left.package.files, right.package.files))


def test_a_version_does_not_differ_from_itself():
    version = a_version(
        datasets=(Dataset(name="cats", version="2"),),
        code=Code(repository="git.example/cats", commit="abc"),
        parameters={"lr": 0.1, "layers": [1, 2]},
        metrics={"f1": 0.5},
        engine="PyTorch",
    )

    comparison = _compare(version, version)

    assert not comparison.differs
    assert shown(comparison_table(comparison)).startswith("resnet@0.0.1 and resnet@0.0.1: nothing differs in data")


def test_each_part_tells_what_differs():
    left = a_version(
        datasets=(Dataset(name="cats", version="1"), Dataset(name="dogs")),
        code=Code(repository="git.example/cats", commit="abc"),
        parameters={"optimizer": {"name": "adam", "lr": 0.1}},
        metrics={"f1": 0.5, "recall": 0.25},
        engine="PyTorch",
        requirements=("torch==2.1",),
        bases=(Base(model="resnet", version="0.0.1", relation="fine-tuned"),),
    )
    right = a_version(
        "0.0.2",
        datasets=(Dataset(name="cats", version="2"),),
        code=Code(repository="git.example/cats", commit="def"),
        parameters={"optimizer": {"name": "adam", "lr": 0.01}, "seed": 7},
        metrics={"f1": 0.75},
        engine="PyTorch",
        requirements=("torch==2.2",),
    )

    found = json.loads(_compare(left, right).model_dump_json())

    assert (found["left"], found["right"]) == ("resnet@0.0.1", "resnet@0.0.2")
    assert [(one["name"], one["change"]) for one in found["data"]] == [("cats", "changed"), ("dogs", "removed")]
    assert found["data"][0]["left"] == {"version": "1"}
    assert [(one["name"], one["change"]) for one in found["bases"]] == [("0/resnet@0.0.1", "removed")]
    assert [(one["name"], one["change"]) for one in found["code"]] == [("commit", "changed"), ("repository", "same")]
    assert [(one["name"], one["left"], one["right"]) for one in found["parameters"]] == [
        ("optimizer.lr", 0.1, 0.01),
        ("optimizer.name", "adam", "adam"),
        ("seed", None, 7),
    ]
    assert [(one["name"], one["change"]) for one in found["environment"]] == [
        ("engine", "same"),
        ("requires torch", "changed"),
    ]
    assert [(one["name"], one["difference"]) for one in found["metrics"]] == [("f1", 0.25), ("recall", None)]


def test_the_environment_is_engine_runtime_packages_image_and_frameworks():
    image = Image(
        reference="registry.example/cats:1",
        digest=digest("d"),
        media_type="m",
        platform="linux/amd64",
        size_bytes=1,
        layers=(),
    )
    contents = Contents(
        files=(
            ModelFile(path="a.pt", format="pytorch-zip", framework="pytorch", framework_version="2.1"),
            ModelFile(path="b.pt", format="pytorch-zip", framework="pytorch", framework_version="2.0"),
            ModelFile(path="c.onnx", format="onnx"),
        ),
        hugging_face=(HuggingFaceFolder(path="", transformers_version="4.40"),),
        mlflow=(MLflowFolder(path="", flavors={"sklearn": "1.5", "python_function": None}),),
    )
    source = FromTemplate(
        template="onnx-general", inputs=(TemplateInput(input_id="model", location="s3://b"),), mode="m"
    )

    told = environment_of(
        a_version(
            engine="Image",
            runtime="python3.11",
            source=source,
            image=image,
            contents=contents,
            requirements=("numpy>=1.2", "NumPy<=2", "torch[cuda]==2.1", "pillow"),
        )
    )

    assert told == {
        "engine": "Image",
        "runtime": "python3.11",
        "template": "onnx-general",
        "template mode": "m",
        "image": digest("d"),
        "platform": "linux/amd64",
        "requires numpy": "<=2, >=1.2",
        "requires torch": "[cuda]==2.1",
        "requires pillow": "",
        "framework pytorch": "2.0, 2.1",
        "framework sklearn": "1.5",
        "framework transformers": "4.40",
    }


def test_packages_are_compared_by_the_name_that_pip_compares():
    assert requirements_of(["Scikit_Learn==1.5", "scikit.learn>=1"]) == {"scikit-learn": "==1.5, >=1"}


def test_a_built_in_algorithm_is_code():
    source = FromJob(location="file:///m", job=Job(id="j", version="1"), built_in_algorithm="resnet_v1_50")

    [found] = _compare(a_version(), a_version("0.0.2", source=source)).code

    assert found == Difference(name="built-in algorithm", change="added", right="resnet_v1_50")


def test_several_data_sets_of_one_name_are_told_apart_by_version():
    left = a_version(datasets=(Dataset(name="cats", version="1"), Dataset(name="cats", version="2")))
    right = a_version("0.0.2", datasets=(Dataset(name="cats", version="2"), Dataset(name="cats", digest=digest("e"))))

    found = {one.name: one.change for one in _compare(left, right).data}

    assert found == {"cats@1": "removed", "cats@2": "same", f"cats@{digest('e')}": "added"}


def test_files_are_compared_by_path_and_digest():
    left = [a_file("a", "1"), a_file("b", "2"), a_file("c", "3"), a_file("d", "4")]
    right = [a_file("a", "1"), a_file("b", "9"), a_file("e", "3"), a_file("f", "5")]

    assert file_differences(left, right) == (
        FileDifference(path="a", change="same", left=digest("1"), right=digest("1")),
        FileDifference(path="b", change="changed", left=digest("2"), right=digest("9")),
        FileDifference(path="d", change="removed", left=digest("4")),
        FileDifference(path="e", change="moved", moved_from="c", left=digest("3"), right=digest("3")),
        FileDifference(path="f", change="added", right=digest("5")),
    )


def test_a_copy_beside_the_file_is_added_and_not_moved():
    found = file_differences([a_file("a", "1")], [a_file("a", "1"), a_file("b", "1")])

    assert [(one.path, one.change) for one in found] == [("a", "same"), ("b", "added")]


def test_of_equal_files_each_moves_once():
    left, right = [a_file("a", "1"), a_file("b", "1")], [a_file("x", "1")]

    assert [(one.path, one.change, one.moved_from) for one in file_differences(left, right)] == [
        ("b", "removed", None),
        ("x", "moved", "a"),
    ]


def test_files_that_nobody_lists_any_more_are_said_not_to_be_compared():
    comparison = compare(a_version(), a_version("0.0.2"), None)

    assert comparison.files is None
    assert "files are not compared" in shown(comparison_table(comparison))


def test_nested_names_are_joined_by_dots_and_stay_apart_from_names_with_dots():
    values = {"a.b": 1, "a": {"b": 2, "": 3, "c": {}, "d": [1]}}

    assert dict(flat(values)) == {'"a.b"': 1, "a.b": 2, 'a.""': 3, "a.c": {}, "a.d": [1]}


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (1, 1.0, True),
        (1, True, False),
        (False, 0, False),
        ("1", 1, False),
        (None, None, True),
        ([1, {"a": True}], [1.0, {"a": True}], True),
        ([1, {"a": True}], [1, {"a": 1}], False),
        ([1], [1, 2], False),
    ],
)
def test_values_are_alike_as_in_json(left, right, expected):
    assert alike(left, right) is expected


def test_a_null_that_was_given_is_not_the_same_as_nothing():
    assert differences({"a": None}, {}) == (Difference(name="a", change="removed"),)


def test_metrics_are_subtracted():
    assert [one.difference for one in metric_differences({"f1": 0.5}, {"f1": 0.25})] == [-0.25]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON))
def test_flat_names_are_unique_and_nothing_is_lost(values):
    found = list(flat(values))

    def leaves(value):
        return sum(map(leaves, value.values())) if isinstance(value, dict) and value else 1

    assert len({name for name, _ in found}) == len(found) == sum(map(leaves, values.values()))


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("123"))),
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("123"))),
)
def test_every_file_of_both_is_told_once(left, right):
    before, after = dict(left), dict(right)

    found = file_differences(*([a_file(path, letter) for path, letter in one.items()] for one in (before, after)))

    assert sorted([one.path for one in found if one.change != "removed"]) == sorted(after)
    told = [one.moved_from or one.path for one in found if one.change != "added"]
    assert sorted(told) == sorted(before)


def test_names_of_others_do_not_reach_the_terminal_as_commands():
    left = a_version(parameters={"[red]x[/]\x1b[2J": "[/]\x07"})

    said = shown(comparison_table(_compare(left, a_version("0.0.2"))))

    assert "\x1b[2J" not in said
    assert "[red]x[/]" in said
