"""Keras models: their configuration, and the layers in it that run code when the model is loaded or used."""

import re
from collections.abc import Iterator

from pydantic import JsonValue

from services.importer.inspection.json_text import json_of
from services.importer.inspection.pickles import Judgement
from services.importer.inspection.reading import Stream, Unreadable, shortened
from services.importer.inspection.trust import Trust, trust_in
from services.importer.inspection.zips import Zip
from shared.contents import ModelFile

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
METADATA = "keras_metadata.pb"
"""The configuration of a Keras model beside a TensorFlow SavedModel."""
# A network of 10,000 layers has about 10 MB.
_CONFIG_BYTES = 32 * 1024 * 1024
_PART_BYTES = 4 * 1024 * 1024
# A weights file of more is read by nobody in one piece.
_SEARCHED_BYTES = 64 * 1024**3
# Longer than any match, so that none is lost between two parts.
_OVERLAP_BYTES = 256
# In HDF5 the configuration is JSON text in one piece.
_LAMBDA = re.compile(rb'"class_name"\s{0,8}:\s{0,8}"(?:[\w.>]{0,64}>)?(Lambda|TorchModuleWrapper|__lambda__)"')
# No writer escapes a plain letter; one who hides a name does. Amid random numbers such text does not occur.
_CLASS_NAME, _ESCAPE = b'"class_name"', b"\\u00"
_HIDDEN = re.compile(rb"[ -~]{24}\\u00[2-7][0-9a-fA-F][ -~]{8}")
_RUNS_CODE = frozenset({"Lambda", "__lambda__", "TorchModuleWrapper"})
_KNOWN_PACKAGES = ("keras", "tf_keras", "keras_nlp", "keras_hub", "keras_cv", "tensorflow")
# A function in a configuration is imported by name; only these modules hold functions that compute and nothing else.
_FUNCTIONS = re.compile(
    r"(keras|tf_keras)(\.src)?\.(activations|initializers|losses|metrics|regularizers|constraints|ops)(\.\w+)*"
)


def judge_config(stream: Stream) -> Judgement | None:
    """Judge the config.json of a Keras archive. Another JSON has nothing to say here."""
    findings = list(_findings(_config_in(stream)))
    return min(findings, key=lambda finding: finding.verdict != "dangerous", default=None)


def _config_in(stream: Stream) -> JsonValue:
    content = stream.read(_CONFIG_BYTES + 1)
    if len(content) > _CONFIG_BYTES:
        raise Unreadable(f"is a configuration of more than {_CONFIG_BYTES} bytes")
    return json_of(content)


def _nodes(config: JsonValue) -> Iterator[dict[str, JsonValue]]:
    """Every object of a JSON, without recursion: it may be nested as deep as its text is long."""
    left = [config]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            yield node
            left.extend(node.values())
        elif isinstance(node, list):
            left.extend(node)


def _findings(config: JsonValue) -> Iterator[Judgement]:
    for node in _nodes(config):
        name, module = node.get("class_name"), node.get("module")
        if not isinstance(name, str):
            continue
        called = name.rpartition(">")[2]
        if called in _RUNS_CODE:
            yield Judgement(
                "dangerous", (shortened(f"{module}.{name}"),), f"its layer {called} runs code when it is loaded or used"
            )
        elif isinstance(module, str):
            yield from _imported(module, called, node.get("config"))


def _imported(module: str, name: str, config: JsonValue) -> Iterator[Judgement]:
    """What Keras would import by name."""
    is_function = name == "function"
    target = name if not is_function else config if isinstance(config, str) else "?"
    if _FUNCTIONS.fullmatch(module) or (module.partition(".")[0] in _KNOWN_PACKAGES and not is_function):
        return
    shown = shortened(f"{module}.{target}")
    if trust_in(module, target) is Trust.DANGEROUS:
        yield Judgement("dangerous", (shown,), f"loading it may run any code: it imports {shown}")
    else:
        yield Judgement("unknown", (shown,), f"it imports {shown}, which is on no list of harmless names")


def judge_text_of(stream: Stream) -> Judgement | None:
    """Search a file for the configuration of a layer that runs code."""
    hidden = False
    for part in _parts(stream):
        # Expressions are slow on gigabytes of numbers; a plain word is found at the speed of memory.
        if _CLASS_NAME in part and (found := _LAMBDA.search(part)):
            name = found[1].decode()
            return Judgement("dangerous", (name,), f"its layer {name} runs code when it is loaded or used")
        hidden = hidden or (_ESCAPE in part and _HIDDEN.search(part) is not None)
    return Judgement("unknown", (), "cannot be judged: letters of its configuration are escaped") if hidden else None


def _parts(stream: Stream) -> Iterator[bytes]:
    """The whole file in overlapping parts."""
    before, left_bytes = b"", _SEARCHED_BYTES
    while part := stream.read(_PART_BYTES):
        left_bytes -= len(part)
        if left_bytes < 0:
            raise Unreadable(f"has more than {_SEARCHED_BYTES} bytes")
        yield before + part
        before = part[-_OVERLAP_BYTES:]


def describe_keras(path: str, archive: Zip) -> ModelFile:
    """A Keras 3 archive, from its metadata and configuration."""
    parts = {name: _member(archive, name) for name in ("metadata.json", "config.json")}
    metadata, config = parts["metadata.json"], parts["config.json"]
    version = metadata.get("keras_version")
    layers = _layers_of(config)
    return ModelFile(
        path=path,
        format="keras",
        framework="keras",
        framework_version=shortened(version, 40) if isinstance(version, str) else None,
        details={"class": shortened(str(config.get("class_name"))), "layers": layers},
    )


def _member(archive: Zip, name: str) -> dict[str, JsonValue]:
    member = next((member for member in archive.members if member.name == name), None)
    content = _config_in(archive.open(member)) if member else None
    if not isinstance(content, dict):
        raise Unreadable(f"holds no {name}: expected a Keras 3 archive")
    return content


def _layers_of(config: dict[str, JsonValue]) -> int:
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else None
    return len(layers) if isinstance(layers, list) else 0


_HEAD_BYTES = 2 * 1024 * 1024
_VERSION = re.compile(rb"(?<![\w.-])(\d{1,2}\.\d{1,3}\.\d{1,3})(?:-tf)?(?![\w.-])")


def describe_hdf5(path: str, stream: Stream) -> ModelFile:
    """An HDF5 file; where Keras wrote it, its version is the first that stands near the beginning."""
    head = stream.read(_HEAD_BYTES)
    is_keras = any(word in head for word in (b"keras_version", b"model_config", b"layer_names", b"_layer_checkpoint"))
    found = _VERSION.search(head) if b"keras_version" in head else None
    return ModelFile(
        path=path,
        format="hdf5",
        framework="keras" if is_keras else None,
        framework_version=found[1].decode() if found else None,
    )
