"""What model files say of themselves: headers made by hand."""

import struct

import pytest

from tests.unit.inspection.files import call, described, npy, pickled, safetensors, stack_global, text, zipped
from tests.unit.inspection.test_harmless_files import ESTIMATOR, KERAS, LAYER, STATE_DICT
from tests.unit.inspection.test_hidden_pickles import TORCH_MAGIC, wrapper

WEIGHTS = b'{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[],"data_offsets":[24,26]}}'


def test_safetensors():
    model = described("m.safetensors", safetensors(WEIGHTS, bytes(26)))

    assert (model.format, model.framework) == ("safetensors", "pytorch")
    assert (model.tensor_count, model.parameter_count) == (2, 7)
    assert model.dtypes == {"float32": 1, "bfloat16": 1}
    assert model.problem is None


@pytest.mark.parametrize(
    ("header", "data", "problem"),
    [
        (b"[]", b"", "has a header that is no JSON object: expected a whole safetensors file"),
        (b"{", b"", "has a header that is no JSON: expected a whole safetensors file"),
        (b"[" * 90_000, b"", "has a header that is no JSON: expected a whole safetensors file"),
        (
            b'{"a":1}',
            b"",
            "has no known dtype, shape and data_offsets for tensor 'a': expected a whole safetensors file",
        ),
        (
            b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,7]}}',
            bytes(7),
            "gives tensor 'a' 7 bytes: expected what its shape and dtype need",
        ),
        (
            b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}',
            bytes(3),
            "has a tensor at byte 1: expected byte 2, without gap or overlap",
        ),
        (
            b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}',
            bytes(3),
            "has 3 bytes of tensors: expected 2, as its header says",
        ),
        (
            b'{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,2]}}',
            bytes(2),
            "a shape is negative or larger than any memory: expected a whole safetensors file",
        ),
        (
            b'{"a":{"dtype":"U8","shape":[4611686018427387904,4],"data_offsets":[0,2]}}',
            bytes(2),
            "a shape is negative or larger than any memory: expected a whole safetensors file",
        ),
    ],
)
def test_safetensors_that_break_a_rule(header: bytes, data: bytes, problem: str):
    assert described("m.safetensors", safetensors(header, data)).problem == problem


def test_a_safetensors_header_longer_than_the_file():
    assert described("m.safetensors", struct.pack("<Q", 2**60) + b"{}").problem == (
        f"says that its header has {2**60} bytes: expected at most 2"
    )


def string(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


GGUF = (
    b"GGUF"
    + struct.pack("<IQQ", 3, 1, 4)
    + string(b"general.architecture") + struct.pack("<I", 8) + string(b"llama")
    + string(b"llama.block_count") + struct.pack("<II", 4, 30)
    + string(b"tokens") + struct.pack("<IIQ", 9, 8, 2) + string(b"a") + string(b"bc")
    + string(b"scores") + struct.pack("<IIQff", 9, 6, 2, 1, 2)
    + string(b"w") + struct.pack("<IQQIQ", 2, 32, 4, 8, 0)
)  # fmt: skip


def test_gguf():
    model = described("m.gguf", GGUF)

    assert (model.format, model.tensor_count, model.parameter_count) == ("gguf", 1, 128)
    assert model.dtypes == {"q8_0": 1}
    assert model.details == {"version": 3, "general.architecture": "llama", "llama.block_count": 30}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "is GGUF of version 1: expected 2 or 3, little-endian"),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 2**63, 2**63),
            f"says that it has {2**63} keys and {2**63} tensors: expected at most 10000 and 200000",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**62),
            f"has a name of {2**62} bytes: expected at most 1024",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + string(b"a") + struct.pack("<IIQ", 9, 9, 1),
            "has a value of type 9: expected 0 to 12",
        ),
        (GGUF[:-4], "ends 4 bytes too early: expected a whole gguf file"),
    ],
)
def test_gguf_that_breaks_a_rule(content: bytes, problem: str):
    assert described("m.gguf", content).problem == problem


def test_a_state_dict_of_pytorch():
    model = described("m.pt", zipped({"m/data.pkl": STATE_DICT, "m/version": b"3\n", "m/data/0": bytes(24)}))

    assert (model.format, model.framework) == ("pytorch-zip", "pytorch")
    assert (model.tensor_count, model.parameter_count, model.dtypes) == (1, 6, {"float32": 1})
    assert model.details == {"holds": "state dict", "archive_version": "3"}


def test_a_whole_model_of_pytorch():
    model = described("m.pt", zipped({"m/data.pkl": LAYER, "m/version": b"3\n"}))

    assert model.details["holds"] == "torch.nn.modules.linear.Linear"


def test_a_state_dict_of_an_old_pytorch():
    model = described("m.pth", TORCH_MAGIC + b"\x80\x02M\xe9\x03." + b"\x80\x02}." + STATE_DICT + b"\x80\x02].")

    assert (model.format, model.tensor_count, model.parameter_count) == ("pytorch-legacy", 1, 6)


def test_an_estimator():
    model = described("m.pkl", ESTIMATOR)

    assert (model.format, model.framework, model.framework_version) == ("pickle", "scikit-learn", "1.9.1")
    assert model.details == {"class": "sklearn.svm._classes.SVC"}


def test_an_estimator_with_an_array_of_joblib():
    svc = stack_global("sklearn.svm._classes", "SVC") + b")\x81"

    model = described("m.joblib", pickled(svc + b"}" + text("x") + wrapper(b"K\x04\x85") + b"1234" + b"sb"))

    assert (model.format, model.framework) == ("joblib", "scikit-learn")


def test_a_booster_in_a_pickle():
    model = described("m.pkl", pickled(stack_global("xgboost.sklearn", "XGBClassifier") + b")\x81"))

    assert (model.framework, model.details) == ("xgboost", {"class": "xgboost.sklearn.XGBClassifier"})


def test_an_array():
    model = described("a.npy", npy(bytes(24), "'<f4'", "(2, 3)"))

    assert (model.format, model.parameter_count, model.dtypes) == ("npy", 6, {"float32": 1})


def test_several_arrays():
    model = described("a.npz", zipped({"a.npy": npy(bytes(8), "'<i8'", "()"), "b.npy": npy(bytes(2), "'|b1'", "(2,)")}))

    assert (model.tensor_count, model.parameter_count, model.dtypes) == (2, 3, {"int64": 1, "bool": 1})


def test_keras():
    model = described("m.keras", zipped({"config.json": KERAS, "metadata.json": b'{"keras_version":"3.9.0"}'}))

    assert (model.format, model.framework, model.framework_version) == ("keras", "keras", "3.9.0")
    assert model.details == {"class": "Sequential", "layers": 1}


def test_hdf5_of_keras():
    model = described(
        "m.h5", b"\x89HDF\r\n\x1a\n" + bytes(90) + b"keras_version\0\0\0\x13\0\0\0\x06\x002.15.0\0backend"
    )

    assert (model.format, model.framework, model.framework_version) == ("hdf5", "keras", "2.15.0")


def test_xgboost_in_json():
    model = described("m.json", b'{"learner":{"objective":{"name":"binary:logistic"}},"version":[3,2,0]}')

    assert (model.format, model.framework_version) == ("xgboost-json", "3.2.0")
    assert model.details == {"objective": "binary:logistic"}


def test_xgboost_in_ubjson():
    head = b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{}"
    model = described(
        "m.ubj", head + b"L\x00\x00\x00\x00\x00\x00\x00\x07version[#L\x00\x00\x00\x00\x00\x00\x00\x03i\x03i\x02i\x00}"
    )

    assert (model.format, model.framework_version) == ("xgboost-ubj", "3.2.0")


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("m.pt", "expected a zip archive or a pickle of PyTorch"),
        ("m.pkl", "expected a pickle"),
        ("m.gguf", "expected GGUF at its beginning"),
        ("m.h5", "expected an HDF5 file"),
        ("m.keras", "expected a zip archive of Keras 3"),
        ("m.npy", "expected a NumPy array"),
        ("m.tflite", "expected TFL3 at its fifth byte"),
        ("m.onnx", "is no protocol buffer: expected a whole onnx file"),
        ("saved_model.pb", "is no protocol buffer: expected a whole saved-model file"),
    ],
)
def test_a_file_that_is_not_what_its_name_says(path: str, problem: str):
    assert described(path, b"weights").problem == problem


def test_a_call_of_numpy_is_no_estimator():
    model = described("a.pkl", pickled(call(stack_global("numpy", "dtype"), text("f4"))))

    assert (model.framework, model.details) == ("numpy", {"class": "numpy.dtype"})
