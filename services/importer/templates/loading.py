"""Templates and modes from their files, each checked when it is read: a bad one is the operator's to mend, before anything runs."""

from collections.abc import Iterable, Iterator, Mapping
from importlib.resources.abc import Traversable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from services.importer.domain import Unacceptable
from services.importer.package.config import read_config
from services.importer.package.engines import ENGINE_NAMES, IMAGE
from services.importer.package.faults import Path, fault_at, faults_of
from services.importer.package.reading import LARGEST_BYTES, Unreadable, read_object
from shared.templates import InputRule, Mode, Template
from shared.values import Fault

MOST_FILES = 200

Entry = TypeVar("Entry", Template, Mode)


class InvalidTemplate(ValueError):
    """A file of templates or modes breaks a rule: the service cannot start with it."""

    def __init__(self, file: str, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        told = "; ".join(f"{fault.path}: got {fault.got}, expected {fault.expected}" for fault in self.faults)
        super().__init__(f"{file}: {told}")


def read_modes(folder: Traversable, known: Mapping[str, Mode]) -> dict[str, Mode]:
    """The modes of a folder, by id.

    Raises:
        InvalidTemplate: a file breaks a rule, or has an id that is known.
    """
    read: dict[str, Mode] = {}
    for file in _files(folder):
        mode = _read(file, Mode, {**known, **read})
        _check_configuration(file, {"apis": list(mode.apis)}, mode.model_algorithm or "general")
        read[mode.id] = mode
    return read


def read_templates(
    folder: Traversable, known: Mapping[str, Template], modes: Mapping[str, Mode]
) -> dict[str, Template]:
    """The templates of a folder, by id. Raises as `read_modes` does."""
    read: dict[str, Template] = {}
    for file in _files(folder):
        template = _read(file, Template, {**known, **read})
        faults = list(_faults_of(template, modes))
        if faults:
            raise InvalidTemplate(file.name, faults)
        parts = {"runtime": template.runtime, "dependencies": list(template.dependencies)}
        _check_configuration(file, parts, template.model_algorithm)
        read[template.id] = template
    return read


def _files(folder: Traversable) -> list[Traversable]:
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda file: file.name)
    if len(files) > MOST_FILES:
        got = Fault(path="$", got=f"{len(files)} files", expected=f"at most {MOST_FILES}")
        raise InvalidTemplate(folder.name, [got])
    return files


def _read(file: Traversable, kind: type[Entry], known: Mapping[str, BaseModel]) -> Entry:
    try:
        with file.open("rb") as opened:
            document = read_object(opened.read(LARGEST_BYTES + 1))
        entry = kind.model_validate(document)
    except Unreadable as error:
        raise InvalidTemplate(file.name, [error.fault]) from error
    except OSError as error:
        got = str(error.strerror)
        raise InvalidTemplate(file.name, [Fault(path="$", got=got, expected="a file that can be read")]) from error
    except ValidationError as error:
        raise InvalidTemplate(file.name, faults_of(error, kind, document)) from error
    faults = list(_unknown_keys(document, (), document, kind))
    if entry.id in known:
        faults.append(fault_at(document, ("id",), "an id that no other has"))
    if faults:
        raise InvalidTemplate(file.name, faults)
    return entry


def _unknown_keys(document: object, path: Path, part: Mapping[str, Any], kind: type[BaseModel]) -> Iterator[Fault]:
    """A misspelt key would silently mean its default."""
    for key, value in part.items():
        if key not in kind.model_fields:
            yield fault_at(document, (*path, key), f"one of the keys {', '.join(kind.model_fields)}")
        elif kind is Template and key == "inputs":
            for index, inner in enumerate(value):
                yield from _unknown_keys(document, (*path, key, index), inner, InputRule)


def _faults_of(template: Template, modes: Mapping[str, Mode]) -> Iterator[Fault]:
    document = template.model_dump(mode="json")
    if template.engine not in ENGINE_NAMES or template.engine == IMAGE:
        engines = ", ".join(name for name in ENGINE_NAMES if name != IMAGE)
        yield fault_at(document, ("engine",), f"one of {engines}")
    if template.mode not in modes:
        yield fault_at(document, ("mode",), f"one of {', '.join(sorted(modes))}")
    ids = [rule.input_id for rule in template.inputs]
    for index, input_id in enumerate(ids):
        if input_id in ids[:index]:
            yield fault_at(document, ("inputs", index, "input_id"), "an id that no other input has")


def _check_configuration(file: Traversable, parts: Mapping[str, Any], model_algorithm: str) -> None:
    """What goes into a config.json from here must be right in any."""
    try:
        read_config({"model_algorithm": model_algorithm, "model_type": "ONNX", **parts}, "template")
    except Unacceptable as error:
        raise InvalidTemplate(file.name, error.refusal.faults) from error
