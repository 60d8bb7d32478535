"""The templates and modes that there are: those that come with the program, and an operator's own."""

from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Self

from services.importer.domain import Unacceptable
from services.importer.package.engines import nearest
from services.importer.package.faults import shown
from services.importer.templates.loading import InvalidTemplate, read_modes, read_templates
from services.importer.templates.plan import TemplatePlan, planned
from shared.templates import Mode, Template
from shared.values import Fault, Reason, TemplateInput


class Catalogue:
    def __init__(self, templates: Mapping[str, Template], modes: Mapping[str, Mode]) -> None:
        self._templates = dict(sorted(templates.items()))
        self._modes = dict(sorted(modes.items()))

    @classmethod
    def load(cls, extra: Path | None = None) -> Self:
        """Read all of them, once, at the start.

        <extra>
        ├── *.json         templates
        └── modes/*.json   modes, if there are any

        Raises:
            InvalidTemplate: names the file and what is wrong in it.
        """
        built_in = resources.files(__package__)
        modes = read_modes(built_in / "modes", {})
        templates = read_templates(built_in / "data", {}, modes)
        if extra is None:
            return cls(templates, modes)
        try:
            if (extra / "modes").is_dir():
                modes |= read_modes(extra / "modes", modes)
            templates |= read_templates(extra, templates, modes)
        except OSError as error:
            fault = Fault(path="$", got=str(error.strerror), expected="a folder of templates that can be read")
            raise InvalidTemplate(str(extra), [fault]) from error
        return cls(templates, modes)

    def list(
        self,
        type: str | None = None,  # noqa: A002  # the word that users filter by
        engine: str | None = None,
        environment: str | None = None,
        word: str | None = None,
    ) -> tuple[Template, ...]:
        """Those that every filter fits, by id. Case is ignored; `environment` and `word` may be part of a text."""
        return tuple(
            template
            for template in self._templates.values()
            if _equal(type, template.type)
            and _equal(engine, template.engine)
            and _within(environment, [template.environment])
            and _within(word, _texts(template))
        )

    def modes(self) -> tuple[Mode, ...]:
        return tuple(self._modes.values())

    def get(self, template_id: str) -> Template:
        """Raises Unacceptable where there is none, naming one that may have been meant."""
        template = self._templates.get(template_id)
        if template is None:
            meant = nearest(template_id, self._templates)
            expected = f"expected {meant!r}, perhaps" if meant else f"expected one of {', '.join(self._templates)}"
            raise Unacceptable(Reason.TEMPLATE_NOT_FOUND, f"there is no template {shown(template_id)}: {expected}")
        return template

    def mode(self, mode_id: str) -> Mode:
        """Raises Unacceptable where there is none, naming those there are."""
        mode = self._modes.get(mode_id)
        if mode is None:
            known = ", ".join(self._modes)
            raise Unacceptable(Reason.MODE_NOT_FOUND, f"there is no mode {shown(mode_id)}: expected one of {known}")
        return mode

    def plan(self, template_id: str, inputs: Sequence[TemplateInput], mode: str | None = None) -> TemplatePlan:
        """What a template makes of these inputs.

        Args:
            template_id: which template.
            inputs: one for each that the template asks for.
            mode: an input/output mode instead of the template's own.

        Raises:
            Unacceptable: no such template or mode, a mode that may not be replaced, or inputs that do not fit.
        """
        template = self.get(template_id)
        chosen = self.mode(mode or template.mode)
        if chosen.id != template.mode and not template.mode_replaceable:
            message = f"template {template.id} has the mode {template.mode}, which may not be replaced: got {chosen.id}"
            raise Unacceptable(Reason.MODE_NOT_REPLACEABLE, message)
        _check_inputs(template, [given.input_id for given in inputs])
        return planned(template, chosen)


def _check_inputs(template: Template, given: Sequence[str]) -> None:
    asked = [rule.input_id for rule in template.inputs]
    unknown = next((input_id for input_id in given if input_id not in asked), None)
    if unknown is not None:
        raise _wrong_inputs(template, f"input {shown(unknown)} is none of its inputs")
    twice = next((input_id for index, input_id in enumerate(given) if input_id in given[:index]), None)
    if twice is not None:
        raise _wrong_inputs(template, f"input {twice!r} is given twice")
    missing = next((input_id for input_id in asked if input_id not in given), None)
    if missing is not None:
        raise _wrong_inputs(template, f"input {missing!r} is missing")


def _wrong_inputs(template: Template, what: str) -> Unacceptable:
    asked = ", ".join(rule.input_id for rule in template.inputs)
    message = f"template {template.id}: {what}: expected {asked}, each once"
    return Unacceptable(Reason.INVALID_TEMPLATE_INPUT, message)


def _equal(wanted: str | None, text: str) -> bool:
    return wanted is None or wanted.casefold() == text.casefold()


def _within(wanted: str | None, texts: Iterable[str]) -> bool:
    return wanted is None or any(wanted.casefold() in text.casefold() for text in texts)


def _texts(template: Template) -> tuple[str, ...]:
    return (template.id, template.name, template.description, template.engine, template.environment)
