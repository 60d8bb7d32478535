"""The layout of a model package: a folder `model` with one config.json, the files of its engine, and inference code or not.

<location>
└── model
    ├── config.json            what the model is, see config.py
    ├── customize_service.py   inference code: none, or one
    ├── saved_model.pb …       what the engine loads, see engines.py
    └── …                      whatever the inference code needs
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from services.importer.domain import Unacceptable
from services.importer.package.config import ModelConfig, read_config, requirements_of
from services.importer.package.engines import ENGINE_NAMES, ENGINES, IMAGE, EngineName
from services.importer.package.faults import shown
from services.importer.package.model_files import Listed, check_model_files
from services.importer.package.reading import LARGEST_BYTES, Unreadable, read_object
from services.importer.package.rules import Method
from shared.values import Reason

MODEL = "model"
CONFIG = f"{MODEL}/config.json"
INFERENCE_CODE = "customize_service.py"
# So many files named config.json are read to find a second configuration.
MOST_CONFIGS_READ = 16
_JOB_VERSION = re.compile(r"V[0-9]{3,}")

Read = Callable[[str], bytes]


class CheckedPackage(NamedTuple):
    """What a package says of its model, now that it is known to be whole."""

    config: ModelConfig
    engine: EngineName
    runtime: str | None
    inference_code: str | None
    """The path of customize_service.py."""
    requirements: tuple[str, ...]
    """Lines of requirements.txt"""


def check_package(files: Sequence[Listed], read: Read, method: Method) -> CheckedPackage:
    """Check a package against every rule of its layout.

    Args:
        files: all of them, by path.
        read: gives the bytes of a file named config.json of at most 1 MiB; nothing else is read.
        method: how the package is imported.

    Raises:
        Unacceptable: the first rule that is broken, each with a reason of its own.
    """
    inside = [file for file in files if file.path.startswith(f"{MODEL}/")]
    if not inside:
        raise Unacceptable(Reason.MODEL_FOLDER_MISSING, f"there is no folder 'model': {_instead(files)}")
    config_file = next((file for file in inside if file.path == CONFIG), None)
    if config_file is None:
        raise Unacceptable(Reason.CONFIG_MISSING, f"there is no {CONFIG}{_elsewhere(files)}")
    second = next(package_configs((file for file in inside if file.path != CONFIG), read), None)
    if second:
        message = f"{shown(second)} configures a model too: expected {CONFIG} and no other"
        raise Unacceptable(Reason.MORE_THAN_ONE_CONFIG, message)
    code = inference_code(file.path for file in inside)
    return _checked(read_config(_content(config_file, read), method), files, code)


def _checked(config: ModelConfig, files: Sequence[Listed], code: str | None) -> CheckedPackage:
    if config.model_type != IMAGE:
        check_model_files(ENGINES[config.model_type], files, MODEL, chosen_by_code=code is not None)
    return CheckedPackage(config, config.model_type, config.runtime, code, requirements_of(config))


def inference_code(paths: Iterable[str]) -> str | None:
    """The one file of inference code among the files of a model.

    Raises:
        Unacceptable: there are several.
    """
    found = sorted(path for path in paths if path.rpartition("/")[2] == INFERENCE_CODE)
    if len(found) > 1:
        told = " and ".join(map(shown, found[:2]))
        message = f"{len(found)} files of inference code, {told}: expected at most one {INFERENCE_CODE}"
        raise Unacceptable(Reason.MORE_THAN_ONE_INFERENCE_CODE, message)
    return found[0] if found else None


def package_configs(files: Iterable[Listed], read: Read) -> Iterator[str]:
    """The files below folders that configure a model package. Others have files of this name too, of other meaning."""
    named = (file for file in files if file.path.endswith("/config.json") and file.size_bytes <= LARGEST_BYTES)
    nearest_first = sorted(named, key=lambda file: (file.path.count("/"), file.path))
    for file in nearest_first[:MOST_CONFIGS_READ]:
        if is_package_config(read(file.path)):
            yield file.path


def is_package_config(content: bytes) -> bool:
    """Whether a JSON file has the marks of a configuration, be it right or wrong."""
    try:
        document = read_object(content)
    except Unreadable:
        return False
    return "model_algorithm" in document or document.get("model_type") in ENGINE_NAMES


def job_versions(files: Iterable[Listed]) -> list[str]:
    """Folders right below the location that hold the output of one run each: V001, V002, ..."""
    tops = {file.path.partition("/")[0] for file in files if "/" in file.path}
    return sorted(top for top in tops if _JOB_VERSION.fullmatch(top))


def _instead(files: Sequence[Listed]) -> str:
    """What the location seems to be, since it is not the folder above `model`."""
    versions = job_versions(files)
    if versions:
        return f"the location holds the job versions {', '.join(versions[:3])}: name the one to import"
    if any(file.path == "config.json" for file in files):
        return "the location is the model folder itself: name the folder above it"
    deeper = next((file.path for file in files if "/model/" in file.path.lower()), None)
    if deeper:
        where = deeper[: deeper.lower().index("/model/") + len("/model")]
        return f"it is in {shown(where)}: name the folder above it"
    other = next((file.path for file in files if file.path.lower().startswith("model/")), None)
    if other:
        return f"found {shown(other.partition('/')[0])}: expected it in small letters"
    return "expected a folder with a folder 'model' in it"


def _elsewhere(files: Sequence[Listed]) -> str:
    found = next((file.path for file in files if file.path.rpartition("/")[2].lower() == "config.json"), None)
    return f", but a {shown(found)}: expected it right in the model folder" if found else ": expected one"


def _content(config_file: Listed, read: Read) -> bytes:
    if config_file.size_bytes > LARGEST_BYTES:
        message = f"{CONFIG} has {config_file.size_bytes} bytes: expected at most {LARGEST_BYTES}"
        raise Unacceptable(Reason.INVALID_CONFIG, message)
    return read(CONFIG)
