"""Folders of Hugging Face and of MLflow, read from their configuration, card and MLmodel file."""

import json

import pytest

from services.importer.inspection.inspect import inspect_package
from shared.contents import Contents
from tests.unit.inspection.files import found

CARD = b"""---
license: apache-2.0
language:
- en
- de
base_model: google-bert/bert-base-uncased
tags: [fill-mask, "1.10"]
---
# A model
---
license: mit
---
"""
MLMODEL = b"""
flavors:
  python_function:
    env: {conda: conda.yaml}
    loader_module: mlflow.sklearn
    python_version: 3.11.10
  sklearn:
    pickled_model: model.pkl
    sklearn_version: 1.10
mlflow_version: 2.16.0
model_uuid: 0c1b
run_id: 9f2e
signature:
  inputs: '[{"type": "double", "name": "x"}]'
  outputs: '[{"type": "long"}]'
"""


def package(**files: bytes) -> Contents:
    return inspect_package(
        [found(name.replace("__", "/").replace("_", "."), content) for name, content in files.items()]
    )


def test_a_folder_of_hugging_face():
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "transformers_version": "4.8.2",
        "torch_dtype": "float32",
    }

    [folder] = package(a__config_json=json.dumps(config).encode(), a__README_md=CARD).hugging_face

    assert (folder.path, folder.model_type, folder.architectures) == ("a", "bert", ("BertModel",))
    assert (folder.transformers_version, folder.torch_dtype) == ("4.8.2", "float32")
    assert folder.config == config
    assert (folder.card, folder.licence, folder.languages) == ("a/README.md", "apache-2.0", ("en", "de"))
    assert folder.base_models == ("google-bert/bert-base-uncased",)
    assert folder.tags == ("fill-mask", "1.10")


def test_several_folders_of_hugging_face():
    files = {"config_json": b'{"model_type":"clip"}', "text__config_json": b'{"model_type":"bert"}'}

    assert [(folder.path, folder.model_type) for folder in package(**files).hugging_face] == [
        ("", "clip"),
        ("text", "bert"),
    ]


def test_the_configuration_of_a_model_package_is_none_of_hugging_face():
    config = b'{"model_algorithm": "image_classification", "model_type": "PyTorch"}'

    assert package(config_json=config).hugging_face == ()


@pytest.mark.parametrize(
    "config",
    [
        b"{",
        b"[]",
        b'"x"',
        b"[" * 500_000,
        b'{"model_type":1}',
        b"\xff\xfe",
        b'{"model_type":"bert","x":"\\ud800"}',
        b'{"model_type":"a","x":' + b"[" * 300 + b"]" * 300 + b"}",
    ],
)
def test_a_configuration_that_is_none_is_left_out(config: bytes):
    assert package(config_json=config).hugging_face == ()


def test_numbers_that_no_event_can_carry_are_left_out():
    [folder] = package(config_json=b'{"model_type":"bert","a":1e999,"b":' + b"9" * 40 + b',"c":NaN,"d":1}').hugging_face

    assert folder.config == {"model_type": "bert", "a": None, "b": None, "c": None, "d": 1}


def test_a_large_configuration_is_left_out_of_the_folder():
    config = json.dumps({"model_type": "bert", "id2label": {str(number): "x" * 20 for number in range(1000)}})

    [folder] = package(config_json=config.encode()).hugging_face

    assert (folder.model_type, folder.config) == ("bert", {})


BOMB = (
    b"---\na: &a [x,x]\n"
    + b"\n".join(b"%c: &%c [*%c,*%c]" % (98 + n, 98 + n, 97 + n, 97 + n) for n in range(20))
    + b"\nlicense: mit\n---\n"
)


@pytest.mark.parametrize(
    "card",
    [
        BOMB,
        b"---\nlicense: !!python/object/apply:os.system [id]\nx: [\n---\n",
        b"---\n" + b"- " * 5000 + b"\n---\n",
        b"---\n" + b"[" * 5000 + b"\n---\n",
        b"no front matter",
        b"---\nlicense: mit\n",
        b"---\n" + b"a: b\n" * 20_000 + b"---\n",
    ],
    ids=["aliases", "a tag", "deep lists", "deep brackets", "none", "no end", "long"],
)
def test_a_card_that_breaks_a_rule_says_nothing(card: bytes):
    [folder] = package(config_json=b'{"model_type":"bert"}', README_md=card).hugging_face

    assert (folder.model_type, folder.licence) == ("bert", None)


def test_a_folder_of_mlflow():
    [folder] = inspect_package([found("m/MLmodel", MLMODEL)]).mlflow

    assert (folder.path, folder.mlflow_version, folder.run_id, folder.model_uuid) == ("m", "2.16.0", "9f2e", "0c1b")
    assert folder.flavors == {"python_function": "3.11.10", "sklearn": "1.10"}
    assert folder.inputs == ({"type": "double", "name": "x"},)
    assert folder.outputs == ({"type": "long"},)


@pytest.mark.parametrize("content", [b"a: *b", b"- a", b"flavors: {", b"x", BOMB])
def test_an_mlmodel_that_breaks_a_rule_is_left_out(content: bytes):
    assert inspect_package([found("MLmodel", content)]).mlflow == ()
