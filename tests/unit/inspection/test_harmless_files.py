"""Files that are what they should be: none of them is held against a package."""

import gzip
import json
import struct
import tarfile
import zipfile
import zlib

import pytest

from tests.unit.inspection.files import (
    call,
    contents,
    global_,
    npy,
    pickled,
    safetensors,
    stack_global,
    tarred,
    text,
    unsafe,
    zipped,
)
from tests.unit.inspection.test_hidden_pickles import TORCH_MAGIC, wrapper

STORAGE = (
    b"(X\x07\x00\x00\x00storage" + global_("torch", "FloatStorage") + b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ"
)
TENSOR = call(
    global_("torch._utils", "_rebuild_tensor_v2"), STORAGE, b"K\x00", b"K\x02K\x03\x86", b"K\x03K\x01\x86", b"\x89", call(global_("collections", "OrderedDict"))
)  # fmt: skip
STATE_DICT = pickled(b"}X\x01\x00\x00\x00w" + TENSOR + b"s", 2)
LAYER = pickled(global_("torch.nn.modules.linear", "Linear") + b")\x81}b", 2)
NUMPY_ARRAY = call(
    stack_global("numpy._core.multiarray", "_reconstruct"), stack_global("numpy", "ndarray"), b"K\x00\x85", b"C\x01b"
)
ESTIMATOR = pickled(
    stack_global("sklearn.svm._classes", "SVC") + b")\x81}(" + text("coef_") + NUMPY_ARRAY + text("_sklearn_version") + text("1.9.1") + b"ub"
)  # fmt: skip
KERAS = json.dumps({"class_name": "Sequential", "module": "keras", "config": {"layers": [{"class_name": "Dense", "module": "keras.layers", "config": {"activation": "relu"}}]}}).encode()  # fmt: skip

HARMLESS = {
    "numbers.pkl": pickled(b"](K\x01K\x02e"),
    "protocol0.pkl": pickled(b"(lp0\nI1\naF1.5\naS'os'\naVsystem\na", 0),
    "words.pkl": pickled(b"}(" + text("os") + text("system") + text("eval") + b"Nu"),
    "state_dict.pt": zipped({"m/data.pkl": STATE_DICT, "m/version": b"3\n", "m/data/0": bytes(24), "m/byteorder": b"little"}),
    "bad_numbers.pt": zipped({"m/data.pkl": STATE_DICT, "m/version": b"3\n", "m/data/0": b"cos\nsystem\n(S'id'\ntR."}),
    "layer.pt": zipped({"m/data.pkl": LAYER, "m/version": b"3\n"}),
    "script.pt": zipped(
        {
            "m/data.pkl": pickled(global_("__torch__.net", "Net") + b")\x81}b", 2),
            "m/constants.pkl": pickled(b")", 2),
            "m/code/__torch__/net.py": b"import os",
        }
    ),
    "legacy.pth": TORCH_MAGIC + b"\x80\x02M\xe9\x03." + b"\x80\x02}." + STATE_DICT + b"\x80\x02]." + bytes(range(1, 100)),
    "tar.pth": tarred((tarfile.TarInfo("pickle"), STATE_DICT), (tarfile.TarInfo("storages"), b"\x80\x02K\x01." + bytes(24))),
    "svc.pkl": ESTIMATOR,
    "svc.m": ESTIMATOR,
    "svc.pkl.gz": gzip.compress(ESTIMATOR),
    "svc.joblib": zlib.compress(ESTIMATOR),
    "array.joblib": pickled(wrapper(b"K\x04\x85") + b"c\nos" + b"N\x86"),
    "aligned.joblib": pickled(wrapper(b"K\x04\x85", aligned=True) + b"\x02\xff\xff1234" + b"N\x86"),
    "floats.npy": npy(struct.pack("<2f", 1, 2), "'<f4'", "(2,)"),
    "objects.npy": npy(pickled(b"](K\x01e")),
    "floats.npz": zipped({"a.npy": npy(bytes(8), "'<f4'", "(2,)")}, zipfile.ZIP_DEFLATED),
    "m.keras": zipped({"config.json": KERAS, "metadata.json": b"{}", "model.weights.h5": b"\x89HDF\r\n\x1a\n"}),
    "m.safetensors": safetensors(b'{"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}', b"ab"),
    "weights.bin": bytes(range(256)) * 40,
    "random.dat": b"\x80\x03\xff\xff\xff\xff",
    "not_a.pkl": b"weights",
    "not_a.pt": b"weights",
    "vocabulary": b"cat\ndog\nios\nsystem\n" * 100,
    "merges": b"x^2 and x\x9c\n" * 30,
    "empty.zip": zipped({}),
    "folder.tar": tarred((tarfile.TarInfo("a/b.txt"), b"cos\nsystem\n")),
    "bert.pkl": pickled(call(stack_global("numpy", "dtype"), text("f8"), b"\x89", b"\x88") + b"(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"),
}  # fmt: skip


@pytest.mark.parametrize("path", HARMLESS)
def test_a_harmless_file_is_not_held_against_a_package(path: str):
    assert unsafe(path, HARMLESS[path]) == []


def test_plain_text_is_not_opened_as_a_model():
    assert contents(readme_md=b"cos\nsystem\n(S'id'\ntR.") == contents()
