"""A package made from a template: its generated configuration, where the files of each input go, and checking them."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from pydantic import JsonValue

from services.importer.domain import Unacceptable
from services.importer.package.config import ModelConfig, read_config, requirements_of
from services.importer.package.engines import ENGINES, matches
from services.importer.package.faults import shown
from services.importer.package.layout import (
    CONFIG,
    MODEL,
    CheckedPackage,
    inference_code,
    is_package_config,
    job_versions,
    package_configs,
)
from services.importer.package.model_files import Listed, check_model_files
from services.importer.package.reading import LARGEST_BYTES
from shared.templates import InputRule, Mode, Template
from shared.values import Reason

Found = Mapping[str, Sequence[Listed]]
"""By input id: the files at its location, by their path there"""


class _Placed(NamedTuple):
    path: str
    size_bytes: int


class TemplatePlan(NamedTuple):
    """What a template makes of its inputs."""

    template: Template
    mode: Mode
    document: dict[str, JsonValue]
    """The whole config.json."""

    @property
    def config(self) -> ModelConfig:
        return read_config(self.document, "template")

    @property
    def config_content(self) -> bytes:
        """The bytes of model/config.json; equal plans have equal ones."""
        return (json.dumps(self.document, indent=2, ensure_ascii=False) + "\n").encode()

    @property
    def allows_batch(self) -> bool:
        return self.mode.allows_batch

    @property
    def folders(self) -> dict[str, str]:
        """By input id: the folder of the package that its files go to: `model`, or one below it."""
        return {rule.input_id: _folder(rule) for rule in self.template.inputs}

    def place(self, input_id: str, path: str) -> str:
        """Where in the package a file goes that an input holds at this path."""
        return f"{self.folders[input_id]}/{path}"


def planned(template: Template, mode: Mode) -> TemplatePlan:
    document: dict[str, JsonValue] = {
        "model_algorithm": mode.model_algorithm or template.model_algorithm,
        "model_type": template.engine,
        "runtime": template.runtime,
    }
    if mode.apis:
        document["apis"] = list(mode.apis)
    if template.dependencies:
        document["dependencies"] = list(template.dependencies)
    return TemplatePlan(template, mode, document)


def check_template_package(plan: TemplatePlan, found: Found, read: Callable[[str, str], bytes]) -> CheckedPackage:
    """Check what the inputs of a template hold, and the package that it makes of them.

    Args:
        plan: of the template.
        found: for each input.
        read: gives the bytes of a file named config.json of at most 1 MiB, by input id and path there.

    Raises:
        Unacceptable: the first rule that is broken.
    """
    for rule in plan.template.inputs:
        _check_configs(rule, found[rule.input_id], partial(read, rule.input_id))
        _check_held(rule, found[rule.input_id])
    placed = _placed(plan, found)
    code = inference_code(file.path for file in placed)
    config = plan.config
    if plan.template.engine_files:
        hint = next(filter(None, map(_hint, found.values())), "")
        check_model_files(ENGINES[config.model_type], placed, MODEL, chosen_by_code=code is not None, hint=hint)
    return CheckedPackage(config, config.model_type, config.runtime, code, requirements_of(config))


def _check_configs(rule: InputRule, files: Sequence[Listed], read: Callable[[str], bytes]) -> None:
    """The template brings the configuration; the input must not bring another."""
    own = next((file for file in files if file.path == "config.json"), None)
    if own and own.size_bytes <= LARGEST_BYTES and is_package_config(read(own.path)):
        raise _whole_package(rule, own.path)
    nested = next(package_configs(files, read), None)
    if nested:
        raise _whole_package(rule, nested)
    if own and not rule.folder:
        raise _refused(rule, "has a config.json, which would take the place of the generated one: leave it out")


def _whole_package(rule: InputRule, path: str) -> Unacceptable:
    return _refused(rule, f"is a package with a configuration, {shown(path)}: import it by the method object-storage")


def _check_held(rule: InputRule, files: Sequence[Listed]) -> None:
    for patterns in rule.must_hold:
        if not any(file.size_bytes and matches(pattern, file.path) for file in files for pattern in patterns):
            raise _refused(rule, f"must hold {' or '.join(patterns)}, and not empty: found none{_hint(files)}")


def _placed(plan: TemplatePlan, found: Found) -> list[_Placed]:
    placed: dict[str, _Placed] = {}
    for rule in plan.template.inputs:
        for file in found[rule.input_id]:
            path = plan.place(rule.input_id, file.path)
            if path in placed:
                raise _refused(rule, f"has {shown(file.path)}, as another input has: expected it once")
            placed[path] = _Placed(path, file.size_bytes)
    return [*placed.values(), _Placed(CONFIG, len(plan.config_content))]


def _hint(files: Sequence[Listed]) -> str:
    versions = job_versions(files)
    if versions:
        return f"; the location holds the job versions {', '.join(versions[:3])}: name the model folder of one of them"
    if any(file.path.startswith("model/") for file in files):
        return "; the location holds a folder 'model': name that folder"
    return ""


def _folder(rule: InputRule) -> str:
    return f"{MODEL}/{rule.folder}" if rule.folder else MODEL


def _refused(rule: InputRule, what: str) -> Unacceptable:
    return Unacceptable(Reason.INVALID_TEMPLATE_INPUT, f"input {rule.input_id!r} {what}")
