"""The layout of packages: one valid package for each engine and way, and for each rule packages that break only it."""

import json
from collections.abc import Callable
from typing import NamedTuple

import pytest

from services.importer.domain import Unacceptable
from services.importer.package.layout import INFERENCE_CODE, CheckedPackage, check_package
from services.importer.package.reading import LARGEST_BYTES
from shared.values import Reason
from tests.packages import ALTERNATIVES, MODEL_FILES, Alternative, package_of, valid_config, valid_package


class Listed(NamedTuple):
    path: str
    size_bytes: int


def listed(package: dict[str, bytes]) -> list[Listed]:
    return [Listed(path, len(content)) for path, content in sorted(package.items())]


def check(package: dict[str, bytes], method: str = "object-storage") -> CheckedPackage:
    return check_package(listed(package), reader(package), method)


def reader(package: dict[str, bytes]) -> Callable[[str], bytes]:
    """Only configurations may be read."""

    def read(path: str) -> bytes:
        assert path.endswith("config.json")
        assert len(package[path]) <= LARGEST_BYTES
        return package[path]

    return read


def refusal(package: dict[str, bytes]) -> tuple[Reason, str]:
    with pytest.raises(Unacceptable) as caught:
        check(package)
    return caught.value.refusal.reason, caught.value.refusal.message


def with_files(engine: str, *paths: str) -> dict[str, bytes]:
    """A package of this engine with these files in its model folder, and no others."""
    return package_of(dict.fromkeys(paths, b"x"), valid_config(engine))


@pytest.mark.parametrize("engine", MODEL_FILES)
def test_a_package_with_the_files_of_its_engine_is_whole(engine: str):
    checked = check(valid_package(engine))

    assert checked.engine == engine
    assert checked.runtime == (None if engine == "Image" else "python3.11")
    assert (checked.inference_code, checked.requirements) == (None, ())


@pytest.mark.parametrize("given", ALTERNATIVES, ids=lambda given: f"{given.engine}: {min(given.files)}")
def test_other_files_will_do_for_an_engine(given: Alternative):
    assert check(package_of(given.files, valid_config(given.engine))).engine == given.engine


def test_other_files_may_lie_beside_the_model():
    package = valid_package() | {
        "model/customize_service.py": b"class Service: ...",
        "model/helpers/__init__.py": b"",
        "model/labels.json": b"[]",
        "README.md": b"hello",
        "train/config.json": json.dumps(valid_config()).encode(),
    }

    assert check(package).inference_code == "model/customize_service.py"


@pytest.mark.parametrize("hidden", ["._resnet.pth", ".resnet.pt"])
def test_a_hidden_file_is_no_model(hidden: str):
    assert check(valid_package() | {f"model/{hidden}": b"x"}).engine == "PyTorch"
    assert refusal(with_files("PyTorch", hidden))[0] is Reason.ENGINE_FILE_MISSING


def test_the_requirements_of_the_configuration_are_told():
    packages = [{"package_name": "numpy", "package_version": "1.26.4", "restraint": "EXACT"}]

    checked = check(valid_package(dependencies=[{"installer": "pip", "packages": packages}]))

    assert checked.requirements == ("numpy==1.26.4",)


@pytest.mark.parametrize(
    ("package", "message"),
    [
        (
            {"readme.md": b"hello"},
            "there is no folder 'model': expected a folder with a folder 'model' in it",
        ),
        (
            {"model": b"a file"},
            "there is no folder 'model': expected a folder with a folder 'model' in it",
        ),
        (
            {"config.json": b"{}", "resnet.pth": b"x"},
            "there is no folder 'model': the location is the model folder itself: name the folder above it",
        ),
        (
            {"V001/model/a.pth": b"x", "V002/model/a.pth": b"x", "log.txt": b"x"},
            "there is no folder 'model': the location holds the job versions V001, V002: name the one to import",
        ),
        (
            {"resnet/best/model/config.json": b"{}"},
            "there is no folder 'model': it is in 'resnet/best/model': name the folder above it",
        ),
        (
            {"Model/config.json": b"{}"},
            "there is no folder 'model': found 'Model': expected it in small letters",
        ),
    ],
)
def test_without_a_model_folder_the_package_is_refused_with_what_the_location_seems_to_be(
    package: dict[str, bytes], message: str
):
    assert refusal(package) == (Reason.MODEL_FOLDER_MISSING, message)


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ({"model/resnet.pth": b"x"}, "there is no model/config.json: expected one"),
        (
            {"model/resnet.pth": b"x", "config.json": b"{}"},
            "there is no model/config.json, but a 'config.json': expected it right in the model folder",
        ),
        (
            {"model/resnet.pth": b"x", "model/conf/config.json": b"{}"},
            "there is no model/config.json, but a 'model/conf/config.json': expected it right in the model folder",
        ),
        (
            {"model/resnet.pth": b"x", "model/Config.json": b"{}"},
            "there is no model/config.json, but a 'model/Config.json': expected it right in the model folder",
        ),
    ],
)
def test_without_a_configuration_the_package_is_refused(package: dict[str, bytes], message: str):
    assert refusal(package) == (Reason.CONFIG_MISSING, message)


@pytest.mark.parametrize(
    "second", [{"model_algorithm": "a"}, {"model_type": "PyTorch"}, valid_config("TensorFlow")], ids=str
)
def test_a_second_configuration_below_model_is_refused(second: dict[str, str]):
    package = valid_package() | {"model/other/config.json": json.dumps(second).encode()}

    assert refusal(package) == (
        Reason.MORE_THAN_ONE_CONFIG,
        "'model/other/config.json' configures a model too: expected model/config.json and no other",
    )


@pytest.mark.parametrize(
    "content",
    [
        b'{"model_type": "bert", "architectures": ["BertModel"]}',
        b"[]",
        b"not JSON",
        b"",
        b'{"model_type": ["PyTorch"]}',
    ],
)
def test_a_config_json_of_other_meaning_is_fine_below_model(content: bytes):
    assert check(valid_package() | {"model/bert/config.json": content}).engine == "PyTorch"


def test_a_large_file_named_config_json_is_not_read():
    package = valid_package() | {"model/other/config.json": b" " * (LARGEST_BYTES + 1)}

    assert check(package).engine == "PyTorch"


def test_of_many_files_named_config_json_the_nearest_sixteen_are_read():
    package = valid_package() | {f"model/deep/{number:02}/config.json": b"{}" for number in range(40)}
    read: list[str] = []

    def reading(path: str) -> bytes:
        read.append(path)
        return package[path]

    check_package(listed(package), reading, "object-storage")

    assert len(read) <= 17
    assert refusal(package | {"model/zz/config.json": b'{"model_algorithm": 1}'})[0] is Reason.MORE_THAN_ONE_CONFIG


def test_a_configuration_that_breaks_a_rule_is_refused_with_its_faults():
    with pytest.raises(Unacceptable) as caught:
        check(valid_package(model_type="Pytorch"))

    assert caught.value.refusal.reason is Reason.INVALID_CONFIG
    assert [fault.path for fault in caught.value.refusal.faults] == ["$.model_type"]


def test_a_configuration_that_is_too_large_is_not_read():
    package = valid_package() | {"model/config.json": b" " * (LARGEST_BYTES + 1)}

    assert refusal(package) == (
        Reason.INVALID_CONFIG,
        "model/config.json has 1048577 bytes: expected at most 1048576",
    )


def test_an_image_of_a_container_image_needs_no_address():
    package = valid_package("Image", swr_location=None)

    assert check(package, "container-image").engine == "Image"


def test_two_files_of_inference_code_are_refused():
    package = valid_package() | {"model/customize_service.py": b"", "model/a/customize_service.py": b""}

    assert refusal(package) == (
        Reason.MORE_THAN_ONE_INFERENCE_CODE,
        (
            "2 files of inference code, 'model/a/customize_service.py' and 'model/customize_service.py': expected at most one"
            f" {INFERENCE_CODE}"
        ),
    )


def test_inference_code_outside_model_does_not_count():
    package = valid_package() | {"customize_service.py": b"", "old/customize_service.py": b""}

    assert check(package).inference_code is None


NEEDS = {
    "TensorFlow": "saved_model.pb with variables/variables.index and variables/variables.data-*, or a frozen *.pb",
    "MindSpore": "a *.ckpt or a *.om or a *.mindir",
    "MXNet": "a *-symbol.json and a *.params",
    "Caffe": "a *.prototxt and a *.caffemodel",
    "PyTorch": "a *.pth or a *.pt or a *.safetensors",
    "XGBoost": "a *.m or a *.ubj or a *.json",
    "Scikit_Learn": "a *.m or a *.pkl or a *.joblib or a *.skops",
    "Spark_MLlib": "a folder spark_model",
    "ONNX": "a *.onnx",
}


@pytest.mark.parametrize(("engine", "needs"), NEEDS.items())
def test_without_the_files_of_its_engine_a_package_is_refused(engine: str, needs: str):
    assert refusal(with_files(engine)) == (
        Reason.ENGINE_FILE_MISSING,
        f"{engine} needs {needs} in model/: found nothing",
    )


@pytest.mark.parametrize(
    ("engine", "paths", "found"),
    [
        ("TensorFlow", ["saved_model.pb"], "found 'saved_model.pb'"),
        ("TensorFlow", ["saved_model.pb", "variables/variables.index"], "found 'saved_model.pb'"),
        ("TensorFlow", ["saved_model.pb", "variables/variables.data-00000-of-00001"], "found 'saved_model.pb'"),
        ("TensorFlow", ["variables/variables.index", "variables/variables.data-00000-of-00001"], "found nothing"),
        (
            "TensorFlow",
            ["saved_model.pb", "variables.index", "variables.data-00000-of-00001"],
            "found 'saved_model.pb', 'variables.data-00000-of-00001', 'variables.index'",
        ),
        ("MXNet", ["a-symbol.json"], "found 'a-symbol.json'"),
        ("MXNet", ["a.params"], "found 'a.params'"),
        ("Caffe", ["a.prototxt"], "found 'a.prototxt'"),
        ("Caffe", ["a.caffemodel"], "found 'a.caffemodel'"),
        ("PyTorch", ["a.PTH"], "found 'a.PTH'"),
        ("PyTorch", ["a.bin"], "found 'a.bin'"),
        ("Spark_MLlib", ["spark_models/part-0"], "found nothing"),
        ("Spark_MLlib", ["spark_model"], "found 'spark_model'"),
        ("ONNX", ["a.onnx.data"], "found 'a.onnx.data'"),
        ("ONNX", [f"{letter}.txt" for letter in "abcdefg"], "found 'a.txt', 'b.txt', 'c.txt', 'd.txt', 'e.txt' and 2 more"),
        (
            "PyTorch",
            ["checkpoints/last.pth"],
            "found nothing, and 'model/checkpoints/last.pth', which should lie in model/",
        ),
        (
            "TensorFlow",
            ["1/saved_model.pb", "1/variables/variables.index", "1/variables/variables.data-00000-of-00001"],
            "found nothing, and 'model/1/saved_model.pb', which should lie in model/",
        ),
        (
            "PyTorch",
            ["model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"],
            "the part 'model/model-00001-of-00003.safetensors' is not there",
        ),
        (
            "TensorFlow",
            ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00002"],
            "the part 'model/variables/variables.data-00001-of-00002' is not there",
        ),
    ],
)  # fmt: skip
def test_a_package_lacks_a_file_of_its_engine(engine: str, paths: list[str], found: str):
    assert refusal(with_files(engine, *paths)) == (
        Reason.ENGINE_FILE_MISSING,
        f"{engine} needs {NEEDS[engine]} in model/: {found}",
    )


def test_a_model_beside_the_model_folder_is_told():
    package = with_files("PyTorch") | {"resnet.pth": b"x"}

    assert refusal(package)[1].endswith("found nothing, and 'resnet.pth', which should lie in model/")


def test_the_configuration_is_no_model_of_xgboost():
    assert refusal(with_files("XGBoost"))[0] is Reason.ENGINE_FILE_MISSING


@pytest.mark.parametrize(
    ("engine", "empty"),
    [
        (engine, path)
        for engine, files in MODEL_FILES.items()
        for path in files
        if path != "spark_model/metadata/_SUCCESS"
    ],
)
def test_an_empty_model_file_is_as_good_as_none(engine: str, empty: str):
    package = valid_package(engine) | {f"model/{empty}": b""}

    reason, message = refusal(package)

    assert reason is Reason.ENGINE_FILE_MISSING
    assert message.endswith("is empty (0 bytes)")


@pytest.mark.parametrize(
    ("engine", "paths", "held"),
    [
        ("TensorFlow", ["a.pb", "b.pb"], "'a.pb', 'b.pb'"),
        (
            "TensorFlow",
            ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001", "a.pb"],
            "'saved_model.pb', 'a.pb'",
        ),
        ("TensorFlow", ["saved_model.pb", "a.pb"], "'saved_model.pb', 'a.pb'"),
        (
            "TensorFlow",
            [
                "saved_model.pb",
                "variables/variables.index",
                "variables/variables.data-00000-of-00001",
                "variables/variables.data-00000-of-00002",
                "variables/variables.data-00001-of-00002",
            ],
            "'variables/variables.data-*-of-00001', 'variables/variables.data-*-of-00002'",
        ),
        ("MindSpore", ["a.ckpt", "b.ckpt"], "'a.ckpt', 'b.ckpt'"),
        ("MindSpore", ["a.ckpt", "a.mindir"], "'a.ckpt', 'a.mindir'"),
        ("MXNet", ["a-symbol.json", "b-symbol.json", "a.params"], "'a-symbol.json', 'b-symbol.json'"),
        ("MXNet", ["a-symbol.json", "a-0001.params", "a-0010.params"], "'a-0001.params', 'a-0010.params'"),
        ("Caffe", ["deploy.prototxt", "train.prototxt", "a.caffemodel"], "'deploy.prototxt', 'train.prototxt'"),
        ("Caffe", ["deploy.prototxt", "a.caffemodel", "b.caffemodel"], "'a.caffemodel', 'b.caffemodel'"),
        ("PyTorch", ["a.pth", "b.pth"], "'a.pth', 'b.pth'"),
        ("PyTorch", ["a.pth", "a.safetensors"], "'a.pth', 'a.safetensors'"),
        (
            "PyTorch",
            ["a.pt", "m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"],
            "'a.pt', 'm-*-of-00002.safetensors'",
        ),
        ("XGBoost", ["a.m", "b.ubj"], "'a.m', 'b.ubj'"),
        ("XGBoost", ["a.json", "b.json"], "'a.json', 'b.json'"),
        ("Scikit_Learn", ["a.pkl", "b.pkl"], "'a.pkl', 'b.pkl'"),
        ("ONNX", ["encoder.onnx", "decoder.onnx"], "'decoder.onnx', 'encoder.onnx'"),
        ("ONNX", [f"{letter}.onnx" for letter in "abcdefg"], "'a.onnx', 'b.onnx', 'c.onnx', 'd.onnx', 'e.onnx' and 2 more"),
    ],
)  # fmt: skip
def test_of_several_models_nobody_knows_which_to_load(engine: str, paths: list[str], held: str):
    package = with_files(engine, *paths)

    assert refusal(package) == (
        Reason.MORE_THAN_ONE_MODEL_FILE,
        f"model/ holds {held}: expected one {engine} model, or a customize_service.py that says which to load",
    )


def test_inference_code_says_which_of_several_models_to_load():
    package = with_files("ONNX", "encoder.onnx", "decoder.onnx", "customize_service.py")

    assert check(package).inference_code == "model/customize_service.py"


@pytest.mark.parametrize("name", ["x-*-of-y-00001-of-00002.pt", "a-00001-of-00000.pt", "-00000-of-99999.pt", "a\n.pt"])
def test_a_strange_name_of_a_model_is_judged_as_any(name: str):
    reason = refusal(with_files("PyTorch", name, "other.pt"))[0]

    assert reason in {Reason.MORE_THAN_ONE_MODEL_FILE, Reason.ENGINE_FILE_MISSING}


def test_a_hundred_thousand_files_are_judged():
    files = [Listed(f"model/parts/{number}.pt", 1) for number in range(100_000)]
    package = valid_package()

    checked = check_package([*files, *listed(package)], reader(package), "object-storage")

    assert checked.engine == "PyTorch"
