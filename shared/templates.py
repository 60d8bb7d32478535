"""Templates and input/output modes, as they are kept in files and shown by queries."""

from typing import Annotated

from pydantic import Field, JsonValue, StringConstraints

from shared.values import Value

Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$", max_length=64)]
_ID = "small letters and digits, at most 64 characters, '-', '_' or '.' between them"
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=200)]
_LINE = "one line of 1 to 200 characters"
Text = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
# A name, or a name with stars in it; '/' goes into folders.
Pattern = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_*.-]+(/[A-Za-z0-9_*.-]+)*/?$", max_length=200)]


class InputRule(Value):
    """One location that a template asks for."""

    input_id: Id = Field(description=_ID, examples=["model_folder"])
    description: Text = Field(description="1 to 1000 characters: what the location holds")
    folder: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*)?$", max_length=200)] = Field(
        default="",
        description="a folder below `model` that the files go to, of letters, digits, '-' and '_'; '' is `model` itself",
    )
    must_hold: tuple[Annotated[tuple[Pattern, ...], Field(min_length=1, max_length=20)], ...] = Field(
        default=(),
        max_length=20,
        description="an array of at most 20 arrays of patterns; of each array, one pattern must match a file",
        examples=[[["config.json"], ["*.safetensors", "pytorch_model*.bin"]]],
    )


class Template(Value):
    """An engine and a runtime with a ready configuration."""

    id: Id = Field(description=_ID, examples=["pytorch-general"])
    name: Line = Field(description=_LINE)
    description: Text = Field(description="1 to 1000 characters")
    engine: str = Field(description="a model_type of config.json, but not Image", examples=["PyTorch"])
    runtime: str = Field(description="the runtime of the configuration", examples=["python3.11"])
    type: Line = Field(description=_LINE, examples=["general", "Ascend"])
    environment: Line = Field(
        description=f"{_LINE}: what it runs on", examples=["CPU or GPU, Python 3.11, PyTorch 2.6"]
    )
    inputs: tuple[InputRule, ...] = Field(min_length=1, max_length=10, description="an array of 1 to 10 objects")
    mode: Id = Field(description=f"the id of an input/output mode: {_ID}")
    mode_replaceable: bool = Field(default=True, description="true or false: may another mode be asked for")
    model_algorithm: str = Field(
        description="the model_algorithm of the configuration, where the mode has none", examples=["predict_analysis"]
    )
    dependencies: tuple[dict[str, JsonValue], ...] = Field(
        default=(), description="the dependencies of the configuration, in the form of config.json"
    )
    engine_files: bool = Field(
        default=True, description="true or false: must the files in `model` be what the engine needs"
    )


class Mode(Value):
    """What a model is sent, and what it answers."""

    id: Id = Field(description=_ID, examples=["object-detection"])
    name: Line = Field(description=_LINE)
    description: Text = Field(description="1 to 1000 characters")
    model_algorithm: str | None = Field(
        default=None, description="the model_algorithm of the configuration", examples=["object_detection"]
    )
    apis: tuple[dict[str, JsonValue], ...] = Field(
        default=(), description="the apis of the configuration, in the form of config.json; none: anything goes"
    )
    allows_batch: bool = Field(default=True, description="true or false: may the model be deployed as `batch`")
