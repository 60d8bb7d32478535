"""The published JSON schema of config.json, made from the classes that read it."""

from typing import Any

from services.importer.package.config import ModelConfig
from services.importer.package.engines import IMAGE

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

_UNSAID: Schema = {"enum": [None, ""]}
_IMAGE_RULES: Schema = {
    "if": {"properties": {"model_type": {"const": IMAGE}}, "required": ["model_type"]},
    "then": {
        "required": ["health"],
        "properties": {"health": {"type": "object"}, "runtime": _UNSAID, "dependencies": {"maxItems": 0}},
    },
    "else": {
        "properties": {
            "swr_location": _UNSAID,
            "apis": {"maxItems": 1, "items": {"properties": {"url": {"enum": ["/", None, ""]}}}},
        }
    },
}
_EXAMPLE: Schema = {
    "model_algorithm": "object_detection",
    "model_type": "TensorFlow",
    "runtime": "tf2.16-python3.11",
    "metrics": {"f1": 0.345294, "recall": 0.351852, "precision": 0.338977, "accuracy": 0.462963},
    "apis": [
        {
            "protocol": "http",
            "url": "/",
            "method": "POST",
            "request": {
                "Content-type": "multipart/form-data",
                "data": {"type": "object", "properties": {"images": {"type": "file"}}},
            },
            "response": {"Content-type": "application/json", "data": {"type": "object"}},
        }
    ],
    "dependencies": [
        {
            "installer": "pip",
            "packages": [{"package_name": "Pillow", "package_version": "11.1.0", "restraint": "EXACT"}],
        }
    ],
}


def config_schema() -> Schema:
    """Whatever breaks it is refused; what depends on the import method and on the schemas of the APIs is not in it."""
    schema = ModelConfig.model_json_schema()
    parts = [schema, *schema["$defs"].values()]
    for part in parts:
        for name, field in part.get("properties", {}).items():
            part["properties"][name] = _or_unsaid(field) if name not in part.get("required", ()) else field
    body = schema["$defs"]["Body"]
    body["properties"]["Content-Type"] = body["properties"]["Content-type"]
    body["not"] = {"required": ["Content-type", "Content-Type"]}
    schema["$defs"]["RequiredPackage"]["allOf"] = [
        _together("package_version", "restraint"),
        _together("restraint", "package_version"),
    ]
    schema["allOf"] = [_IMAGE_RULES]
    return {"$schema": DIALECT, **schema, "title": "config.json of a model package", "examples": [_EXAMPLE]}


def _or_unsaid(field: Schema) -> Schema:
    """Null and empty text say nothing."""
    field = {key: value for key, value in field.items() if (key, value) != ("default", None)}
    told = {key: value for key, value in field.items() if key in {"title", "description", "default", "examples"}}
    rule = {key: value for key, value in field.items() if key not in told}
    rules = [one for one in rule.get("anyOf", [rule]) if one != {"type": "null"}]
    return {**told, "anyOf": [*rules, _UNSAID]}


def _together(one: str, other: str) -> Schema:
    said = {"required": [one], "properties": {one: {"type": "string", "minLength": 1}}}
    return {"if": said, "then": {"required": [other], "properties": {other: {"type": "string", "minLength": 1}}}}
