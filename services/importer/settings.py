"""Settings of the importer."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from shared.settings import ServiceSettings


class ImporterSettings(ServiceSettings):
    """Each field is the variable MODELKIN_<FIELD>."""

    artifacts: Path = Field(description="the folder of the artifact store")
    allowed_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(),
        description=f"folders that file:// locations may lie in, '{os.pathsep}' between them; none: refuse all",
    )
    max_files: int = Field(default=100_000, ge=1, description="most files in one package")
    concurrent_imports: int = Field(default=16, ge=1, le=256, description="imports under way at once in this process")

    @field_validator("allowed_roots", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part for part in value.split(os.pathsep) if part) if isinstance(value, str) else value
