"""The configuration of a model package, config.json: its fields, and reading it with every broken rule told at once."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    FiniteFloat,
    JsonValue,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from services.importer.domain import Unacceptable
from services.importer.package.engines import ENGINE_NAMES, EngineName, nearest
from services.importer.package.faults import faults_of
from services.importer.package.reading import Unreadable, read_object
from services.importer.package.rules import (
    MOST_APIS,
    MOST_DEPENDENCIES,
    MOST_PACKAGES,
    UNSAID,
    Method,
    faults_between_fields,
)
from services.importer.package.text import PLAIN, PLAIN_RULE
from shared.values import Fault, Reason, Value

MOST_FAULTS = 50
MOST_METRICS = 100
LONGEST_WAIT_S = 3600
PRECISION = ("f1", "recall", "precision", "accuracy")
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_SPELLINGS = {spelt: method for method in _METHODS for spelt in (method, method.lower(), method.capitalize())}
_SECONDS = re.compile(r"[0-9]{1,4}(\.[0-9]{1,3})?")
_OPERATORS = {"EXACT": "==", "ATLEAST": ">=", "ATMOST": "<="}


def _engine(name: str) -> str:
    if name in ENGINE_NAMES:
        return name
    meant = nearest(name, ENGINE_NAMES)
    raise ValueError(f"{f'{meant} (as it is spelt), or ' if meant else ''}one of {', '.join(ENGINE_NAMES)}")


def _method(name: object) -> object:
    return _SPELLINGS.get(name, name) if isinstance(name, str) else name


def _seconds(value: object) -> object:
    """Numbers are also written as text."""
    if isinstance(value, bool) or (isinstance(value, str) and not _SECONDS.fullmatch(value)):
        raise ValueError(f"a number from 0 to {LONGEST_WAIT_S}")
    return value


def _number(value: object) -> object:
    if isinstance(value, bool | str):
        raise ValueError("a finite number")  # noqa: TRY004  # pydantic tells a ValueError with its place
    return value


def _metrics(value: object) -> object:
    """What is neither one of the four nor a number is something else, and stays in the document."""
    if not isinstance(value, dict):
        return value
    return {
        key: inner
        for key, inner in value.items()
        if inner is not None and (key in PRECISION or (isinstance(inner, int | float) and not isinstance(inner, bool)))
    }


def _at_most(count: int) -> BeforeValidator:
    """The entries of a longer array are not looked at."""

    def check(value: object) -> object:
        if isinstance(value, list | dict) and len(value) > count:
            raise ValueError(f"at most {count} entries")
        return value

    return BeforeValidator(check)


Number = Annotated[FiniteFloat, BeforeValidator(_number)]
Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    Field(ge=0, le=LONGEST_WAIT_S),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": LONGEST_WAIT_S},
                {"type": "string", "pattern": rf"^{_SECONDS.pattern}$"},
            ]
        }
    ),
]
UrlPath = Annotated[str, StringConstraints(pattern=r"^/[!-~]*$", max_length=1000)]
_METRICS_SCHEMA = {
    "type": "object",
    "properties": {name: {"type": ["number", "null"]} for name in PRECISION},
}
_METHOD_SCHEMA = {"enum": list(_SPELLINGS), "default": "POST"}


class Part(Value):
    """Part of a configuration. What is null or empty text says as little as what is left out."""

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        needed = {field.alias or name for name, field in cls.model_fields.items() if field.is_required()}
        return {key: inner for key, inner in value.items() if key in needed or inner not in UNSAID}


class Body(Part):
    """What is sent, or what comes back."""

    content_type: Literal["application/json", "multipart/form-data"] = Field(
        default="application/json", alias="Content-type", description="application/json or multipart/form-data"
    )
    data: dict[str, JsonValue] | None = Field(
        default=None, description='a JSON schema, which is an object; a file of a form has "type": "file"'
    )

    @model_validator(mode="before")
    @classmethod
    def _in_any_case(cls, value: object) -> object:
        """Content-Type is understood too."""
        if not isinstance(value, dict):
            return value
        spelt = [key for key in value if key.lower() == "content-type"]
        if len(spelt) > 1:
            raise ValueError("one of Content-type and Content-Type, not both")
        return {("Content-type" if key in spelt else key): inner for key, inner in value.items()}


class Api(Part):
    """One path that the model answers at."""

    protocol: Literal["http", "https"] = Field(default="http", description="http or https")
    url: UrlPath = Field(
        default="/", description="a path that starts with /, of printable ASCII; / itself, except for an Image"
    )
    method: Annotated[
        Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"],
        BeforeValidator(_method),
        WithJsonSchema(_METHOD_SCHEMA),
    ] = Field(default="POST", description=f"one of {', '.join(_METHODS)}")
    request: Body | None = Field(default=None, description="an object with Content-type and data")
    response: Body | None = Field(default=None, description="an object with Content-type and data")


class RequiredPackage(Part):
    """A package of Python that the inference code needs."""

    package_name: Annotated[
        str,
        StringConstraints(
            pattern=r"^[A-Za-z0-9]([A-Za-z0-9._+-]*[A-Za-z0-9])?(\[[A-Za-z0-9._,-]+\])?$", max_length=100
        ),
    ] = Field(description="a name of letters, digits, '.', '_', '-', '+', at most 100 characters; [extras] may follow")
    package_version: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+*-]*$", max_length=64)] | None
    ) = Field(default=None, description="text of letters, digits, '.', '_', '-', '+', '*', at most 64 characters")
    restraint: Literal["EXACT", "ATLEAST", "ATMOST"] | None = Field(
        default=None, description="EXACT, ATLEAST or ATMOST; given if and only if there is a version"
    )

    @property
    def requirement(self) -> str:
        """As a line of requirements.txt."""
        if self.package_version is None or self.restraint is None:
            return self.package_name
        return f"{self.package_name}{_OPERATORS[self.restraint]}{self.package_version}"


class Dependency(Part):
    installer: Literal["pip"] = Field(description="pip")
    packages: Annotated[tuple[RequiredPackage, ...], _at_most(MOST_PACKAGES)] = Field(
        max_length=MOST_PACKAGES, description=f"an array of at most {MOST_PACKAGES} objects"
    )


class Health(Part):
    """How to ask an image whether it is well."""

    url: UrlPath = Field(description="a path that starts with /, of printable ASCII")
    protocol: Literal["http"] = Field(default="http", description="http")
    initial_delay_seconds: Seconds | None = Field(
        default=None, description=f"a number from 0 to {LONGEST_WAIT_S}: when to ask first"
    )
    timeout_seconds: Seconds | None = Field(
        default=None, description=f"a number from 0 to {LONGEST_WAIT_S}: how long to wait for an answer"
    )


class ModelConfig(Part):
    """What a model is, how it is asked, and what it needs."""

    model_algorithm: Annotated[str, StringConstraints(pattern=rf"^[A-Za-z]{PLAIN}{{0,35}}$")] = Field(
        description=f"at most 36 characters, the first a letter from A to Z; {PLAIN_RULE}",
        examples=["image_classification", "object_detection", "predict_analysis"],
    )
    model_type: Annotated[
        EngineName, BeforeValidator(lambda name: _engine(name) if isinstance(name, str) else name)
    ] = Field(description=f"one of {', '.join(ENGINE_NAMES)}")
    runtime: Annotated[str, StringConstraints(pattern=rf"^{PLAIN}{{1,64}}$")] | None = Field(
        default=None, description=f"at most 64 characters; {PLAIN_RULE}; not for an Image", examples=["python3.11"]
    )
    swr_location: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,500}$")] | None = Field(
        default=None,
        description="an image address of at most 500 characters, no space among them; only for an Image",
        examples=["registry.example.com/vision/detector:1.0"],
    )
    metrics: Annotated[dict[str, Number], BeforeValidator(_metrics), WithJsonSchema(_METRICS_SCHEMA)] = Field(
        default_factory=dict,
        max_length=MOST_METRICS,
        description=f"an object of at most {MOST_METRICS} finite numbers",
        examples=[{"f1": 0.34, "recall": 0.35, "precision": 0.33, "accuracy": 0.46}],
    )
    apis: Annotated[tuple[Api, ...], _at_most(MOST_APIS)] = Field(
        default=(),
        max_length=MOST_APIS,
        description=f"an array of at most {MOST_APIS} objects; one, except for an Image",
    )
    dependencies: Annotated[tuple[Dependency, ...], _at_most(MOST_DEPENDENCIES)] = Field(
        default=(),
        max_length=MOST_DEPENDENCIES,
        description=f"an array of at most {MOST_DEPENDENCIES} objects; none for an Image",
    )
    health: Health | None = Field(default=None, description="an object; mandatory for an Image")
    _document: dict[str, JsonValue] = PrivateAttr(default_factory=dict)

    @property
    def document(self) -> Mapping[str, JsonValue]:
        """The whole as it was read, also what no rule knows."""
        return self._document


def read_config(content: bytes | Mapping[str, JsonValue], method: Method) -> ModelConfig:
    """Read a config.json, or one that was given inline, for an import of this method.

    For a container image `swr_location` may be given, and means nothing: the image that was asked for holds.
    May take a second or two where it is full of schemas: call it off the event loop.

    Raises:
        Unacceptable: with a fault for every rule that is broken, the first 50.
    """
    try:
        document = read_object(content)
    except Unreadable as error:
        raise _invalid([error.fault]) from error
    faults: list[Fault] = []
    try:
        config = ModelConfig.model_validate(document)
    except ValidationError as error:
        faults.extend(faults_of(error, ModelConfig, document))
    told = {fault.path for fault in faults}
    faults.extend(fault for fault in faults_between_fields(document, method) if fault.path not in told)
    if faults:
        raise _invalid(faults)
    config._document = document  # noqa: SLF001  # a private attribute has no other way in
    return config


def requirements_of(config: ModelConfig) -> tuple[str, ...]:
    """What must be installed, as lines of requirements.txt."""
    return tuple(package.requirement for dependency in config.dependencies for package in dependency.packages)


def _invalid(faults: list[Fault]) -> Unacceptable:
    first = faults[0]
    message = f"config.json: {first.path}: got {first.got}, expected {first.expected}"
    if len(faults) > 1:
        message += f"; {len(faults) - 1} more"
    if len(faults) > MOST_FAULTS:
        message += f", of which {MOST_FAULTS - 1} are told"
    return Unacceptable(Reason.INVALID_CONFIG, message, faults[:MOST_FAULTS])
