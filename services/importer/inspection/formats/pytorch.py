"""PyTorch: zip archives, TorchScript, and the pickles of old releases, described from their pickle alone."""

from pydantic import JsonValue

from services.importer.inspection.pickles import Pickles, walk_pickles
from services.importer.inspection.reading import Unreadable, shortened
from services.importer.inspection.values import Imported, Made, Mapping
from services.importer.inspection.walk import Walk
from services.importer.inspection.zips import Zip
from shared.contents import ModelFile

_DTYPES = {"HalfStorage": "float16", "FloatStorage": "float32", "DoubleStorage": "float64", "BFloat16Storage": "bfloat16", "ByteStorage": "uint8", "CharStorage": "int8", "ShortStorage": "int16", "IntStorage": "int32", "LongStorage": "int64", "BoolStorage": "bool", "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128"}  # fmt: skip
_PICKLE = "data.pkl"
_VERSION_BYTES = 16


def root_of(archive: Zip) -> str | None:
    """The folder of a PyTorch archive, with its slash; None where it is another archive."""
    names = (member.name for member in archive.members if member.name.endswith(_PICKLE))
    return next((name.removesuffix(_PICKLE) for name in names if name.count("/") <= 1), None)


def describe_torch_zip(path: str, archive: Zip, root: str) -> ModelFile:
    members = {member.name: member for member in archive.members}
    scripted = f"{root}constants.pkl" in members
    pickles = walk_pickles(lambda: archive.open(members[f"{root}{_PICKLE}"]), scripted=scripted)
    if pickles.failure:
        raise Unreadable(f"has a data.pkl that {pickles.failure}")
    details: dict[str, JsonValue] = {} if scripted else {"holds": _held(pickles.main)}
    version = members.get(f"{root}version") or members.get(f"{root}.data/version")
    if version:
        details["archive_version"] = shortened(
            archive.open(version).read(_VERSION_BYTES).decode("ascii", "replace").strip()
        )
    return _described(path, "torchscript" if scripted else "pytorch-zip", pickles.main, details)


def describe_legacy_torch(path: str, pickles: Pickles) -> ModelFile:
    return _described(path, "pytorch-legacy", pickles.main, {"holds": _held(pickles.main)})


def _described(path: str, form: str, walk: Walk, details: dict[str, JsonValue]) -> ModelFile:
    dtypes: dict[str, int] = {}
    for storage, count in walk.dtypes.items():
        name = _DTYPES.get(storage, shortened(storage, 40))
        dtypes[name] = dtypes.get(name, 0) + count
    return ModelFile(
        path=path,
        format=form,
        framework="pytorch",
        tensor_count=walk.tensors,
        parameter_count=walk.parameters,
        dtypes=dtypes,
        details=details,
    )


def _held(walk: Walk) -> str:
    """`state dict`, or the class of the model that was saved as a whole."""
    match walk.result:
        case Mapping() | Made(by=Imported("collections", "OrderedDict")):
            return "state dict"
        case Made(by=Imported() as made_by):
            return shortened(str(made_by), 200)
        case _:
            return "other"
