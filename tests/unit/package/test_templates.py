"""Importing with a template: the catalogue, what a template makes of its inputs, and checking what they hold."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from services.importer.domain import Unacceptable
from services.importer.package.config import read_config
from services.importer.package.layout import CheckedPackage, check_package
from services.importer.templates.catalogue import Catalogue
from services.importer.templates.loading import InvalidTemplate
from services.importer.templates.plan import TemplatePlan, check_template_package
from shared.values import Reason, TemplateInput
from tests.packages import MODEL_FILES, PB, valid_config, valid_package
from tests.unit.package.test_layout import Listed, listed, reader

BUILT_IN = Catalogue.load()
TEN = (
    "ascend-om",
    "caffe-cpu-general",
    "caffe-gpu-general",
    "hugging-face-transformers",
    "mxnet-general",
    "onnx-general",
    "pytorch-general",
    "scikit-learn-general",
    "tensorflow-general",
    "xgboost-general",
)
HUGGING_FACE = {
    "config.json": b'{"model_type": "bert", "architectures": ["BertModel"]}',
    "model.safetensors": b"\x02",
    "tokenizer.json": b"{}",
}
# What each template takes.
TAKES: dict[str, dict[str, bytes]] = {
    "ascend-om": {"yolo.om": b"IMOD"},
    "caffe-cpu-general": MODEL_FILES["Caffe"],
    "caffe-gpu-general": MODEL_FILES["Caffe"],
    "hugging-face-transformers": HUGGING_FACE,
    "mxnet-general": MODEL_FILES["MXNet"],
    "onnx-general": MODEL_FILES["ONNX"],
    "pytorch-general": MODEL_FILES["PyTorch"],
    "scikit-learn-general": MODEL_FILES["Scikit_Learn"],
    "tensorflow-general": MODEL_FILES["TensorFlow"],
    "xgboost-general": MODEL_FILES["XGBoost"],
}


def given(*input_ids: str) -> list[TemplateInput]:
    return [TemplateInput(input_id=input_id, location="file:///models/run-7") for input_id in input_ids]


def plan_of(template: str, mode: str | None = None, catalogue: Catalogue = BUILT_IN) -> TemplatePlan:
    ids = [rule.input_id for rule in catalogue.get(template).inputs]
    return catalogue.plan(template, given(*ids), mode)


def check(plan: TemplatePlan, *held: Mapping[str, bytes]) -> CheckedPackage:
    inputs = {rule.input_id: dict(files) for rule, files in zip(plan.template.inputs, held, strict=True)}
    found = {input_id: listed(files) for input_id, files in inputs.items()}
    return check_template_package(plan, found, lambda input_id, path: reader(inputs[input_id])(path))


def refusal(plan: TemplatePlan, *held: Mapping[str, bytes]) -> tuple[Reason, str]:
    with pytest.raises(Unacceptable) as caught:
        check(plan, *held)
    return caught.value.refusal.reason, caught.value.refusal.message


def refused(template: str, inputs: list[TemplateInput], mode: str | None = None) -> tuple[Reason, str]:
    with pytest.raises(Unacceptable) as caught:
        BUILT_IN.plan(template, inputs, mode)
    return caught.value.refusal.reason, caught.value.refusal.message


def test_there_are_ten_templates():
    assert tuple(template.id for template in BUILT_IN.list()) == TEN


def test_there_are_four_modes():
    assert [(mode.id, mode.allows_batch) for mode in BUILT_IN.modes()] == [
        ("image-processing", True),
        ("object-detection", True),
        ("predictive-analytics", True),
        ("undefined", False),
    ]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"type": "ascend"}, ["ascend-om"]),
        ({"type": "general", "engine": "caffe"}, ["caffe-cpu-general", "caffe-gpu-general"]),
        ({"engine": "PyTorch"}, ["hugging-face-transformers", "pytorch-general"]),
        ({"environment": "cann 8"}, ["ascend-om"]),
        ({"engine": "Caffe", "environment": "gpu"}, ["caffe-gpu-general"]),
        ({"word": "TRANSFORMERS"}, ["hugging-face-transformers"]),
        ({"word": "booster"}, ["xgboost-general"]),
        ({"word": "scikit-l"}, ["scikit-learn-general"]),
        ({"word": "booster", "engine": "ONNX"}, []),
        ({"engine": "Py"}, []),
    ],
    ids=str,
)
def test_templates_are_found_by_type_engine_environment_and_a_word(filters: dict[str, str], found: list[str]):
    assert [template.id for template in BUILT_IN.list(**filters)] == found


def test_an_unknown_template_is_refused_with_what_may_have_been_meant():
    assert refused("PyTorch_general", given("model_folder")) == (
        Reason.TEMPLATE_NOT_FOUND,
        "there is no template 'PyTorch_general': expected 'pytorch-general', perhaps",
    )


def test_a_template_that_is_near_to_none_is_refused_with_all():
    assert refused("?", given("model_folder")) == (
        Reason.TEMPLATE_NOT_FOUND,
        f"there is no template '?': expected one of {', '.join(TEN)}",
    )


def test_an_unknown_mode_is_refused_with_those_there_are():
    assert refused("pytorch-general", given("model_folder"), "detection") == (
        Reason.MODE_NOT_FOUND,
        (
            "there is no mode 'detection': expected one of"
            " image-processing, object-detection, predictive-analytics, undefined"
        ),
    )


def test_the_mode_of_an_ascend_model_may_not_be_replaced():
    assert refused("ascend-om", given("model_folder"), "undefined") == (
        Reason.MODE_NOT_REPLACEABLE,
        "template ascend-om has the mode object-detection, which may not be replaced: got undefined",
    )


def test_a_mode_that_may_not_be_replaced_may_be_named():
    assert plan_of("ascend-om", "object-detection").mode.id == "object-detection"


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        (["folder"], "input 'folder' is none of its inputs"),
        (["model_folder", "folder"], "input 'folder' is none of its inputs"),
        (["model_folder", "model_folder"], "input 'model_folder' is given twice"),
        ([], "input 'model_folder' is missing"),
    ],
)
def test_the_inputs_are_those_that_the_template_asks_for(inputs: list[str], problem: str):
    assert refused("onnx-general", given(*inputs)) == (
        Reason.INVALID_TEMPLATE_INPUT,
        f"template onnx-general: {problem}: expected model_folder, each once",
    )


@pytest.mark.parametrize("template", TEN)
def test_a_template_makes_a_whole_package_of_its_input(template: str):
    plan = plan_of(template)

    checked = check(plan, TAKES[template])

    assert checked.engine == plan.template.engine
    assert checked.runtime == plan.template.runtime
    assert checked.config.document == plan.document


@pytest.mark.parametrize("template", sorted(set(TEN) - {"hugging-face-transformers"}))
def test_the_package_that_a_template_makes_could_come_from_object_storage(template: str):
    plan = plan_of(template)
    package = {plan.place("model_folder", path): content for path, content in TAKES[template].items()}
    package["model/config.json"] = plan.config_content

    assert check_package(listed(package), reader(package), "object-storage") == check(plan, TAKES[template])


@pytest.mark.parametrize("template", sorted(set(TEN) - {"ascend-om"}))
@pytest.mark.parametrize("mode", ["image-processing", "object-detection", "predictive-analytics", "undefined"])
def test_any_mode_gives_a_valid_configuration(template: str, mode: str):
    plan = plan_of(template, mode)

    assert read_config(plan.config_content, "template").document == plan.document
    assert plan.allows_batch == (mode != "undefined")


def test_the_configuration_has_the_apis_of_the_mode_and_the_rest_of_the_template():
    assert plan_of("scikit-learn-general", "object-detection").document == {
        "model_algorithm": "object_detection",
        "model_type": "Scikit_Learn",
        "runtime": "python3.11",
        "apis": [
            {
                "protocol": "http",
                "url": "/",
                "method": "POST",
                "request": {
                    "Content-type": "multipart/form-data",
                    "data": {"type": "object", "properties": {"images": {"type": "file"}}, "required": ["images"]},
                },
                "response": {
                    "Content-type": "application/json",
                    "data": {
                        "type": "object",
                        "properties": {
                            "detection_classes": {"type": "array", "items": {"type": "string"}},
                            "detection_boxes": {
                                "type": "array",
                                "items": {"type": "array", "minItems": 4, "maxItems": 4, "items": {"type": "number"}},
                            },
                            "detection_scores": {"type": "array", "items": {"type": "number"}},
                        },
                    },
                },
            }
        ],
        "dependencies": [
            {
                "installer": "pip",
                "packages": [
                    {"package_name": "scikit-learn", "package_version": "1.5", "restraint": "ATLEAST"}
                ],
            }
        ],
    }  # fmt: skip


def test_the_undefined_mode_says_nothing_of_apis():
    assert plan_of("pytorch-general", "undefined").document == {
        "model_algorithm": "general",
        "model_type": "PyTorch",
        "runtime": "pytorch2.6-python3.11",
    }


def test_files_go_to_model_and_those_of_hugging_face_below_it():
    assert plan_of("pytorch-general").place("model_folder", "a/b.pth") == "model/a/b.pth"
    assert plan_of("hugging-face-transformers").place("model_folder", "config.json") == "model/huggingface/config.json"


def test_inference_code_in_an_input_is_found():
    checked = check(plan_of("pytorch-general"), MODEL_FILES["PyTorch"] | {"customize_service.py": b""})

    assert checked.inference_code == "model/customize_service.py"


def test_two_files_of_inference_code_in_an_input_are_refused():
    held = MODEL_FILES["PyTorch"] | {"customize_service.py": b"", "a/customize_service.py": b""}

    assert refusal(plan_of("pytorch-general"), held)[0] is Reason.MORE_THAN_ONE_INFERENCE_CODE


def test_an_input_without_a_model_of_the_engine_is_refused():
    assert refusal(plan_of("onnx-general"), {"a.pth": b"x"}) == (
        Reason.ENGINE_FILE_MISSING,
        "ONNX needs a *.onnx in model/: found 'a.pth'",
    )


def test_an_input_with_two_models_is_refused():
    assert refusal(plan_of("onnx-general"), {"a.onnx": b"x", "b.onnx": b"x"})[0] is Reason.MORE_THAN_ONE_MODEL_FILE


def test_an_input_with_the_runs_of_a_job_is_refused_with_a_hint():
    held = {"V001/model/a.onnx": b"x", "V002/model/a.onnx": b"x"}

    assert refusal(plan_of("onnx-general"), held) == (
        Reason.ENGINE_FILE_MISSING,
        (
            "ONNX needs a *.onnx in model/: found nothing, and 'model/V001/model/a.onnx', which should lie in model/;"
            " the location holds the job versions V001, V002: name the model folder of one of them"
        ),
    )


def test_an_input_above_the_model_folder_is_refused_with_a_hint():
    assert refusal(plan_of("ascend-om"), {"model/a.om": b"x", "train.log": b"x"}) == (
        Reason.INVALID_TEMPLATE_INPUT,
        (
            "input 'model_folder' must hold *.om, and not empty: found none;"
            " the location holds a folder 'model': name that folder"
        ),
    )


@pytest.mark.parametrize("held", [{"a.ckpt": b"x"}, {"a.om": b""}, {"sub/a.om": b"x"}], ids=str)
def test_an_ascend_model_is_an_om(held: dict[str, bytes]):
    assert refusal(plan_of("ascend-om"), held) == (
        Reason.INVALID_TEMPLATE_INPUT,
        "input 'model_folder' must hold *.om, and not empty: found none",
    )


def test_two_ascend_models_are_refused():
    assert refusal(plan_of("ascend-om"), {"a.om": b"x", "b.om": b"x"})[0] is Reason.MORE_THAN_ONE_MODEL_FILE


@pytest.mark.parametrize(
    ("lost", "patterns"),
    [("config.json", "config.json"), ("model.safetensors", "*.safetensors or pytorch_model*.bin")],
)
def test_a_hugging_face_folder_has_configuration_and_weights(lost: str, patterns: str):
    held = {path: content for path, content in HUGGING_FACE.items() if path != lost}

    assert refusal(plan_of("hugging-face-transformers"), held) == (
        Reason.INVALID_TEMPLATE_INPUT,
        f"input 'model_folder' must hold {patterns}, and not empty: found none",
    )


def test_a_hugging_face_folder_may_have_the_weights_twice():
    assert check(plan_of("hugging-face-transformers"), HUGGING_FACE | {"pytorch_model.bin": b"x"}).engine == "PyTorch"


@pytest.mark.parametrize("template", ["pytorch-general", "hugging-face-transformers"])
@pytest.mark.parametrize("path", ["config.json", "model/config.json", "a/b/config.json"])
def test_an_input_that_has_a_configuration_of_a_package_is_refused(template: str, path: str):
    held = {**TAKES[template], path: json.dumps(valid_config("PyTorch")).encode()}

    assert refusal(plan_of(template), held) == (
        Reason.INVALID_TEMPLATE_INPUT,
        f"input 'model_folder' is a package with a configuration, {path!r}: import it by the method object-storage",
    )


def test_a_config_json_that_would_be_written_over_is_refused():
    held = MODEL_FILES["PyTorch"] | {"config.json": HUGGING_FACE["config.json"]}

    assert refusal(plan_of("pytorch-general"), held) == (
        Reason.INVALID_TEMPLATE_INPUT,
        "input 'model_folder' has a config.json, which would take the place of the generated one: leave it out",
    )


def test_a_config_json_of_other_meaning_may_lie_deeper():
    held = MODEL_FILES["PyTorch"] | {"bert/config.json": HUGGING_FACE["config.json"]}

    assert check(plan_of("pytorch-general"), held).engine == "PyTorch"


def a_template(**changes: Any) -> dict[str, Any]:
    """An operator's template of two inputs. A change to None leaves the key out."""
    template: dict[str, Any] = {
        "id": "ours",
        "name": "Ours",
        "description": "With labels",
        "engine": "TensorFlow",
        "runtime": "tf2.16-python3.11",
        "type": "ours",
        "environment": "CPU",
        "inputs": [
            {"input_id": "graph", "description": "a frozen graph"},
            {"input_id": "labels", "description": "a file of labels", "must_hold": [["*.txt"]]},
        ],
        "mode": "image-processing",
        "mode_replaceable": False,
        "model_algorithm": "image_classification",
    }
    return {key: value for key, value in (template | changes).items() if value is not None}


def catalogue_with(folder: Path, files: dict[str, object]) -> Catalogue:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return Catalogue.load(folder)


def test_an_operators_template_is_used_as_the_others_are(tmp_path: Path):
    catalogue = catalogue_with(tmp_path, {"ours.json": a_template(), "readme.md": b"not read"})
    plan = plan_of("ours", catalogue=catalogue)

    checked = check(plan, {"a.pb": PB}, {"labels.txt": b"cat"})

    assert checked.config.model_algorithm == "image_processing"
    assert len(catalogue.list()) == 11


def test_an_operators_mode_is_used_as_the_others_are(tmp_path: Path):
    mode = {"id": "text", "name": "Text", "description": "Text", "apis": [{"method": "POST"}], "allows_batch": False}
    catalogue = catalogue_with(tmp_path, {"modes/text.json": mode})

    plan = plan_of("pytorch-general", "text", catalogue)

    assert (plan.document["apis"], plan.allows_batch) == ([{"method": "POST"}], False)


def test_two_inputs_may_not_hold_the_same_file(tmp_path: Path):
    plan = plan_of("ours", catalogue=catalogue_with(tmp_path, {"ours.json": a_template()}))

    assert refusal(plan, {"a.pb": PB, "labels.txt": b"dog"}, {"labels.txt": b"cat"}) == (
        Reason.INVALID_TEMPLATE_INPUT,
        "input 'labels' has 'labels.txt', as another input has: expected it once",
    )


def test_inference_code_is_counted_over_all_inputs(tmp_path: Path):
    inputs = [
        {"input_id": "graph", "description": "a frozen graph"},
        {"input_id": "labels", "description": "a file of labels", "folder": "labels"},
    ]
    plan = plan_of("ours", catalogue=catalogue_with(tmp_path, {"ours.json": a_template(inputs=inputs)}))
    code = {"customize_service.py": b""}

    assert refusal(plan, {"a.pb": PB, **code}, code)[0] is Reason.MORE_THAN_ONE_INFERENCE_CODE


INPUT = {"input_id": "graph", "description": "a frozen graph"}


@pytest.mark.parametrize(
    ("template", "path", "got"),
    [
        (a_template(id=None), "$.id", "nothing"),
        (a_template(id="Ours!"), "$.id", "'Ours!'"),
        (a_template(id="onnx-general"), "$.id", "'onnx-general'"),
        (a_template(name="two\nlines"), "$.name", "'two\\nlines'"),
        (a_template(engine="Tensorflow"), "$.engine", "'Tensorflow'"),
        (a_template(engine="Image"), "$.engine", "'Image'"),
        (a_template(runtime="a<b"), "$.runtime", "'a<b'"),
        (a_template(mode="none"), "$.mode", "'none'"),
        (a_template(mode_replaceable="perhaps"), "$.mode_replaceable", "'perhaps'"),
        (a_template(mode_replacable=True), "$.mode_replacable", "true"),
        (a_template(model_algorithm="1"), "$.model_algorithm", "'1'"),
        (a_template(inputs=[]), "$.inputs", "[]"),
        (a_template(inputs=[{"input_id": "graph"}]), "$.inputs[0].description", "nothing"),
        (a_template(inputs=[INPUT, INPUT]), "$.inputs[1].input_id", "'graph'"),
        (a_template(inputs=[{**INPUT, "folder": "../a"}]), "$.inputs[0].folder", "'../a'"),
        (a_template(inputs=[{**INPUT, "folder": "/a"}]), "$.inputs[0].folder", "'/a'"),
        (a_template(inputs=[{**INPUT, "must_hold": ["*.pb"]}]), "$.inputs[0].must_hold[0]", "'*.pb'"),
        (a_template(inputs=[{**INPUT, "must_hold": [[]]}]), "$.inputs[0].must_hold[0]", "[]"),
        (a_template(inputs=[{**INPUT, "must_have": []}]), "$.inputs[0].must_have", "[]"),
        (a_template(dependencies=[{"installer": "apt", "packages": []}]), "$.dependencies[0].installer", "'apt'"),
        ([], "$", "[]"),
        (b"{", "$", "'' in line 1, column 2"),
        (b" " * 2_000_000, "$", "1048577 bytes"),
    ],
)
def test_a_template_that_breaks_a_rule_is_told_with_its_file_and_place(
    tmp_path: Path, template: object, path: str, got: str
):
    with pytest.raises(InvalidTemplate) as caught:
        catalogue_with(tmp_path, {"ours.json": template})

    [fault] = caught.value.faults
    assert (fault.path, fault.got) == (path, got)
    assert str(caught.value) == f"ours.json: {path}: got {got}, expected {fault.expected}"


@pytest.mark.parametrize(
    ("mode", "path"),
    [
        ({"id": "undefined"}, "$.id"),
        ({"apis": [{"url": "/a"}]}, "$.apis[0].url"),
        ({"apis": [{"request": {"data": {"type": "text"}}}]}, "$.apis[0].request.data.type"),
        ({"model_algorithm": "图"}, "$.model_algorithm"),
        ({"allow_batch": True}, "$.allow_batch"),
    ],
)
def test_a_mode_that_breaks_a_rule_is_told_with_its_file_and_place(tmp_path: Path, mode: dict[str, Any], path: str):
    whole = {"id": "text", "name": "Text", "description": "Text"}

    with pytest.raises(InvalidTemplate, match=r"^text\.json: ") as caught:
        catalogue_with(tmp_path, {"modes/text.json": whole | mode})

    assert [fault.path for fault in caught.value.faults] == [path]


def test_two_templates_of_an_operator_may_not_have_the_same_id(tmp_path: Path):
    with pytest.raises(InvalidTemplate, match=r"^b\.json: \$\.id: got 'ours', expected an id that no other has$"):
        catalogue_with(tmp_path, {"a.json": a_template(), "b.json": a_template()})


def test_a_folder_of_templates_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(InvalidTemplate, match="No such file or directory"):
        Catalogue.load(tmp_path / "none")


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path):
    (tmp_path / "a.json").symlink_to(tmp_path / "none")

    with pytest.raises(InvalidTemplate, match=r"^a\.json: \$: got No such file or directory"):
        Catalogue.load(tmp_path)


def test_a_whole_package_is_no_input_of_a_template():
    assert refusal(plan_of("pytorch-general"), valid_package())[0] is Reason.INVALID_TEMPLATE_INPUT


def test_files_are_checked_without_their_bytes():
    plan = plan_of("onnx-general")

    checked = check_template_package(plan, {"model_folder": [Listed("a.onnx", 10**12)]}, lambda *_: b"")

    assert checked.engine == "ONNX"
