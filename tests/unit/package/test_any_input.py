"""Whatever comes is accepted, or refused with its faults. Nothing else happens."""

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.importer.domain import Refusal, Unacceptable
from services.importer.package.config import ModelConfig, read_config, requirements_of
from services.importer.package.engines import ENGINE_NAMES
from services.importer.package.layout import CheckedPackage, check_package
from services.importer.package.rules import Method
from services.importer.package.schemas import schema_faults
from shared.values import Fault, Reason
from tests.packages import MODEL_FILES, valid_config
from tests.unit.package.test_config import PUBLISHED, VALID
from tests.unit.package.test_layout import Listed

METHODS: st.SearchStrategy[Method] = st.sampled_from(
    ["training-job", "object-storage", "template", "container-image", "automatic-learning"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
KEYS = st.text(max_size=20) | st.sampled_from(
    ["type", "items", "properties", "required", "enum", "$ref", "$schema", "Content-type", "url", "data", "x'y", "a.b"]
)
ANY = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)
CONFIGS = st.sampled_from([*VALID.values(), PUBLISHED, valid_config("Image", apis=PUBLISHED["apis"])])
SPECIFIC_REASONS = {
    Reason.MODEL_FOLDER_MISSING,
    Reason.CONFIG_MISSING,
    Reason.MORE_THAN_ONE_CONFIG,
    Reason.MORE_THAN_ONE_INFERENCE_CODE,
    Reason.ENGINE_FILE_MISSING,
    Reason.MORE_THAN_ONE_MODEL_FILE,
    Reason.INVALID_CONFIG,
}


def read(content: bytes | dict[str, Any], method: Method) -> ModelConfig | Unacceptable:
    try:
        return read_config(content, method)
    except Unacceptable as refused:
        return refused


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a document."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in entries for place in [(value, key), *places(inner)]]


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A valid configuration of which some values are replaced, taken out or added."""
    document = copy.deepcopy(draw(CONFIGS))
    for _ in range(draw(st.integers(1, 4))):
        found = places(document)
        if not found:
            break
        container, key = draw(st.sampled_from(found))
        change = draw(st.sampled_from(["replace", "take out", "add"]))
        if change == "replace":
            container[key] = draw(ANY)
        elif change == "take out":
            del container[key]
        elif isinstance(container, dict):
            container[draw(KEYS)] = draw(ANY)
    return document


def paths_of(value: Any, path: str = "$") -> dict[str, Any]:
    """Every JSON path of a document with what stands there."""
    found = {path: value}
    if isinstance(value, dict):
        for key, inner in value.items():
            plain = key.isascii() and key.isidentifier() and len(key) <= 64
            found |= paths_of(inner, f"{path}.{key}" if plain else f"{path}[{key!r}]")
    if isinstance(value, list):
        for index, inner in enumerate(value):
            found |= paths_of(inner, f"{path}[{index}]")
    return found


def assert_well_told(fault: Fault, document: dict[str, Any]) -> None:
    """The place is in the document, or right below a place of it and nothing is there."""
    known = paths_of(document)
    assert len(fault.got) <= 80
    assert fault.got.isprintable()
    assert fault.expected
    if fault.got == "nothing":
        assert fault.path not in known
        assert any(fault.path.startswith(f"{path}.") for path in known)
    else:
        assert fault.path in known


@given(st.binary(max_size=200) | ANY.map(lambda value: json.dumps(value).encode()), METHODS)
def test_any_bytes_are_read_or_refused(content: bytes, method: Method):
    result = read(content, method)

    if isinstance(result, Unacceptable):
        assert result.refusal.reason is Reason.INVALID_CONFIG
        assert result.refusal.faults


@given(mutated(), METHODS)
def test_a_spoilt_configuration_is_read_or_refused_with_places_that_exist(document: dict[str, Any], method: Method):
    result = read(copy.deepcopy(document), method)

    if isinstance(result, Unacceptable):
        for fault in result.refusal.faults:
            assert_well_told(fault, document)
    else:
        assert all("\n" not in line and " " not in line for line in requirements_of(result))
        json.dumps(result.model_dump(mode="json"), allow_nan=False).encode()


@given(mutated(), METHODS)
def test_what_is_read_once_is_read_again(document: dict[str, Any], method: Method):
    result = read(document, method)

    if isinstance(result, ModelConfig):
        again = read(json.dumps(result.document).encode(), method)
        assert isinstance(again, ModelConfig)
        assert again.model_dump() == result.model_dump()


@given(st.dictionaries(KEYS, ANY, max_size=5))
def test_any_schema_is_judged(schema: dict[str, Any]):
    for fault in schema_faults({"data": schema}, ("data",), schema):
        assert fault.path.startswith("$.data")


NAMES = [
    "customize_service.py",
    "config.json",
    "V001",
    "model",
    "variables",
    *(part for files in MODEL_FILES.values() for path in files for part in path.split("/")),
    "a-00001-of-00002.pt",
    "a-00002-of-00002.pt",
    "x-*-of-00002.pt",
]
SEGMENTS = st.sampled_from(NAMES) | st.text(min_size=1, max_size=5).filter(lambda text: "/" not in text)
PATHS = st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join)


def judged(files: list[Listed], content: bytes, method: Method) -> CheckedPackage | Refusal:
    try:
        return check_package(files, lambda path: content if path == "model/config.json" else b"{}", method)
    except Unacceptable as refused:
        return refused.refusal


@given(
    st.dictionaries(PATHS | PATHS.map(lambda path: f"model/{path}"), st.integers(0, 2), max_size=12),
    st.sampled_from(ENGINE_NAMES),
    METHODS,
)
def test_any_files_are_a_package_or_are_refused_with_a_reason_of_packages(
    sizes: dict[str, int], engine: str, method: Method
):
    content = json.dumps(valid_config(engine)).encode()
    files = [Listed(path, size) for path, size in (sizes | {"model/config.json": len(content)}).items()]

    result = judged(files, content, method)

    if isinstance(result, CheckedPackage):
        assert result.engine == engine
    else:
        assert result.reason in SPECIFIC_REASONS
        assert result.message.isprintable()
        assert len(result.message) < 1000
