"""Which format a file has, by its first bytes and its name, and what that format says of the file."""

from pathlib import PurePosixPath

from services.importer.inspection.formats import (
    estimators,
    gguf,
    keras,
    light,
    npy,
    onnx,
    pytorch,
    safetensors,
    tensorflow,
)
from services.importer.inspection.pickles import Judgement, Pickles
from services.importer.inspection.reading import Budget, Stream, Unreadable
from services.importer.inspection.zips import EMPTY_MAGIC, LOCAL_MAGIC, Zip
from shared.contents import ModelFile

_HEAD_BYTES = 4096
_MOST_ARRAYS = 256
# Graph files of TensorFlow that are no models.
_NO_MODELS = frozenset({"fingerprint.pb", keras.METADATA})
# What a file with this name ought to be, for those that are not.
_EXPECTED = {
    ".gguf": ("gguf", "expected GGUF at its beginning"),
    ".h5": ("hdf5", "expected an HDF5 file"),
    ".hdf5": ("hdf5", "expected an HDF5 file"),
    ".joblib": ("joblib", "expected a pickle of joblib"),
    ".keras": ("keras", "expected a zip archive of Keras 3"),
    ".npy": ("npy", "expected a NumPy array"),
    ".npz": ("npz", "expected a zip archive of NumPy arrays"),
    ".pickle": ("pickle", "expected a pickle"),
    ".pkl": ("pickle", "expected a pickle"),
    ".pt": ("pytorch", "expected a zip archive or a pickle of PyTorch"),
    ".pth": ("pytorch", "expected a zip archive or a pickle of PyTorch"),
    ".skops": ("skops", "expected a zip archive of skops"),
    ".tflite": ("tflite", "expected TFL3 at its fifth byte"),
}


class Described:
    """A file of a known format, and what its format gives cause to say against it."""

    def __init__(self, file: ModelFile, judgement: Judgement | None = None, external: tuple[str, ...] = ()) -> None:
        self.file = file
        self.judgement = judgement
        self.external = external


def describe(path: str, stream: Stream, pickles: Pickles | None, budget: Budget) -> Described | None:
    """What a file says of itself; None where its format is not known. Raises nothing for what it holds."""
    head = stream.beginning(_HEAD_BYTES)
    form = format_of(path, head, pickles)
    if form is None:
        return _not_as_named(path)
    try:
        return _read(path, form, stream, pickles, budget)
    except Unreadable as error:
        message = str(error) if ": expected" in str(error) else f"{error}: expected a whole {form} file"
        return Described(ModelFile(path=path, format=form, problem=message))


def format_of(path: str, head: bytes, pickles: Pickles | None) -> str | None:
    name, suffix = PurePosixPath(path).name, PurePosixPath(path).suffix.lower()
    by_magic = {
        gguf.MAGIC: "gguf",
        keras.HDF5_MAGIC: "hdf5",
        npy.NPY_MAGIC: "npy",
        LOCAL_MAGIC: "zip",
        EMPTY_MAGIC: "zip",
    }
    by_name = {".safetensors": "safetensors", ".onnx": "onnx", ".pb": None if name in _NO_MODELS else "frozen-graph"}
    if form := next((form for magic, form in by_magic.items() if head.startswith(magic)), None):
        return form
    if head[light.TFLITE_AT :].startswith(light.TFLITE):
        return "tflite"
    if suffix in by_name:
        return "saved-model" if name == "saved_model.pb" else by_name[suffix]
    if light.is_xgboost(head):
        return "xgboost"
    return "pickle" if pickles and pickles.is_one else None


def _not_as_named(path: str) -> Described | None:
    expected = _EXPECTED.get(PurePosixPath(path).suffix.lower())
    return Described(ModelFile(path=path, format=expected[0], problem=expected[1])) if expected else None


def _read(path: str, form: str, stream: Stream, pickles: Pickles | None, budget: Budget) -> Described | None:
    match form:
        case "onnx":
            model = onnx.describe_onnx(path, stream)
            return Described(model.described, external=model.external)
        case "saved-model":
            saved = tensorflow.describe_saved_model(path, stream)
            return Described(saved.described, saved.judgement)
        case "frozen-graph":
            frozen = tensorflow.describe_frozen_graph(path, stream)
            return Described(frozen.described, frozen.judgement)
        case "zip":
            described = _zip(path, stream, budget)
            return Described(described) if described else _not_as_named(path)
        case _:
            return Described(_plain(path, form, stream, pickles))


_PLAIN = {
    "gguf": gguf.describe_gguf,
    "safetensors": safetensors.describe_safetensors,
    "hdf5": keras.describe_hdf5,
    "npy": npy.describe_npy,
    "tflite": light.describe_tflite,
    "xgboost": light.describe_xgboost,
}


def _plain(path: str, form: str, stream: Stream, pickles: Pickles | None) -> ModelFile:
    if form in _PLAIN:
        return _PLAIN[form](path, stream)
    if pickles and pickles.is_legacy_torch:
        return pytorch.describe_legacy_torch(path, pickles)
    return estimators.describe_pickle(path, pickles or Pickles())


def _zip(path: str, stream: Stream, budget: Budget) -> ModelFile | None:
    archive = Zip(stream, budget)
    names = {member.name for member in archive.members}
    if (root := pytorch.root_of(archive)) is not None:
        return pytorch.describe_torch_zip(path, archive, root)
    if {"config.json", "metadata.json"} <= names:
        return keras.describe_keras(path, archive)
    if names and all(name.endswith(".npy") for name in names):
        return _npz(path, archive)
    if "schema.json" in names and path.lower().endswith(".skops"):
        return ModelFile(path=path, format="skops", framework="scikit-learn")
    return None


def _npz(path: str, archive: Zip) -> ModelFile:
    arrays = [npy.describe_npy(member.name, archive.open(member)) for member in archive.members[:_MOST_ARRAYS]]
    dtypes: dict[str, int] = {}
    for array in arrays:
        for dtype, count in array.dtypes.items():
            dtypes[dtype] = dtypes.get(dtype, 0) + count
    return ModelFile(
        path=path,
        format="npz",
        framework="numpy",
        tensor_count=len(archive.members),
        parameter_count=sum(array.parameter_count or 0 for array in arrays)
        if len(arrays) == len(archive.members)
        else None,
        dtypes=dtypes,
    )
