"""Folders in the layout of Hugging Face transformers and of MLflow."""

import json
import posixpath
import re
from collections.abc import Mapping

from pydantic import JsonValue

from services.importer.inspection.json_text import json_object, json_of, sayable
from services.importer.inspection.reading import Stream, Unreadable, shortened
from services.importer.inspection.yaml_text import yaml_object
from shared.contents import HuggingFaceFolder, MLflowFolder

HUGGING_FACE, CARD, MLFLOW = "config.json", "README.md", "MLmodel"
_CONFIG_BYTES, _CARD_BYTES, _MLMODEL_BYTES = 1024 * 1024, 64 * 1024, 256 * 1024
# A configuration is kept as it is up to this size.
_KEPT_BYTES = 4096
_MOST_NAMES = 16
_FRONT_MATTER = re.compile(rb"\A(?:\xef\xbb\xbf)?---[ \t]*\r?\n(.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)


def read_hugging_face(path: str, config: Stream, card: Stream | None) -> HuggingFaceFolder | None:
    """What a config.json and a model card say; None where it is another config.json."""
    content = json_object(config, _CONFIG_BYTES)
    model_type, architectures = content.get("model_type"), names(content.get("architectures"))
    is_package = "model_algorithm" in content  # the configuration of a model package, whose model_type is an engine
    if is_package or (not isinstance(model_type, str) and not architectures):
        return None
    about = _front_matter(card) if card else {}
    folder = posixpath.dirname(path)
    return HuggingFaceFolder(
        path=folder,
        model_type=text(model_type),
        architectures=architectures,
        transformers_version=text(content.get("transformers_version")),
        torch_dtype=text(content.get("torch_dtype") or content.get("dtype")),
        config=_kept(content),
        card=posixpath.join(folder, CARD) if card else None,
        licence=text(about.get("license")),
        base_models=names(about.get("base_model")),
        languages=names(about.get("language")),
        tags=names(about.get("tags")),
    )


def _kept(config: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """A configuration that is small; nothing of another."""
    if len(json.dumps(config)) > _KEPT_BYTES:
        return {}
    return {key: sayable(value) for key, value in config.items()}


def _front_matter(card: Stream) -> Mapping[str, JsonValue]:
    """Of a card without it, or with one that breaks the rules, nothing is said."""
    found = _FRONT_MATTER.match(card.read(_CARD_BYTES))
    try:
        return yaml_object(found[1]) if found else {}
    except Unreadable:
        return {}


def read_mlflow(path: str, stream: Stream) -> MLflowFolder:
    content = stream.read(_MLMODEL_BYTES + 1)
    if len(content) > _MLMODEL_BYTES:
        raise Unreadable(f"has more than {_MLMODEL_BYTES} bytes")
    model = yaml_object(content)
    flavors = model.get("flavors")
    signature = model.get("signature")
    inputs, outputs = ((signature.get(key) for key in ("inputs", "outputs")) if isinstance(signature, dict) else (None, None))  # fmt: skip
    return MLflowFolder(
        path=posixpath.dirname(path),
        mlflow_version=text(model.get("mlflow_version")),
        flavors=_flavors(flavors) if isinstance(flavors, dict) else {},
        run_id=text(model.get("run_id")),
        model_uuid=text(model.get("model_uuid")),
        inputs=_columns(inputs),
        outputs=_columns(outputs),
    )


def _flavors(flavors: dict[str, JsonValue]) -> dict[str, str | None]:
    """Flavor → version of its framework, which stands under `sklearn_version`, `pytorch_version`, `python_version`."""
    found: dict[str, str | None] = {}
    for flavor, about in list(flavors.items())[:_MOST_NAMES]:
        entries = about if isinstance(about, dict) else {}
        keys = [f"{flavor}_version", f"{flavor.removesuffix('_function')}_version"]
        keys += [key for key in entries if key.endswith("_version")]
        found[shortened(flavor)] = next((text(entries[key]) for key in keys if key in entries), None)
    return found


def _columns(columns: JsonValue) -> tuple[JsonValue, ...]:
    """A signature is JSON within the YAML."""
    if not isinstance(columns, str) or len(columns) > _KEPT_BYTES:
        return ()
    try:
        parsed = sayable(json_of(columns.encode()))
    except Unreadable:
        return ()
    return tuple(parsed[:_MOST_NAMES]) if isinstance(parsed, list) else ()


def text(value: JsonValue) -> str | None:
    return shortened(value, 200) if isinstance(value, str) and value else None


def names(value: JsonValue) -> tuple[str, ...]:
    """One name or a list of them."""
    listed = value if isinstance(value, list) else [value]
    return tuple(shortened(name) for name in listed if isinstance(name, str) and name)[:_MOST_NAMES]
