"""Pickled estimators: the class of the first object, and the version of scikit-learn that wrote it."""

from services.importer.inspection.pickles import Pickles
from services.importer.inspection.reading import shortened
from services.importer.inspection.values import Imported
from shared.contents import ModelFile

_FRAMEWORKS = {"sklearn": "scikit-learn", "xgboost": "xgboost", "lightgbm": "lightgbm", "catboost": "catboost", "torch": "pytorch", "numpy": "numpy", "pandas": "pandas"}  # fmt: skip
# They stand before or around the first object of most pickles, and say nothing of it.
_NEUTRAL = frozenset({"copyreg", "_codecs", "builtins", "collections", "__builtin__", "copy_reg", "joblib"})


def describe_pickle(path: str, pickles: Pickles) -> ModelFile:
    walk = pickles.main
    named = [made for made in walk.classes if made.module.partition(".")[0] not in _NEUTRAL]
    # What is built by copyreg is named by the import before the call.
    named += [imported for imported in walk.imports if imported.module.partition(".")[0] not in _NEUTRAL]
    first = next(iter(_estimators(named)), None) or next(iter(named), None)
    framework = _FRAMEWORKS.get(first.module.partition(".")[0]) if first else None
    return ModelFile(
        path=path,
        format="joblib" if walk.arrays else "pickle",
        framework=framework,
        framework_version=shortened(walk.estimator_version, 40) if walk.estimator_version else None,
        details={"class": shortened(str(first), 200)} if first else {},
        problem=f"a pickle that {pickles.failure}: expected a whole one" if pickles.failure else None,
    )


def _estimators(named: list[Imported]) -> list[Imported]:
    return [imported for imported in named if imported.module.partition(".")[0] in {"sklearn", "xgboost", "lightgbm", "catboost"}]  # fmt: skip
