"""The published JSON schemas of what people write: config.json, and files of templates and modes.

`python -m services.importer.templates.documents docs` writes them anew.
"""

import json
import sys
from pathlib import Path

from pydantic import TypeAdapter

from services.importer.package.document import DIALECT, Schema, config_schema
from shared.templates import Mode, Template


def template_schema() -> Schema:
    """Of one file, which holds a template or a mode."""
    schema = TypeAdapter[Template | Mode](Template | Mode).json_schema()
    for part in ("InputRule", "Mode", "Template"):
        schema["$defs"][part]["additionalProperties"] = False
    return {"$schema": DIALECT, **schema, "title": "A file with a template or an input/output mode"}


def documents() -> dict[str, str]:
    """The text of each, by its file name in docs/."""
    schemas = {"config.schema.json": config_schema(), "template.schema.json": template_schema()}
    return {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in schemas.items()}


if __name__ == "__main__":
    for name, text in documents().items():
        (Path(sys.argv[1]) / name).write_text(text, encoding="utf-8")
